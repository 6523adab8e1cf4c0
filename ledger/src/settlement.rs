//! A signed word that a debt has shrunk outside of the network: paid, or forgiven.
//!
//! `{"settlement":{"version":2,"from","to","credits","kind":"settle"|"forgive","id","at","orderId"?},
//! "signature":"<128 hex>"}`, signed over `lobstah/settlement/2` + newline + canonical(settlement).
//! `from` owes `to` so much less. A payment counts once both have signed the same settlement, each a
//! statement of its own; what is forgiven once `to` has. With `orderId` it forgives the receipt that
//! answers that order, whatever came of it.

use protocol::{Body, Credits, NodeId, Rejected, Signed, Timestamp, Verified};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Deref;

const VERSION: u64 = 2;

/// What both sides sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settlement {
    version: u64,
    /// Who owes less by it.
    pub from: NodeId,
    /// Whom it owes less.
    pub to: NodeId,
    /// How much less.
    pub credits: Credits,
    /// Paid or forgiven.
    pub kind: SettlementKind,
    /// UUID in lower case; neither side uses it again.
    pub id: String,
    /// When it was agreed on.
    pub at: Timestamp,
    /// UUID in lower case of the one order that is forgiven; `None` for a sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
}

/// Why a debt shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettlementKind {
    /// It was paid outside of the network. Wants both signatures.
    Settle,
    /// The creditor asks for it no more. Wants its signature.
    Forgive,
}

impl Settlement {
    /// A payment of `from` to `to`. The caller makes the UUID `id`.
    pub fn paid(from: NodeId, to: NodeId, credits: Credits, id: String, at: Timestamp) -> Self {
        Self { version: VERSION, from, to, credits, kind: SettlementKind::Settle, id, at, order_id: None }
    }

    /// What `to` forgives `from`: a sum of what is settled, or all that one order was charged for.
    pub fn forgiven(
        from: NodeId,
        to: NodeId,
        credits: Credits,
        order_id: Option<String>,
        id: String,
        at: Timestamp,
    ) -> Self {
        Self { version: VERSION, from, to, credits, kind: SettlementKind::Forgive, id, at, order_id }
    }

    fn read(value: &Value) -> Result<Self, Rejected> {
        if value.get("version").and_then(Value::as_u64) != Some(VERSION) {
            return Err(Rejected::UnsupportedVersion);
        }
        let settlement = Self::deserialize(value).map_err(|e| Rejected::Malformed(e.to_string()))?;
        settlement.check()?;
        Ok(settlement)
    }

    /// What everybody refuses to read nobody should sign or keep.
    pub(crate) fn check(&self) -> Result<(), Rejected> {
        let uuids = [Some(&self.id), self.order_id.as_ref()];
        if uuids.into_iter().flatten().any(|id| !is_uuid(id)) {
            let why = "`id` or `orderId` is not a UUID of lower-case digits and dashes";
            return Err(Rejected::Malformed(why.into()));
        }
        if self.from == self.to {
            return Err(Rejected::Malformed("`from` and `to` are the same".into()));
        }
        if self.order_id.is_some() && self.kind == SettlementKind::Settle {
            return Err(Rejected::Malformed("`orderId` goes with `forgive` only".into()));
        }
        Ok(())
    }
}

/// Text of 8-4-4-4-12 hex digits, lower-case: two texts are two ids.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

macro_rules! signed_by {
    ($(#[$doc:meta])* $name:ident, $signer:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(pub Settlement);

        impl Body for $name {
            const NAME: &'static str = "settlement";
            const DOMAIN: &'static str = "lobstah/settlement/2\n";

            fn signer(&self) -> NodeId {
                self.0.$signer
            }

            fn from_value(value: &Value) -> Result<Self, Rejected> {
                Settlement::read(value).map(Self)
            }

            fn to_value(&self) -> Value {
                serde_json::to_value(&self.0).unwrap_or_default()
            }
        }
    };
}

signed_by! {
    /// A settlement as its debtor signs it.
    ByDebtor, from
}
signed_by! {
    /// A settlement as its creditor signs it.
    ByCreditor, to
}

/// One side's signature, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettlementHalf {
    /// `from` has signed it.
    Debtor(Verified<ByDebtor>),
    /// `to` has signed it.
    Creditor(Verified<ByCreditor>),
}

