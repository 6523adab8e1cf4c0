//! Streams: however the bytes are cut on their way, the same is understood and the same goes on.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sse::{Event, Splitter, events};

/// The file alone: the crate around it would bring pingora and SQLite, and twice the time to build.
#[path = "../../gateway/src/sse.rs"]
mod sse;

/// A stream, in how many pieces it comes, and their lengths.
type Cuts<'d> = (&'d [u8], &'d [u8]);

fuzz_target!(|data: &[u8]| {
    let Some((cuts, stream)) = cuts(data) else { return };
    let whole = pass([stream]);
    let pieces = pass(cut(stream, cuts));
    let (Some(whole), Some(pieces)) = (whole, pieces) else { return };
    assert_eq!(whole.forwarded, stream);
    assert_eq!(pieces.forwarded, stream);
    assert_eq!(whole.data, pieces.data);
});

/// How many cuts, the cuts, and the stream.
fn cuts(data: &[u8]) -> Option<Cuts<'_>> {
    let (count, rest) = data.split_first()?;
    rest.split_at_checked(usize::from(count % 16))
}

/// Pieces of so many bytes; what is left is the last.
fn cut<'d>(mut stream: &'d [u8], lengths: &[u8]) -> Vec<&'d [u8]> {
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, rest) = stream.split_at(usize::from(*length).min(stream.len()));
        pieces.push(piece);
        stream = rest;
    }
    pieces.push(stream);
    pieces
}

#[derive(Default)]
struct Passed {
    forwarded: Vec<u8>,
    /// What stands behind `data:` in events that are understood.
    data: Vec<Vec<u8>>,
}

impl Passed {
    fn take(&mut self, event: &Event) {
        self.forwarded.extend_from_slice(&event.0);
        assert!(!(event.is_comment() && event.data().is_some()));
        self.data.extend(event.data().map(<[u8]>::to_vec));
    }
}

/// `None` if an event is too long.
fn pass<'d>(pieces: impl IntoIterator<Item = &'d [u8]>) -> Option<Passed> {
    let mut splitter = Splitter::default();
    let mut passed = Passed::default();
    for piece in pieces {
        let run = splitter.push(Bytes::copy_from_slice(piece)).ok()?;
        events(run).for_each(|event| passed.take(&event));
    }
    passed.forwarded.extend_from_slice(&splitter.finish());
    Some(passed)
}
