//! HTTP/1.1 as the generator reads it: the head of an answer, a chunked body, the events in it.
//!
//! Bytes in, values out; the sockets are in `http.rs`. It trusts the other side as far as a
//! benchmark may: what it does not understand is an error, never a guess.

use memchr::memmem::Finder;
use std::sync::LazyLock;

/// Stands before the emission time in each chunk of the fake engine.
pub const EMITTED: &str = "\"emitted_ns\":";

/// Begins the comment that carries a worker's receipt.
const RECEIPT: &str = ":lobstah-receipt:";

/// An answer that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(usize),
    Chunked,
}

/// The head of an answer, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    pub framing: Framing,
    /// The other side will close the connection.
    pub closes: bool,
    pub has_receipt: bool,
    /// A worker served, and not an engine of the gateway's own.
    pub by_peer: bool,
}

impl Head {
    /// Reads the head at the front of `bytes`; gives it and its length, or `None` if it is not all there.
    pub fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
        static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\r\n\r\n"));
        let Some(end) = END.find(bytes) else { return Ok(None) };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| Malformed("a head that is not text"))?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let mut head = Head {
            status: status.ok_or(Malformed("no status"))?,
            framing: Framing::Length(0),
            closes: false,
            has_receipt: false,
            by_peer: false,
        };
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(Malformed("a header without a colon"))?;
            head.note(name, value.trim())?;
        }
        Ok(Some((head, end + 4)))
    }

    fn note(&mut self, name: &str, value: &str) -> Result<(), Malformed> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("content-length") {
            self.framing = Framing::Length(value.parse().map_err(|_| Malformed("a strange length"))?);
        } else if is("transfer-encoding") {
            self.framing = Framing::Chunked;
        } else if is("connection") {
            self.closes = value.eq_ignore_ascii_case("close");
        } else if is("x-lobstah-receipt") {
            self.has_receipt = true;
        } else if is("x-lobstah-worker") {
            self.by_peer = value.starts_with("lob1");
        }
        Ok(())
    }
}

/// Takes the chunked coding off a body that comes in pieces.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Dechunker {
    #[default]
    Size,
    Data(usize),
    DataEnd,
    Trailer,
    Done,
}

impl Dechunker {
    /// Moves what can be decoded from the front of `bytes` to `body`; gives how much of it was used.
    pub fn take(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<usize, Malformed> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            match *self {
                Dechunker::Size => {
                    let Some(line) = line(rest) else { return Ok(used) };
                    used += line.len() + 2;
                    let size = size(line)?;
                    *self = if size == 0 { Dechunker::Trailer } else { Dechunker::Data(size) };
                }
                Dechunker::Data(left) => {
                    let here = left.min(rest.len());
                    body.extend_from_slice(&rest[..here]);
                    used += here;
                    if here < left {
                        *self = Dechunker::Data(left - here);
                        return Ok(used);
                    }
                    *self = Dechunker::DataEnd;
                }
                Dechunker::DataEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        used += 2;
                        *self = Dechunker::Size;
                    }
                    [] | [b'\r'] => return Ok(used),
                    _ => return Err(Malformed("a chunk longer than it says")),
                },
                Dechunker::Trailer => {
                    let Some(line) = line(rest) else { return Ok(used) };
                    used += line.len() + 2;
                    if line.is_empty() {
                        *self = Dechunker::Done;
                    }
                }
                Dechunker::Done => return Ok(used),
            }
        }
    }
}

fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b'\n', bytes)?;
    bytes[..end].strip_suffix(b"\r")
}

fn size(line: &[u8]) -> Result<usize, Malformed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits = std::str::from_utf8(digits.trim_ascii()).ok();
    digits.and_then(|text| usize::from_str_radix(text, 16).ok()).ok_or(Malformed("a strange chunk size"))
}

/// What whole events held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub done: bool,
    pub receipt: bool,
}

/// Takes the whole events off the front of `body`; gives each chunk's emission time to `each`.
pub fn take_events(body: &mut Vec<u8>, seen: &mut Seen, mut each: impl FnMut(u64)) {
    static MARKS: LazyLock<[Finder<'static>; 3]> =
        LazyLock::new(|| [EMITTED, "data: [DONE]", RECEIPT].map(Finder::new));
    let [emitted, done, receipt] = &*MARKS;
    let end = if body.ends_with(b"\n\n") {
        body.len()
    } else {
        memchr::memmem::rfind(body, b"\n\n").map_or(0, |at| at + 2)
    };
    let events = &body[..end];
    for at in emitted.find_iter(events) {
        let digits = events[at + EMITTED.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        each(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
    }
    seen.done |= done.find(events).is_some();
    seen.receipt |= receipt.find(events).is_some();
    body.drain(..end);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: &str = "data: {\"x\":1,\"emitted_ns\":17}\n\n: waiting\n\ndata: {\"emitted_ns\":400}\n\n\
        :lobstah-receipt:QUJD\n\ndata: [DONE]\n\n";

    /// The body in chunks of seven bytes, and the end.
    fn coded() -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in EVENTS.as_bytes().chunks(7) {
            bytes.extend_from_slice(format!("{:x};x=y\r\n", piece.len()).as_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\ntrailer: x\r\n\r\n");
        bytes
    }

    #[test]
    fn a_head_is_read_once_it_is_all_there() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-Lobstah-Receipt: QUJD\r\n\
            x-lobstah-worker: lob1ab\r\nConnection: close\r\n\r\nbody";
        let (head, length) = Head::read(text).unwrap().unwrap();
        let expected = Head {
            status: 200,
            framing: Framing::Length(12),
            closes: true,
            has_receipt: true,
            by_peer: true,
        };
        assert_eq!((head, length), (expected, text.len() - 4));
        assert_eq!(Head::read(&text[..60]), Ok(None));
        assert!(Head::read(b"ICY 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn a_chunk_that_is_longer_than_it_says_is_an_error() {
        assert!(Dechunker::default().take(b"2\r\nabc\r\n", &mut Vec::new()).is_err());
        assert!(Dechunker::default().take(b"zz\r\n", &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn cutting_the_answer_anywhere_changes_nothing(cuts in proptest::collection::vec(0usize..400, 0..20)) {
            let coded = coded();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(coded.len())).collect();
            cuts.extend([0, coded.len()]);
            cuts.sort_unstable();

            let (mut dechunker, mut inbox, mut body) = (Dechunker::default(), Vec::new(), Vec::new());
            let (mut seen, mut emitted) = (Seen::default(), Vec::new());
            for pair in cuts.windows(2) {
                inbox.extend_from_slice(&coded[pair[0]..pair[1]]);
                let used = dechunker.take(&inbox, &mut body).unwrap();
                inbox.drain(..used);
                take_events(&mut body, &mut seen, |ns| emitted.push(ns));
            }
            prop_assert_eq!(dechunker, Dechunker::Done);
            prop_assert_eq!(emitted, [17, 400]);
            prop_assert_eq!(seen, Seen { done: true, receipt: true });
            prop_assert!(inbox.is_empty() && body.is_empty());
        }
    }
}
