//! The worker's queue: whose turn it is, what is refused, and what stays.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{Home, NOW, later};
use protocol::{NodeId, Requester, canonical::sha256};
use work::{
    Endpoint, JobError, JobStatus, JsonLine, Metadata, Work,
    lent::{
        CancelLentError, LentCancel, LentEnd, LentLimits, LentOrder, NewLent, NotRunning, PutBack,
        SubmitError, Whose,
    },
};

const DAY: u64 = 24 * 60 * 60 * 1000;

fn from(requester: u8) -> Whose {
    Whose::Other(Requester::Node(NodeId::from_bytes([requester; 32])))
}

fn job(whose: Whose, order: Option<&str>) -> NewLent {
    let order = order.map(|id| LentOrder {
        id: id.into(),
        signed: format!("{{\"o\":\"{id}\"}}"),
        sha256: sha256(id.as_bytes()),
        answer_by: None,
    });
    NewLent {
        whose,
        order,
        endpoint: Endpoint::Embeddings,
        model: "m".parse().unwrap(),
        metadata: Metadata::default(),
        body: b"{\"n\":0.20}".to_vec(),
    }
}

async fn submit(work: &Work, whose: Whose, order: &str) {
    work.lent().submit(job(whose, Some(order)), LentLimits::default(), NOW).await.unwrap();
}

async fn next(work: &Work) -> Option<String> {
    work.lent().next(NOW).await.unwrap().map(|job| job.id)
}

fn done(receipt: Option<&str>) -> LentEnd {
    let result = JsonLine::new(b"{\"said\":1}".to_vec()).unwrap();
    LentEnd::Done { result, receipt: receipt.map(str::to_owned) }
}

async fn status(work: &Work, id: &str) -> JobStatus {
    work.lent().get(id).await.unwrap().unwrap().record.status
}

#[tokio::test]
async fn the_owners_work_is_first_and_requesters_take_turns() {
    let home = Home::new();
    let work = home.open();
    for n in 0..3 {
        submit(&work, from(1), &format!("one-{n}")).await;
    }
    submit(&work, from(2), "two-0").await;
    submit(&work, from(3), "three-0").await;
    submit(&work, Whose::Own, "own-0").await;
    let mut order = Vec::new();
    while let Some(id) = next(&work).await {
        order.push(id);
    }
    assert_eq!(order, ["own-0", "one-0", "two-0", "three-0", "one-1", "one-2"]);
}

#[tokio::test]
async fn the_queue_is_bounded_in_all_for_each_and_in_bytes() {
    let home = Home::new();
    let work = home.open();
    let limits = LentLimits { queued_max: 3, queued_each_max: 2, bytes_max: 60, bytes_each_max: 60 };
    let submit = async |whose, order: &str| work.lent().submit(job(whose, Some(order)), limits, NOW).await;
    submit(from(1), "a").await.unwrap();
    submit(from(1), "b").await.unwrap();
    assert!(matches!(submit(from(1), "c").await, Err(SubmitError::YoursFull)));
    submit(from(2), "d").await.unwrap();
    assert!(matches!(submit(from(3), "e").await, Err(SubmitError::QueueFull)));
    submit(Whose::Own, "f").await.unwrap();
    submit(Whose::Own, "g").await.unwrap();
    submit(Whose::Own, "h").await.unwrap();
    assert!(matches!(submit(Whose::Own, "i").await, Err(SubmitError::BytesFull)));
    assert_eq!(submit(from(1), "a").await.unwrap(), "a", "the same again is no new job");
}

#[tokio::test]
async fn one_requester_has_no_more_than_its_share_of_the_bytes() {
    let home = Home::new();
    let work = home.open();
    let new = job(from(1), Some("a"));
    let limits = LentLimits { bytes_each_max: new.body.len() as u64, ..LentLimits::default() };
    work.lent().submit(new, limits, NOW).await.unwrap();
    let more = work.lent().submit(job(from(1), Some("b")), limits, NOW).await;
    assert!(matches!(more, Err(SubmitError::YoursFull)));
    work.lent().submit(job(from(2), Some("c")), limits, NOW).await.unwrap();
}

#[tokio::test]
async fn a_job_whose_requester_does_not_say_how_long_it_waits_is_dropped_after_a_week() {
    let home = Home::new();
    let work = home.open();
    work.lent().submit(job(from(1), None), LentLimits::default(), NOW).await.unwrap();
    let week = 7 * 24 * 60 * 60 * 1000;
    assert!(work.lent().waits(later(week - 1)).await.unwrap());
    assert!(work.lent().next(later(week)).await.unwrap().is_none());
    assert!(!work.lent().waits(later(week)).await.unwrap());
}

