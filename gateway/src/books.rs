//! The books of one exchange: a worker signs what it served, a gateway checks what it was served,
//! and both keep the receipt before the answer ends (SPEC section 3).

use crate::{
    clock,
    meter::{Meter, Watch},
    node::Node,
};
use ledger::{Origin, Posted};
use protocol::{
    ModelName, NodeId, Receipt, Rejected, Requester, Timestamp, Usage, Verified,
    carriers::{self},
    receipt::Nonce,
};
use std::time::Duration;

/// What an exchange does to the books.
pub enum Books<'a> {
    /// The engine is the owner's own: nobody owes anybody.
    None,
    /// We serve a requester.
    Serving(Serving<'a>),
    /// A worker serves us.
    Served(Served<'a>),
}

/// The worker's side.
pub struct Serving<'a> {
    pub node: &'a Node,
    pub requester: Requester,
    /// As asked for.
    pub model: ModelName,
    pub started_at: Timestamp,
    /// The requester asked for the usage of its stream itself.
    pub usage_was_asked: bool,
}

/// The gateway's side.
pub struct Served<'a> {
    pub node: &'a Node,
    pub worker: NodeId,
    /// How many bytes were sent: with those that came back, the most tokens that are believed.
    pub bytes: u64,
}

/// Why a receipt is not kept. The answer reaches the tool all the same.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Rejected(#[from] Rejected),
    #[error("signed by another worker than the one that was asked")]
    WrongWorker,
    #[error("made out to another requester")]
    WrongRequester,
    #[error("more than five minutes old, or from the future")]
    Stale,
    #[error("seen before")]
    Replayed,
    #[error("not kept: {0}")]
    Ledger(#[from] ledger::PostError),
}

impl Refused {
    /// The label in metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Refused::Rejected(Rejected::Malformed(_)) => "malformed",
            Refused::Rejected(Rejected::UnsupportedVersion) => "unsupported_version",
            Refused::Rejected(Rejected::BadSignature) => "bad_signature",
            Refused::WrongWorker => "wrong_worker",
            Refused::WrongRequester => "wrong_requester",
            Refused::Stale => "stale",
            Refused::Replayed => "replayed",
            Refused::Ledger(ledger::PostError::NonceReused { .. }) => "replayed",
            Refused::Ledger(_) => "not_kept",
        }
    }
}

impl Books<'_> {
    /// How the stream is to be read on its way.
    pub fn watch(&self) -> Watch {
        match self {
            Books::None => Watch::default(),
            Books::Serving(serving) => Watch { strip_usage: !serving.usage_was_asked, take_receipt: false },
            Books::Served(_) => Watch { strip_usage: false, take_receipt: true },
        }
    }

    /// Does the books of a stream whose end is here. A worker's comment goes before the end.
    pub async fn close_stream(&self, meter: &Meter) -> Option<Vec<u8>> {
        match self {
            Books::None => None,
            Books::Serving(serving) => {
                let receipt = serving.sign_and_keep(meter.usage).await?;
                Some(carriers::to_comment(receipt.signed()))
            }
            Books::Served(served) => {
                if let Some(carried) = &meter.receipt {
                    served.check_and_keep(carried, meter.bytes).await;
                } else {
                    served.node.metrics.receipt("missing");
                }
                None
            }
        }
    }

    /// Does the books of a whole answer; gives the header's value that goes with it.
    pub async fn close_whole(&self, body: &[u8], carried: Option<&str>) -> Option<String> {
        match self {
            Books::None => None,
            Books::Serving(serving) => {
                let usage = upstream_ollama::usage::of_answer(body);
                let receipt = serving.sign_and_keep(usage).await?;
                Some(carriers::to_header(receipt.signed()))
            }
            Books::Served(served) => match carried {
                Some(carried) => {
                    let kept = served.check_and_keep(carried.as_bytes(), body.len() as u64).await;
                    kept.then(|| carried.to_owned())
                }
                None => {
                    served.node.metrics.receipt("missing");
                    None
                }
            },
        }
    }
}

