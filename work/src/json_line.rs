//! JSON that fits in one line, and JSON that is an object.

use serde::Deserialize;

/// Why an answer cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadJson {
    /// It is none.
    #[error("the answer is not JSON, ask another")]
    NotJson,
    /// It is longer than [`crate::limits::ANSWER_BYTES_MAX`].
    #[error("the answer is too long to be kept, ask for fewer tokens")]
    TooLong,
}

/// A JSON value without line breaks, otherwise as it came.
///
/// **Invariant:** it parses, and holds neither `\n` nor `\r`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonLine(String);

impl JsonLine {
    /// Checks it. Line breaks between its tokens become spaces; there can be none elsewhere.
    pub fn new(json: Vec<u8>) -> Result<Self, BadJson> {
        if json.len() > crate::limits::ANSWER_BYTES_MAX {
            return Err(BadJson::TooLong);
        }
        let text = String::from_utf8(json).map_err(|_| BadJson::NotJson)?;
        serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(|_| BadJson::NotJson)?;
        if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_none() {
            return Ok(Self(text));
        }
        Ok(Self(text.replace(['\n', '\r'], " ")))
    }

    /// The JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads an object. A derived reader alone would take a list of its fields' values for one too.
pub(crate) fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    match json.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => serde_json::from_slice(json),
        _ => Err(serde::de::Error::custom("expected an object in braces")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_go_and_all_else_stays() {
        let pretty = b"{\r\n  \"a\": \"x\\ny\",\n  \"n\": 0.20\n}".to_vec();
        assert_eq!(JsonLine::new(pretty).unwrap().as_str(), "{    \"a\": \"x\\ny\",   \"n\": 0.20 }");
        assert_eq!(JsonLine::new(b"{\"a\":}".to_vec()), Err(BadJson::NotJson));
        assert_eq!(JsonLine::new(b"\xff".to_vec()), Err(BadJson::NotJson));
    }
}
