//! Lines of bounded length from any input.

use crate::limits::LINE_BYTES_MAX;
use std::io::{self, BufRead};

/// One line that is not blank, with its number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'b> {
    /// Without its end and without white space around it.
    Text(u64, &'b [u8]),
    /// Longer than [`LINE_BYTES_MAX`]; read past, not kept.
    TooLong(u64),
}

impl Line<'_> {
    pub(super) fn number(&self) -> u64 {
        match self {
            Line::Text(number, _) | Line::TooLong(number) => *number,
        }
    }
}

/// Reads line after line, holding one at a time.
pub(super) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(input: R) -> Self {
        Self { input, buffer: Vec::new(), number: 0 }
    }

    /// The next line that is not blank, or `None` at the end. CRLF ends a line too.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            let Some(fits) = self.read()? else { return Ok(None) };
            self.number += 1;
            if !fits {
                return Ok(Some(Line::TooLong(self.number)));
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some(Line::Text(self.number, self.buffer.trim_ascii())));
            }
        }
    }

    /// Reads one line into the buffer; whether it fits, or `None` at the end.
    fn read(&mut self) -> io::Result<Option<bool>> {
        self.buffer.clear();
        let mut fits = true;
        let mut any = false;
        loop {
            let chunk = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            if chunk.is_empty() {
                return Ok(any.then_some(fits));
            }
            any = true;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            fits = fits && self.buffer.len() + part.len() <= LINE_BYTES_MAX;
            if fits {
                self.buffer.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                return Ok(Some(fits));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn the_size_of_the_reads_changes_nothing() {
        let text = b"one\r\n\n  two \n\t\nthree";
        for size in 1..=text.len() {
            let mut lines = Lines::of(BufReader::with_capacity(size, &text[..]));
            assert_eq!(lines.next().unwrap(), Some(Line::Text(1, b"one")));
            assert_eq!(lines.next().unwrap(), Some(Line::Text(3, b"two")));
            assert_eq!(lines.next().unwrap(), Some(Line::Text(5, b"three")));
            assert_eq!(lines.next().unwrap(), None);
        }
    }

    #[test]
    fn a_line_without_end_costs_no_memory_and_hides_no_other() {
        let mut text = vec![b'x'; 3 * LINE_BYTES_MAX];
        text.extend_from_slice(b"\nnext\n");
        let mut lines = Lines::of(&text[..]);
        assert_eq!(lines.next().unwrap(), Some(Line::TooLong(1)));
        assert_eq!(lines.next().unwrap(), Some(Line::Text(2, b"next")));
        assert!(lines.buffer.capacity() <= 2 * LINE_BYTES_MAX);
    }
}