impl Serving<'_> {
    /// Signs, and waits until the receipt is durable. Without a place in the ledger there is no
    /// receipt: a worker never shows what it could forget.
    async fn sign_and_keep(&self, usage: Option<Usage>) -> Option<Verified<Receipt>> {
        let completed_at = clock::now();
        let usage = usage.unwrap_or_default();
        let took = Duration::from_millis(completed_at.millis_since(self.started_at));
        self.node.engine.speeds.measured(&self.model, usage.output_tokens, took);
        let receipt = self.sign(usage, completed_at);
        let receipt =
            receipt.inspect_err(|error| tracing::error!(%error, "a receipt could not be signed")).ok()?;
        match self.node.ledger.post(receipt.clone(), Origin::Served, completed_at).await {
            Ok(_) => {
                self.node.metrics.receipt("signed");
                self.node.metrics.earned(receipt.usage);
                Some(receipt)
            }
            Err(error) => {
                self.node.ledger_failed(&error);
                None
            }
        }
    }
}

impl Serving<'_> {
    fn sign(&self, usage: Usage, completed_at: Timestamp) -> anyhow::Result<Verified<Receipt>> {
        let body = Receipt {
            job_id: uuid::Uuid::new_v4().to_string(),
            nonce: nonce(completed_at)?,
            requester: self.requester,
            worker: self.node.me,
            model: self.model.clone(),
            usage,
            started_at: self.started_at,
            completed_at,
            answers: None,
        };
        Ok(Verified::sign(body, &self.node.identity.node)?)
    }
}

impl Served<'_> {
    /// Whether the receipt was kept; if not, why is counted and logged.
    async fn check_and_keep(&self, carried: &[u8], answer_bytes: u64) -> bool {
        match self.keep(carried, self.bytes + answer_bytes).await {
            Ok(usage) => {
                self.node.metrics.receipt("accepted");
                self.node.metrics.spent(usage);
                self.node.strangers.prove(&self.worker);
                true
            }
            Err(refused) => {
                self.node.metrics.receipt(refused.label());
                tracing::warn!(worker = %self.worker.short(), reason = %refused, "a receipt was refused");
                false
            }
        }
    }

    async fn keep(&self, carried: &[u8], bytes_moved: u64) -> Result<Usage, Refused> {
        let now = clock::now();
        let receipt = check(carried, self.worker, self.node.me, now)?;
        let usage = receipt.usage;
        // No order stands behind it: more tokens than bytes went over the wire cannot be true.
        match self.node.ledger.post_at_most(receipt, bytes_moved, Origin::Received, now).await? {
            Posted::New { .. } => Ok(usage),
            Posted::Already { .. } => Err(Refused::Replayed),
        }
    }
}

/// Every rule of SPEC section 3 but the last, which the ledger knows: that it was never seen.
fn check(carried: &[u8], worker: NodeId, me: NodeId, now: Timestamp) -> Result<Verified<Receipt>, Refused> {
    let signed = carriers::from_base64::<Receipt>(carried)?;
    // Before the signature, which costs more: a stranger's receipt is not worth checking.
    if signed.unverified().worker != worker {
        return Err(Refused::WrongWorker);
    }
    let receipt = signed.verify()?;
    if receipt.requester != Requester::Node(me) {
        return Err(Refused::WrongRequester);
    }
    if !receipt.is_fresh(now) {
        return Err(Refused::Stale);
    }
    Ok(receipt)
}

/// 80 random bits behind 48 of time, as in a UUID of version 7: the ledgers on both sides index
/// nonces, and an index that grows at its end costs half of one that is written all over.
fn nonce(now: Timestamp) -> Result<Nonce, getrandom::Error> {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&now.as_millis().to_be_bytes()[2..]);
    getrandom::fill(&mut bytes[6..])?;
    Ok(Nonce(bytes))
}
