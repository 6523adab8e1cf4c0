//! A prompt that is longer than the context: who says so, and how much there would be.

use crate::outcome::{brief, error_message};
use protocol::ModelName;
use serde_json::Value;
use std::fmt;
use upstream_ollama::context::{Prompt, Room};

/// The code of OpenAI's error object.
pub const CODE: &str = "context_length_exceeded";

/// The member of a worker's error that says how much context it goes to, in tokens.
pub const CONTEXT: &str = "contextTokens";

/// Somebody has no room for a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The most tokens of context that they go to, where they say.
    pub context: Option<u64>,
    message: String,
}

impl TooLong {
    /// The own engine has not enough. `trained` is what the model was trained for.
    pub fn here(model: &ModelName, room: &Room, prompt: &Prompt, trained: Option<u64>) -> Self {
        let most = room.most();
        // What the engine found too long is longer than the context, whatever is thought of it here.
        let about = prompt.tokens_about().max(most + 1);
        let mend = match trained {
            Some(trained) if trained <= most => "shorten it; the model was trained for no more".to_owned(),
            Some(trained) => {
                format!("shorten it, or have the owner raise worker.max_context (trained for {trained})")
            }
            None => "shorten it, or have the owner raise worker.max_context".to_owned(),
        };
        let output = prompt.output();
        let message = format!(
            "the maximum context length of {model} here is {most} tokens, the prompt has about {about} and the answer {output} or fewer; {mend}"
        );
        Self { context: Some(most), message }
    }

    /// With how much they go to, where they did not say it themselves.
    pub fn or_context(self, context: Option<u64>) -> Self {
        Self { context: self.context.or(context), ..self }
    }

    /// It might fit, but the request can only go the way on which nobody can ask for more.
    pub fn on_the_plain_way(self, why: &impl fmt::Display) -> Self {
        let message = format!(
            "{}; more cannot be asked for with this request: {}",
            self.message,
            brief(&why.to_string())
        );
        Self { message, ..self }
    }

    /// A peer that says how much it goes to was not asked: no count of the prompt fits.
    pub fn passed_over(context: u64, tokens_min: u64) -> Self {
        let message = format!(
            "the maximum context length there is {context} tokens, and the prompt has {tokens_min} at least: it was not asked; shorten it, or have the owner there raise worker.max_context"
        );
        Self { context: Some(context), message }
    }

    /// What an upstream says, if it says this.
    pub fn said(body: &[u8]) -> Option<Self> {
        let error = serde_json::from_slice::<Value>(body).ok()?.get("error").cloned()?;
        if error.get("code").and_then(Value::as_str) != Some(CODE) {
            return None;
        }
        let context = error.get(CONTEXT).and_then(Value::as_u64);
        Some(Self { context, message: brief(&error_message(body).unwrap_or_default()) })
    }

    /// The same in the place of a stream's first event.
    pub fn said_instead(data: &[u8]) -> Option<Self> {
        data.trim_ascii_start().starts_with(b"{\"error\"").then(|| Self::said(data))?
    }

    /// What the record of a job says, which has words only.
    pub fn of_job(message: &str, context: Option<u64>) -> Self {
        Self { context, message: brief(message) }
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Of several who have no room the one with the most.
pub fn largest<'t>(all: impl IntoIterator<Item = (&'t str, &'t TooLong)>) -> Option<TooLong> {
    let (mut count, mut best) = (0, None);
    for (who, too_long) in all {
        count += 1;
        if best.is_none_or(|(_, other): (&str, &TooLong)| too_long.context > other.context) {
            best = Some((who, too_long));
        }
    }
    let (who, best) = best?;
    if count == 1 {
        return Some(best.clone());
    }
    let found = best.context.map_or_else(|| "not said".to_owned(), |context| format!("{context} tokens"));
    let message = format!(
        "nobody has room for this prompt; the maximum context length that was found is {found} ({who}: {best})"
    );
    Some(TooLong { context: best.context, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use upstream_ollama::context::Known;

    #[test]
    fn the_numbers_and_what_to_do_are_told() {
        let room = Room::new(Known { trained: Some(131_072), ..Known::default() }, 8192);
        let prompt = Prompt::measure("/v1/completions", br#"{"prompt":"word"}"#, Some(600));
        let model = "llama3.1:8b".parse().unwrap();
        let text = TooLong::here(&model, &room, &prompt, Some(131_072)).to_string();
        for part in
            ["maximum context length", "llama3.1:8b", "8192", "8193", "600", "worker.max_context", "131072"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.len() < 240, "a peer passes on no more");
        let trained = TooLong::here(&model, &room, &prompt, Some(8192)).to_string();
        assert!(!trained.contains("worker.max_context"), "{trained}");
    }

    #[test]
    fn of_several_the_largest_is_named() {
        let of = |context| TooLong { context, message: format!("{context:?}") };
        let (none, small, large) = (of(None), of(Some(1)), of(Some(2)));
        let found = largest([("a", &none), ("b", &large), ("c", &small)]).unwrap();
        assert_eq!(found.context, Some(2));
        assert!(found.to_string().contains("2 tokens (b: "), "{found}");
        assert_eq!(largest([("a", &small)]), Some(small));
        assert_eq!(largest([]), None);
    }

    #[test]
    fn only_the_code_says_it() {
        let body =
            br#"{"error":{"message":"too long","code":"context_length_exceeded","contextTokens":4096}}"#;
        assert_eq!(TooLong::said(body).unwrap().context, Some(4096));
        assert_eq!(TooLong::said(br#"{"error":{"message":"context_length_exceeded","code":null}}"#), None);
        assert_eq!(TooLong::said(b"{\"error\":\"x\"}"), None);
        assert_eq!(TooLong::said(b"nonsense"), None);
    }
}
