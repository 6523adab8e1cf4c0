//! The part of an audit that goes through the entries.

use super::{
    AuditReport, Finding, Progress,
    chain::{Chain, Place},
};
use crate::{
    append::{Ours, link},
    balance::Balances,
    column::{integer, key_from, key_of, natural},
    entry::Origin,
    exchange,
    post::charge,
    scan::{Step, Table, scan},
};
use protocol::{NodeId, Receipt, Rejected, Requester, Signed};
use rusqlite::{Connection, Row, types::ValueRef};
use std::{convert::Infallible, ops::RangeInclusive};

/// Read from index 1 on; the places below.
const COLUMNS: &str = "signed, chain, worker, requester, nonce, job_id, model, input_tokens, output_tokens, \
    started_at, completed_at, origin, posted_at, credits";
const SIGNED: usize = 1;
const CHAIN: usize = 2;
const WORKER: usize = 3;
const REQUESTER: usize = 4;
const ORIGIN: usize = 12;
const POSTED_AT: usize = 13;
const CREDITS: usize = 14;

pub(super) struct Replay<'r, P> {
    conn: &'r Connection,
    report: &'r mut AuditReport,
    progress: &'r mut Progress<P>,
    balances: Balances,
    chain: Chain,
}

impl<'r, P: FnMut(u64, u64)> Replay<'r, P> {
    pub(super) fn new(
        conn: &'r Connection,
        report: &'r mut AuditReport,
        progress: &'r mut Progress<P>,
    ) -> Self {
        Self { conn, report, progress, balances: Balances::default(), chain: Chain::default() }
    }

    /// Checks the entries up to `last`, and gives the balances that they make.
    pub(super) fn run(mut self, last: i64) -> Balances {
        let done = scan(self.conn, Table::Entry, COLUMNS, i64::MIN..=last, |step| {
            match step {
                Step::Row(seq, row) => self.row(seq, row),
                Step::Unreadable(lost) => self.unreadable(lost),
            }
            self.progress.step();
            Ok::<(), Infallible>(())
        });
        let Ok(()) = done;
        if let Some(head) = self.chain.head() {
            self.report.head = hex::encode(head);
        }
        self.balances
    }

    fn unreadable(&mut self, lost: RangeInclusive<i64>) {
        self.report.add(Finding::Unreadable { from: *lost.start(), to: *lost.end() });
        self.chain.interrupted();
    }

    fn row(&mut self, seq: i64, row: &Row<'_>) {
        let signed = bytes(row, SIGNED);
        self.report.entries += 1;
        self.report.last = seq;
        self.check_chain(seq, row);
        match read_receipt(signed) {
            Ok((receipt, verified)) => {
                if let Err(reason) = verified {
                    self.report.add(Finding::receipt(seq, reason));
                }
                self.check_columns(seq, row, &receipt);
            }
            Err(reason) => self.report.add(Finding::receipt(seq, reason)),
        }
        self.fold(row);
    }

    fn check_chain(&mut self, seq: i64, row: &Row<'_>) {
        let follows = |before: &[u8; 32]| link(before, ours(row), bytes(row, SIGNED));
        match self.chain.next(seq, bytes(row, CHAIN), follows) {
            Place::Right => {}
            Place::Broken => self.broken(seq),
            Place::After { from, to } => self.report.add(Finding::RowsMissing { from, to }),
        }
    }

    fn broken(&mut self, seq: i64) {
        self.report.first_broken.get_or_insert(seq);
        self.report.add(Finding::ChainBroken { seq });
    }

    fn check_columns(&mut self, seq: i64, row: &Row<'_>, receipt: &Receipt) {
        let columns = [
            ("worker", ValueRef::Blob(receipt.worker.as_bytes())),
            ("requester", ValueRef::Blob(key_of(&receipt.requester))),
            ("nonce", ValueRef::Blob(&receipt.nonce.0)),
            ("job_id", ValueRef::Text(receipt.job_id.as_bytes())),
            ("model", ValueRef::Text(receipt.model.as_str().as_bytes())),
            ("input_tokens", ValueRef::Integer(integer(receipt.usage.input_tokens))),
            ("output_tokens", ValueRef::Integer(integer(receipt.usage.output_tokens))),
            ("started_at", ValueRef::Integer(integer(receipt.started_at.as_millis()))),
            ("completed_at", ValueRef::Integer(integer(receipt.completed_at.as_millis()))),
        ];
        for (place, (column, should)) in columns.into_iter().enumerate() {
            if row.get_ref(WORKER + place).ok() != Some(should) {
                self.report.add(Finding::ColumnDiffers { seq, column });
            }
        }
        let origin = row.get(ORIGIN).ok().and_then(Origin::from_code);
        if origin.is_none() {
            self.report.add(Finding::ColumnDiffers { seq, column: "origin" });
        }
        if natural(row, POSTED_AT).is_err() {
            self.report.add(Finding::ColumnDiffers { seq, column: "posted_at" });
        }
        let may_be = |credits| credits <= charge(receipt) || self.is_priced(seq, receipt);
        if !natural(row, CREDITS).is_ok_and(may_be) {
            self.report.add(Finding::ColumnDiffers { seq, column: "credits" });
        }
    }

    /// Whether it was claimed at our price, which its row of the journal says and it does not.
    fn is_priced(&self, seq: i64, receipt: &Receipt) -> bool {
        let claimed = || exchange::of_entry(self.conn, seq.unsigned_abs()).is_ok_and(|found| found.is_some());
        receipt.answers.is_none() && claimed()
    }

    /// From the columns: they are what the accounts were made of, and they have just been compared
    /// with the receipt. So a damaged receipt is one finding, and not two accounts besides.
    fn fold(&mut self, row: &Row<'_>) {
        if let Some((worker, requester, credits)) = parties(row) {
            self.balances.add(worker, requester, credits);
        }
    }
}

/// What the entry says itself; what cannot be read makes the chain disagree.
fn ours(row: &Row<'_>) -> Ours {
    Ours {
        origin: row.get(ORIGIN).unwrap_or(-1),
        posted_at: natural(row, POSTED_AT).unwrap_or(u64::MAX),
        credits: natural(row, CREDITS).unwrap_or(u64::MAX),
    }
}

fn parties(row: &Row<'_>) -> Option<(NodeId, Requester, u64)> {
    let worker = NodeId::from_bytes(bytes(row, WORKER).try_into().ok()?);
    let requester = key_from(bytes(row, REQUESTER))?;
    Some((worker, requester, natural(row, CREDITS).ok()?))
}

/// The receipt, and whether it is what its worker signed and in the form in which it was kept.
fn read_receipt(signed: &[u8]) -> Result<(Receipt, Result<(), Rejected>), Rejected> {
    let statement = Signed::<Receipt>::parse(signed)?;
    let receipt = statement.unverified().clone();
    let canonical = statement.to_json().as_bytes() == signed;
    let verified = match statement.verify() {
        Ok(_) if !canonical => Err(Rejected::Malformed("not in canonical form".into())),
        verified => verified.map(drop),
    };
    Ok((receipt, verified))
}

pub(super) fn bytes<'r>(row: &'r Row<'_>, place: usize) -> &'r [u8] {
    match row.get_ref(place) {
        Ok(ValueRef::Blob(bytes) | ValueRef::Text(bytes)) => bytes,
        _ => &[],
    }
}
