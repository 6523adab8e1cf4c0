//! Whatever happens in whatever order, no line is lost and none is answered twice: random lives of a node
//! against what each step said.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW, assert_whole, bad, begin, cost, credits, custom_ids, get, good, later, lines, retry, written,
};
use proptest::prelude::*;
use protocol::Credits;
use serde_json::json;
use std::collections::BTreeSet;
use work::{
    Work,
    batches::{Batch, BatchStatus},
    tasks::{CloseError, Closed, LeaseId, NewLease, TaskId, Verdict, Wanted},
};

const LINES: u64 = 3;
const BATCHES: usize = 2;
const BUDGET: u64 = 16;
const RESERVED: u64 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// Lease the nth of what waits; with an order, or locally.
    Lease {
        nth: usize,
        order: bool,
    },
    /// Try the nth that may be hedged again.
    Hedge(usize),
    /// Close the nth open lease with this.
    Close(usize, End),
    /// The process dies and another begins.
    Crash,
    Cancel(usize),
    Expire,
    Stop(usize),
    FailModel(usize),
    GiveUp(usize),
    Write,
    Sweep,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Good,
    Bad,
    Retry,
    Fail,
    Cut,
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        6 => Just(End::Good),
        1 => Just(End::Bad),
        2 => Just(End::Retry),
        1 => Just(End::Fail),
        1 => Just(End::Cut),
    ];
    prop_oneof![
        12 => (0..9usize, any::<bool>()).prop_map(|(nth, order)| Step::Lease { nth, order }),
        8 => (0..3usize).prop_map(Step::Hedge),
        12 => (0..9usize, end).prop_map(|(nth, end)| Step::Close(nth, end)),
        2 => Just(Step::Crash),
        1 => (0..BATCHES).prop_map(Step::Cancel),
        1 => Just(Step::Expire),
        1 => (0..BATCHES).prop_map(Step::Stop),
        1 => (0..BATCHES).prop_map(Step::FailModel),
        1 => (0..9usize).prop_map(Step::GiveUp),
        2 => Just(Step::Write),
        1 => Just(Step::Sweep),
    ]
}

/// A node, and what it was told.
struct World {
    home: Home,
    work: Work,
    batches: Vec<String>,
    open: Vec<(LeaseId, TaskId, bool)>,
    /// Lines of which it said that they are answered, by batch and `custom_id`.
    answered: BTreeSet<(String, String)>,
    orders: u64,
    day: u64,
}

impl World {
    async fn new() -> Self {
        let home = Home::new();
        let work = home.open();
        let mut batches = Vec::new();
        for _ in 0..BATCHES {
            let metadata = json!({"max_credits": BUDGET.to_string(), "hedge": "true"});
            batches.push(begin(&work, &lines(LINES), metadata).await.id);
        }
        let (open, answered) = (Vec::new(), BTreeSet::new());
        Self { home, work, batches, open, answered, orders: 0, day: 0 }
    }

    async fn lease(&mut self, task: TaskId, order: bool, hedge: bool) {
        self.orders += 1;
        let lease = NewLease {
            task,
            worker: format!("w{}", self.orders % 3),
            order_id: order.then(|| format!("order-{}", self.orders)),
            reserved: credits(RESERVED),
            answer_by: order.then(|| later(1000)),
            warm: false,
            hedge,
        };
        if let Ok(id) = self.work.tasks().lease(lease, NOW).await {
            self.open.push((id, task, order));
        }
    }

    async fn close(&mut self, nth: usize, end: End) {
        let (id, task, _) = self.open.remove(nth % self.open.len());
        let verdict = match end {
            End::Good => good(&task.line().to_string()),
            End::Bad => bad(500),
            End::Retry => retry(NOW),
            End::Fail => Verdict::Failed { code: "c".into(), message: "m".into() },
            End::Cut => Verdict::Cut,
        };
        let batch = task.to_string().split('.').next().unwrap().parse::<usize>().unwrap() - 1;
        match self.work.tasks().close(id, verdict, cost(RESERVED), NOW).await {
            Ok(Closed::Answered { .. }) => {
                let line = (self.batches[batch].clone(), common::custom_id(task.line()));
                assert!(self.answered.insert(line), "answered twice");
            }
            Ok(_) => {}
            Err(error) => assert!(matches!(error, CloseError::NotOpen), "{error:?}"),
        }
    }

