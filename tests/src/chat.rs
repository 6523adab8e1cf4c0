//! Requests as tools make them.

use serde_json::{Value, json};

/// A chat completion, to be answered in one piece.
pub fn ask(model: &str, prompt: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": prompt}]})
}

/// The same as a stream.
pub fn ask_stream(model: &str, prompt: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": prompt}], "stream": true})
}

/// A request of about this many bytes.
pub fn large(model: &str, bytes: usize, stream: bool) -> Value {
    let prompt = "word ".repeat(bytes / 5);
    json!({"model": model, "messages": [{"role": "user", "content": prompt}], "stream": stream, "max_tokens": 5})
}
