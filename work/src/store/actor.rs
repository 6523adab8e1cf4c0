//! A thread with a bounded inbox. Closing finishes what was accepted, and its end is awaited.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tokio::sync::mpsc;

/// The owner's end.
pub(crate) struct Actor<J> {
    queue: mpsc::Sender<Option<J>>,
    closing: Arc<AtomicBool>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

/// The thread's end. A `None` in the queue only wakes it, to see that it is to close.
pub(crate) struct Inbox<J> {
    queue: mpsc::Receiver<Option<J>>,
    closing: Arc<AtomicBool>,
}

/// The thread takes no more work.
pub(crate) struct Closed;

impl<J: Send + 'static> Actor<J> {
    /// Starts a thread that runs `body` until it returns.
    pub(crate) fn start(
        name: &str,
        queued_max: usize,
        body: impl FnOnce(Inbox<J>) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(queued_max);
        let closing = Arc::new(AtomicBool::new(false));
        let inbox = Inbox { queue: receiver, closing: closing.clone() };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || body(inbox))?;
        Ok(Self { queue: sender, closing, thread: Mutex::new(Some(thread)) })
    }

    /// Hands over a job, waiting for room.
    pub(crate) async fn send(&self, job: J) -> Result<(), Closed> {
        self.queue.send(Some(job)).await.map_err(|_| Closed)
    }
}

impl<J> Actor<J> {
    /// Takes no more work, lets the thread finish what it has, and waits for its end.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        // If there is no room the thread is not asleep, and sees the flag after its present job.
        let _ = self.queue.try_send(None);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A job may hold the last handle; the thread cannot wait for itself.
        if let Some(thread) = thread.filter(|t| t.thread().id() != thread::current().id()) {
            // A panic there has been reported by the panic hook, and its waiters have been told.
            let _ = thread.join();
        }
    }
}

impl<J> Drop for Actor<J> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<J> Inbox<J> {
    /// The next job, waiting for one. `None` once the owner has closed and the queue is empty.
    pub(crate) fn wait(&mut self) -> Option<J> {
        loop {
            if self.closing.load(Ordering::SeqCst) {
                self.queue.close();
                return self.take();
            }
            if let Some(job) = self.queue.blocking_recv()? {
                return Some(job);
            }
        }
    }

    /// The next job, if one is there.
    pub(crate) fn take(&mut self) -> Option<J> {
        loop {
            if let Some(job) = self.queue.try_recv().ok()? {
                return Some(job);
            }
        }
    }
}
