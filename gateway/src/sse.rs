//! Event boundaries in a byte stream that was cut at arbitrary points.
//!
//! Bytes go on as they came: a chunk that holds only whole events is never copied. The rest of an
//! event that was cut is kept until its end comes; no client could use half an event.

use bytes::{Bytes, BytesMut};
use memchr::memmem;

/// Most bytes one event may span. A worker that never ends an event must cost us this much memory
/// and no more.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// An event is longer than [`EVENT_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event longer than {EVENT_BYTES_MAX} bytes")]
pub struct EventTooLong;

/// Cuts a stream into runs of whole events.
#[derive(Debug, Default)]
pub struct Splitter {
    tail: BytesMut,
}

impl Splitter {
    /// Takes the next chunk; gives the whole events that can go on now, possibly none.
    pub fn push(&mut self, chunk: Bytes) -> Result<Bytes, EventTooLong> {
        if self.tail.is_empty() {
            return self.split(chunk);
        }
        self.tail.extend_from_slice(&chunk);
        let joined = std::mem::take(&mut self.tail).freeze();
        self.split(joined)
    }

    fn split(&mut self, mut bytes: Bytes) -> Result<Bytes, EventTooLong> {
        let end = last_boundary(&bytes).unwrap_or(0);
        if bytes.len() - end > EVENT_BYTES_MAX {
            return Err(EventTooLong);
        }
        if end < bytes.len() {
            self.tail = BytesMut::from(&bytes.split_off(end)[..]);
        }
        Ok(bytes)
    }

    /// What is left at the stream's end: an event without its blank line.
    pub fn finish(self) -> Bytes {
        self.tail.freeze()
    }
}

/// One event: its bytes with the blank line, as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event(pub Bytes);

impl Event {
    /// What stands behind `data:`, if the event is a single line of data, as every event of OpenAI's
    /// API is. Events of another form are forwarded and not understood.
    pub fn data(&self) -> Option<&[u8]> {
        let line = self.line()?;
        let data = line.strip_prefix(b"data:")?;
        Some(data.strip_prefix(b" ").unwrap_or(data))
    }

    /// Whether it is nothing but comments, which tell the tool nothing.
    pub fn is_comment(&self) -> bool {
        self.0.split(|&b| b == b'\n').all(|line| line.is_empty() || line == b"\r" || line[0] == b':')
    }

    /// The event's only line, without its end; `None` if it has several.
    pub fn line(&self) -> Option<&[u8]> {
        // A blank line too many stands before the next event where both came in one run.
        let blank = self.0.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let text = self.0[blank..].trim_ascii_end();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        (!text.contains(&b'\n')).then_some(text)
    }
}

/// The events of a run that [`Splitter::push`] gave.
pub fn events(mut run: Bytes) -> impl Iterator<Item = Event> {
    std::iter::from_fn(move || {
        // What is left behind the last boundary is the end of a blank line that was counted with it.
        let end = first_boundary(&run).unwrap_or(run.len());
        (end > 0).then(|| Event(run.split_to(end)))
    })
}

/// Behind the first blank line.
fn first_boundary(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\n', &bytes[from..]) {
        let after = from + at + 1;
        match &bytes[after..] {
            [b'\n', ..] => return Some(after + 1),
            [b'\r', b'\n', ..] => return Some(after + 2),
            _ => from = after,
        }
    }
    None
}

/// Behind the last blank line.
fn last_boundary(bytes: &[u8]) -> Option<usize> {
    if bytes.ends_with(b"\n\n") {
        return Some(bytes.len());
    }
    let lf = memmem::rfind(bytes, b"\n\n").map(|at| at + 2);
    let crlf = memmem::rfind(bytes, b"\n\r\n").map(|at| at + 3);
    lf.max(crlf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &[u8] =
        "data: {\"a\":\"ä\"}\n\n: waiting\n\ndata: {\"b\":\"🦞\"}\r\n\r\ndata:x\n\ndata: [DONE]\n\n"
            .as_bytes();

    fn collect(chunks: &[&[u8]]) -> (Vec<Event>, Bytes) {
        let mut splitter = Splitter::default();
        let runs: Vec<Bytes> =
            chunks.iter().map(|chunk| splitter.push(Bytes::copy_from_slice(chunk)).unwrap()).collect();
        (runs.into_iter().flat_map(events).collect(), splitter.finish())
    }

    #[test]
    fn whole_events_go_on_without_a_copy() {
        let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\n");
        let run = Splitter::default().push(chunk.clone()).unwrap();
        assert_eq!((run.as_ptr(), run.len()), (chunk.as_ptr(), chunk.len()));
    }

    #[test]
    fn events_tell_data_from_comments() {
        let (events, rest) = collect(&[STREAM]);
        assert!(rest.is_empty());
        let data: Vec<Option<&[u8]>> = events.iter().map(Event::data).collect();
        let expected: [Option<&[u8]>; 5] = [
            Some("{\"a\":\"ä\"}".as_bytes()),
            None,
            Some("{\"b\":\"🦞\"}".as_bytes()),
            Some(b"x"),
            Some(b"[DONE]"),
        ];
        assert_eq!(data, expected);
        assert_eq!(
            events.iter().map(Event::is_comment).collect::<Vec<_>>(),
            [false, true, false, false, false]
        );
    }

    #[test]
    fn a_blank_line_too_many_hides_nothing() {
        let (events, _) = collect(&[b"data: 1\n\n\ndata: [DONE]\n\n"]);
        assert_eq!(events.last().and_then(Event::data), Some(b"[DONE]".as_slice()));
    }

    #[test]
    fn an_event_that_never_ends_costs_a_bounded_amount() {
        let mut splitter = Splitter::default();
        let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
        let outcome = (0..17).map(|_| splitter.push(chunk.clone())).find(Result::is_err);
        assert_eq!(outcome, Some(Err(EventTooLong)));
    }

    proptest! {
        #[test]
        fn cutting_the_stream_anywhere_changes_nothing(mut cuts in proptest::collection::vec(0..STREAM.len(), 0..12)) {
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &STREAM[pair[0]..pair[1]]).collect();
            prop_assert_eq!(collect(&chunks), collect(&[STREAM]));
        }

        #[test]
        fn no_byte_is_lost_or_made_up(chunks in proptest::collection::vec("[a\n\r:]{0,8}", 0..20)) {
            let pieces: Vec<&[u8]> = chunks.iter().map(String::as_bytes).collect();
            let (events, rest) = collect(&pieces);
            let mut all: Vec<u8> = events.iter().flat_map(|event| event.0.to_vec()).collect();
            all.extend_from_slice(&rest);
            prop_assert_eq!(all, pieces.concat());
        }
    }
}
