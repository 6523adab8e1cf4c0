//! Several processes of one home, and what is left after a long time.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW, a_lease, assert_whole, begin, cost, drain, get, good, later, lease, lines, new_batch, upload,
    waiting,
};
use serde_json::json;
use work::{
    Swept, Work,
    files::FilePage,
    tasks::{Closed, LeaseError},
};

#[tokio::test]
async fn what_two_processes_do_is_done_once() {
    let home = Home::new();
    let (one, two): (Work, Work) = (home.open(), home.open());
    let file = upload(&one, &lines(400)).await;
    let batch = one.batches().create(new_batch(&file, json!({})), NOW).await.unwrap().into_inner();
    let both = tokio::join!(one.batches().validate(&batch.id, NOW), two.batches().validate(&batch.id, NOW));
    assert_eq!([both.0.is_ok(), both.1.is_ok()].iter().filter(|ok| **ok).count(), 1, "{both:?}");
    let task = waiting(&two, 1, NOW).await.remove(0);
    lease(&one, task.id, "a").await;
    let twice = two.tasks().lease(a_lease(task.id, "b"), NOW).await;
    assert!(twice.is_err());
    two.sweep(NOW).await.unwrap();
    assert_eq!(home.open_leases(), 1, "its process lives");
}

/// Answers what it gets, as long as there is something; gives how many lines that were.
async fn answer_all(work: &Work, worker: &str) -> u64 {
    let mut answered = 0;
    loop {
        let tasks = waiting(work, 5, NOW).await;
        if tasks.is_empty() {
            return answered;
        }
        for task in tasks {
            let lease = match work.tasks().lease(a_lease(task.id, worker), NOW).await {
                Err(LeaseError::NotWaiting) => continue,
                leased => leased.unwrap(),
            };
            let verdict = good(&task.id.line().to_string());
            let closed = work.tasks().close(lease, verdict, cost(1), NOW).await.unwrap();
            assert!(matches!(closed, Closed::Answered { .. }));
            answered += 1;
        }
    }
}

#[tokio::test]
async fn two_processes_answer_one_batch_together_and_each_line_once() {
    let home = Home::new();
    let (one, two) = (home.open(), home.open());
    let batch = begin(&one, &lines(200), json!({})).await;
    let (by_one, by_two) = tokio::join!(answer_all(&one, "one"), answer_all(&two, "two"));
    assert_eq!(by_one + by_two, 200);
    let both = tokio::join!(one.batches().write(&batch.id, NOW), two.batches().write(&batch.id, NOW));
    assert_eq!([both.0.is_ok(), both.1.is_ok()].iter().filter(|ok| **ok).count(), 1, "{both:?}");
    assert_whole(&one, &get(&one, &batch.id).await, 200).await;
}

#[tokio::test]
async fn an_ended_batch_is_forgotten_after_thirty_days_and_its_room_is_given_back() {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let home = Home::new();
    let work = home.open();
    let pages = || home.raw().query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap();
    let empty = pages();
    let batch = begin(&work, &lines(600), json!({})).await;
    drain(&work, NOW).await;
    let before = pages();
    while work.sweep(later(30 * DAY - 1)).await.unwrap() == Swept::Some {}
    let after = pages();
    assert!(before > empty + 10 && after < empty + 5, "{empty}, {before}, {after} pages");
    assert!(work.batches().get(&batch.id).await.unwrap().is_some());
    work.sweep(later(30 * DAY)).await.unwrap();
    assert!(work.batches().get(&batch.id).await.unwrap().is_none());
    // The input file's thirty days are over too; what was written stays until its owner deletes it.
    let files = work.files().list(FilePage::default()).await.unwrap().data;
    assert_eq!(files.iter().map(|file| &file.id).collect::<Vec<_>>(), [batch_output(&files)]);
}

fn batch_output(files: &[work::files::File]) -> &String {
    &files.iter().find(|file| file.filename.ends_with("_output.jsonl")).unwrap().id
}
