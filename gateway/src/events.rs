//! The events of a stream, in whichever form its upstream sends them.

use crate::sse::Splitter;
use bytes::Bytes;
use upstream_ollama::native::Lines;

/// From bytes as they come to runs of whole events.
#[derive(Debug, Default)]
pub struct Events {
    /// The own engine was asked by its own API, whose streams are lines.
    lines: Option<Box<Lines>>,
    splitter: Splitter,
}

impl Events {
    /// Of a stream that is put back into events first.
    pub fn of_lines(lines: Lines) -> Self {
        Self { lines: Some(Box::new(lines)), splitter: Splitter::default() }
    }

    /// Takes the next chunk; gives the whole events that can go on now, possibly none. An error says in words what is
    /// wrong with the stream.
    pub fn push(&mut self, chunk: Bytes) -> Result<Bytes, String> {
        let chunk = match &mut self.lines {
            None => chunk,
            Some(lines) => lines.push(&chunk).map_err(|error| error.to_string())?,
        };
        self.splitter.push(chunk).map_err(|error| error.to_string())
    }
}
