//! Leases: budgets, twins, retries, turns, and what follows a death.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW, a_lease, assert_whole, bad, begin, close, cost, credits, drain, get, good, later, lease, line,
    line_for, lines, retry, waiting, written,
};
use protocol::Credits;
use serde_json::json;
use std::collections::HashMap;
use work::{
    Endpoint, Metadata, Work,
    batches::BatchStatus,
    jobs::NewJob,
    tasks::{Charge, CloseError, Closed, Cost, LeaseError, NewLease, TaskId, Verdict, Wanted},
};

fn reserving(task: TaskId, amount: u64) -> NewLease {
    NewLease { reserved: credits(amount), ..a_lease(task, "friend") }
}

fn ordered(task: TaskId, order: &str) -> NewLease {
    NewLease { order_id: Some(order.into()), answer_by: Some(later(1000)), ..a_lease(task, "friend") }
}

#[tokio::test]
async fn what_a_try_may_cost_that_nobody_heard_of_is_not_spent_on_others_until_it_is_known() {
    let home = Home::new();
    let work = home.open();
    let batch = begin(&work, &lines(3), json!({"max_credits": "10"})).await;
    let tasks = waiting(&work, 3, NOW).await;
    let unheard = Charge { cost: Cost::Unheard, ..Charge::default() };
    for (task, order, verdict) in [(&tasks[0], "one", retry(later(1))), (&tasks[1], "two", Verdict::Cut)] {
        let lease = NewLease { reserved: credits(4), ..ordered(task.id, order) };
        let lease = work.tasks().lease(lease, NOW).await.unwrap();
        work.tasks().close(lease, verdict, unheard, NOW).await.unwrap();
    }
    let refused = work.tasks().lease(reserving(tasks[2].id, 3), NOW).await;
    assert!(matches!(refused, Err(LeaseError::OverBudget { left }) if left == credits(2)), "{refused:?}");
    let open = work.tasks().unheard(0, 10).await.unwrap();
    let cancels: Vec<_> = open.iter().map(|one| (one.order_id.as_str(), one.cancel_until)).collect();
    assert_eq!(cancels, [("one", None), ("two", Some(later(1000)))], "what was cut is to be cancelled there");
    assert_eq!(work.tasks().unheard(open[0].place, 10).await.unwrap(), open[1..]);
    work.tasks().cancel_heard("two").await.unwrap();
    assert_eq!(work.tasks().unheard(open[0].place, 10).await.unwrap()[0].cancel_until, None);

    let work = {
        drop(work);
        home.open()
    };
    let account = async || {
        let progress = work.batches().progress(&batch.id).await.unwrap().unwrap();
        [progress.spent, progress.reserved, progress.unheard].map(Credits::get)
    };
    assert_eq!(account().await, [0, 0, 8]);
    for _twice in 0..2 {
        work.tasks().heard("one", credits(3), NOW).await.unwrap();
        assert_eq!(account().await, [3, 0, 4]);
    }
    work.tasks().heard("two", Credits::ZERO, NOW).await.unwrap();
    assert_eq!(account().await, [3, 0, 0]);
    assert!(work.tasks().unheard(0, 10).await.unwrap().is_empty());
    work.tasks().lease(reserving(tasks[2].id, 7), NOW).await.unwrap();
}

#[tokio::test]
async fn a_batch_never_spends_more_than_its_owner_said() {
    let home = Home::new();
    let work = home.open();
    let batch = begin(&work, &lines(4), json!({"max_credits": "10"})).await;
    let tasks = waiting(&work, 4, NOW).await;
    assert_eq!(tasks[0].terms.as_ref().unwrap().left, Some(credits(10)));
    let first = work.tasks().lease(reserving(tasks[0].id, 6), NOW).await.unwrap();
    let refused = work.tasks().lease(reserving(tasks[1].id, 5), NOW).await;
    assert!(matches!(refused, Err(LeaseError::OverBudget { left }) if left == credits(4)), "{refused:?}");
    work.tasks().close(first, good("1"), cost(2), NOW).await.unwrap();
    let second = work.tasks().lease(reserving(tasks[1].id, 8), NOW).await.unwrap();
    let spent = ("max_credits_reached", "the batch has spent what it may");
    let stop = async |left| work.batches().stop(&batch.id, credits(left), spent, NOW).await.unwrap();
    work.tasks().close(second, good("2"), cost(6), NOW).await.unwrap();
    assert_eq!(stop(1).await, None, "it was short while the second ran, and is not any more");
    let third = work.tasks().lease(reserving(tasks[2].id, 2), NOW).await.unwrap();
    work.tasks().close(third, good("3"), cost(2), NOW).await.unwrap();
    assert_eq!(waiting(&work, 1, NOW).await[0].terms.as_ref().unwrap().left, Some(credits(0)));
    assert!(stop(0).await.is_some());
    drain(&work, NOW).await;
    let batch = get(&work, &batch.id).await;
    assert_eq!(batch.status, BatchStatus::Completed);
    assert_whole(&work, &batch, 4).await;
    let (_, errors) = written(&work, &batch).await;
    assert!(errors.iter().all(|line| line["error"]["code"] == "max_credits_reached"));
    let progress = work.batches().progress(&batch.id).await.unwrap().unwrap();
    assert_eq!((progress.spent, progress.max_credits), (credits(10), Some(credits(10))));
}

