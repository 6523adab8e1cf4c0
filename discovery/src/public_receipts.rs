//! Receipts that nodes made public (SPEC section 5): as Nostr events, and added up as what they are, the
//! claims of others. Nothing here changes anybody's credit.

use crate::{
    event::{signed, tag},
    relays::{Ear, Garbage},
};
use nostr_sdk::{Event, EventId, Filter, Keys, Kind};
use parking_lot::Mutex;
use protocol::{
    NodeId, Receipt, Requester, Signed, Verified,
    limits::{EVENT_CONTENT_BYTES_MAX, EVENT_TAG_BYTES_MAX},
    receipt::Nonce,
};
use std::collections::{BTreeMap, HashSet};
use url::Url;

/// A receipt: a regular event, which relays keep as they see fit.
pub const RECEIPT_KIND: Kind = Kind::Custom(1474);
/// The `t` tag of every one.
pub const RECEIPT_TOPIC: &str = "lobstah-receipt";

/// So many receipts are added up; what comes after that is counted and left out.
pub const RECEIPTS_MAX: usize = 20_000;

/// So many are asked of one relay; many give fewer.
const ASKED_MAX: usize = 5_000;

/// Puts a receipt into an event that `keys` publish; `None` where it is longer than what is read of others.
/// `created_at` is in Unix seconds.
pub fn receipt_event(receipt: &Verified<Receipt>, keys: &Keys, created_at: u64) -> Option<Event> {
    let content = receipt.to_json();
    let tags = vec![
        tag("t", RECEIPT_TOPIC),
        tag("worker_pubkey", receipt.worker.to_string()),
        tag("requester_pubkey", receipt.requester.to_string()),
        tag("nonce", hex::encode(receipt.nonce.0)),
    ];
    (content.len() <= EVENT_CONTENT_BYTES_MAX).then(|| signed(keys, created_at, RECEIPT_KIND, tags, content))
}

/// Why an event is no public receipt. In the order in which it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAReceipt {
    /// Another kind, or more content or tags than is read.
    #[error("not an event of kind 1474 of a length that is read")]
    NotThatEvent,
    /// The content is no receipt, or not signed by its worker.
    #[error("no receipt that its worker signed")]
    BadReceipt,
    /// A tag says something else than the receipt.
    #[error("its tags do not say what the receipt says")]
    TagsDiffer,
    /// The event's id or signature is not its author's.
    #[error("the event is not signed by its author")]
    BadEnvelope,
}

/// Checks an event that a relay sent: both signatures, and that the tags say what the receipt says.
pub fn read_receipt(event: &Event) -> Result<Verified<Receipt>, NotAReceipt> {
    let tags = || event.tags.iter().map(|tag| tag.as_slice());
    let tag_bytes: usize = tags().flatten().map(String::len).sum();
    if event.kind != RECEIPT_KIND
        || event.content.len() > EVENT_CONTENT_BYTES_MAX
        || tag_bytes > EVENT_TAG_BYTES_MAX
    {
        return Err(NotAReceipt::NotThatEvent);
    }
    let receipt = Signed::<Receipt>::parse(event.content.as_bytes()).and_then(Signed::verify);
    let receipt = receipt.map_err(|_| NotAReceipt::BadReceipt)?;
    let says = |name: &str, value: &str| {
        tags().any(|tag| {
            tag.first().is_some_and(|key| key == name) && tag.get(1).is_some_and(|said| said == value)
        })
    };
    let agree = says("t", RECEIPT_TOPIC)
        && says("worker_pubkey", &receipt.worker.to_string())
        && says("requester_pubkey", &receipt.requester.to_string())
        && says("nonce", &hex::encode(receipt.nonce.0));
    if !agree {
        return Err(NotAReceipt::TagsDiffer);
    }
    event.verify().map_err(|_| NotAReceipt::BadEnvelope)?;
    Ok(receipt)
}

/// What to ask a relay for.
pub(crate) fn filter() -> Filter {
    Filter::new().kind(RECEIPT_KIND).hashtag(RECEIPT_TOPIC).limit(ASKED_MAX)
}

/// What a node is said to have earned and spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// Tokens of receipts that it signed as the worker.
    pub earned: u64,
    /// Tokens of receipts that name it as the requester, which it need not have agreed to.
    pub spent: u64,
    /// Receipts that name it.
    pub receipts: u64,
}

/// Hears public receipts and adds them up, each once, whoever published it.
#[derive(Debug, Default)]
pub struct Hearsay {
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    events: HashSet<EventId>,
    counted: HashSet<(NodeId, Nonce)>,
    claims: BTreeMap<String, Claimed>,
    tally: Tally,
}

/// What came of what was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Receipts that are added up.
    pub receipts: u64,
    /// Events that are none, or forged.
    pub refused: u64,
    /// Good ones beyond [`RECEIPTS_MAX`].
    pub left_out: u64,
}

impl Hearsay {
    /// By node (or `anonymous`), those who earned most first.
    pub fn claims(&self) -> Vec<(String, Claimed)> {
        let heard = self.heard.lock();
        let mut claims: Vec<_> = heard.claims.iter().map(|(who, claimed)| (who.clone(), *claimed)).collect();
        claims.sort_by_key(|(_, claimed)| std::cmp::Reverse((claimed.earned, claimed.spent)));
        claims
    }

    /// How much was heard.
    pub fn tally(&self) -> Tally {
        self.heard.lock().tally
    }
}

impl Heard {
    fn add(&mut self, id: EventId, receipt: &Receipt) {
        if self.counted.len() >= RECEIPTS_MAX {
            self.tally.left_out += 1;
            return;
        }
        self.events.insert(id);
        // One receipt in several events is one receipt.
        if !self.counted.insert((receipt.worker, receipt.nonce)) {
            return;
        }
        self.tally.receipts += 1;
        let tokens = receipt.usage.total();
        let worker = self.claims.entry(receipt.worker.to_string()).or_default();
        worker.earned = worker.earned.saturating_add(tokens);
        worker.receipts += 1;
        let requester = self.claims.entry(receipt.requester.to_string()).or_default();
        requester.spent = requester.spent.saturating_add(tokens);
        requester.receipts += u64::from(receipt.requester != Requester::Node(receipt.worker));
    }
}

impl Ear for Hearsay {
    fn wants(&self, kind: Kind) -> bool {
        kind == RECEIPT_KIND
    }

    fn knows(&self, id: &EventId) -> bool {
        self.heard.lock().events.contains(id)
    }

    fn hear(&self, _relay: &Url, event: Event) {
        // Outside of the lock: two signatures take a while.
        let read = read_receipt(&event);
        let mut heard = self.heard.lock();
        match read {
            Ok(receipt) => heard.add(event.id, &receipt),
            Err(_) => heard.tally.refused += 1,
        }
    }

    fn garbage(&self, _relay: &Url, _garbage: Garbage) {
        self.heard.lock().tally.refused += 1;
    }
}
