//! The ledger to JSON Lines.

use crate::{Reader, query::Found};
use std::io::{self, BufWriter, Write};

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Receipts written, a line each.
    pub lines: u64,
    /// Damaged places of the ledger that were stepped over: run an audit if there is one.
    pub unreadable: u64,
}

/// Why the export is not complete.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the export")]
pub struct ExportError(#[from] io::Error);

/// Writes all receipts, oldest first, in constant memory.
pub fn export(ledger: &Reader, out: impl Write) -> Result<ExportReport, ExportError> {
    let mut out = BufWriter::new(out);
    let mut report = ExportReport::default();
    ledger.each(|found| match found {
        Found::Entry(entry) => {
            report.lines += 1;
            out.write_all(entry.signed.as_bytes())?;
            out.write_all(b"\n")
        }
        Found::Unreadable { .. } => {
            report.unreadable += 1;
            Ok(())
        }
    })?;
    out.flush()?;
    Ok(report)
}