#[tokio::test]
async fn the_same_order_again_is_the_same_job_and_anothers_is_refused() {
    let home = Home::new();
    let work = home.open();
    submit(&work, from(1), "x").await;
    submit(&work, from(1), "x").await;
    assert_eq!(work.lent().counts().await.unwrap().queued, 1);
    let other = work.lent().submit(job(from(2), Some("x")), LentLimits::default(), NOW).await;
    assert!(matches!(other, Err(SubmitError::OrderUsed)));
}

#[tokio::test]
async fn a_result_stays_until_it_is_acknowledged_and_what_became_of_it_for_thirty_days() {
    let home = Home::new();
    let work = home.open();
    submit(&work, from(1), "x").await;
    let running = work.lent().next(NOW).await.unwrap().unwrap();
    assert_eq!((running.body, running.attempts), (b"{\"n\":0.20}".to_vec(), 1));
    assert_eq!(running.order.as_deref(), Some("{\"o\":\"x\"}"));
    work.lent().end("x", done(Some("{\"receipt\":7}")), later(1)).await.unwrap();
    let shown = work.lent().get("x").await.unwrap().unwrap();
    assert!(shown.ordered() && shown.whose == from(1));
    let text = serde_json::to_value(&shown.record).unwrap();
    assert_eq!((&text["result"]["said"], &text["signedReceipt"]["receipt"]), (&1.into(), &7.into()));

    let due = work.lent().unclaimed().await.unwrap();
    assert_eq!((due.len(), due[0].receipt.as_str()), (1, "{\"receipt\":7}"));
    assert!(shown.claim_due && shown.order_sha256 == Some(sha256(b"x")));
    let acknowledged = async || {
        work.lent().acknowledged_orders(vec![sha256(b"another"), sha256(b"x")]).await.unwrap();
        work.lent().get("x").await.unwrap().unwrap()
    };
    assert!(acknowledged().await.record.result.is_some(), "not before it is claimed");
    work.lent().claimed("x").await.unwrap();
    assert!(work.lent().unclaimed().await.unwrap().is_empty());
    let left = acknowledged().await;
    assert!(left.order_sha256.is_some() && !left.claim_due);
    assert!(left.ordered() && left.record.result.is_none() && left.record.status == JobStatus::Done);
    submit(&work, from(1), "x").await;
    assert_eq!(status(&work, "x").await, JobStatus::Done, "its order does not run twice");

    work.sweep(later(30 * DAY)).await.unwrap();
    assert!(work.lent().get("x").await.unwrap().is_some());
    work.sweep(later(30 * DAY + 1)).await.unwrap();
    assert!(work.lent().get("x").await.unwrap().is_none());
}

#[tokio::test]
async fn a_job_whose_worker_dies_runs_again_with_its_order_but_not_for_ever() {
    let home = Home::new();
    let first = home.open();
    submit(&first, from(1), "x").await;
    drop(first);
    for attempt in 1..=3 {
        let work = home.open();
        work.sweep(NOW).await.unwrap();
        let job = work.lent().next(NOW).await.unwrap().unwrap();
        assert_eq!((job.id.as_str(), job.attempts), ("x", attempt));
        drop(work);
    }
    let work = home.open();
    work.sweep(NOW).await.unwrap();
    assert_eq!(next(&work).await, None);
    assert_eq!(work.lent().get("x").await.unwrap().unwrap().record.error.unwrap().kind, "worker_restarted");
}

#[tokio::test]
async fn what_a_living_process_runs_is_not_taken_from_it() {
    let home = Home::new();
    let (one, two) = (home.open(), home.open());
    submit(&one, from(1), "x").await;
    assert_eq!(next(&one).await.as_deref(), Some("x"));
    two.sweep(NOW).await.unwrap();
    assert_eq!(next(&two).await, None);
    let theirs = two.lent().end("x", done(None), NOW).await;
    assert!(matches!(theirs, Err(NotRunning::NotHere)));
    one.lent().end("x", done(None), NOW).await.unwrap();
    assert!(matches!(one.lent().end("x", done(None), NOW).await, Err(NotRunning::NotHere)));
}

