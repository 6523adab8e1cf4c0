//! A node that does all there is to do, from wherever the one before it died.

use crate::common::{NOW, bad, cost, credits, get, good, later, lines, retry, upload};
use protocol::{Requester, Timestamp};
use serde_json::json;
use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};
use work::{
    Endpoint, Idempotency, JsonLine, Metadata, Work,
    batches::{Batch, BatchStatus, NewBatch},
    files::FilePage,
    jobs::NewJob,
    lent::{LentEnd, LentLimits, LentOrder, NewLent, PutBack, Whose},
    tasks::{Charge, NewLease, OpenLease, Verdict, WaitingTask, Wanted},
};

pub(crate) const LINES: u64 = 12;
/// The line that fails once, and the line that is refused.
pub(crate) const FLAKY: u64 = 3;
const REFUSED: u64 = 5;

/// One life.
struct Node {
    work: Work,
    home: PathBuf,
}

impl Node {
    async fn start(home: &Path) -> Self {
        let node = Self { work: Work::open(home).unwrap(), home: home.to_owned() };
        node.work.sweep(NOW).await.unwrap();
        for lease in node.work.tasks().adopt().await.unwrap() {
            node.collect(&lease).await;
        }
        for job in node.work.lent().unclaimed().await.unwrap() {
            node.work.lent().claimed(&job.id).await.unwrap();
        }
        node
    }

    /// What was sent to workers, which outlive us: a line each.
    fn log(&self, name: &str, text: &str) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.home.join(name)).unwrap();
        writeln!(file, "{text}").unwrap();
    }

    /// A lease of a dead process: its worker has the answer, if the order ever reached it.
    async fn collect(&self, lease: &OpenLease) {
        let order = lease.order_id.as_deref().unwrap();
        let (verdict, charge) = if sent(&self.home, "sent").contains_key(order) {
            (answer(lease.task.is_job(), lease.task.line(), order), cost(1))
        } else {
            (Verdict::Retry { not_before: NOW, error: "unknown order".into() }, Charge::default())
        };
        self.work.tasks().close(lease.id, verdict, charge, NOW).await.unwrap();
    }

    async fn run(&self, task: &WaitingTask) {
        let order = format!("{}/{}", task.id, task.attempts);
        let lease = NewLease {
            task: task.id,
            worker: "lob1worker".into(),
            order_id: Some(order.clone()),
            reserved: credits(2),
            answer_by: Some(later(60_000)),
            warm: false,
            hedge: false,
        };
        let lease = self.work.tasks().lease(lease, NOW).await.unwrap();
        assert!(!self.work.tasks().body(task.id).await.unwrap().is_empty());
        self.log("sent", &order);
        let verdict = answer(task.id.is_job(), task.id.line(), &order);
        self.work.tasks().close(lease, verdict, cost(1), NOW).await.unwrap();
    }

    async fn batch(&self, file: &str, key: &str, window: &str) -> Batch {
        let body =
            json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": window});
        let body = body.to_string().into_bytes();
        let new = NewBatch::parse(&body, Some(Idempotency::new(key, &body).unwrap())).unwrap();
        let batch = self.work.batches().create(new, NOW).await.unwrap().into_inner();
        if batch.status == BatchStatus::Validating {
            self.work.batches().validate(&batch.id, NOW).await.unwrap();
        }
        get(&self.work, &batch.id).await
    }

    async fn write(&self, now: Timestamp) {
        for id in self.work.batches().to_write().await.unwrap() {
            self.work.batches().write(&id, now).await.unwrap();
        }
    }

    async fn drain(&self) {
        loop {
            let wanted = Wanted { limit: 3, ..Wanted::default() };
            let tasks = self.work.tasks().waiting(wanted, later(10)).await.unwrap();
            let Some(task) = tasks.first() else { break };
            self.run(task).await;
        }
        self.write(later(10)).await;
    }
}

fn answer(job: bool, line: u64, order: &str) -> Verdict {
    match line {
        FLAKY if !job && order.ends_with("/0") => retry(later(5)),
        REFUSED if !job => bad(400),
        _ => good(&line.to_string()),
    }
}

