//! JSON Lines checked offline: no ledger, no network, nothing but the file.

use super::{BadLine, Held, lines::Lines, read_line};
use crate::{limits::BAD_LISTED_MAX, post::charge};
use protocol::ack::Verdict;
use serde::Serialize;
use std::io::{self, BufRead};

/// What a file of receipts holds. Blank lines are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Lines read.
    pub total: u64,
    /// Lines whose statements are signed and belong together. The rest, `total - good`, are bad.
    pub good: u64,
    /// The bad ones; the first [`BAD_LISTED_MAX`] of them, should there be more.
    pub bad: Vec<BadLine>,
    /// What the good ones prove.
    pub proves: Proves,
}

/// What signed lines prove to somebody who knows none of the parties: their numbers, and how many credits
/// they charge together. That a file is complete nothing in it can prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proves {
    /// Order, receipt and ok: neither side can deny it.
    pub settled: Sum,
    /// Order and receipt: the requester asked for it, and the worker says what it costs.
    pub claimed: Sum,
    /// Order, receipt and the requester's no.
    pub disputed: Sum,
    /// A receipt alone: its worker's word, and nobody else's.
    pub alone: Sum,
}

/// A number of receipts, and what they charge together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// How many.
    pub receipts: u64,
    /// Credits, and tokens where a receipt answers no order.
    pub credits: u128,
}

impl Proves {
    fn add(&mut self, held: &Held) {
        let verdict = held.ack.as_ref().map(|ack| &ack.verdict);
        let charged = charge(&held.receipt);
        let (sum, credits) = match (&held.order, verdict) {
            (Some(_), Some(Verdict::Ok)) => (&mut self.settled, charged),
            (Some(_), Some(Verdict::Dispute(_))) => (&mut self.disputed, charged),
            // Without its ack no more than was ordered (SPEC section 4).
            (Some(order), None) => (&mut self.claimed, charged.min(order.max_credits.get())),
            (None, _) => (&mut self.alone, charged),
        };
        sum.receipts += 1;
        sum.credits += u128::from(credits);
    }
}

/// Checks every line: its signatures, and that they belong together.
pub fn verify(input: impl BufRead) -> io::Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let mut lines = Lines::of(input);
    while let Some(line) = lines.next()? {
        report.total += 1;
        match read_line(line) {
            Ok(held) => {
                report.good += 1;
                report.proves.add(&held);
            }
            Err(bad) if report.bad.len() < BAD_LISTED_MAX => report.bad.push(bad),
            Err(_) => {}
        }
    }
    Ok(report)
}
