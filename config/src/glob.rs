//! Patterns over model names: `*` for any run of characters, `?` for one, nothing else is special.

use protocol::limits::MODEL_NAME_BYTES_MAX;
use std::{fmt, str::FromStr};

/// A pattern over model names, as routes and offers write it.
///
/// Kept as it was written; matching takes at most pattern × name steps, whatever the pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

/// The pattern is empty, or longer than any model name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pattern has 1 to {MODEL_NAME_BYTES_MAX} bytes and no control characters")]
pub struct NotAGlob;

impl Glob {
    /// The pattern that every name matches.
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether more than one name can match it.
    pub fn is_pattern(&self) -> bool {
        self.0.contains(['*', '?'])
    }

    /// Whether the pattern matches this text from its first to its last character.
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text): (Vec<char>, Vec<char>) = (self.0.chars().collect(), text.chars().collect());
        matches(&pattern, &text)
    }

    /// Whether it matches a model under any of its names: `llama3.1` and `llama3.1:latest` are one model.
    pub fn matches_model(&self, model: &str) -> bool {
        let tagged = model.rsplit('/').next().is_some_and(|last| last.contains(':'));
        self.matches(model)
            || model.strip_suffix(":latest").is_some_and(|bare| self.matches(bare))
            || (!tagged && self.matches(&format!("{model}:latest")))
    }
}

/// Goes back only to the last `*`: an earlier one can never need to take more, for the later one
/// takes whatever it leaves.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut last_star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                last_star = Some((p, t));
                p += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star, taken_to)) = last_star else { return false };
                last_star = Some((star, taken_to + 1));
                p = star + 1;
                t = taken_to + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

impl FromStr for Glob {
    type Err = NotAGlob;

    fn from_str(text: &str) -> Result<Self, NotAGlob> {
        if text.is_empty() || text.len() > MODEL_NAME_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(NotAGlob);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(text: &str) -> Glob {
        text.parse().unwrap()
    }

    /// The definition, which takes exponential time.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|taken| by_definition(rest, &text[taken..])),
            ['?', rest @ ..] => !text.is_empty() && by_definition(rest, &text[1..]),
            [c, rest @ ..] => text.first() == Some(c) && by_definition(rest, &text[1..]),
        }
    }

    #[test]
    fn a_pattern_covers_the_whole_name() {
        assert!(glob("gpt-*").matches("gpt-4o-mini"));
        assert!(!glob("gpt-*").matches("my-gpt-4"));
        assert!(glob("llama3.?:8b").matches("llama3.1:8b"));
        assert!(!glob("llama3.1").matches("llama3x1"));
        assert!(glob("*").matches(""));
        assert!(!glob("[a]").matches("a"));
    }

    #[test]
    fn the_default_tag_is_implied_both_ways() {
        assert!(glob("llama3.1").matches_model("llama3.1:latest"));
        assert!(glob("*:latest").matches_model("team/llama3.1"));
        assert!(!glob("llama3.1").matches_model("llama3.1:8b"));
        assert!(!glob("*:latest").matches_model("llama3.1:8b"));
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(pattern in "[ab*?]{1,7}", text in "[ab]{0,8}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(glob(&pattern).matches(&text), by_definition(&p, &t));
        }

        #[test]
        fn a_name_without_wildcards_matches_itself_alone(name in "[a-z0-9.:/-]{1,20}", other in "[a-z0-9.:/-]{1,20}") {
            prop_assert!(glob(&name).matches(&name));
            prop_assert_eq!(glob(&name).matches(&other), name == other);
        }
    }
}
