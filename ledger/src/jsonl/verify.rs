//! JSON Lines checked offline: no ledger, no network, nothing but the file.

use super::{BadLine, lines::Lines, read_line};
use crate::limits::BAD_LISTED_MAX;
use serde::Serialize;
use std::io::{self, BufRead};

/// What a file of receipts holds. Blank lines are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Lines read.
    pub total: u64,
    /// Lines with a receipt that its worker signed. The rest, `total - good`, are bad.
    pub good: u64,
    /// The bad ones; the first [`BAD_LISTED_MAX`] of them, should there be more.
    pub bad: Vec<BadLine>,
}

/// Checks the signature of every line.
pub fn verify(input: impl BufRead) -> io::Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let mut lines = Lines::of(input);
    while let Some(line) = lines.next()? {
        report.total += 1;
        match read_line(line) {
            Ok(_) => report.good += 1,
            Err(bad) if report.bad.len() < BAD_LISTED_MAX => report.bad.push(bad),
            Err(_) => {}
        }
    }
    Ok(report)
}
