//! Bytes cut anywhere -> lines.

use crate::limits::LINE_BYTES_MAX;

/// A line without its line feed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Its bytes.
    Whole(&'a [u8]),
    /// It is longer than [`LINE_BYTES_MAX`]; its bytes were let go.
    TooLong,
}

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Counted from 1.
    pub(super) number: u64,
    /// Of its first byte in the file.
    pub(super) offset: u64,
    /// Of all its bytes but the line feed.
    pub(super) length: u64,
}

/// The beginning of the line that the last chunk ended in.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    begun: Vec<u8>,
    too_long: bool,
    length: u64,
    offset: u64,
    number: u64,
}

impl Splitter {
    /// Takes the next bytes and gives the lines that end in them.
    pub(super) fn push(&mut self, mut chunk: &[u8], mut each: impl FnMut(Place, Piece<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            let (line, rest) = chunk.split_at(end);
            self.end_line(line, &mut each);
            self.offset += 1;
            chunk = rest.get(1..).unwrap_or_default();
        }
        self.keep(chunk);
    }

    /// The file ended; so does its last line, if it has one.
    pub(super) fn finish(mut self, mut each: impl FnMut(Place, Piece<'_>)) {
        if self.length > 0 {
            self.end_line(&[], &mut each);
        }
    }

    fn end_line(&mut self, end: &[u8], each: &mut impl FnMut(Place, Piece<'_>)) {
        let alone = self.length == 0 && end.len() <= LINE_BYTES_MAX;
        if alone {
            self.length = end.len() as u64;
        } else {
            self.keep(end);
        }
        self.number += 1;
        let place = Place { number: self.number, offset: self.offset, length: self.length };
        each(
            place,
            match (self.too_long, alone) {
                (true, _) => Piece::TooLong,
                (false, true) => Piece::Whole(end),
                (false, false) => Piece::Whole(&self.begun),
            },
        );
        self.offset += self.length;
        self.begun.clear();
        (self.length, self.too_long) = (0, false);
    }

    fn keep(&mut self, part: &[u8]) {
        self.length += part.len() as u64;
        self.too_long |= self.length > LINE_BYTES_MAX as u64;
        if self.too_long {
            // A long line must not cost its memory for the rest of the file.
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(Place, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        let mut each = |place, piece: Piece<'_>| {
            found.push((
                place,
                match piece {
                    Piece::Whole(line) => Some(line.to_vec()),
                    Piece::TooLong => None,
                },
            ));
        };
        let mut splitter = Splitter::default();
        chunks.iter().for_each(|chunk| splitter.push(chunk, &mut each));
        splitter.finish(&mut each);
        found
    }

    #[test]
    fn the_place_of_a_line_is_where_its_bytes_are() {
        let file = b"one\n\nthree";
        for (place, line) in lines(&[file]) {
            let from = place.offset as usize;
            assert_eq!(&file[from..from + place.length as usize], line.unwrap());
        }
        assert_eq!(lines(&[file]).len(), 3);
    }

    #[test]
    fn a_line_that_never_ends_costs_no_memory() {
        let long = vec![b'x'; LINE_BYTES_MAX];
        let mut splitter = Splitter::default();
        splitter.push(&long, |_, _| panic!("it has not ended"));
        assert_eq!(splitter.begun.len(), LINE_BYTES_MAX);
        splitter.push(b"x", |_, _| panic!("it has not ended"));
        assert_eq!(splitter.begun.capacity(), 0);
        let found = lines(&[&long, b"x\n", b"short\n"]);
        assert_eq!(found[0].1, None);
        assert_eq!(found[1].1.as_deref(), Some(&b"short"[..]));
        assert_eq!(found[1].0, Place { number: 2, offset: LINE_BYTES_MAX as u64 + 2, length: 5 });
    }
}
