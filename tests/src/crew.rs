//! Work that goes on beside a story and ends with it.

use std::future::Future;
use tokio::task::JoinHandle;

/// A task that is stopped when its story drops it.
#[derive(Debug)]
pub struct Task<T>(JoinHandle<T>);

/// Starts work beside the story.
#[expect(clippy::disallowed_methods, reason = "the story that holds the task is its owner")]
pub fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Task<T> {
    Task(tokio::spawn(work))
}

impl<T> Task<T> {
    /// What came of it.
    pub async fn join(mut self) -> T {
        crate::soon("a task beside the story", &mut self.0).await.unwrap()
    }

    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
