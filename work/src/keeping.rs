//! What this process is in the middle of, so that it is not begun a second time.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// Names of what goes on. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct Keeping(Arc<Mutex<HashSet<String>>>);

/// Something goes on as long as this lives.
pub(crate) struct Kept {
    keeping: Keeping,
    name: String,
}

impl Keeping {
    /// `None` if it goes on already, or if `max` others do.
    pub(crate) fn begin(&self, name: &str, max: usize) -> Option<Kept> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = names.len() < max && names.insert(name.to_owned());
        begun.then(|| Kept { keeping: self.clone(), name: name.to_owned() })
    }

    /// What goes on.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.keeping.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
