//! Whether what an engine or a worker sent is an answer, and what it took: pure.

use serde::Deserialize;
use serde_json::value::RawValue;
use work::{BadJson, JsonLine, tasks::TokenUsage};

/// An answer that can stand in a batch's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) body: JsonLine,
    pub(super) usage: TokenUsage,
}

/// Why it is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error(transparent)]
    Json(#[from] BadJson),
    #[error("the answer has neither `choices` nor `data`, ask another")]
    Empty,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    data: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

/// Reads a whole answer: a completion with choices, or embeddings.
pub(super) fn read(body: Vec<u8>) -> Result<Answer, NoAnswer> {
    let usage = {
        // A list would be taken for an object whose members are its values.
        let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        let raw = is_object.then(|| serde_json::from_slice::<Raw<'_>>(&body)).and_then(Result::ok);
        let raw =
            raw.filter(|raw| [&raw.choices, &raw.data].into_iter().flatten().any(|some| !some.is_empty()));
        raw.ok_or(NoAnswer::Empty)?.usage.unwrap_or_default()
    };
    let input_details = usage.prompt_tokens_details.unwrap_or_default();
    let output_details = usage.completion_tokens_details.unwrap_or_default();
    let usage = TokenUsage {
        input: usage.prompt_tokens.unwrap_or(0),
        cached: input_details.cached_tokens.unwrap_or(0),
        output: usage.completion_tokens.unwrap_or(0),
        reasoning: output_details.reasoning_tokens.unwrap_or(0),
    };
    Ok(Answer { body: JsonLine::new(body)?, usage })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_and_embeddings_are_answers_with_their_counts() {
        let chat = br#"{"choices":[{}],"usage":{"prompt_tokens":3,"completion_tokens":5,
            "prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":1}}}"#;
        let answer = read(chat.to_vec()).unwrap();
        assert_eq!(answer.usage, TokenUsage { input: 3, cached: 2, output: 5, reasoning: 1 });
        assert!(!answer.body.as_str().contains('\n'));
        let embeddings = br#"{"data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":7}}"#;
        assert_eq!(read(embeddings.to_vec()).unwrap().usage.input, 7);
        assert_eq!(read(br#"{"choices":[1],"usage":null}"#.to_vec()).unwrap().usage, TokenUsage::default());
    }

    #[test]
    fn anything_else_is_none() {
        for rubbish in
            ["", "nonsense", "[]", "[[1]]", "{}", r#"{"error":{"message":"no"}}"#, r#"{"choices":[]}"#]
        {
            assert!(read(rubbish.into()).is_err(), "{rubbish}");
        }
        assert!(read(br#"{"choices":[{"#.to_vec()).is_err());
    }
}
