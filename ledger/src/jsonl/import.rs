//! JSON Lines into the ledger.

use super::{BadLine, Held, lines::Lines, read_line};
use crate::{
    Ledger, Origin, PostError, imported,
    limits::{BATCH_PARTS_MAX, REFUSED_LISTED_MAX},
    post::Item,
};
use protocol::{Receipt, Requester, Timestamp};
use serde::Serialize;
use std::io::{self, BufRead};

/// What became of the lines of a file. Blank ones are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Lines read.
    pub total: u64,
    /// Receipts that were not there before.
    pub new: u64,
    /// Receipts that were.
    pub already: u64,
    /// Of the two: receipts that name us neither as worker nor as requester.
    pub foreign: u64,
    /// Lines that were not kept.
    pub refused_total: u64,
    /// The first of them, up to [`REFUSED_LISTED_MAX`].
    pub refused: Vec<BadLine>,
}

/// Why an import stopped. What came before is kept; importing the file again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("cannot read the file after line {line}")]
    Read {
        /// The last line that was taken in.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The ledger cannot be written.
    #[error("the import stopped at line {line}: mend it and import the file again")]
    Post {
        /// The first line that was not kept.
        line: u64,
        /// What the ledger said.
        source: PostError,
    },
}

/// Keeps every good receipt of a file, with the order and the acknowledgement beside it. A broken line is
/// reported and stops nothing. No standing moves by it, but that an acknowledgement of a receipt of ours
/// counts wherever it is read.
///
/// `progress` is called after every batch with what there is so far.
pub fn import(
    ledger: &Ledger,
    input: impl BufRead,
    now: Timestamp,
    progress: impl FnMut(&ImportReport),
) -> Result<ImportReport, ImportError> {
    let mut import = Import {
        ledger,
        now,
        progress,
        report: ImportReport::default(),
        lines: Vec::new(),
        batch: Vec::new(),
    };
    let mut lines = Lines::of(input);
    let mut last_line = 0;
    loop {
        let line = lines.next().map_err(|source| ImportError::Read { line: last_line, source })?;
        let Some(line) = line else { break };
        last_line = line.number();
        import.take(last_line, read_line(line))?;
    }
    import.post()?;
    Ok(import.report)
}

struct Import<'l, P> {
    ledger: &'l Ledger,
    now: Timestamp,
    progress: P,
    report: ImportReport,
    /// Line and foreignness of each receipt in the batch.
    lines: Vec<(u64, bool)>,
    batch: Vec<Result<imported::Line, PostError>>,
}

impl<P: FnMut(&ImportReport)> Import<'_, P> {
    fn take(&mut self, line: u64, held: Result<Held, BadLine>) -> Result<(), ImportError> {
        self.report.total += 1;
        match held {
            Ok(Held { receipt, order, ack }) => {
                self.lines.push((line, self.is_foreign(&receipt)));
                let item = Item::new(receipt, u64::MAX, Origin::Imported, self.now);
                self.batch.push(item.map(|item| imported::Line { item, order, ack }));
            }
            Err(bad) => self.refuse(bad),
        }
        if self.batch.len() < BATCH_PARTS_MAX { Ok(()) } else { self.post() }
    }

    fn post(&mut self) -> Result<(), ImportError> {
        let batch = std::mem::take(&mut self.batch);
        let outcomes = self.ledger.import_blocking(batch);
        for ((line, foreign), outcome) in std::mem::take(&mut self.lines).into_iter().zip(outcomes) {
            match outcome {
                Ok(posted) => {
                    self.report.new += u64::from(posted.is_new());
                    self.report.already += u64::from(!posted.is_new());
                    self.report.foreign += u64::from(foreign);
                }
                Err(source @ PostError::Unwritten(_)) => return Err(ImportError::Post { line, source }),
                Err(error) => self.refuse(BadLine::new(line, error)),
            }
        }
        (self.progress)(&self.report);
        Ok(())
    }

    fn refuse(&mut self, bad: BadLine) {
        self.report.refused_total += 1;
        if self.report.refused.len() < REFUSED_LISTED_MAX {
            self.report.refused.push(bad);
        }
    }

    fn is_foreign(&self, receipt: &Receipt) -> bool {
        let me = self.ledger.me();
        receipt.worker != me && receipt.requester != Requester::Node(me)
    }
}
