//! How much of a prompt the engine reads, with Ollama's ways of leaving out the rest.

use super::words;

/// What the models of an engine run with, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contexts {
    /// What a request gets that says nothing.
    pub by_default: u64,
    /// Whether their Modelfiles say so. If not, it is known once a model is loaded.
    pub in_modelfile: bool,
    /// What the models were trained for: nothing gets more.
    pub trained: u64,
    /// Whether a request can have its prompt refused rather than cut; older Ollamas know only how to cut.
    pub refuses: bool,
}

impl Default for Contexts {
    fn default() -> Contexts {
        // Smaller than what it could, so that the two are not confused.
        Contexts { by_default: 8192, in_modelfile: true, trained: 32_768, refuses: true }
    }
}

/// What a request says of its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) num_ctx: Option<u64>,
    pub(super) truncate: bool,
    /// Whether an answer goes on where the context is full.
    pub(super) shift: bool,
}

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted { num_ctx: None, truncate: true, shift: true }
    }
}

/// A prompt is longer than the context, and was to be refused then.
pub(super) struct TooLong;

/// In Ollama's words.
pub(super) const TOO_LONG: &str = "the input length exceeds the context length";

/// The texts of a prompt, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Prompt {
    texts: Vec<Text>,
}

#[derive(Clone, Debug)]
struct Text {
    is_system: bool,
    text: String,
}

impl Prompt {
    /// One text.
    pub(super) fn of(text: String) -> Prompt {
        let mut prompt = Prompt::default();
        prompt.push(false, text);
        prompt
    }

    pub(super) fn push(&mut self, is_system: bool, text: String) {
        self.texts.push(Text { is_system, text });
    }

    /// All that was asked.
    pub(super) fn whole(&self) -> String {
        self.texts.iter().map(|text| text.text.as_str()).collect()
    }

    fn tokens(&self) -> u64 {
        self.texts.iter().map(|text| words::count(&text.text)).sum()
    }

    /// What of it is read.
    pub(super) fn fitted(mut self, context: u64, cut: bool) -> Result<String, TooLong> {
        if self.tokens() <= context {
            return Ok(self.whole());
        }
        if !cut {
            return Err(TooLong);
        }
        // Whole messages from the front, but not the system's nor the last ...
        while self.tokens() > context {
            let before_last = &self.texts[..self.texts.len().saturating_sub(1)];
            let Some(oldest) = before_last.iter().position(|text| !text.is_system) else { break };
            self.texts.remove(oldest);
        }
        // ... and then what is in the middle of the rest: here, the front.
        Ok(last_words(&self.whole(), context))
    }
}

fn last_words(text: &str, count: u64) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words[words.len().saturating_sub(count as usize)..].join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_go_first_and_then_words() {
        let mut prompt = Prompt::default();
        prompt.push(true, "be kind\n".into());
        prompt.push(false, "one two three\n".into());
        prompt.push(false, "four five\n".into());
        let fitted = |context| prompt.clone().fitted(context, true).ok().unwrap();
        assert_eq!(fitted(7), "be kind\none two three\nfour five\n");
        assert_eq!(fitted(6), "be kind four five");
        assert_eq!(fitted(3), "kind four five");
        assert!(prompt.clone().fitted(6, false).is_err());
    }
}
