//! Where a test lets the process die: before and after each step of order → serve → receipt → ack that
//! leaves something on the disk or on the wire, on both sides.
//!
//! `LOBSTAH_FAIL_AT=<name>` aborts the process when it gets there for the first time, `<name>:<n>` the
//! nth. Builds without debug assertions have none of it. The stories read this file too, so that no point
//! is without its story; it uses nothing of the crate for that reason.

/// A step of an exchange, as it has just been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailPoint {
    /// Gateway: an order is in the ledger and nobody has seen it.
    OrderPlaced,
    /// Gateway: a request went out with its order.
    OrderSent,
    /// Gateway: the first event of a stream came, and none of it went on.
    TokenReceived,
    /// Gateway: a receipt was judged and is not kept.
    ReceiptReceived,
    /// Gateway: a receipt is kept, with our word on it, and the tool's answer has not ended.
    ReceiptKept,
    /// Gateway: words on receipts are about to be brought to their worker.
    AckDue,
    /// Gateway: the worker took them, which is not noted.
    AckSent,
    /// Gateway: that is noted.
    AckNoted,
    /// Worker: an order is taken, its credits are reserved.
    OrderAdmitted,
    /// The engine got a request, the gateway's own or the worker's.
    EngineAsked,
    /// Worker: a part of a stream went to the requester.
    TokenSent,
    /// Worker: a receipt is signed and not kept.
    ReceiptSigned,
    /// Worker: a receipt is kept and nobody has seen it.
    ReceiptClaimed,
    /// Worker: the answer's end went to the requester, and the receipt with it.
    ReceiptSent,
    /// Worker: words on receipts came and are not kept.
    AckReceived,
    /// Worker: they are kept, and the requester does not know.
    AckTaken,
}

impl FailPoint {
    /// All of them, in the order of an exchange on either side.
    pub const ALL: [Self; 16] = [
        Self::OrderPlaced,
        Self::OrderSent,
        Self::TokenReceived,
        Self::ReceiptReceived,
        Self::ReceiptKept,
        Self::AckDue,
        Self::AckSent,
        Self::AckNoted,
        Self::OrderAdmitted,
        Self::EngineAsked,
        Self::TokenSent,
        Self::ReceiptSigned,
        Self::ReceiptClaimed,
        Self::ReceiptSent,
        Self::AckReceived,
        Self::AckTaken,
    ];

    /// As `LOBSTAH_FAIL_AT` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrderPlaced => "order-placed",
            Self::OrderSent => "order-sent",
            Self::TokenReceived => "token-received",
            Self::ReceiptReceived => "receipt-received",
            Self::ReceiptKept => "receipt-kept",
            Self::AckDue => "ack-due",
            Self::AckSent => "ack-sent",
            Self::AckNoted => "ack-noted",
            Self::OrderAdmitted => "order-admitted",
            Self::EngineAsked => "engine-asked",
            Self::TokenSent => "token-sent",
            Self::ReceiptSigned => "receipt-signed",
            Self::ReceiptClaimed => "receipt-claimed",
            Self::ReceiptSent => "receipt-sent",
            Self::AckReceived => "ack-received",
            Self::AckTaken => "ack-taken",
        }
    }
}

/// The exchange got here: the process ends at once if it was told to.
#[cfg(debug_assertions)]
pub fn reached(point: FailPoint) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    static FAIL_AT: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let told = std::env::var("LOBSTAH_FAIL_AT").ok()?;
        let (name, nth) = told.split_once(':').unwrap_or((&told, "1"));
        Some((name.to_owned(), nth.parse().unwrap_or(1)))
    });
    static TIMES: AtomicU32 = AtomicU32::new(0);

    if let Some((name, nth)) = &*FAIL_AT
        && name == point.name()
        && TIMES.fetch_add(1, Ordering::Relaxed) + 1 == *nth
    {
        std::process::abort();
    }
}

/// Nothing, in a build for users.
#[cfg(not(debug_assertions))]
pub fn reached(_: FailPoint) {}
