//! What passes in a stream: the usage so far, the receipt on its way, the end.
//!
//! A run of events in which nothing concerns us goes on as it came, found by a few searches and no
//! parse.

use crate::{
    outcome::error_message,
    sse::{self, Event},
    tally::Tally,
};
use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;
use protocol::{Usage, carriers::RECEIPT_COMMENT};
use std::sync::LazyLock;
use upstream_ollama::usage::{self, Stripped};

/// How a stream is read on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// Take the usage out: it was asked for on our account, not the tool's.
    pub strip_usage: bool,
    /// Take the receipt's comment out: it is the gateway's business.
    pub take_receipt: bool,
    /// Count the pieces of text: a worker answers for what it made when the requester leaves.
    pub count_deltas: bool,
    /// More pieces of text than this are not paid for: the stream ends there.
    pub output_max: Option<u64>,
}

/// The state of one stream.
#[derive(Debug, Default)]
pub struct Meter {
    watch: Watch,
    /// As the engine said last.
    pub usage: Option<Usage>,
    /// The base64 of the receipt's comment.
    pub receipt: Option<Bytes>,
    /// All bytes that came.
    pub bytes: u64,
    /// Pieces of text, where they are counted.
    pub deltas: u64,
    /// Bytes in which the text is, and little else: at least as many as the text has.
    pub text_bytes: u64,
    /// What came before the receipt's comment, where there is an order to compare it with.
    pub tally: Option<Box<Tally>>,
}

/// What to do with a run of events.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed {
    /// Send this on.
    pub forward: Bytes,
    /// The stream's end, if it was in the run.
    pub end: Option<End>,
}

/// How a stream ends.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// `data: [DONE]`, as it came; to be sent when the books are done.
    Done(Bytes),
    /// The upstream said that it failed.
    Error(String),
    /// It goes on beyond what was ordered.
    Enough,
}

struct Finders {
    done: Finder<'static>,
    usage: Finder<'static>,
    receipt: Finder<'static>,
    error: Finder<'static>,
    delta: Finder<'static>,
    text: Finder<'static>,
    empty: Finder<'static>,
    more: [Finder<'static>; 2],
}

static FIND: LazyLock<Finders> = LazyLock::new(|| Finders {
    done: Finder::new("[DONE]"),
    usage: Finder::new("\"usage\""),
    receipt: Finder::new(RECEIPT_COMMENT),
    error: Finder::new("{\"error\""),
    delta: Finder::new("\"delta\":{"),
    text: Finder::new("\"text\":\""),
    empty: Finder::new("\":\"\""),
    more: [Finder::new("\"tool_calls\""), Finder::new("\"reasoning")],
});

impl Meter {
    pub fn new(watch: Watch) -> Self {
        Self { watch, ..Self::default() }
    }

    /// Goes on counting from what came before the first event that says something.
    pub fn with_tally(watch: Watch, tally: Option<Box<Tally>>) -> Self {
        Self { tally, ..Self::new(watch) }
    }

    /// Takes a run of whole events.
    pub fn pass(&mut self, run: Bytes) -> Passed {
        self.bytes += run.len() as u64;
        let before = (self.deltas, self.text_bytes);
        if self.watch.count_deltas || self.tally.is_some() {
            self.count(&run);
        }
        if let Some(max) = self.watch.output_max.filter(|max| self.deltas > *max) {
            (self.deltas, self.text_bytes) = before;
            return self.pass_up_to(max, run);
        }
        if !self.concerns_us(&run) {
            if let Some(tally) = &mut self.tally {
                tally.add(&run);
            }
            return Passed { forward: run, end: None };
        }
        let mut forward = BytesMut::with_capacity(run.len());
        for event in sse::events(run) {
            if let Some(end) = self.event(event, &mut forward) {
                return Passed { forward: forward.freeze(), end: Some(end) };
            }
        }
        Passed { forward: forward.freeze(), end: None }
    }

    /// A run in which there is more than is paid for: what is paid for goes on.
    fn pass_up_to(&mut self, max: u64, run: Bytes) -> Passed {
        let mut forward = BytesMut::with_capacity(run.len());
        for event in sse::events(run) {
            let before = (self.deltas, self.text_bytes);
            self.count(&event.0);
            if self.deltas > max {
                (self.deltas, self.text_bytes) = before;
                return Passed { forward: forward.freeze(), end: Some(End::Enough) };
            }
            if let Some(end) = self.event(event, &mut forward) {
                return Passed { forward: forward.freeze(), end: Some(end) };
            }
        }
        Passed { forward: forward.freeze(), end: None }
    }

    /// Looks for text without understanding it: a delta with something in it.
    fn count(&mut self, run: &Bytes) {
        for event in sse::events(run.clone()) {
            let Some(at) = FIND.delta.find(&event.0).or_else(|| FIND.text.find(&event.0)) else { continue };
            let rest = &event.0[at..];
            let empty =
                FIND.empty.find(rest).is_some() && FIND.more.iter().all(|find| find.find(rest).is_none());
            if !empty {
                self.deltas += 1;
                self.text_bytes += rest.len() as u64;
            }
        }
    }

