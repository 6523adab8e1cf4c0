//! The crash matrix: a process that dies right before and right after each durable step, and what the next
//! one makes of it.
#![allow(clippy::unwrap_used, reason = "a test ends there")]
#![cfg(all(unix, debug_assertions))]

#[path = "../common/mod.rs"]
mod common;
mod node;

use common::{Home, assert_whole};
use node::{FLAKY, LINES, live, sent};
use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, ExitStatus, Stdio},
};
use work::{JobStatus, batches::BatchStatus, files::FilePage, step::Step};

const CHILD_HOME: &str = "WORK_TEST_CHILD";
const SIGABRT: i32 = 6;

#[tokio::test]
async fn child_lives() {
    if let Some(home) = std::env::var_os(CHILD_HOME) {
        live(Path::new(&home)).await;
    }
}

fn child(home: &Path, fail_at: &str) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_lives", "--test-threads=1"])
        .env(CHILD_HOME, home)
        .env("LOBSTAH_FAIL_AT", fail_at)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

/// Kills a node at `fail_at`, lets another live to its end, and looks at what is there.
async fn survives(fail_at: &str) {
    let home = Home::new();
    let died = child(home.path(), fail_at);
    assert_eq!(died.signal(), Some(SIGABRT), "{fail_at} was never reached");
    live(home.path()).await;
    assert_right(&home, fail_at).await;
}

async fn assert_right(home: &Home, fail_at: &str) {
    let work = home.open();
    let batches = work.batches().list(None, None).await.unwrap().data;
    assert_eq!(batches.len(), 3, "{fail_at}");
    for batch in &batches {
        assert_whole(&work, batch, LINES).await;
    }
    let completed = batches.iter().find(|batch| batch.status == BatchStatus::Completed).unwrap();
    assert_eq!(completed.request_counts.completed, LINES - 1, "{fail_at}");

    let sent = sent(home.path(), "sent");
    assert!(sent.values().all(|times| *times == 1), "{fail_at}: an order was sent twice: {sent:?}");
    let (jobs, lines): (Vec<_>, Vec<_>) = sent.keys().partition(|order| order.starts_with("0."));
    assert_eq!(jobs.len(), 1, "{fail_at}: the job was run again");
    // The line that fails is asked twice, unless it was lost on its way the first time.
    let asked = |line: u64| lines.iter().filter(|order| order.contains(&format!(".{line}/"))).count();
    let once = (1..=LINES).filter(|line| *line != FLAKY).all(|line| asked(line) == 1);
    assert!(once && (1..=2).contains(&asked(FLAKY)), "{fail_at}: something was run again: {sent:?}");
    let progress = work.batches().progress(&completed.id).await.unwrap().unwrap();
    assert_eq!((progress.spent.get(), progress.reserved.get()), (lines.len() as u64, 0), "{fail_at}");

    let leases: i64 = home.raw().query_row("SELECT count(*) FROM lease", [], |row| row.get(0)).unwrap();
    assert_eq!(leases, 0, "{fail_at}");
    let job = home.raw().query_row("SELECT id FROM job WHERE line = 1", [], |row| row.get::<_, String>(0));
    let job = work.jobs().get(&job.unwrap()).await.unwrap().unwrap();
    assert_eq!((job.status, job.result.unwrap().get()), (JobStatus::Done, "{\"said\":\"1\"}"), "{fail_at}");

    let files = work.files().list(FilePage::default()).await.unwrap().data;
    let mut kept: Vec<_> = files.iter().map(|file| home.path().join("files").join(&file.id)).collect();
    let mut found = home.files();
    kept.sort();
    found.sort();
    assert_eq!(found, kept, "{fail_at}");

    let counts = work.lent().counts().await.unwrap();
    assert_eq!((counts.queued, counts.running, counts.done, counts.error), (0, 0, 1, 1), "{fail_at}");
    assert!(work.lent().unclaimed().await.unwrap().is_empty(), "{fail_at}");
}

/// Steps that are no transaction of ours: there is nothing to be right before.
fn is_named(step: Step) -> bool {
    matches!(step, Step::UploadNamed | Step::OutputNamed | Step::ErrorsNamed)
}

async fn survive_all(steps: &[Step]) {
    for step in steps {
        if !is_named(*step) {
            survives(step.name()).await;
        }
        survives(&format!("{}-done", step.name())).await;
    }
}

#[tokio::test]
async fn a_death_at_any_step_of_files_and_batches_loses_nothing_and_doubles_nothing() {
    survive_all(&Step::ALL[..12]).await;
}

#[tokio::test]
async fn a_death_at_any_step_of_tasks_jobs_and_lent_work_loses_nothing_and_doubles_nothing() {
    survive_all(&Step::ALL[12..]).await;
}

#[tokio::test]
async fn a_death_at_a_later_lease_or_answer_or_line_is_survived_too() {
    for fail_at in [
        "task-leased-done:7",
        "lease-closed:4",
        "lease-closed-done:9",
        "lines-queued-done:5",
        "files-reserved-done:2",
        "output-named-done:1",
        "batch-ended:3",
        "swept-done:2",
    ] {
        survives(fail_at).await;
    }
}

#[tokio::test]
async fn dying_again_and_again_is_survived_too() {
    let home = Home::new();
    for n in 1..40 {
        child(home.path(), &format!("lease-closed-done:{}", n % 3 + 1));
        child(home.path(), &format!("task-leased-done:{}", n % 2 + 1));
    }
    live(home.path()).await;
    assert_right(&home, "many").await;
}
