//! The disk is full while a batch is read, while its lines are answered, and while its files are written: it is
//! said, nothing is lost, and the batch goes on when there is room.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use stories::{
    Answer, Home, Node, ask,
    batches::{A_WHILE, short_lines},
    batching::line,
    engine::{Behaviour, MODEL, Trouble, counts},
    eventually,
    fleet::{Worker, books_agree, gateway_of, orders_charged},
    json,
    small_disk::SmallDisk,
};

/// Of the whole home.
const DISK_KIB: u32 = 16 * 1024;

/// Room for what few rows need, and for nothing that is long.
const LITTLE_KIB: u64 = 256;

/// Waits until the node has said so in its log.
async fn says(node: &Node, what: &str) {
    eventually(what, async || node.process.stderr().contains(what).then_some(())).await;
}

async fn status(node: &Node, id: &str) -> String {
    node.batch(id).await["status"].as_str().unwrap().to_owned()
}

/// So many lines that take a kilobyte each, wherever they are written.
fn long_lines(count: usize) -> String {
    let id = |n: usize| format!("{:x<500}-line-{n}", "");
    (1..=count).map(|n| line(&id(n), &ask(MODEL, "hello"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_cannot_be_kept_are_kept_later_and_no_line_runs_twice() {
    const LINES: usize = 24;
    let home = Home::new();
    let Some(disk) = SmallDisk::over(&home.file(""), DISK_KIB) else { return };
    let worker = Worker::start().await;
    worker.engine.handle.set(Behaviour::of(Trouble::Hang));
    let gateway = gateway_of([&worker]).in_home(home).start().await;
    let id = gateway.begin_batch(&short_lines(MODEL, LINES), json!({})).await;
    counts(&worker.engine, "as many lines as it takes", |counts| counts.in_flight == 8).await;
    disk.fill();
    worker.engine.handle.set(Behaviour::default());
    worker.engine.handle.release();
    says(&gateway, "what came of a task cannot be kept; it is tried again").await;
    assert_eq!(gateway.batch(&id).await["request_counts"]["completed"], 0);
    let refused = Answer::of(gateway.post("/v1/jobs", ask(MODEL, "one more").to_string())).await;
    let refused = refused.error(500, "internal_error");
    assert!(refused["message"].as_str().unwrap().contains("disk is full"), "{refused}");
    disk.make_room();
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    ended.assert_answered(LINES);
    assert_eq!(worker.asked(), LINES as u64);
    assert_eq!(books_agree(&gateway, [&worker.node]).await, ended.tokens());
    assert_eq!(orders_charged(&gateway).await, LINES);
    drop(gateway);
    drop(disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_and_files_for_which_there_is_no_room_are_read_and_written_when_there_is() {
    const LINES: usize = 3000;
    let home = Home::new();
    let Some(disk) = SmallDisk::over(&home.file(""), DISK_KIB) else { return };
    let mut worker = Worker::start().await;
    let gateway = gateway_of([&worker]).in_home(home).start().await;
    // Its lines wait as long as nobody is there.
    worker.node.kill();
    let file = gateway.upload("batch", "in.jsonl", long_lines(LINES).as_bytes()).await;
    disk.fill_but(LITTLE_KIB);
    let begin = async |more| Answer::of(gateway.post_batch(&file["id"], &more)).await.json();
    let budget = json!({"metadata": {"max_credits": "1"}});
    let id = begin(budget).await["id"].as_str().unwrap().to_owned();
    says(&gateway, &format!("reading the lines of {id} failed and is tried again")).await;
    assert_eq!(status(&gateway, &id).await, "validating");
    disk.make_room();
    gateway.batch_is(&json!({"id": id}), "in_progress").await;

    // Nobody may be paid for the first line: the batch ends, and no file can be written.
    disk.fill_but(LITTLE_KIB);
    let node = worker.node.start_again().await;
    says(&gateway, &format!("writing the files of {id} failed and is tried again")).await;
    assert_eq!(status(&gateway, &id).await, "finalizing");
    let cancel = Answer::of(gateway.post(&format!("/v1/batches/{id}/cancel"), "")).await;
    cancel.error(409, "not_cancellable");
    disk.make_room();
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    assert_eq!((ended.status(), ended.output.len(), ended.errors.len()), ("completed", 0, LINES));
    assert_eq!(ended.error_codes().into_iter().collect::<Vec<_>>(), ["max_credits_reached"]);
    drop((gateway, node));
    drop(disk);
}
