//! How long a prompt is: the bytes of its texts, in one pass that keeps none of them.

use super::{
    BYTES_A_TOKEN, BYTES_A_TOKEN_MAX, BYTES_A_TOKEN_MIN, BYTES_A_TOKEN_OF_PROSE, OUTPUT_MIN, TOKENS_AN_IMAGE,
    TOKENS_AN_IMAGE_MAX,
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// A number, `true` or `null` in a text that a model reads.
const BYTES_OF_A_VALUE: u64 = 4;

/// What is to be read by the model, and how much is to be made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Bytes of all that may be read.
    bytes: u64,
    /// Bytes of what is surely read.
    bytes_surely: u64,
    images: u64,
    output: u64,
}

/// The fields that a model reads, of whichever endpoint.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    messages: Vec<Message>,
    prompt: Texts,
    suffix: Texts,
    input: Inputs,
    tools: Texts,
    response_format: Texts,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    content: Texts,
    reasoning: Texts,
    tool_calls: Texts,
}

impl Prompt {
    /// Measures a body. `output` is how many tokens are wanted back; embeddings have none. Of a body that makes no
    /// sense all bytes count: whoever gets it will say so.
    pub fn measure(path: &str, body: &[u8], output: Option<u64>) -> Self {
        let output = if path == "/v1/embeddings" { 0 } else { output.unwrap_or(0).max(OUTPUT_MIN) };
        let Ok(body) = serde_json::from_slice::<Body>(body) else {
            return Self { bytes: body.len() as u64, bytes_surely: 0, images: 0, output };
        };
        let mut all = Texts::default();
        let mut surely = body.prompt.bytes + body.input.longest;
        for message in body.messages {
            surely += message.content.bytes;
            [message.content, message.reasoning, message.tool_calls].into_iter().for_each(|one| all.add(one));
        }
        [body.prompt, body.suffix, body.tools, body.response_format].into_iter().for_each(|one| all.add(one));
        Self { bytes: all.bytes + body.input.longest, bytes_surely: surely, images: all.images, output }
    }

    /// One of text alone.
    #[cfg(test)]
    pub(super) fn of_text(bytes: u64, output: Option<u64>) -> Self {
        Self { bytes, bytes_surely: bytes, images: 0, output: output.unwrap_or(0).max(OUTPUT_MIN) }
    }

    /// Room for the answer.
    pub fn output(&self) -> u64 {
        self.output
    }

    /// It has no fewer.
    pub fn tokens_min(&self) -> u64 {
        self.bytes_surely / BYTES_A_TOKEN_MAX
    }

    /// What is said of it.
    pub fn tokens_about(&self) -> u64 {
        (self.bytes / BYTES_A_TOKEN_OF_PROSE + self.images * TOKENS_AN_IMAGE).max(1)
    }

    /// It has no more in all likelihood.
    pub(super) fn tokens_likely(&self) -> u64 {
        self.bytes.div_ceil(BYTES_A_TOKEN) + self.images * TOKENS_AN_IMAGE
    }

    /// It has no more.
    pub(super) fn tokens_max(&self) -> u64 {
        self.bytes / BYTES_A_TOKEN_MIN + self.images * TOKENS_AN_IMAGE_MAX
    }
}

/// Whether a body of so many bytes may be too long for a context: if not it need not be measured.
pub fn may_exceed(body_bytes: usize, context: u64) -> bool {
    body_bytes as u64 / BYTES_A_TOKEN_MAX > context
}

/// The bytes of all texts in any JSON, and how many pictures are in it.
#[derive(Clone, Copy, Debug, Default)]
struct Texts {
    bytes: u64,
    images: u64,
}

impl Texts {
    fn add(&mut self, other: Texts) {
        self.bytes += other.bytes;
        self.images += other.images;
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Counting)
    }
}

struct Counting;

