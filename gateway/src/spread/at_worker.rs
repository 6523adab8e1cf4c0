//! A job at a worker: given, asked after until it has ended, cancelled (docs/protocol.md, section 13).
//!
//! Every question here may be asked twice: the same order again is the same job, and a record is read as often
//! as one likes. So where an answer did not arrive the worker is asked what it knows, and nothing is sent that
//! would run a second time.

use super::{
    asking::{ANSWERED_WITHIN, Given, Heard},
    came::{Came, Said},
    record,
    waking::Waking,
};
use crate::{
    breaker::Admission, clock, node::Node, orders::Placed, outcome::Reason, upstream::Upstream, witness::Saw,
};
use bytes::Bytes;
use http::Method;
use parking_lot::Mutex;
use protocol::{Order, Timestamp, canonical::sha256};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use work::{Endpoint, JobRecord};

/// The worker answers when the job has ended, or after this.
const LONG_POLL: Duration = Duration::from_secs(30);

/// A worker that cannot be reached is asked again after this; twice as long each time ...
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// ... up to this. Its answer may be there the moment it is back.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// An order is brought so many times to a worker that says it never had it.
const GIVEN_MAX: u32 = 3;

/// After the end of a lease its worker is asked once more for what it had by then. (Longer, where the machine slept
/// over it: `waking.rs`.)
const LAST_LOOK_AFTER: Duration = Duration::from_secs(1);

/// A question that came before the job did is asked again after this.
const OVERTAKEN_WITHIN: Duration = Duration::from_millis(1500);

/// What is being cut is given as soon as it is.
const CUT_POLL: &str = "?wait=5";

/// What a cut makes is waited for so long; its receipt is collected later otherwise.
const CUT_WITHIN: Duration = Duration::from_secs(15);

/// A job at its worker.
pub(super) struct AtWorker<'n> {
    pub(super) node: &'n Node,
    pub(super) placed: Placed,
    pub(super) endpoint: Endpoint,
    /// Ends when the task is not wanted any more.
    pub(super) cancel: CancellationToken,
    pub(super) waking: &'n Mutex<Waking>,
}

/// What is done next.
enum Next {
    Give,
    Look,
}