    fn concerns_us(&self, run: &[u8]) -> bool {
        FIND.done.find(run).is_some()
            || FIND.usage.find(run).is_some()
            || FIND.error.find(run).is_some()
            || (self.watch.take_receipt && FIND.receipt.find(run).is_some())
    }

    fn event(&mut self, event: Event, forward: &mut BytesMut) -> Option<End> {
        if self.watch.take_receipt
            && let Some(carried) = event.line().and_then(|line| line.strip_prefix(RECEIPT_COMMENT))
        {
            self.receipt = Some(Bytes::copy_from_slice(carried));
            return None;
        }
        if let (Some(tally), None) = (&mut self.tally, &self.receipt) {
            tally.add(&event.0);
        }
        let Some(data) = event.data() else {
            forward.extend_from_slice(&event.0);
            return None;
        };
        if data.trim_ascii() == b"[DONE]" {
            return Some(End::Done(event.0));
        }
        if let Some(message) = error_message(data) {
            return Some(End::Error(message));
        }
        self.usage = usage::of_event(data).or(self.usage);
        let stripped = if self.watch.strip_usage { usage::strip(data) } else { Stripped::Unchanged };
        match stripped {
            Stripped::Unchanged => forward.extend_from_slice(&event.0),
            Stripped::Dropped => {}
            Stripped::Edited(data) => {
                forward.extend_from_slice(b"data: ");
                forward.extend_from_slice(&data);
                forward.extend_from_slice(b"\n\n");
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"[DONE] \\\"usage\\\"\"}}]}\n\n";
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    fn pass(watch: Watch, stream: &str) -> (Meter, Passed) {
        let mut meter = Meter::new(watch);
        let passed = meter.pass(Bytes::from(stream.to_owned()));
        (meter, passed)
    }

    #[test]
    fn a_text_that_speaks_of_ends_and_usage_passes_untouched() {
        let (meter, passed) =
            pass(Watch { strip_usage: true, take_receipt: true, ..Watch::default() }, CHUNK);
        assert_eq!(passed, Passed { forward: CHUNK.into(), end: None });
        assert_eq!(meter.usage, None);
    }

    #[test]
    fn usage_that_the_tool_did_not_ask_for_is_read_and_taken_out() {
        let stream = [CHUNK, USAGE, DONE].concat();
        let (meter, passed) = pass(Watch { strip_usage: true, ..Watch::default() }, &stream);
        assert_eq!(passed, Passed { forward: CHUNK.into(), end: Some(End::Done(DONE.into())) });
        assert_eq!(meter.usage, Some(Usage { input_tokens: 3, output_tokens: 4 }));
        let (_, passed) = pass(Watch::default(), &stream);
        assert_eq!(passed.forward, [CHUNK, USAGE].concat());
    }

    #[test]
    fn the_receipt_is_taken_out_by_the_gateway_and_left_by_the_worker() {
        let stream = [CHUNK, ":lobstah-receipt:QUJD\n\n", DONE].concat();
        let (meter, passed) = pass(Watch { take_receipt: true, ..Watch::default() }, &stream);
        assert_eq!((meter.receipt, passed.forward), (Some("QUJD".into()), CHUNK.into()));
        let (meter, passed) = pass(Watch::default(), &stream);
        assert_eq!(meter.receipt, None);
        assert_eq!(passed.forward, [CHUNK, ":lobstah-receipt:QUJD\n\n"].concat());
    }

    #[test]
    fn what_is_paid_for_goes_on_and_no_more_however_it_came() {
        let word = |at: u64| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"w{at}\"}}}}]}}\n\n");
        let stream: String = (0..9).map(word).collect();
        let paid_for: String = (0..4).map(word).collect();
        let watch = Watch { count_deltas: true, output_max: Some(4), ..Watch::default() };
        for words_a_run in 1..=9 {
            let mut meter = Meter::new(watch);
            let mut forwarded = String::new();
            let words: Vec<String> = (0..9).map(word).collect();
            for run in words.chunks(words_a_run) {
                let passed = meter.pass(Bytes::from(run.concat()));
                forwarded.push_str(std::str::from_utf8(&passed.forward).unwrap());
                if let Some(end) = passed.end {
                    assert_eq!(end, End::Enough);
                    break;
                }
            }
            assert_eq!((forwarded, meter.deltas), (paid_for.clone(), 4), "{words_a_run} words a run");
        }
        let (meter, passed) = pass(Watch { output_max: Some(9), ..watch }, &[&stream, DONE].concat());
        assert_eq!((meter.deltas, passed.end), (9, Some(End::Done(DONE.into()))));
    }

    #[test]
    fn an_error_event_ends_the_stream() {
        let (_, passed) =
            pass(Watch::default(), &[CHUNK, "data: {\"error\":{\"message\":\"boom\"}}\n\n", DONE].concat());
        assert_eq!(passed, Passed { forward: CHUNK.into(), end: Some(End::Error("boom".into())) });
    }
}