impl<'de> Visitor<'de> for Counting {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
        Ok(Texts { bytes: text.len() as u64, images: 0 })
    }

    fn visit_unit<E>(self) -> Result<Texts, E> {
        Ok(Texts::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Texts, E> {
        Ok(Texts { bytes: BYTES_OF_A_VALUE, images: 0 })
    }

    fn visit_i64<E>(self, number: i64) -> Result<Texts, E> {
        Ok(Texts { bytes: u64::from(number.unsigned_abs().checked_ilog10().unwrap_or(0)) + 2, images: 0 })
    }

    fn visit_u64<E>(self, number: u64) -> Result<Texts, E> {
        Ok(Texts { bytes: u64::from(number.checked_ilog10().unwrap_or(0)) + 2, images: 0 })
    }

    fn visit_f64<E>(self, _: f64) -> Result<Texts, E> {
        // As many digits as a double has.
        Ok(Texts { bytes: 24, images: 0 })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
        let mut sum = Texts::default();
        while let Some(one) = list.next_element::<Texts>()? {
            sum.add(one);
        }
        Ok(sum)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Texts, A::Error> {
        let mut sum = Texts::default();
        while let Some(key) = members.next_key::<Key>()? {
            sum.bytes += key.bytes;
            if key.is_image {
                members.next_value::<IgnoredAny>()?;
                sum.images += 1;
            } else {
                sum.add(members.next_value()?);
            }
        }
        Ok(sum)
    }
}

struct Key {
    bytes: u64,
    is_image: bool,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl Visitor<'_> for Reading {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, text: &str) -> Result<Key, E> {
                Ok(Key { bytes: text.len() as u64, is_image: text == "image_url" })
            }
        }
        deserializer.deserialize_str(Reading)
    }
}

/// What embeddings are made of: each input is read by itself, so the longest counts.
#[derive(Clone, Copy, Debug, Default)]
struct Inputs {
    longest: u64,
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Inputs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Inputs, E> {
                Ok(Inputs { longest: text.len() as u64 })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Inputs, A::Error> {
                let mut longest = 0;
                while let Some(one) = list.next_element::<Texts>()? {
                    longest = longest.max(one.bytes);
                }
                Ok(Inputs { longest })
            }
        }
        deserializer.deserialize_any(Reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn measure(body: &Value) -> Prompt {
        Prompt::measure("/v1/chat/completions", body.to_string().as_bytes(), None)
    }

    #[test]
    fn texts_count_and_what_no_model_reads_does_not() {
        let text = "ä\n".repeat(1000);
        let body = json!({"model": "m", "messages": [
            {"role": "user", "content": text, "annotations": "x".repeat(9000)},
            {"role": "user", "content": [{"type": "text", "text": "abc"}]},
        ], "user": "y".repeat(9000)});
        let prompt = measure(&body);
        assert!((3000..3050).contains(&prompt.bytes), "{prompt:?}");
        assert_eq!(prompt.bytes, prompt.bytes_surely);
    }

    #[test]
    fn tools_and_calls_may_be_read_and_need_not() {
        let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"a": "b".repeat(500), "n": 1}}}]);
        let prompt = measure(&json!({"messages": [{"role": "user", "content": "hi"}], "tools": tools}));
        assert!(prompt.bytes > 500 && prompt.bytes_surely == 2);
    }

    #[test]
    fn a_picture_is_some_tokens_whatever_its_bytes() {
        let url = format!("data:image/png;base64,{}", "A".repeat(100_000));
        let part = json!({"type": "image_url", "image_url": {"url": url}});
        let prompt = measure(&json!({"messages": [{"role": "user", "content": [part]}]}));
        assert_eq!(prompt.images, 1);
        assert!(prompt.bytes < 100 && prompt.tokens_likely() > 1000);
    }

    #[test]
    fn of_inputs_the_longest_counts() {
        let body = json!({"input": ["a", "b".repeat(700), "c"]}).to_string();
        let prompt = Prompt::measure("/v1/embeddings", body.as_bytes(), Some(9));
        assert_eq!((prompt.bytes, prompt.output()), (700, 0));
    }

    #[test]
    fn of_what_makes_no_sense_all_bytes_count_and_none_surely() {
        let body = format!("{{\"messages\":{}{}}}", "[".repeat(500), "]".repeat(500));
        for body in [body.as_str(), "{\"messages\":7}", ""] {
            let prompt = Prompt::measure("/v1/chat/completions", body.as_bytes(), None);
            assert_eq!((prompt.bytes, prompt.tokens_min()), (body.len() as u64, 0));
        }
    }
}