impl SettlementHalf {
    /// Reads a statement of either side and checks whose it is.
    pub fn parse(json: &[u8]) -> Result<Self, Rejected> {
        match Signed::<ByCreditor>::parse(json)?.verify() {
            Ok(half) => Ok(Self::Creditor(half)),
            Err(_) => Signed::<ByDebtor>::parse(json)?.verify().map(Self::Debtor),
        }
    }

    /// Who signed.
    pub fn signer(&self) -> NodeId {
        match self {
            Self::Debtor(half) => half.signer(),
            Self::Creditor(half) => half.signer(),
        }
    }

    /// The statement in canonical form.
    pub fn to_json(&self) -> String {
        match self {
            Self::Debtor(half) => half.to_json(),
            Self::Creditor(half) => half.to_json(),
        }
    }

    /// What was signed, in canonical form: the same for both sides.
    pub fn canonical(&self) -> &str {
        match self {
            Self::Debtor(half) => half.signed().canonical().as_str(),
            Self::Creditor(half) => half.signed().canonical().as_str(),
        }
    }
}

impl Deref for SettlementHalf {
    type Target = Settlement;

    fn deref(&self) -> &Settlement {
        match self {
            Self::Debtor(half) => &half.0,
            Self::Creditor(half) => &half.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Keypair;

    fn paid() -> (Keypair, Keypair, Settlement) {
        let [from, to] = [1, 2].map(|n| Keypair::from_seed(&[n; 32]));
        let id = "3f0e6a2e-7c1d-4a51-9c1b-0f6a54c1a001".to_owned();
        let at = Timestamp::from_millis(1_790_000_000_000);
        let body = Settlement::paid(from.node_id(), to.node_id(), Credits::saturating(70), id, at);
        (from, to, body)
    }

    #[test]
    fn each_side_signs_the_same_text() {
        let (from, to, body) = paid();
        let debtor = Verified::sign(ByDebtor(body.clone()), &from).unwrap().to_json();
        let creditor = Verified::sign(ByCreditor(body.clone()), &to).unwrap().to_json();
        let halves = [debtor, creditor].map(|json| SettlementHalf::parse(json.as_bytes()).unwrap());
        assert!(matches!(halves, [SettlementHalf::Debtor(_), SettlementHalf::Creditor(_)]));
        assert_eq!(halves[0].canonical(), halves[1].canonical());
        assert_eq!((&*halves[0], halves[1].signer()), (&body, to.node_id()));
        let text = format!(
            r#"{{"at":1790000000000,"credits":70,"from":"{}","id":"{}","kind":"settle","to":"{}","version":2}}"#,
            from.node_id(),
            body.id,
            to.node_id()
        );
        assert_eq!(halves[0].canonical(), text);
        let signature = hex::encode(from.sign_text(&format!("lobstah/settlement/2\n{text}")));
        assert!(halves[0].to_json().contains(&signature));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let (from, to, body) = paid();
        let sign = |body| Verified::sign(ByDebtor(body), &from).unwrap().to_json();
        let forgiven =
            Settlement { order_id: Some(body.id.clone()), kind: SettlementKind::Forgive, ..body.clone() };
        assert!(SettlementHalf::parse(sign(forgiven.clone()).as_bytes()).is_ok());
        let wrong = [
            Settlement { version: 3, ..body.clone() },
            Settlement { id: "1".into(), ..body.clone() },
            Settlement { id: body.id.to_uppercase(), ..body.clone() },
            Settlement { order_id: Some(body.id.replace('-', "")), ..forgiven.clone() },
            Settlement { to: from.node_id(), ..body.clone() },
            Settlement { kind: SettlementKind::Settle, ..forgiven },
        ];
        for body in wrong {
            assert!(SettlementHalf::parse(sign(body.clone()).as_bytes()).is_err(), "{body:?}");
        }
        assert!(Verified::sign(ByCreditor(body.clone()), &from).is_err());
        let other = sign(body).replace(&to.node_id().to_string(), &from.node_id().to_string());
        assert!(SettlementHalf::parse(other.as_bytes()).is_err());
    }
}
