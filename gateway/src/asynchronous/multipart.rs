//! `multipart/form-data` (RFC 7578, RFC 2046 section 5.1) as its bytes come, cut anywhere.
//!
//! Ours, because memory has to be bounded whatever comes: the readers that others wrote take in all that
//! the socket has, and wait without end for a boundary or for the end of a part's header.

mod head;

pub use head::PartHead;

use bytes::{Bytes, BytesMut};
use memchr::memmem;

/// A longer boundary is refused (RFC 2046).
const BOUNDARY_BYTES_MAX: usize = 70;

/// A longer header of a part is refused.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Blanks that may follow a boundary in its line. More are refused.
const PADDING_BYTES_MAX: usize = 64;

/// A form with more parts is refused.
const PARTS_MAX: usize = 64;

/// What stands in a form, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A part begins.
    Part(PartHead),
    /// Bytes of it.
    Data(Bytes),
    /// It ends.
    PartEnd,
}

/// The body is no form, or ends before the form does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadForm {
    /// The content type names no usable boundary.
    #[error("the content type names no boundary, let your HTTP library write it")]
    NoBoundary,
    /// A part's header or a boundary's line is not as it should be.
    #[error("the form is not well-formed, let your HTTP library write it")]
    Malformed,
    /// More than [`PARTS_MAX`] parts.
    #[error("the form has more than {PARTS_MAX} parts, send one file at a time")]
    TooManyParts,
    /// The body ended early.
    #[error("the form ends before its last boundary, send all of it")]
    Incomplete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first boundary: nothing that counts.
    Preamble,
    /// Right behind a boundary.
    Boundary,
    Head,
    Body,
    /// Behind the last boundary: nothing that counts.
    Epilogue,
}

/// Reads a form. Push a chunk, then take its pieces until there are none.
///
/// **Invariant:** between pushes it holds less than [`HEAD_BYTES_MAX`] bytes and a boundary.
#[derive(Debug)]
pub struct Decoder {
    /// With the line break and the dashes before it.
    delimiter: Vec<u8>,
    buffer: BytesMut,
    state: State,
    parts: usize,
}

impl Decoder {
    /// For a content type `multipart/form-data; boundary=…`.
    pub fn new(content_type: &str) -> Result<Self, BadForm> {
        let boundary = head::parameter(content_type, "boundary").ok_or(BadForm::NoBoundary)?;
        if !(1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()) {
            return Err(BadForm::NoBoundary);
        }
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        // The first boundary may stand at the very beginning: then this is the line break before it.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        Ok(Self { delimiter, buffer, state: State::Preamble, parts: 0 })
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.state != State::Epilogue {
            self.buffer.extend_from_slice(chunk);
        }
    }

    /// The next piece of what was pushed; `None` if more bytes are needed for it.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, BadForm> {
        loop {
            match self.state {
                State::Preamble => {
                    if self.data().is_none() {
                        return Ok(None);
                    }
                }
                State::Boundary => {
                    if !self.end_boundary_line()? {
                        return Ok(None);
                    }
                }
                State::Head => return self.head(),
                State::Body => return Ok(self.data()),
                State::Epilogue => {
                    self.buffer.clear();
                    return Ok(None);
                }
            }
        }
    }

    /// The body has ended.
    pub fn finish(self) -> Result<(), BadForm> {
        if self.state == State::Epilogue { Ok(()) } else { Err(BadForm::Incomplete) }
    }

    /// How many bytes stand before the next delimiter, or before what may become one.
    fn sure_before_delimiter(&self) -> usize {
        let at = memmem::find(&self.buffer, &self.delimiter);
        at.unwrap_or_else(|| self.buffer.len().saturating_sub(self.delimiter.len() - 1))
    }

    fn data(&mut self) -> Option<Piece> {
        if self.buffer.starts_with(&self.delimiter) {
            let _ = self.buffer.split_to(self.delimiter.len());
            self.state = State::Boundary;
            return Some(Piece::PartEnd);
        }
        let sure = self.sure_before_delimiter();
        (sure > 0).then(|| Piece::Data(self.buffer.split_to(sure).freeze()))
    }

    /// Reads what follows a boundary: two dashes behind the last one, else the end of its line. False if
    /// it is not here yet.
    fn end_boundary_line(&mut self) -> Result<bool, BadForm> {
        if self.buffer.starts_with(b"--") {
            self.state = State::Epilogue;
            return Ok(true);
        }
        let Some(end) = memmem::find(&self.buffer, b"\r\n") else {
            let long = self.buffer.len() > PADDING_BYTES_MAX + 1;
            return if long { Err(BadForm::Malformed) } else { Ok(false) };
        };
        let padding = self.buffer.split_to(end);
        if end > PADDING_BYTES_MAX || padding.iter().any(|byte| !matches!(byte, b' ' | b'\t')) {
            return Err(BadForm::Malformed);
        }
        // The line break stays: it is the one before the first line of the header, so that a header
        // without lines ends like any other.
        self.state = State::Head;
        Ok(true)
    }

    fn head(&mut self) -> Result<Option<Piece>, BadForm> {
        let end = memmem::find(&self.buffer, b"\r\n\r\n");
        if end.unwrap_or(self.buffer.len()) > HEAD_BYTES_MAX {
            return Err(BadForm::Malformed);
        }
        let Some(end) = end else { return Ok(None) };
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(BadForm::TooManyParts);
        }
        let head = self.buffer.split_to(end);
        let _ = self.buffer.split_to(b"\r\n\r\n".len());
        self.state = State::Body;
        PartHead::parse(&head).map(|head| Some(Piece::Part(head))).ok_or(BadForm::Malformed)
    }
}

#[cfg(test)]
mod tests;
