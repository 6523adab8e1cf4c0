//! From a question to all that will be said, decided before the first byte is sent.

use super::{
    question::{Form, Question},
    schema,
    words::{self, Random, Text},
};
use serde_json::{Value, json};
use std::fmt;

/// A text has from 24 to 56 tokens, unless a length was asked for.
const TEXT_TOKENS_MIN: u64 = 24;
const TEXT_TOKENS_SPREAD: u64 = 33;

/// What is said, and why it ends.
pub(super) struct Answer {
    /// Ollama numbers its answers from 0 to 998, at random.
    pub(super) number: u64,
    pub(super) prompt_tokens: u64,
    pub(super) pieces: Box<dyn Iterator<Item = Piece> + Send>,
    pub(super) finish: &'static str,
}

/// What is made at once.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// One token.
    Text(String),
    Call(Call),
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Value,
}

impl Piece {
    pub(super) fn tokens(&self) -> u64 {
        match self {
            Piece::Text(_) => 1,
            Piece::Call(call) => words::count(&call.arguments.to_string()).max(1),
        }
    }
}

impl Answer {
    /// `read` is what was read of the question, `length` is how many tokens a text is to have.
    pub(super) fn to(question: &Question, read: &str, context: u64, length: Option<u64>) -> Answer {
        let mut random = Random::of(&format!("{}\n{read}", question.model), question.seed as u64);
        let prompt_tokens = words::count(read).max(1);
        let number = random.below(999);
        let limit =
            question.max_tokens.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0);
        let room = (!question.context.shift).then(|| context.saturating_sub(prompt_tokens).max(1));
        let limit = limit.into_iter().chain(room).min();
        let (pieces, finish): (Box<dyn Iterator<Item = Piece> + Send>, _) = match &question.form {
            Form::Text => {
                let length = length.unwrap_or_else(|| TEXT_TOKENS_MIN + random.below(TEXT_TOKENS_SPREAD));
                let (length, finish) = limited(length, limit);
                (Box::new(Text::new(random).take(length as usize).map(Piece::Text)), finish)
            }
            Form::Json => said(json!({ "practice": true, "word": random.word() }), limit),
            Form::Schema(schema) => said(schema::example(schema, &mut random), limit),
            Form::Call { name, parameters } => {
                let arguments = call_arguments(parameters, &mut random);
                let id = format!("call_{:08x}", random.next() as u32);
                let call = Call { id, name: name.clone(), arguments };
                (Box::new(std::iter::once(Piece::Call(call))), "tool_calls")
            }
        };
        Answer { number, prompt_tokens, pieces, finish }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Arguments are an object, whatever the schema says.
fn call_arguments(parameters: &Value, random: &mut Random) -> Value {
    Some(schema::example(parameters, random)).filter(Value::is_object).unwrap_or_else(|| json!({}))
}

/// A value as its JSON text. A limit cuts it off in the middle, as a model's would be.
fn said(value: Value, limit: Option<u64>) -> (Box<dyn Iterator<Item = Piece> + Send>, &'static str) {
    let tokens: Vec<String> =
        value.to_string().split_inclusive([',', ':', '{', '[']).map(str::to_owned).collect();
    let (length, finish) = limited(tokens.len() as u64, limit);
    (Box::new(tokens.into_iter().take(length as usize).map(Piece::Text)), finish)
}

fn limited(length: u64, limit: Option<u64>) -> (u64, &'static str) {
    match limit {
        Some(limit) if limit <= length => (limit, "length"),
        _ => (length, "stop"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::practice::context::{Prompt, Wanted};

    fn to(question: &Question, length: Option<u64>) -> Answer {
        Answer::to(question, "say it", 8192, length)
    }

    fn question(form: Form, max_tokens: Option<i64>) -> Question {
        Question {
            model: "practice:8b".to_owned(),
            prompt: Prompt::of("say it".to_owned()),
            context: Wanted::default(),
            seed: 1,
            max_tokens,
            form,
        }
    }

    fn text(answer: Answer) -> String {
        answer
            .pieces
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Call(call) => panic!("{call:?}"),
            })
            .collect()
    }

    #[test]
    fn a_text_ends_at_its_limit_and_says_so() {
        let answer = to(&question(Form::Text, Some(9)), None);
        assert_eq!(answer.finish, "length");
        assert_eq!(words::count(&text(answer)), 9);
        let answer = to(&question(Form::Text, Some(0)), Some(200));
        assert_eq!((answer.finish, words::count(&text(answer))), ("stop", 200));
    }

    #[test]
    fn json_is_json() {
        let schema = json!({"properties": {"a, b": {"enum": ["x:y{"]}}});
        let value: Value =
            serde_json::from_str(&text(to(&question(Form::Schema(schema), None), Some(3)))).unwrap();
        assert_eq!(value, json!({"a, b": "x:y{"}));
        let value: Value = serde_json::from_str(&text(to(&question(Form::Json, None), None))).unwrap();
        assert!(value.is_object());
    }
}
