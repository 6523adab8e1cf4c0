//! The ledger to JSON Lines.

use crate::{Reader, entry::Entry, query::Found};
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

/// Writes all receipts, oldest first, in constant memory, each with its order and its acknowledgement.
pub fn export(ledger: &Reader, out: impl Write) -> Result<ExportReport, ExportError> {
    let mut out = BufWriter::new(out);
    let mut report = ExportReport::default();
    ledger.each(|found| match found {
        Found::Entry(entry) => {
            report.lines += 1;
            write_line(ledger, &entry, &mut out)
        }
        Found::Unreadable { .. } => {
            report.unreadable += 1;
            Ok(())
        }
    })?;
    out.flush()?;
    Ok(report)
}

/// The receipt's own members first, as the first Lobstah wrote them.
fn write_line(ledger: &Reader, entry: &Entry, out: &mut impl Write) -> io::Result<()> {
    let papers = ledger.papers(entry.seq);
    let Some(members) = entry.signed.strip_suffix('}').filter(|_| papers.order.is_some()) else {
        return writeln!(out, "{}", entry.signed);
    };
    out.write_all(members.as_bytes())?;
    for (name, statement) in [("order", papers.order), ("ack", papers.ack)] {
        if let Some(statement) = statement {
            write!(out, r#","{name}":{statement}"#)?;
        }
    }
    out.write_all(b"}\n")
}