#[tokio::test]
async fn what_waits_is_cancelled_and_what_runs_is_cut() {
    let home = Home::new();
    let (work, other) = (home.open(), home.open());
    submit(&work, from(1), "runs").await;
    next(&work).await.unwrap();
    submit(&work, from(1), "waits").await;
    assert_eq!(other.lent().cancel("waits", NOW).await.unwrap(), LentCancel::Cancelled);
    assert_eq!(other.lent().cancel("runs", NOW).await.unwrap(), LentCancel::Cutting);
    assert_eq!(work.lent().to_cut().await.unwrap(), ["runs"]);
    assert!(other.lent().to_cut().await.unwrap().is_empty());
    let cut = LentEnd::Cut { receipt: Some("{\"cut\":true}".into()) };
    work.lent().end("runs", cut, NOW).await.unwrap();
    let record = work.lent().get("runs").await.unwrap().unwrap().record;
    assert_eq!(
        (record.status, record.error),
        (JobStatus::Error, Some(JobError::new("cancelled", "the job was cancelled")))
    );
    assert!(record.signed_receipt.is_some());
    assert!(matches!(work.lent().cancel("runs", NOW).await, Err(CancelLentError::NotCancellable)));
    assert!(matches!(work.lent().cancel("none", NOW).await, Err(CancelLentError::NotFound)));
}

#[tokio::test]
async fn what_may_no_longer_be_answered_is_dropped_unrun() {
    let home = Home::new();
    let work = home.open();
    let mut late = job(from(1), Some("late"));
    late.order.as_mut().unwrap().answer_by = Some(later(10));
    work.lent().submit(late, LentLimits::default(), NOW).await.unwrap();
    submit(&work, from(1), "x").await;
    let job = work.lent().next(later(10)).await.unwrap().unwrap();
    assert_eq!(job.id, "x");
    assert_eq!(work.lent().get("late").await.unwrap().unwrap().record.error.unwrap().kind, "expired");
    let counts = work.lent().counts().await.unwrap();
    assert_eq!((counts.queued, counts.running, counts.error), (0, 1, 1));
}

#[tokio::test]
async fn a_job_without_an_order_has_a_name_that_nobody_guesses() {
    let home = Home::new();
    let work = home.open();
    let anonymous = Whose::Other(Requester::Anonymous);
    let submit = async || work.lent().submit(job(anonymous, None), LentLimits::default(), NOW).await.unwrap();
    let (one, two) = (submit().await, submit().await);
    assert_ne!(one, two);
    assert_eq!(one.len(), 36);
    assert!(!work.lent().get(&one).await.unwrap().unwrap().ordered());
}

#[tokio::test]
async fn what_cannot_be_run_now_waits_in_its_old_place_and_only_tries_count() {
    let home = Home::new();
    let work = home.open();
    submit(&work, from(1), "first").await;
    submit(&work, from(1), "second").await;
    for attempt in [PutBack::Untried, PutBack::Tried] {
        let job = work.lent().next(NOW).await.unwrap().unwrap();
        assert_eq!((job.id.as_str(), job.attempts, job.endpoint), ("first", 1, Endpoint::Embeddings));
        work.lent().put_back("first", attempt, later(10), NOW).await.unwrap();
        assert_eq!(status(&work, "first").await, JobStatus::Queued);
        assert_eq!(next(&work).await.as_deref(), Some("second"), "who can run goes on");
        work.lent().put_back("second", PutBack::Untried, NOW, NOW).await.unwrap();
        let raw = home.raw();
        raw.execute("UPDATE lent SET held_until = 0 WHERE id = 'first' AND attempts = 0", []).unwrap();
    }
    assert_eq!(next(&work).await.as_deref(), Some("second"));
    assert!(!work.lent().waits(later(9)).await.unwrap() && work.lent().waits(later(10)).await.unwrap());
    assert_eq!(work.lent().next(later(10)).await.unwrap().unwrap().attempts, 2);
    work.lent().cancel("first", NOW).await.unwrap();
    work.lent().put_back("first", PutBack::Tried, NOW, NOW).await.unwrap();
    assert_eq!(status(&work, "first").await, JobStatus::Error, "a cancelled one ends in place of it");
    let theirs = work.lent().put_back("first", PutBack::Tried, NOW, NOW).await;
    assert!(matches!(theirs, Err(NotRunning::NotHere)));
}

#[tokio::test]
async fn what_waits_is_listed_with_its_order_and_what_is_over_is_told_from_what_is_not() {
    let home = Home::new();
    let work = home.open();
    for id in ["runs", "waits", "over"] {
        submit(&work, from(1), id).await;
    }
    next(&work).await.unwrap();
    work.lent().cancel("over", NOW).await.unwrap();
    let queued = work.lent().queued().await.unwrap();
    assert_eq!((queued.len(), queued[0].id.as_str(), queued[0].whose), (1, "waits", from(1)));
    assert_eq!(queued[0].order.as_deref(), Some("{\"o\":\"waits\"}"));
    let ids = ["runs", "waits", "over", "unknown"].map(str::to_owned).to_vec();
    assert_eq!(work.lent().over(ids).await.unwrap(), ["over", "unknown"]);
}
