//! What the tests share: a home, input files, and a small scheduler that answers everything.
#![allow(clippy::unwrap_used, dead_code, reason = "each test uses a part of it")]

use protocol::{Credits, Timestamp};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use work::{
    JsonLine, Work,
    batches::{Batch, BatchStatus, NewBatch, Validated},
    files::{NewFile, Purpose},
    tasks::{
        Charge, Closed, Cost, LeaseId, NewLease, Response, TaskId, TokenUsage, Verdict, WaitingTask, Wanted,
    },
};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub(crate) const FILE_MAX: u64 = 1 << 30;

/// So many milliseconds after [`NOW`].
pub(crate) fn later(ms: u64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + ms)
}

pub(crate) fn credits(amount: u64) -> Credits {
    Credits::new(amount).unwrap()
}

/// A folder that is gone after the test.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn open(&self) -> Work {
        Work::open(self.path()).unwrap()
    }

    /// What lies in `files/`.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path().join("files")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    pub(crate) fn open_leases(&self) -> usize {
        let open: i64 = self.raw().query_row("SELECT count(*) FROM lease", [], |row| row.get(0)).unwrap();
        open.try_into().unwrap()
    }

    /// A connection that nothing holds back.
    pub(crate) fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path().join("work.db")).unwrap()
    }
}

/// Line `n` of an input file; all ask the same model and open alike.
pub(crate) fn line(n: u64) -> String {
    line_for("llama3.1:8b", n)
}

pub(crate) fn line_for(model: &str, n: u64) -> String {
    let body = json!({"model": model, "messages": [
        {"role": "system", "content": "You count."}, {"role": "user", "content": format!("{n}")}]});
    let line =
        json!({"custom_id": custom_id(n), "method": "POST", "url": "/v1/chat/completions", "body": body});
    format!("{line}\n")
}

pub(crate) fn custom_id(n: u64) -> String {
    format!("request-{n}")
}

pub(crate) fn lines(count: u64) -> String {
    (1..=count).map(line).collect()
}

/// Uploads an input file, and gives its id.
pub(crate) async fn upload(work: &Work, text: &str) -> String {
    let new = NewFile { name: "in.jsonl".into(), purpose: Purpose::Batch, expires_after_seconds: None };
    let mut upload = work.files().upload(new, FILE_MAX).await.unwrap();
    for chunk in text.as_bytes().chunks(7000) {
        upload.write(chunk).await.unwrap();
    }
    upload.finish(NOW).await.unwrap().id
}

pub(crate) fn new_batch(file: &str, metadata: Value) -> NewBatch {
    let body = json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
        "metadata": metadata});
    NewBatch::parse(body.to_string().as_bytes(), None).unwrap()
}

/// A batch that runs.
pub(crate) async fn begin(work: &Work, text: &str, metadata: Value) -> Batch {
    let file = upload(work, text).await;
    let batch = work.batches().create(new_batch(&file, metadata), NOW).await.unwrap().into_inner();
    assert_eq!(work.batches().validate(&batch.id, NOW).await.unwrap(), Validated::Began);
    get(work, &batch.id).await
}

pub(crate) async fn get(work: &Work, id: &str) -> Batch {
    work.batches().get(id).await.unwrap().unwrap()
}

pub(crate) async fn waiting(work: &Work, limit: usize, now: Timestamp) -> Vec<WaitingTask> {
    work.tasks().waiting(Wanted { limit, ..Wanted::default() }, now).await.unwrap()
}

pub(crate) fn a_lease(task: TaskId, worker: &str) -> NewLease {
    NewLease {
        task,
        worker: worker.to_owned(),
        order_id: None,
        reserved: Credits::ZERO,
        answer_by: None,
        warm: false,
        hedge: false,
    }
}

pub(crate) async fn lease(work: &Work, task: TaskId, worker: &str) -> LeaseId {
    work.tasks().lease(a_lease(task, worker), NOW).await.unwrap()
}

/// A good answer.
pub(crate) fn good(text: &str) -> Verdict {
    let body = JsonLine::new(json!({"said": text}).to_string().into_bytes()).unwrap();
    Verdict::Answered(Response { status: 200, request_id: format!("req-{text}"), body })
}

pub(crate) fn bad(status: u16) -> Verdict {
    let body = JsonLine::new(br#"{"error":{"message":"no","code":"bad"}}"#.to_vec()).unwrap();
    Verdict::Answered(Response { status, request_id: "req-bad".into(), body })
}

pub(crate) fn retry(at: Timestamp) -> Verdict {
    Verdict::Retry { not_before: at, error: "connection refused".into() }
}

pub(crate) fn cost(amount: u64) -> Charge {
    let usage = TokenUsage { input: amount, cached: 0, output: 1, reasoning: 0 };
    Charge { cost: Cost::Charged(credits(amount)), usage }
}

pub(crate) async fn close(work: &Work, lease: LeaseId, verdict: Verdict) -> Closed {
    work.tasks().close(lease, verdict, cost(1), NOW).await.unwrap()
}

/// Answers all that waits, and writes every batch that is ready.
pub(crate) async fn drain(work: &Work, now: Timestamp) {
    loop {
        let tasks = waiting(work, 100, now).await;
        if tasks.is_empty() {
            break;
        }
        for task in tasks {
            let lease = lease(work, task.id, "local").await;
            close(work, lease, good(&task.id.line().to_string())).await;
        }
    }
    for id in work.batches().to_write().await.unwrap() {
        work.batches().write(&id, now).await.unwrap();
    }
}

/// A file's text.
pub(crate) async fn text_of(work: &Work, file: &str) -> String {
    use tokio::io::AsyncReadExt;
    let mut text = String::new();
    work.files().content(file, 0, None).await.unwrap().reader.read_to_string(&mut text).await.unwrap();
    text
}

/// The lines of a batch's two files.
pub(crate) async fn written(work: &Work, batch: &Batch) -> (Vec<Value>, Vec<Value>) {
    let mut both = Vec::new();
    for file in [&batch.output_file_id, &batch.error_file_id] {
        let text = match file {
            Some(file) => text_of(work, file).await,
            None => String::new(),
        };
        both.push(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect());
    }
    let errors = both.pop().unwrap();
    (both.pop().unwrap(), errors)
}

pub(crate) fn custom_ids(lines: &[Value]) -> Vec<String> {
    lines.iter().map(|line| line["custom_id"].as_str().unwrap().to_owned()).collect()
}

/// That every line of `count` stands in exactly one file, in the order of the input.
pub(crate) async fn assert_whole(work: &Work, batch: &Batch, count: u64) {
    let (output, errors) = written(work, batch).await;
    let numbers = |lines: &[Value]| -> Vec<u64> {
        custom_ids(lines).iter().map(|id| id.strip_prefix("request-").unwrap().parse().unwrap()).collect()
    };
    let (output, errors) = (numbers(&output), numbers(&errors));
    assert!(output.is_sorted() && errors.is_sorted(), "{output:?} {errors:?}");
    let mut all = [output.clone(), errors.clone()].concat();
    all.sort_unstable();
    assert_eq!(all, (1..=count).collect::<Vec<_>>());
    let counts = batch.request_counts;
    assert_eq!((counts.completed, counts.failed), (output.len() as u64, errors.len() as u64));
    assert!(matches!(batch.status, BatchStatus::Completed | BatchStatus::Expired | BatchStatus::Cancelled));
}
