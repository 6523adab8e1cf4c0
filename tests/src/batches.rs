//! Batches from their beginning to their end: what came of each line.

use crate::{Answer, Node, Value, ask, batching, eventually_within, json};
use std::{collections::HashSet, time::Duration};

/// For a few hundred lines on a busy machine.
pub const A_WHILE: Duration = Duration::from_secs(120);

/// How often a batch is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The lines of an input file: these bodies, called `line-1`, `line-2` and so on.
pub fn lines_of(bodies: impl IntoIterator<Item = Value>) -> String {
    let line = |(at, body): (usize, Value)| batching::line(&custom_id(at + 1), &body);
    bodies.into_iter().enumerate().map(line).collect()
}

/// So many lines that ask for one token each.
pub fn short_lines(model: &str, count: usize) -> String {
    lines_of((1..=count).map(|n| {
        let mut body = ask(model, &format!("count to {n}"));
        body["max_tokens"] = json!(1);
        body
    }))
}

fn custom_id(line: usize) -> String {
    format!("line-{line}")
}

/// What came of a batch: its object, and the lines of its files.
#[derive(Clone, Debug)]
pub struct Ended {
    pub batch: Value,
    pub output: Vec<Value>,
    pub errors: Vec<Value>,
}

impl Ended {
    pub fn status(&self) -> &str {
        self.batch["status"].as_str().unwrap()
    }

    /// What its answers took.
    pub fn tokens(&self) -> u64 {
        self.batch["usage"]["total_tokens"].as_u64().unwrap()
    }

    /// Every line stands in exactly one file, in the order of the input.
    #[track_caller]
    pub fn assert_whole(&self, count: usize) {
        let numbers = |lines: &[Value]| -> Vec<usize> {
            let number = |line: &Value| line["custom_id"].as_str().unwrap()["line-".len()..].parse().unwrap();
            lines.iter().map(number).collect()
        };
        let (output, errors) = (numbers(&self.output), numbers(&self.errors));
        assert!(output.is_sorted() && errors.is_sorted(), "{output:?} {errors:?}");
        let all: HashSet<usize> = output.iter().chain(&errors).copied().collect();
        assert_eq!((all.len(), output.len() + errors.len()), (count, count), "{}", self.batch);
        assert_eq!(all, (1..=count).collect());
        let counts = &self.batch["request_counts"];
        let expected = json!({"total": count, "completed": output.len(), "failed": errors.len()});
        assert_eq!(*counts, expected);
    }

    /// The same, and each of them has a good answer.
    #[track_caller]
    pub fn assert_answered(&self, count: usize) {
        assert_eq!(self.status(), "completed", "{}", self.batch);
        assert_eq!(self.errors, Vec::<Value>::new());
        self.assert_whole(count);
        assert!(self.output.iter().all(|line| line["response"]["status_code"] == 200));
    }

    /// The code of a line's error, or of the error in its response.
    pub fn error_codes(&self) -> HashSet<String> {
        let code = |line: &Value| {
            let (own, theirs) = (&line["error"]["code"], &line["response"]["body"]["error"]["code"]);
            own.as_str().or(theirs.as_str()).unwrap_or_default().to_owned()
        };
        self.errors.iter().map(code).collect()
    }
}

impl Node {
    /// Uploads an input file and begins a batch of it; gives its id.
    pub async fn begin_batch(&self, lines: &str, metadata: Value) -> String {
        let file = self.upload("batch", "in.jsonl", lines.as_bytes()).await;
        let batch = Answer::of(self.post_batch(&file["id"], &json!({"metadata": metadata}))).await;
        assert_eq!(batch.status, 200, "{}", batch.body);
        batch.json()["id"].as_str().unwrap().to_owned()
    }

    pub async fn batch(&self, id: &str) -> Value {
        self.get_json(&format!("/v1/batches/{id}")).await
    }

    /// Waits until so many lines are answered.
    pub async fn batch_reaches(&self, id: &str, completed: u64, patience: Duration) {
        eventually_within(patience, Duration::from_millis(20), "enough lines are answered", async || {
            let done = self.batch(id).await["request_counts"]["completed"].as_u64().unwrap();
            (done >= completed).then_some(())
        })
        .await;
    }

    /// Waits for the end of a batch, and reads its files.
    pub async fn batch_ended(&self, id: &str, patience: Duration) -> Ended {
        let over = ["completed", "failed", "expired", "cancelled"];
        let batch = eventually_within(patience, LOOK_EVERY, "the batch ends", async || {
            let batch = self.batch(id).await;
            over.contains(&batch["status"].as_str().unwrap()).then_some(batch)
        })
        .await;
        let output = self.file_lines(&batch["output_file_id"]).await;
        let errors = self.file_lines(&batch["error_file_id"]).await;
        Ended { batch, output, errors }
    }

    async fn file_lines(&self, id: &Value) -> Vec<Value> {
        let Some(id) = id.as_str() else { return Vec::new() };
        let content = Answer::of(self.get(&format!("/v1/files/{id}/content"))).await;
        assert_eq!(content.status, 200, "{}", content.body);
        content.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
