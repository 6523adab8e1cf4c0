//! One thing that is wrong with the configuration: where, what, and how to mend it.

use crate::Source;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::fmt;

/// Something that its owner has to mend before the configuration can come into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is written.
    pub source: Source,
    /// The key's path; empty when the file as a whole is broken.
    pub key: String,
    /// What is wrong. Never holds a secret's text.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl Problem {
    /// The line in the file, counted from 1.
    pub fn line(&self) -> Option<usize> {
        self.source.place().map(|place| place.line)
    }

    /// The column in the line, counted from 1 in characters.
    pub fn column(&self) -> Option<usize> {
        self.source.place().map(|place| place.column)
    }
}

/// `lobstah.toml:12:1: gateway.listn: unknown key; did you mean gateway.listen?`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Problem {}

/// As `config check --json` prints it.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let source = match &self.source {
            Source::File { path, .. } => path.display().to_string(),
            other => other.to_string(),
        };
        let mut object = serializer.serialize_struct("Problem", 6)?;
        object.serialize_field("source", &source)?;
        object.serialize_field("line", &self.line())?;
        object.serialize_field("column", &self.column())?;
        object.serialize_field("key", &self.key)?;
        object.serialize_field("message", &self.message)?;
        object.serialize_field("hint", &self.hint)?;
        object.end()
    }
}
