//! Receipts as JSON Lines: one `{"receipt":…,"signature":"…","order"?:…,"ack"?:…}` a line, oldest first.
//!
//! `order` and `ack` are the signed statements that go with the receipt (SPEC section 8); a line of the
//! first Lobstah's `ledger.jsonl` has neither. Further members are ignored.

mod export;
mod import;
mod lines;
mod verify;

pub use export::{ExportError, ExportReport, export};
pub use import::{ImportError, ImportReport, import};
pub use verify::{Proves, Sum, VerifyReport, verify};

use crate::limits::{LINE_BYTES_MAX, REASON_BYTES_MAX};
use lines::Line;
use protocol::{
    Ack, Body, Order, Receipt, Rejected, Requester, Signed, Verified,
    ack::{AckRefused, Claim},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A line that holds no good receipt, or statements that do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Its number in the file, from 1; blank lines count.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl BadLine {
    fn new(line: u64, reason: impl std::fmt::Display) -> Self {
        Self { line, reason: shortened(reason.to_string()) }
    }
}

/// What one line holds: every signature is good, and each statement names the one before it.
struct Held {
    receipt: Verified<Receipt>,
    order: Option<Verified<Order>>,
    ack: Option<Verified<Ack>>,
}

/// Why a line is bad.
#[derive(Debug, thiserror::Error)]
enum Bad {
    #[error(transparent)]
    Receipt(#[from] Rejected),
    #[error("its order: {0}")]
    Order(Rejected),
    #[error("the order beside it is another than the receipt answers")]
    AnotherOrder,
    #[error("its acknowledgement: {0}")]
    Ack(AckRefused),
    #[error("an acknowledgement without its order proves nothing")]
    AckAlone,
}

#[derive(Deserialize)]
struct Members<'l> {
    #[serde(borrow)]
    receipt: &'l RawValue,
    #[serde(borrow)]
    signature: &'l RawValue,
    #[serde(borrow, default)]
    order: Option<&'l RawValue>,
    #[serde(borrow, default)]
    ack: Option<&'l RawValue>,
}

fn read_line(line: Line<'_>) -> Result<Held, BadLine> {
    match line {
        Line::Text(number, text) => read(text).map_err(|reason| BadLine::new(number, reason)),
        Line::TooLong(number) => {
            Err(BadLine::new(number, format_args!("malformed: longer than {LINE_BYTES_MAX} bytes")))
        }
    }
}

/// Only what was signed is looked at strictly, and only it counts for the length.
fn read(text: &[u8]) -> Result<Held, Bad> {
    let malformed = |what: String| Rejected::Malformed(what);
    if !text.starts_with(b"{") {
        return Err(malformed("not a JSON object".into()).into());
    }
    let members: Members<'_> = serde_json::from_slice(text).map_err(|e| malformed(e.to_string()))?;
    let statement =
        format!(r#"{{"receipt":{},"signature":{}}}"#, members.receipt.get(), members.signature.get());
    let receipt = Signed::<Receipt>::parse(statement.as_bytes())?.verify()?;
    let Some(order) = members.order else {
        let ack = members.ack.is_none();
        return if ack { Ok(Held { receipt, order: None, ack: None }) } else { Err(Bad::AckAlone) };
    };
    let order = verified::<Order>(order).map_err(Bad::Order)?;
    let claim = Claim::of(&order, &receipt)
        .filter(|claim| receipt.requester == Requester::Node(claim.requester))
        .ok_or(Bad::AnotherOrder)?;
    let ack = members.ack.map(|ack| acknowledgement(ack, &claim)).transpose().map_err(Bad::Ack)?;
    Ok(Held { receipt, order: Some(order), ack })
}

fn verified<T: Body>(statement: &RawValue) -> Result<Verified<T>, Rejected> {
    Signed::<T>::parse(statement.get().as_bytes())?.verify()
}

fn acknowledgement(statement: &RawValue, claim: &Claim) -> Result<Verified<Ack>, AckRefused> {
    Ack::parse(statement.get().as_bytes())?.verify_for(claim)
}

/// At most [`REASON_BYTES_MAX`] bytes of it.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > REASON_BYTES_MAX {
        text.truncate(text.floor_char_boundary(REASON_BYTES_MAX - '…'.len_utf8()));
        text.push('…');
    }
    text
}
