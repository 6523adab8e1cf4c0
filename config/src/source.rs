//! Where a value was written.

use std::{fmt, path::Path, sync::Arc};

/// A place in a file, both counted from 1; columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Where a value was written, or where a problem is to be mended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nobody wrote it: it is the default.
    Defaults,
    /// In a file; without a place, the file as a whole.
    File {
        /// As it was given to us.
        path: Arc<Path>,
        /// Where in it.
        place: Option<Place>,
    },
    /// In an environment variable.
    Environment {
        /// Its name.
        variable: Arc<str>,
    },
    /// On the command line.
    Flag {
        /// As the user knows it: `--port`.
        flag: Arc<str>,
    },
}

impl Source {
    /// The name under which a key is written at such a place: variables spell `gateway.listen` their own way.
    pub(crate) fn spelling_of(&self, key: &str) -> String {
        match self {
            Self::Environment { .. } => format!("LOBSTAH_{}", key.to_ascii_uppercase().replace('.', "__")),
            Self::Defaults | Self::File { .. } | Self::Flag { .. } => key.to_owned(),
        }
    }

    pub(crate) fn place(&self) -> Option<Place> {
        match self {
            Self::File { place, .. } => *place,
            Self::Defaults | Self::Environment { .. } | Self::Flag { .. } => None,
        }
    }
}

/// `lobstah.toml:12:1`, as editors and terminals take it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("defaults"),
            Self::File { path, place: None } => write!(f, "{}", path.display()),
            Self::File { path, place: Some(Place { line, column }) } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Flag { flag } => f.write_str(flag),
        }
    }
}
