//! Receipts as JSON Lines: one `{"receipt":…,"signature":"…"}` a line, oldest first.
//!
//! This is what the first Lobstah kept as `ledger.jsonl`. A line may have further members, such as
//! the order and its acknowledgement; they are ignored here.

mod export;
mod import;
mod lines;
mod verify;

pub use export::{ExportError, ExportReport, export};
pub use import::{ImportError, ImportReport, import};
pub use verify::{VerifyReport, verify};

use crate::limits::{LINE_BYTES_MAX, REASON_BYTES_MAX};
use lines::Line;
use protocol::{Receipt, Rejected, Signed, Verified};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A line that holds no good receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Its number in the file, from 1; blank lines count.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl BadLine {
    fn new(line: u64, reason: impl std::fmt::Display) -> Self {
        Self { line, reason: shortened(reason.to_string()) }
    }
}

#[derive(Deserialize)]
struct Members<'l> {
    #[serde(borrow)]
    receipt: &'l RawValue,
    #[serde(borrow)]
    signature: &'l RawValue,
}

/// The receipt of one line, its signature checked.
fn read_line(line: Line<'_>) -> Result<Verified<Receipt>, BadLine> {
    match line {
        Line::Text(number, text) => read_receipt(text).map_err(|reason| BadLine::new(number, reason)),
        Line::TooLong(number) => {
            Err(BadLine::new(number, format_args!("malformed: longer than {LINE_BYTES_MAX} bytes")))
        }
    }
}

/// Only what was signed is looked at strictly, and only it counts for the length.
fn read_receipt(text: &[u8]) -> Result<Verified<Receipt>, Rejected> {
    let malformed = |what: String| Rejected::Malformed(what);
    if !text.starts_with(b"{") {
        return Err(malformed("not a JSON object".into()));
    }
    let members: Members<'_> = serde_json::from_slice(text).map_err(|e| malformed(e.to_string()))?;
    let statement =
        format!(r#"{{"receipt":{},"signature":{}}}"#, members.receipt.get(), members.signature.get());
    Signed::<Receipt>::parse(statement.as_bytes())?.verify()
}

/// At most [`REASON_BYTES_MAX`] bytes of it.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > REASON_BYTES_MAX {
        text.truncate(text.floor_char_boundary(REASON_BYTES_MAX - '…'.len_utf8()));
        text.push('…');
    }
    text
}
