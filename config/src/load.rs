//! The layers over each other: defaults < file < environment < flags.

use crate::{
    Config, Environment, Flag, Origins, Problem, RawConfig, Source,
    document::{self, Document, Lines},
    layers,
};
use figment::Figment;
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The defaults as they are documented: every key, and an example of each array's entries.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Which file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    /// Nobody named it: it need not exist.
    IfPresent(PathBuf),
    /// Somebody named it: that it is missing is a problem.
    Required(PathBuf),
}

impl ConfigFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::IfPresent(path) | Self::Required(path) => path,
        }
    }
}

/// A configuration that can come into force.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the program runs on.
    pub config: Config,
    /// Where each value comes from.
    pub origins: Origins,
}

/// Reads the file and resolves it with the other layers. All problems are reported, sorted by place.
pub fn load(file: &ConfigFile, env: &Environment, flags: &[Flag]) -> Result<Loaded, Vec<Problem>> {
    let path: Arc<Path> = file.path().into();
    let document = match std::fs::read(&path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Some(document::read(&path, &text)),
            Err(error) => Some(not_utf8(&path, error.as_bytes(), error.utf8_error().valid_up_to())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound && matches!(file, ConfigFile::IfPresent(_)) => {
            None
        }
        Err(error) => Some(Document::unreadable(&path, error.to_string())),
    };
    assemble(document, env, flags)
}

/// The same with the file's text at hand; `path` is what problems call it.
pub fn load_text(path: &Path, text: &str, env: &Environment, flags: &[Flag]) -> Result<Loaded, Vec<Problem>> {
    assemble(Some(document::read(&path.into(), text)), env, flags)
}

fn not_utf8(path: &Arc<Path>, bytes: &[u8], valid_up_to: usize) -> Document {
    let before = String::from_utf8_lossy(&bytes[..valid_up_to]);
    let mut document = Document::unreadable(path, "the file is not UTF-8 from here on".to_owned());
    let place = Some(Lines::of(&before).place(before.len()));
    document.problems[0].source = Source::File { path: path.clone(), place };
    document
}

fn assemble(document: Option<Document>, env: &Environment, flags: &[Flag]) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Vec::new();
    let unreliable = document.as_ref().is_some_and(|document| document.unreliable);
    let spoilt = document.as_ref().map(|document| document.spoilt.clone()).unwrap_or_default();
    let layers = [
        layers::defaults(),
        layers::file(document, &mut problems),
        layers::environment(env, &mut problems),
        layers::flags(flags, &mut problems),
    ];
    let figment = layers.iter().fold(Figment::new(), Figment::merge);
    let dropped: BTreeSet<String> =
        problems.iter().map(|problem| problem.key.clone()).chain(spoilt).collect();
    let origins = Origins::trace(&figment, &layers, dropped);
    // In half a file, what is missing cannot be told from what was lost.
    let config = if unreliable { Err(Vec::new()) } else { resolve(&figment, env, &origins) };
    match config {
        Ok(config) if problems.is_empty() => Ok(Loaded { config, origins }),
        Ok(_) => Err(sorted(problems)),
        Err(more) => Err(sorted([problems, more].concat())),
    }
}

fn resolve(figment: &Figment, env: &Environment, origins: &Origins) -> Result<Config, Vec<Problem>> {
    let raw: RawConfig = figment.extract().map_err(|error| {
        // The layers were checked against the schema of this very type, so this is a mistake of ours.
        let message = "the value does not fit its key".to_owned();
        vec![Problem { source: Source::Defaults, key: error.path.join("."), message, hint: None }]
    })?;
    raw.resolve(env, origins)
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|a, b| (&a.source, &a.key).cmp(&(&b.source, &b.key)));
    problems.dedup();
    problems
}