#[tokio::test]
async fn of_two_twins_the_first_good_answer_wins_and_both_are_paid() {
    let home = Home::new();
    let work = home.open();
    let batch = begin(&work, &lines(1), json!({"hedge": "true"})).await;
    let task = waiting(&work, 1, NOW).await.remove(0).id;
    let slow = lease(&work, task, "slow").await;
    assert!(work.tasks().hedgeable(later(0), 10).await.unwrap().len() == 1);
    let hedge = |worker: &str| NewLease { hedge: true, ..a_lease(task, worker) };
    assert!(matches!(work.tasks().lease(hedge("slow"), NOW).await, Err(LeaseError::NotWaiting)));
    let quick = work.tasks().lease(hedge("quick"), later(5)).await.unwrap();
    assert!(matches!(work.tasks().lease(hedge("third"), NOW).await, Err(LeaseError::NotWaiting)));
    assert!(work.tasks().hedgeable(later(0), 10).await.unwrap().is_empty(), "it is hedged");

    let Closed::Answered { losers } = close(&work, quick, good("1")).await else { panic!("not answered") };
    assert_eq!(losers.iter().map(|lease| lease.id).collect::<Vec<_>>(), [slow]);
    assert_eq!(work.tasks().to_cancel().await.unwrap(), losers);
    assert_eq!(close(&work, slow, Verdict::Cut).await, Closed::Late);
    drain(&work, NOW).await;
    let batch = get(&work, &batch.id).await;
    assert_whole(&work, &batch, 1).await;
    let progress = work.batches().progress(&batch.id).await.unwrap().unwrap();
    assert_eq!(progress.spent, credits(2));
    let lane = |name: &str| progress.workers.iter().find(|worker| worker.worker == name).unwrap().clone();
    assert_eq!((lane("quick").answered, lane("slow").answered, lane("slow").credits), (1, 0, credits(1)));
}

#[tokio::test]
async fn a_twin_that_fails_leaves_the_task_to_the_other() {
    let home = Home::new();
    let work = home.open();
    begin(&work, &lines(1), json!({"hedge": "true"})).await;
    let task = waiting(&work, 1, NOW).await.remove(0).id;
    let one = lease(&work, task, "one").await;
    let two = work.tasks().lease(NewLease { hedge: true, ..a_lease(task, "two") }, NOW).await.unwrap();
    assert_eq!(close(&work, one, bad(400)).await, Closed::LeftToTwin);
    assert!(waiting(&work, 1, NOW).await.is_empty());
    assert!(matches!(close(&work, two, good("1")).await, Closed::Answered { .. }));
}

#[tokio::test]
async fn a_batch_that_does_not_ask_for_it_is_not_hedged() {
    let home = Home::new();
    let work = home.open();
    begin(&work, &lines(1), json!({})).await;
    let task = waiting(&work, 1, NOW).await.remove(0).id;
    lease(&work, task, "one").await;
    assert!(work.tasks().hedgeable(later(0), 10).await.unwrap().is_empty());
    let hedge = work.tasks().lease(NewLease { hedge: true, ..a_lease(task, "two") }, NOW).await;
    assert!(matches!(hedge, Err(LeaseError::NotWaiting)));
}

#[tokio::test]
async fn a_retry_waits_its_time_behind_what_was_never_tried() {
    let home = Home::new();
    let work = home.open();
    begin(&work, &lines(2), json!({})).await;
    let first = waiting(&work, 1, NOW).await.remove(0).id;
    let tried = lease(&work, first, "friend").await;
    assert_eq!(close(&work, tried, retry(later(500))).await, Closed::Waiting);
    assert!(matches!(work.tasks().close(tried, good("1"), cost(1), NOW).await, Err(CloseError::NotOpen)));
    let now: Vec<_> = waiting(&work, 9, later(499)).await.iter().map(|task| task.id.line()).collect();
    assert_eq!(now, [2]);
    let then = waiting(&work, 9, later(500)).await;
    assert_eq!(then.iter().map(|task| (task.id.line(), task.attempts)).collect::<Vec<_>>(), [(2, 0), (1, 1)]);
}

