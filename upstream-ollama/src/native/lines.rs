//! A stream of Ollama's own API, a JSON object a line, as the events of `/v1`.

use super::{Back, answer::Reply};
use bytes::{Bytes, BytesMut};
use serde_json::json;

/// Most bytes that one line may span: an engine that never ends one must cost this much memory and no more.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Why a stream cannot be put back.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    #[error("a line longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    #[error("a line that is none of Ollama's: {0}")]
    NotOllamas(#[from] serde_json::Error),
}

/// Puts a stream back as it comes.
#[derive(Debug)]
pub struct Lines {
    back: Back,
    rest: BytesMut,
    /// Tools that were called so far.
    called: u64,
    over: bool,
}

impl Lines {
    pub(super) fn new(back: Back) -> Self {
        Self { back, rest: BytesMut::new(), called: 0, over: false }
    }

    /// Takes the next bytes; gives the events of the lines that are whole now. What follows the last line is dropped.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Bytes, BadLine> {
        let mut events = Vec::new();
        self.rest.extend_from_slice(chunk);
        while let Some(end) = memchr::memchr(b'\n', &self.rest) {
            let line = self.rest.split_to(end + 1);
            self.line(line.trim_ascii(), &mut events)?;
        }
        if self.rest.len() > LINE_BYTES_MAX {
            return Err(BadLine::TooLong);
        }
        Ok(events.into())
    }

    fn line(&mut self, line: &[u8], events: &mut Vec<u8>) -> Result<(), BadLine> {
        if line.is_empty() || self.over {
            return Ok(());
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(BadLine::TooLong);
        }
        let reply: Reply<'_> = serde_json::from_slice(line)?;
        if let Some(message) = &reply.error {
            event(
                &json!({"error": {"message": message, "type": "api_error", "param": null, "code": null}}),
                events,
            )?;
            self.over = true;
            return Ok(());
        }
        if reply.done && self.back.was_cut(reply.prompt_tokens()) {
            // What came was made of a part of the prompt: it must not end as a good answer does.
            event(&cut(self.back.num_ctx), events)?;
            self.over = true;
            return Ok(());
        }
        event(&reply.chunk(&self.back, self.called), events)?;
        self.called += reply.calls();
        if reply.done {
            if self.back.include_usage {
                event(&reply.usage_chunk(&self.back), events)?;
            }
            events.extend_from_slice(b"data: [DONE]\n\n");
            self.over = true;
        }
        Ok(())
    }
}

fn cut(num_ctx: u64) -> serde_json::Value {
    let message = format!(
        "the engine cut the prompt to the {num_ctx} tokens of its context; what came is not its answer"
    );
    json!({"error": {
        "message": message, "type": "invalid_request_error", "param": null, "code": "context_length_exceeded",
    }})
}

fn event(data: &impl serde::Serialize, events: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    events.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut *events, data)?;
    events.extend_from_slice(b"\n\n");
    Ok(())
}
