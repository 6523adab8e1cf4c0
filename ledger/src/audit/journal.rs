//! The part of an audit that goes through the journal.

use super::{
    AuditReport, Finding, Progress,
    chain::{Chain, Place},
    replay::bytes,
    statement,
};
use crate::{
    column::integer,
    exchange::{self, Exchange, Phase},
    journal::{CHAIN, COLUMNS, SIGNED, Step as Row, link},
    scan::{Step, Table, scan},
    standing::Standings,
};
use rusqlite::{Connection, OptionalExtension};
use std::convert::Infallible;

pub(super) struct JournalReplay<'r, P> {
    conn: &'r Connection,
    report: &'r mut AuditReport,
    progress: &'r mut Progress<P>,
    chain: Chain,
    standings: Standings,
    /// Exchanges that rows began.
    begun: u64,
    last: i64,
}

impl<'r, P: FnMut(u64, u64)> JournalReplay<'r, P> {
    pub(super) fn new(
        conn: &'r Connection,
        report: &'r mut AuditReport,
        progress: &'r mut Progress<P>,
    ) -> Self {
        let (chain, standings) = (Chain::default(), Standings::default());
        Self { conn, report, progress, chain, standings, begun: 0, last: 0 }
    }

    /// Checks the rows up to `last`; gives the standings that they make, and how many exchanges they
    /// began.
    pub(super) fn run(mut self, last: i64) -> (Standings, u64) {
        self.last = last;
        let done = scan(self.conn, Table::Journal, COLUMNS, i64::MIN..=last, |step| {
            match step {
                Step::Row(seq, row) => self.row(seq, row),
                Step::Unreadable(lost) => {
                    let (from, to) = (*lost.start(), *lost.end());
                    self.report.add(Finding::JournalUnreadable { from, to });
                    self.chain.interrupted();
                }
            }
            self.progress.step();
            Ok::<(), Infallible>(())
        });
        let Ok(()) = done;
        if let Some(head) = self.chain.head() {
            self.report.journal_head = hex::encode(head);
        }
        (self.standings, self.begun)
    }

    fn row(&mut self, seq: i64, row: &rusqlite::Row<'_>) {
        self.report.rows += 1;
        let numbers = std::array::from_fn(|place| {
            let place = if place < 2 { place + 3 } else { place + 4 };
            row.get(place).unwrap_or(i64::MIN)
        });
        let follows = |before: &[u8; 32]| link(before, numbers, bytes(row, 5), bytes(row, SIGNED));
        match self.chain.next(seq, bytes(row, CHAIN), follows) {
            Place::Right => {}
            Place::Broken => self.report.add(Finding::JournalBroken { row: seq }),
            Place::After { from, to } => self.report.add(Finding::JournalMissing { from, to }),
        }
        let step = match Row::read(row) {
            Ok(step) => step,
            Err(error) => return self.report.add(Finding::row(seq, error)),
        };
        self.standings.apply(&step);
        self.begun += u64::from(step.kind.begins_an_exchange());
        self.check_exchange(seq, &step);
        if let Err(reason) = statement::check(self.conn, seq, &step) {
            self.report.add(Finding::row(seq, reason));
        }
    }

    /// The exchange that a row is about stands where its last row left it.
    fn check_exchange(&mut self, seq: i64, step: &Row<'_>) {
        let Some(phase) = Phase::after(step.kind) else { return };
        let about = if step.kind.begins_an_exchange() { seq } else { integer(step.about) };
        match self.compare(seq, about, phase, step) {
            Ok(None) => {}
            Ok(Some(reason)) => self.report.add(Finding::exchange(about, reason)),
            Err(error) => self.report.add(Finding::exchange(about, error)),
        }
    }

    fn compare(
        &self,
        seq: i64,
        about: i64,
        phase: Phase,
        step: &Row<'_>,
    ) -> rusqlite::Result<Option<&'static str>> {
        let Some(exchange) = exchange::get(self.conn, about.unsigned_abs())? else {
            return Ok(Some("is not there"));
        };
        let changed: i64 = self
            .conn
            .prepare_cached("SELECT changed FROM exchange WHERE seq = ?1")?
            .query_row([about], |r| r.get(0))?;
        Ok(match () {
            () if exchange.who != step.who => Some("names another party"),
            // A later row tells, if it is about the same exchange. It may have come during the audit.
            () if changed > seq => {
                let later = changed > self.last || self.is_about(changed, about)?;
                (!later).then_some("was changed by a row that is not about it")
            }
            () if changed < seq => Some("does not know its last change"),
            () if exchange.phase != phase => Some("stands elsewhere than its last row left it"),
            () => differs(&exchange, step, seq),
        })
    }

    fn is_about(&self, row: i64, exchange: i64) -> rusqlite::Result<bool> {
        let mut about = self.conn.prepare_cached("SELECT about FROM journal WHERE seq = ?1")?;
        let about = about.query_row([row], |row| row.get::<_, i64>(0)).optional()?;
        Ok(about == Some(exchange))
    }
}

/// What the last row moved is what the exchange says of itself.
fn differs(exchange: &Exchange, step: &Row<'_>, seq: i64) -> Option<&'static str> {
    let ack_here = !step.signed.is_empty() && !step.kind.begins_an_exchange();
    match exchange.phase {
        Phase::Open if exchange.reserved != step.reserved => Some("reserves another sum"),
        Phase::Open if (exchange.pool, exchange.day) != (step.pool, step.day) => {
            Some("draws another sum from a pool")
        }
        Phase::Claimed | Phase::Settled | Phase::Disputed | Phase::Forgiven
            if exchange.credits != step.credits =>
        {
            Some("charges another sum")
        }
        Phase::Claimed | Phase::Settled | Phase::Disputed | Phase::Forgiven
            if exchange.entry != step.entry =>
        {
            Some("names another receipt")
        }
        Phase::Settled | Phase::Disputed if ack_here && integer(exchange.ack) != seq => {
            Some("names another acknowledgement")
        }
        _ => None,
    }
}
