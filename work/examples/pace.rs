//! How many tasks a second go through the store: `cargo run --release -p work --example pace [LINES] [BATCHES]
//! [IN_FLIGHT]`. Prints times, rates and the peak of the process's memory.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends there")]

use protocol::{Credits, Timestamp};
use std::time::Instant;
use work::{
    JsonLine, Work,
    batches::NewBatch,
    files::{NewFile, Purpose},
    tasks::{Charge, NewLease, Response, TokenUsage, Verdict, WaitingTask, Wanted},
};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const FILE_MAX: u64 = 1 << 30;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>().unwrap());
    let lines = args.next().unwrap_or(50_000);
    let batches = args.next().unwrap_or(1);
    let in_flight = args.next().unwrap_or(64);
    let home = tempfile::tempdir().unwrap();
    let work = Work::open(home.path()).unwrap();

    let begun = Instant::now();
    let mut ids = Vec::new();
    for _ in 0..batches {
        ids.push(begin(&work, lines).await);
    }
    report("uploaded and validated", lines * batches, begun);

    let begun = Instant::now();
    let mut done = 0;
    let mut asked = std::time::Duration::ZERO;
    // Enough of each batch to see its pace; all of it where there is one.
    let wanted = if batches == 1 { lines } else { 50_000 };
    while done < wanted {
        let asking = Instant::now();
        let tasks =
            work.tasks().waiting(Wanted { limit: in_flight, ..Wanted::default() }, NOW).await.unwrap();
        asked += asking.elapsed();
        if tasks.is_empty() {
            break;
        }
        let mut going: Vec<_> = tasks.into_iter().map(|task| Box::pin(answer(&work, task))).collect();
        done += going.len();
        std::future::poll_fn(|context| {
            going.retain_mut(|task| task.as_mut().poll(context).is_pending());
            if going.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
    report("leased, read and answered", done, begun);
    println!("  of which asking what waits: {:.2} s", asked.as_secs_f64());

    let begun = Instant::now();
    for id in work.batches().to_write().await.unwrap() {
        work.batches().write(&id, NOW).await.unwrap();
    }
    report("written", done, begun);
    println!("peak memory: {} MiB", peak_kib() / 1024);
}

async fn begin(work: &Work, lines: usize) -> String {
    let new = NewFile { name: "in.jsonl".into(), purpose: Purpose::Batch, expires_after_seconds: None };
    let mut upload = work.files().upload(new, FILE_MAX).await.unwrap();
    for n in 0..lines {
        let line = format!(
            "{{\"custom_id\":\"r-{n}\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{{\"model\":\
             \"llama3.1:8b\",\"max_tokens\":1,\"messages\":[{{\"role\":\"system\",\"content\":\"You count.\"}},\
             {{\"role\":\"user\",\"content\":\"{n}\"}}]}}}}\n"
        );
        upload.write(line.as_bytes()).await.unwrap();
    }
    let file = upload.finish(NOW).await.unwrap().id;
    let body = format!(
        "{{\"input_file_id\":\"{file}\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}}"
    );
    let new = NewBatch::parse(body.as_bytes(), None).unwrap();
    let batch = work.batches().create(new, NOW).await.unwrap().into_inner();
    work.batches().validate(&batch.id, NOW).await.unwrap();
    batch.id
}

async fn answer(work: &Work, task: WaitingTask) {
    let lease = NewLease {
        task: task.id,
        worker: "lob1worker".into(),
        order_id: Some(format!("order-{}", task.id)),
        reserved: Credits::ZERO,
        answer_by: Some(Timestamp::from_millis(NOW.as_millis() + 60_000)),
        warm: true,
        hedge: false,
    };
    let lease = work.tasks().lease(lease, NOW).await.unwrap();
    let body = work.tasks().body(task.id).await.unwrap();
    assert!(!body.is_empty());
    let body = JsonLine::new(vec![b'1'; 400]).unwrap();
    let verdict = Verdict::Answered(Response { status: 200, request_id: "req".into(), body });
    let usage = TokenUsage { input: 20, cached: 0, output: 1, reasoning: 0 };
    let charge = Charge { usage, ..Charge::default() };
    work.tasks().close(lease, verdict, charge, NOW).await.unwrap();
}

fn report(what: &str, count: usize, begun: Instant) {
    let took = begun.elapsed().as_secs_f64();
    println!("{what}: {count} in {took:.2} s, {:.0} a second", count as f64 / took);
}

/// Linux only; 0 elsewhere.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