    async fn take(&mut self, step: Step) {
        let wanted = Wanted { limit: 20, ..Wanted::default() };
        match step {
            Step::Lease { nth, order } => {
                let waiting = self.work.tasks().waiting(wanted, NOW).await.unwrap();
                if let Some(task) = waiting.get(nth % waiting.len().max(1)) {
                    self.lease(task.id, order, false).await;
                }
            }
            Step::Hedge(nth) => {
                let slow = self.work.tasks().hedgeable(NOW, 9).await.unwrap();
                if let Some((lease, _)) = slow.get(nth) {
                    self.lease(lease.task, true, true).await;
                }
            }
            Step::Close(nth, end) if !self.open.is_empty() => self.close(nth, end).await,
            Step::Close(..) => {}
            Step::Crash => self.crash().await,
            Step::Cancel(n) => drop(self.work.batches().cancel(&self.batches[n], NOW).await),
            Step::Expire => {
                self.day += 1;
                self.work.batches().expire(later(self.day * 12 * 3_600_000)).await.unwrap();
            }
            Step::Stop(n) => {
                drop(self.work.batches().stop(&self.batches[n], Credits::MAX, ("spent", "m"), NOW).await)
            }
            Step::FailModel(n) => {
                let model = "llama3.1:8b".parse().unwrap();
                drop(self.work.tasks().fail_model(&self.batches[n], &model, ("gone", "m"), NOW).await);
            }
            Step::GiveUp(nth) => {
                let waiting = self.work.tasks().waiting(wanted, NOW).await.unwrap();
                if let Some(task) = waiting.get(nth) {
                    self.work.tasks().give_up(task.id, ("none", "m"), NOW).await.unwrap();
                }
            }
            Step::Write => self.write().await,
            Step::Sweep => drop(self.work.sweep(NOW).await.unwrap()),
        }
    }

    async fn crash(&mut self) {
        self.work.close();
        self.work = self.home.open();
        self.work.sweep(NOW).await.unwrap();
        let adopted = self.work.tasks().adopt().await.unwrap();
        self.open.retain(|(_, _, order)| *order);
        let expected: BTreeSet<_> = self.open.iter().map(|(id, ..)| *id).collect();
        assert_eq!(adopted.iter().map(|lease| lease.id).collect::<BTreeSet<_>>(), expected);
    }

    async fn write(&mut self) {
        for id in self.work.batches().to_write().await.unwrap() {
            self.work.batches().write(&id, NOW).await.unwrap();
        }
    }

    /// What holds at any time.
    async fn assert_sound(&self) {
        for id in &self.batches {
            let progress = self.work.batches().progress(id).await.unwrap().unwrap();
            let (spent, reserved) = (progress.spent.get(), progress.reserved.get());
            assert!(spent + reserved <= BUDGET, "{spent} and {reserved}");
            let mine = self.answered.iter().filter(|(batch, _)| batch == id).count() as u64;
            assert_eq!(progress.batch.request_counts.completed, mine);
        }
        assert_eq!(self.home.open_leases(), self.open.len());
    }

    /// Brings everything to its end.
    async fn finish(&mut self) {
        while !self.open.is_empty() {
            self.close(0, End::Good).await;
        }
        for id in self.batches.clone() {
            // What is left over may cost more than there is.
            drop(self.work.batches().stop(&id, Credits::MAX, ("spent", "m"), NOW).await);
        }
        self.write().await;
        self.assert_sound().await;
        for id in &self.batches {
            let batch: Batch = get(&self.work, id).await;
            assert!(!matches!(batch.status, BatchStatus::InProgress | BatchStatus::Finalizing), "{batch:?}");
            assert_whole(&self.work, &batch, LINES).await;
            let (output, _) = written(&self.work, &batch).await;
            let mine = self.answered.iter().filter(|(batch, _)| batch == id).map(|(_, line)| line.clone());
            assert_eq!(custom_ids(&output), mine.collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn no_line_is_lost_and_none_is_answered_twice(steps in prop::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.take(step).await;
                world.assert_sound().await;
            }
            world.finish().await;
        });
    }
}
