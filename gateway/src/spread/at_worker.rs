//! A job at a worker: given, asked after until it has ended, cancelled (docs/protocol.md, section 13).
//!
//! Every question here may be asked twice: the same order again is the same job, and a record is read as often
//! as one likes. So where an answer did not arrive the worker is asked what it knows, and nothing is sent that
//! would run a second time.

use super::{
    asking::{ANSWERED_WITHIN, Given, Heard},
    came::{Came, Said},
    record,
};
use crate::{
    breaker::Admission, clock, node::Node, orders::Placed, outcome::Reason, upstream::Upstream, witness::Saw,
};
use bytes::Bytes;
use http::Method;
use protocol::canonical::sha256;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use work::Endpoint;

/// The worker answers when the job has ended, or after this.
const LONG_POLL: Duration = Duration::from_secs(30);

/// A worker that cannot be reached is asked again after this; twice as long each time ...
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// ... up to this. Its answer may be there the moment it is back.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// An order is brought so many times to a worker that says it never had it.
const GIVEN_MAX: u32 = 3;

/// After the end of a lease its worker is asked once more for what it had by then.
const LAST_LOOK_AFTER: Duration = Duration::from_secs(1);

/// What a cut makes is waited for so long; its receipt is collected later otherwise.
const CUT_WITHIN: Duration = Duration::from_secs(15);

/// A job at its worker.
pub(super) struct AtWorker<'n> {
    pub(super) node: &'n Node,
    pub(super) placed: Placed,
    pub(super) endpoint: Endpoint,
    /// Ends when the task is not wanted any more.
    pub(super) cancel: CancellationToken,
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
                Next::Give if late => return Came::nothing(Reason::TimedOut),
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
                    Heard::Record(record) => match record::read(record, self.placed.order(), false) {
                        Some(came) => return came,
                        None if late => return self.too_late().await,
                        None => {
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
            if late {
                return Came::nothing(Reason::TimedOut);
            }
            self.note_trouble(&trouble);
            sleep(pause.min(self.time_left())).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
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

    /// It still runs, and nobody would pay for it any more: it need not go on.
    async fn too_late(&self) -> Came {
        let _ = self.ask(Method::DELETE, "", ANSWERED_WITHIN).await;
        Came::nothing(Reason::TimedOut)
    }

    /// Cancels the job; what it made until then is paid for.
    async fn cut(&self) -> Came {
        let cut = async {
            let mut heard = self.ask(Method::DELETE, "", ANSWERED_WITHIN).await;
            loop {
                match heard {
                    Heard::Record(record) => match record::read(record, self.placed.order(), true) {
                        Some(came @ Came { said: Said::Answered(_), .. }) => return came,
                        Some(came) => return Came { said: Said::Cut, ..came },
                        None => sleep(PAUSE_MIN).await,
                    },
                    // Never taken, or not to be asked: a receipt that there is is collected in the background.
                    Heard::Unknown | Heard::Trouble(_) => return Came::of(Said::Cut),
                }
                heard = self.look(CUT_WITHIN).await;
            }
        };
        tokio::time::timeout(CUT_WITHIN, cut).await.unwrap_or_else(|_| Came::of(Said::Cut))
    }
}
