//! Jobs of the gateway: submitted, polled, cancelled, forgotten.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{Home, NOW, bad, close, cost, good, later, lease, waiting};
use serde_json::json;
use work::{
    Created, Endpoint, Idempotency, JobStatus, Metadata, Work,
    jobs::{CancelJobError, NewJob, SubmitJobError},
    tasks::{Charge, Closed},
};

async fn submit(work: &Work, key: Option<(&str, &str)>) -> Result<Created<String>, SubmitJobError> {
    let job = NewJob {
        endpoint: Endpoint::ChatCompletions,
        body: br#"{"model":"m","messages":[],"temperature":0.20}"#.to_vec(),
        metadata: Metadata::new([("a".to_owned(), "b".to_owned())].into()).unwrap(),
        idempotency: key.map(|(key, body)| Idempotency::new(key, body.as_bytes()).unwrap()),
    };
    work.jobs().submit(job, NOW).await
}

#[tokio::test]
async fn a_job_is_polled_until_it_has_its_result() {
    let home = Home::new();
    let work = home.open();
    let id = submit(&work, None).await.unwrap().into_inner();
    let status = async || work.jobs().get(&id).await.unwrap().unwrap().status;
    assert_eq!(status().await, JobStatus::Queued);
    let task = waiting(&work, 1, NOW).await.remove(0);
    assert_eq!(
        work.tasks().body(task.id).await.unwrap(),
        br#"{"model":"m","messages":[],"temperature":0.20}"#
    );
    assert_eq!(work.jobs().task_of(&id).await.unwrap(), Some(task.id));
    let leased = lease(&work, task.id, "friend").await;
    assert_eq!(status().await, JobStatus::Running);
    work.tasks().close(leased, good("hi"), cost(1), later(9)).await.unwrap();
    let shown = serde_json::to_value(work.jobs().get(&id).await.unwrap().unwrap()).unwrap();
    let expected = json!({"jobId": id, "status": "done", "createdAt": NOW.as_millis(), "startedAt": NOW.as_millis(),
        "completedAt": later(9).as_millis(), "result": {"said": "hi"}, "metadata": {"a": "b"}});
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_job_submitted_twice_with_one_key_is_one_job() {
    let home = Home::new();
    let work = home.open();
    let Created::New(id) = submit(&work, Some(("k", "body"))).await.unwrap() else { panic!("not new") };
    assert_eq!(submit(&work, Some(("k", "body"))).await.unwrap(), Created::Before(id));
    assert!(matches!(submit(&work, Some(("k", "other"))).await, Err(SubmitJobError::KeyUsed)));
    assert_eq!(waiting(&work, 9, NOW).await.len(), 1);
}

#[tokio::test]
async fn a_cancelled_job_is_over_at_once_and_its_worker_is_told() {
    let home = Home::new();
    let work = home.open();
    let id = submit(&work, None).await.unwrap().into_inner();
    let task = waiting(&work, 1, NOW).await.remove(0);
    let leased = lease(&work, task.id, "friend").await;
    let told = work.jobs().cancel(&id, NOW).await.unwrap();
    assert_eq!((told[0].id, work.tasks().to_cancel().await.unwrap()), (leased, told));
    let record = work.jobs().get(&id).await.unwrap().unwrap();
    assert_eq!((record.status, record.error.unwrap().kind.as_str()), (JobStatus::Error, "cancelled"));
    let late = work.tasks().close(leased, good("1"), Charge::default(), NOW).await.unwrap();
    assert_eq!(late, Closed::Late);
    assert!(matches!(work.jobs().cancel(&id, NOW).await, Err(CancelJobError::NotCancellable)));
    assert!(matches!(work.jobs().cancel("none", NOW).await, Err(CancelJobError::NotFound)));
}

#[tokio::test]
async fn a_refused_job_says_what_the_upstream_said() {
    let home = Home::new();
    let work = home.open();
    let id = submit(&work, None).await.unwrap().into_inner();
    let leased = lease(&work, waiting(&work, 1, NOW).await[0].id, "friend").await;
    close(&work, leased, bad(400)).await;
    let error = work.jobs().get(&id).await.unwrap().unwrap().error.unwrap();
    assert_eq!((error.kind.as_str(), error.message.as_str()), ("upstream_error", "no"));
}

#[tokio::test]
async fn jobs_end_after_seven_days_and_are_forgotten_after_thirty_more() {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let home = Home::new();
    let work = home.open();
    let id = submit(&work, None).await.unwrap().into_inner();
    work.sweep(later(7 * DAY)).await.unwrap();
    assert_eq!(work.jobs().get(&id).await.unwrap().unwrap().error.unwrap().kind, "expired");
    work.sweep(later(37 * DAY - 1)).await.unwrap();
    assert!(work.jobs().get(&id).await.unwrap().is_some());
    work.sweep(later(37 * DAY)).await.unwrap();
    assert!(work.jobs().get(&id).await.unwrap().is_none());
    assert!(waiting(&work, 9, later(37 * DAY)).await.is_empty());
}