/// How often each line stands in a log.
pub(crate) fn sent(home: &Path, name: &str) -> HashMap<String, u32> {
    let text = fs::read_to_string(home.join(name)).unwrap_or_default();
    let mut counts = HashMap::new();
    text.lines().for_each(|line| *counts.entry(line.to_owned()).or_default() += 1);
    counts
}

/// One life of a node: batches that complete, are cancelled and expire, jobs of its own and of others.
pub(crate) async fn live(home: &Path) {
    let node = Node::start(home).await;
    let done = home.join("done");
    if !done.exists() {
        batches(&node).await;
        fs::write(done, "").unwrap();
    }
    lent(&node).await;
    while node.work.sweep(NOW).await.unwrap() == work::Swept::Some {}
}

async fn batches(node: &Node) {
    let file = input(node).await;
    let job = NewJob {
        endpoint: Endpoint::ChatCompletions,
        body: br#"{"model":"m","messages":[]}"#.to_vec(),
        metadata: Metadata::default(),
        idempotency: Some(Idempotency::new("job", b"").unwrap()),
    };
    let cancelled = NewJob { idempotency: Some(Idempotency::new("job-2", b"").unwrap()), ..job.clone() };
    node.work.jobs().submit(job, NOW).await.unwrap();
    let cancelled = node.work.jobs().submit(cancelled, NOW).await.unwrap().into_inner();
    let _ = node.work.jobs().cancel(&cancelled, NOW).await;

    let stopped = node.batch(&file, "cancelled", "24h").await;
    if !is_over(&stopped) {
        node.work.batches().cancel(&stopped.id, NOW).await.unwrap();
        node.write(NOW).await;
    }
    let expired = node.batch(&file, "expired", "1m").await;
    node.work.batches().expire(later(60_000)).await.unwrap();
    node.write(later(60_000)).await;
    assert_eq!(get(&node.work, &expired.id).await.status, BatchStatus::Expired);
    node.batch(&file, "completed", "24h").await;
    node.work.files().delete(&file).await.unwrap();
    node.drain().await;
}

/// The id of the input file: as it was noted, or found, or uploaded now.
async fn input(node: &Node) -> String {
    let note = node.home.join("input");
    if let Ok(id) = fs::read_to_string(&note) {
        return id;
    }
    let known = node.work.files().list(FilePage::default()).await.unwrap().data;
    let id = match known.into_iter().find(|file| file.filename == "in.jsonl") {
        Some(file) => file.id,
        None => upload(&node.work, &lines(LINES)).await,
    };
    fs::write(note, &id).unwrap();
    id
}

fn is_over(batch: &Batch) -> bool {
    matches!(batch.status, BatchStatus::Cancelled | BatchStatus::Completed | BatchStatus::Expired)
}

async fn lent(node: &Node) {
    let lent = node.work.lent();
    let new = |id: &str| NewLent {
        whose: Whose::Other(Requester::Anonymous),
        order: Some(LentOrder {
            id: id.into(),
            signed: format!("{{\"order\":\"{id}\"}}"),
            sha256: [id.len() as u8; 32],
            answer_by: None,
        }),
        endpoint: Endpoint::ChatCompletions,
        model: "m".parse().unwrap(),
        metadata: Metadata::default(),
        body: b"{}".to_vec(),
    };
    for id in ["runs", "cancelled"] {
        lent.submit(new(id), LentLimits::default(), NOW).await.unwrap();
    }
    let _ = lent.cancel("cancelled", NOW).await;
    while let Some(job) = lent.next(NOW).await.unwrap() {
        if job.attempts == 1 {
            lent.put_back(&job.id, PutBack::Tried, NOW, NOW).await.unwrap();
            continue;
        }
        node.log("ran", &job.id);
        let result = JsonLine::new(b"{\"n\":1}".to_vec()).unwrap();
        let end = LentEnd::Done { result, receipt: Some("{\"receipt\":1}".into()) };
        lent.end(&job.id, end, NOW).await.unwrap();
        node.log("claimed", &job.id);
        lent.claimed(&job.id).await.unwrap();
    }
    lent.acknowledged("runs").await.unwrap();
}