impl AtWorker<'_> {
    /// Gives the job to its worker, and follows it to its end. `body` is what was ordered, to be had again
    /// where it is needed again; `given` says whether it may be there already.
    pub(super) async fn run<B>(&self, given: bool, body: impl Fn() -> B) -> Came
    where
        B: Future<Output = Option<Bytes>>,
    {
        let follow = self.follow(given, body);
        let came = tokio::select! {
            biased;
            came = follow => came,
            () = self.cancel.cancelled() => self.cut().await,
            () = self.node.stopping.cancelled() => Came::of(Said::Left),
        };
        self.witness(&came).await;
        came
    }

    /// Remembers what there was of an answer: a receipt that comes later is worth no more than that.
    async fn witness(&self, came: &Came) {
        match came.saw {
            None => {}
            Some(Saw::Nothing) if came.papers.is_none() => self.placed.forget(self.node).await,
            Some(saw) => self.placed.saw(saw),
        }
    }

    async fn follow<B>(&self, given: bool, body: impl Fn() -> B) -> Came
    where
        B: Future<Output = Option<Bytes>>,
    {
        let mut next = if given { Next::Look } else { Next::Give };
        let mut times_given = 0;
        let mut pause = PAUSE_MIN;
        loop {
            let late = self.is_over();
            let trouble = match next {
                Next::Give if late => return Came::nothing(Reason::TimedOut).seen(Saw::Nothing),
                Next::Give => {
                    times_given += 1;
                    let Some(body) = body().await.filter(|body| self.is_ordered(body)) else {
                        return Came::bad("what was ordered cannot be sent again").seen(Saw::Nothing);
                    };
                    next = Next::Look;
                    match self.give(body).await {
                        Given::Taken => continue,
                        Given::Refused(reason) if reason.is_refusal() => {
                            return Came::nothing(reason).seen(Saw::Nothing);
                        }
                        Given::Refused(reason) => return Came::nothing(reason),
                        Given::Wrong(refusal) => return Came::of(Said::Wrong(refusal)).seen(Saw::Nothing),
                        Given::Trouble(why) => why,
                    }
                }
                Next::Look => match self.look(LONG_POLL).await {
                    Heard::Record(record) => match (record.started_at, self.read(record)) {
                        (_, Some(came)) => return came,
                        (begun, None) if late => return self.too_late(begun.is_some()).await,
                        (_, None) => {
                            if pause > PAUSE_MIN {
                                // It is back.
                                self.upstream().into_iter().for_each(|upstream| upstream.succeeded());
                            }
                            pause = PAUSE_MIN;
                            continue;
                        }
                    },
                    Heard::Unknown if late || times_given >= GIVEN_MAX || self.has_expired() => {
                        return Came::bad("it does not have the job").seen(Saw::Nothing);
                    }
                    Heard::Unknown => {
                        next = Next::Give;
                        continue;
                    }
                    Heard::Trouble(why) => why,
                },
            };
            if late && !self.slept_over() {
                return Came::nothing(Reason::TimedOut);
            }
            self.note_trouble(&trouble);
            sleep(if late { pause } else { pause.min(self.time_left()) }).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// What a record says that is not of something cancelled; `None` while it waits or runs.
    fn read(&self, record: JobRecord) -> Option<Came> {
        let order = self.placed.order();
        match record::read(record, order, false)? {
            Came { said: Said::Unbegun, .. } if !is_nearly_over(order, clock::now()) => {
                Some(Came::bad("it dropped the job long before its time").seen(Saw::Nothing))
            }
            came => Some(came),
        }
    }

    /// Whether the lease ran out while this machine slept, and its worker may be reached yet.
    fn slept_over(&self) -> bool {
        let (order, now) = (self.placed.order(), Instant::now());
        let mut waking = self.waking.lock();
        waking.look(clock::now(), now);
        order.answer_by.is_some_and(|by| waking.slept_over(order.created_at, by, now))
    }

    fn note_trouble(&self, why: &str) {
        let worker = self.placed.order().worker;
        tracing::debug!(worker = %worker.short(), why, "a worker that has a job cannot be asked now");
        let now = Instant::now();
        // Once is enough for all jobs that it has.
        let upstream = self.upstream().filter(|upstream| upstream.admission(now) == Admission::Admitting);
        upstream.into_iter().for_each(|upstream| upstream.failed(now));
    }

    /// The worker, where the owner listed it.
    fn upstream(&self) -> Option<Arc<Upstream>> {
        let worker = self.placed.order().worker;
        self.node.upstreams.all().iter().find(|one| one.node() == Some(worker)).map(Arc::clone)
    }

    /// Until after the end of the lease, when there is one last look.
    pub(super) fn time_left(&self) -> Duration {
        let Some(by) = self.placed.order().answer_by else { return Duration::MAX };
        Duration::from_millis(by.millis_since(clock::now())) + LAST_LOOK_AFTER
    }

    fn is_over(&self) -> bool {
        self.placed.order().answer_by.is_some_and(|by| clock::now() > by)
    }

    fn has_expired(&self) -> bool {
        clock::now() > self.placed.order().expires_at
    }

    fn is_ordered(&self, body: &Bytes) -> bool {
        sha256(body) == self.placed.order().body_sha256
    }

    /// It waits or runs still, and nobody would pay for it any more: it need not go on.
    async fn too_late(&self, begun: bool) -> Came {
        let nothing = || Came::of(if begun { Said::Nothing(Reason::TimedOut) } else { Said::Unbegun });
        let ended = match self.ask(Method::DELETE, "", ANSWERED_WITHIN).await {
            Heard::Record(record) => record::read(record, self.placed.order(), false),
            Heard::Unknown | Heard::Trouble(_) => None,
        };
        match ended {
            Some(came @ Came { said: Said::Answered(_), .. }) => came,
            Some(came) => Came { said: nothing().said, ..came },
            None => nothing().seen(Saw::Nothing),
        }
    }

    /// Cancels the job; what it made until then is paid for. A worker that is not heard is told again in the
    /// background (`unheard.rs`).
    async fn cut(&self) -> Came {
        tokio::time::timeout(CUT_WITHIN, self.told_to_leave()).await.unwrap_or_else(|_| Came::of(Said::Cut))
    }

    async fn told_to_leave(&self) -> Came {
        let mut method = Method::DELETE;
        let mut overtook = false;
        loop {
            let query = if method == Method::GET { CUT_POLL } else { "" };
            match self.ask(method.clone(), query, ANSWERED_WITHIN).await {
                Heard::Record(record) => match record::read(record, self.placed.order(), true) {
                    Some(came @ Came { said: Said::Answered(_), .. }) => return came,
                    Some(came) => return Came { said: Said::Cut, ..came },
                    // It is being cut.
                    None => method = Method::GET,
                },
                // The job may be on its way there still, on another connection.
                Heard::Unknown if !overtook && !self.has_expired() => overtook = true,
                Heard::Unknown => return Came::of(Said::Cut),
                Heard::Trouble(why) => self.note_trouble(&why),
            }
            sleep(if overtook { OVERTAKEN_WITHIN } else { PAUSE_MIN }).await;
        }
    }
}

/// Whether most of a lease is over, so that the job may have been dropped by a clock that is ahead of ours.
fn is_nearly_over(order: &Order, now: Timestamp) -> bool {
    let Some(by) = order.answer_by else { return false };
    now.millis_since(order.created_at) >= by.millis_since(order.created_at) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Credits, Keypair};

    #[test]
    fn a_worker_may_say_that_a_turn_did_not_come_when_most_of_the_lease_is_over() {
        let at = |ms: u64| Timestamp::from_millis(1_790_000_000_000 + ms);
        let key = |seed| Keypair::from_seed(&[seed; 32]).node_id();
        let order = Order {
            order_id: "0b2b9a0e-6a0d-4c76-8a43-0d5c4b6e2f11".into(),
            requester: key(1),
            worker: key(2),
            model: "m:1".parse().unwrap(),
            body_sha256: [0; 32],
            max_input_tokens: 1,
            max_output_tokens: 1,
            max_credits: Credits::ZERO,
            created_at: at(0),
            expires_at: at(1000),
            answer_by: Some(at(60_000)),
            model_digest: None,
            price: None,
        };
        assert!(!is_nearly_over(&order, at(29_999)), "it would be given the same at once again");
        assert!(is_nearly_over(&order, at(30_000)), "its clock may be ahead");
        assert!(!is_nearly_over(&Order { answer_by: None, ..order }, at(90_000)));
    }
}
