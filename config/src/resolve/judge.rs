//! Collects what is wrong while values are read, and knows where each stands.

use crate::{Origins, Problem, key};

/// Why a value is refused, before it is known where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    message: String,
    hint: Option<String>,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// One pass over a configuration.
pub(super) struct Judge<'o> {
    origins: &'o Origins,
    problems: Vec<Problem>,
}

/// One section in the hands of the judge: keys are named without their path.
pub(super) struct Section<'j, 'o> {
    judge: &'j mut Judge<'o>,
    path: String,
}

impl<'o> Judge<'o> {
    pub(super) fn new(origins: &'o Origins) -> Self {
        Self { origins, problems: Vec::new() }
    }

    pub(super) fn section(&mut self, path: impl Into<String>) -> Section<'_, 'o> {
        Section { judge: self, path: path.into() }
    }

    /// The whole, if nothing was refused.
    ///
    /// Without a whole there may be no problem either: then what is missing was dropped before, and
    /// whoever dropped it has reported it.
    pub(super) fn verdict<T>(self, whole: Option<T>) -> Result<T, Vec<Problem>> {
        match whole {
            Some(whole) if self.problems.is_empty() => Ok(whole),
            _ => Err(self.problems),
        }
    }

    fn refuse(&mut self, key: &str, refusal: Refusal) {
        self.problems.push(Problem {
            source: self.origins.source(key).clone(),
            key: self.origins.typed_key(key),
            message: refusal.message,
            hint: refusal.hint,
        });
    }
}

impl Section<'_, '_> {
    /// A value that must be there.
    pub(super) fn need<T, U>(
        &mut self,
        name: &str,
        value: Option<T>,
        read: impl FnOnce(T) -> Result<U, Refusal>,
    ) -> Option<U> {
        match value {
            Some(value) => self.read(&self.key(name), value, read),
            None => {
                self.refuse(name, Refusal::new("a value is needed here"));
                None
            }
        }
    }

    /// A value that may be left out.
    pub(super) fn may<T, U>(
        &mut self,
        name: &str,
        value: Option<T>,
        read: impl FnOnce(T) -> Result<U, Refusal>,
    ) -> Option<Option<U>> {
        match value {
            Some(value) => self.read(&self.key(name), value, read).map(Some),
            None => Some(None),
        }
    }

    /// A value that has a default where it is left out.
    pub(super) fn or<T, U>(
        &mut self,
        name: &str,
        value: Option<T>,
        default: U,
        read: impl FnOnce(T) -> Result<U, Refusal>,
    ) -> Option<U> {
        self.may(name, value, read).map(|value| value.unwrap_or(default))
    }

    /// A list of which each element is read, and refused, on its own.
    pub(super) fn each<T, U>(
        &mut self,
        name: &str,
        list: Option<Vec<T>>,
        read: impl Fn(T) -> Result<U, Refusal>,
    ) -> Option<Vec<U>> {
        let list = self.need(name, list, Ok)?;
        let key = self.key(name);
        let items = list.into_iter().enumerate();
        all(items.map(|(i, item)| self.read(&key::element(&key, i), item, &read)))
    }

    /// Notes a problem that no single value has. Silent where the key, or a part of it, was left out
    /// as wrong: what follows from that is no second problem.
    pub(super) fn refuse(&mut self, name: &str, refusal: Refusal) {
        let key = self.key(name);
        if !self.was_dropped(name) {
            self.judge.refuse(&key, refusal);
        }
    }

    pub(super) fn was_dropped(&self, name: &str) -> bool {
        self.judge.origins.is_dropped(&self.judge.origins.typed_key(&self.key(name)))
    }

    fn read<T, U>(&mut self, key: &str, value: T, read: impl FnOnce(T) -> Result<U, Refusal>) -> Option<U> {
        read(value).map_err(|refusal| self.judge.refuse(key, refusal)).ok()
    }

    fn key(&self, name: &str) -> String {
        if name.is_empty() { self.path.clone() } else { key::child(&self.path, name) }
    }
}

/// The items, if none was refused. All are judged first: collecting into an Option would stop at the
/// first refusal and leave the rest unreported.
pub(super) fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let judged: Vec<Option<T>> = items.collect();
    judged.into_iter().collect()
}