#[tokio::test]
async fn after_a_death_orders_are_found_again_and_local_work_waits_again() {
    let home = Home::new();
    let dead = home.open();
    begin(&dead, &lines(2), json!({})).await;
    let tasks = waiting(&dead, 2, NOW).await;
    let with_order = dead.tasks().lease(ordered(tasks[0].id, "order-1"), NOW).await.unwrap();
    lease(&dead, tasks[1].id, "local").await;
    dead.close();
    drop(dead);

    let work = home.open();
    work.sweep(NOW).await.unwrap();
    let adopted = work.tasks().adopt().await.unwrap();
    assert_eq!(adopted.iter().map(|lease| lease.id).collect::<Vec<_>>(), [with_order]);
    assert_eq!(adopted[0].order_id.as_deref(), Some("order-1"));
    assert_eq!(home.open_leases(), 1);
    assert!(work.tasks().adopt().await.unwrap().is_empty());
    let again = waiting(&work, 9, NOW).await;
    assert_eq!(again.iter().map(|task| (task.id, task.attempts)).collect::<Vec<_>>(), [(tasks[1].id, 1)]);
}

#[tokio::test]
async fn an_order_is_leased_once() {
    let home = Home::new();
    let work = home.open();
    begin(&work, &lines(2), json!({})).await;
    let tasks = waiting(&work, 2, NOW).await;
    work.tasks().lease(ordered(tasks[0].id, "order-1"), NOW).await.unwrap();
    let twice = work.tasks().lease(ordered(tasks[1].id, "order-1"), NOW).await;
    assert!(matches!(twice, Err(LeaseError::OrderUsed)));
}

#[tokio::test]
async fn a_hundred_batches_and_a_job_are_served_in_turns() {
    const BATCHES: usize = 100;
    let home = Home::new();
    let work = home.open();
    // Those that came first have the most to do.
    for n in 0..BATCHES {
        begin(&work, &lines(if n < 3 { 60 } else { 6 }), json!({})).await;
    }
    a_job(&work).await;
    let mut served: HashMap<_, u32> = HashMap::new();
    for round in 1..=5 {
        // In lots that do not divide the number of groups, so that turns go on where they ended.
        let mut left = BATCHES + usize::from(round == 1);
        while left > 0 {
            for task in waiting(&work, left.min(7), NOW).await {
                let leased = lease(&work, task.id, "friend").await;
                close(&work, leased, good("x")).await;
                *served.entry(task.terms.map(|terms| terms.id.clone())).or_default() += 1;
                left -= 1;
            }
        }
        let counts: Vec<_> = served.iter().filter(|(id, _)| id.is_some()).map(|(_, count)| *count).collect();
        assert_eq!(counts, [round; BATCHES]);
    }
    assert_eq!(served[&None], 1);
}

#[tokio::test]
async fn a_model_that_is_busy_does_not_stand_before_others() {
    let home = Home::new();
    let work = home.open();
    let text = [line_for("big", 1), line_for("big", 2), line_for("small", 3)].concat();
    begin(&work, &text, json!({})).await;
    let wanted = Wanted { limit: 1, busy: ["big".parse().unwrap()].into() };
    let found = work.tasks().waiting(wanted, NOW).await.unwrap();
    assert_eq!(found.iter().map(|task| task.id.line()).collect::<Vec<_>>(), [3]);
    assert_eq!(waiting(&work, 9, NOW).await.len(), 3);
}

#[tokio::test]
async fn lines_of_a_model_that_nobody_has_fail_and_the_others_go_on() {
    let home = Home::new();
    let work = home.open();
    let text = [line_for("none", 1), line_for("none", 2), line(3)].concat();
    let batch = begin(&work, &text, json!({})).await;
    assert_eq!(batch.model, None);
    let running = lease(&work, waiting(&work, 1, NOW).await[0].id, "friend").await;
    let error = ("model_not_found", "nobody has it");
    work.tasks().fail_model(&batch.id, &"none".parse().unwrap(), error, NOW).await.unwrap();
    assert_eq!(get(&work, &batch.id).await.request_counts.failed, 1);
    assert_eq!(close(&work, running, retry(NOW)).await, Closed::Failed);
    drain(&work, NOW).await;
    let batch = get(&work, &batch.id).await;
    assert_whole(&work, &batch, 3).await;
    let (_, errors) = written(&work, &batch).await;
    assert!(errors.iter().all(|line| line["error"]["code"] == "model_not_found"), "{errors:?}");
}

#[tokio::test]
async fn a_task_that_nobody_can_be_asked_for_is_given_up() {
    let home = Home::new();
    let work = home.open();
    let batch = begin(&work, &lines(2), json!({})).await;
    let tasks = waiting(&work, 2, NOW).await;
    work.tasks().give_up(tasks[0].id, ("too_large", "no worker takes it"), NOW).await.unwrap();
    assert!(work.tasks().give_up(tasks[0].id, ("again", "no"), NOW).await.is_err());
    drain(&work, NOW).await;
    let batch = get(&work, &batch.id).await;
    assert_whole(&work, &batch, 2).await;
    assert_eq!(batch.request_counts.failed, 1);
}

async fn a_job(work: &Work) {
    let job = NewJob {
        endpoint: Endpoint::ChatCompletions,
        body: br#"{"model":"m","messages":[]}"#.to_vec(),
        metadata: Metadata::default(),
        idempotency: None,
    };
    work.jobs().submit(job, NOW).await.unwrap();
}
