//! What is asked of the engine: the request's body, and how the engine reads from it what to do.
//!
//! The wish stands in a field of its own, `bench`, which every subject must pass on as it came.

use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

/// The only model of the fake engine.
pub const MODEL: &str = "bench:latest";

/// About so long is the body of a request.
const BODY_BYTES: usize = 2_000;

/// The shape of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Chunks of a stream; 0 for a whole answer.
    pub chunks: u32,
    /// Between one chunk and the next; the first comes at once.
    pub delay_us: u64,
}

impl Wish {
    /// An answer in one piece.
    pub const WHOLE: Wish = Wish { chunks: 0, delay_us: 0 };

    /// A stream.
    pub const fn stream(chunks: u32, delay: Duration) -> Self {
        Self { chunks, delay_us: delay.as_micros() as u64 }
    }

    /// Between one chunk and the next.
    pub const fn delay(self) -> Duration {
        Duration::from_micros(self.delay_us)
    }

    /// The body that asks for it: a chat as a tool sends it, usage asked for.
    pub fn body(self) -> String {
        let streamed = self.chunks > 0;
        let sentence = "Tell me what the tide does to the traps off the north shore in a hard winter. ";
        let mut body = json!({
            "model": MODEL,
            "messages": [
                { "role": "system", "content": "You are a harbour master. Be brief." },
                { "role": "user", "content": sentence.repeat((BODY_BYTES - 300) / sentence.len()) },
            ],
            "temperature": 0.2,
            "max_tokens": 256,
            "stream": streamed,
            "bench": self,
        });
        if streamed {
            body["stream_options"] = json!({ "include_usage": true });
        }
        body.to_string()
    }

    /// Reads it back; `None` if the body is no such request.
    pub fn of(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Asked {
            #[serde(default)]
            bench: Wish,
        }
        serde_json::from_slice::<Asked>(body).ok().map(|asked| asked.bench)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_reads_what_the_generator_wishes() {
        for wish in [Wish::WHOLE, Wish::stream(50, Duration::from_millis(5))] {
            let body = wish.body();
            assert_eq!(Wish::of(body.as_bytes()), Some(wish));
            assert!((1_700..2_100).contains(&body.len()), "{}", body.len());
        }
        assert_eq!(Wish::of(b"tide"), None);
    }
}
