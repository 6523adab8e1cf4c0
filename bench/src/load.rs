//! The generator: closed loops on one thread, a window in the middle that counts, and streams that are
//! only held.
//!
//! An answer that is wrong in any way is a failure, and a window with a failure counts for nothing.

use crate::{
    http::{Connection, Failed, Request},
    machine::monotonic_ns,
    question::Wish,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// After the window, each connection finishes what it asked for; those that take longer have failed.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// A single request outside the windows takes no longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What an answer must bring besides itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub receipt: bool,
    pub from_peer: bool,
}

/// A load.
#[derive(Clone, Debug)]
pub struct Plan {
    pub address: SocketAddr,
    pub wish: Wish,
    pub expected: Expected,
    pub connections: u32,
    /// The connections begin spread over this time, so that streams are not in step.
    pub spread: Duration,
    /// Note the time of each chunk: of use where chunks do not queue up.
    pub times_chunks: bool,
}

/// What a window saw.
#[derive(Debug, Default)]
pub struct Window {
    pub elapsed: Duration,
    pub requests: u64,
    pub chunks: u64,
    /// From the request's first byte to the answer's last, or for streams to the first chunk.
    pub latency_us: Vec<u32>,
    /// From a chunk's emission to its arrival.
    pub chunk_us: Vec<u32>,
    pub failures: u64,
    pub first_failure: Option<String>,
}

const WARMING: u8 = 0;
const COUNTING: u8 = 1;
const ENDING: u8 = 2;

/// What the connections share.
#[derive(Debug)]
struct Board {
    phase: AtomicU8,
    requests: AtomicU64,
    chunks: AtomicU64,
}

impl Board {
    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    fn counted(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.chunks.load(Ordering::Relaxed))
    }
}

/// Runs the load: `warm` that does not count, then `measured`, at both ends of which `look` is called.
pub async fn run<T>(plan: &Plan, warm: Duration, measured: Duration, look: impl Fn() -> T) -> (Window, T, T) {
    let board = Arc::new(Board { phase: WARMING.into(), requests: 0.into(), chunks: 0.into() });
    let request = Arc::new(Request::chat(plan.address, plan.wish));
    let mut loops = JoinSet::new();
    for place in 0..plan.connections {
        let one = Loop {
            plan: plan.clone(),
            board: board.clone(),
            request: request.clone(),
            times: Times::default(),
        };
        loops.spawn(one.run(plan.spread * place / plan.connections));
    }
    sleep(warm + plan.spread).await;

    board.phase.store(COUNTING, Ordering::Relaxed);
    let (before, began) = (board.counted(), Instant::now());
    let first = look();
    sleep(measured).await;
    let last = look();
    let (after, elapsed) = (board.counted(), began.elapsed());
    board.phase.store(ENDING, Ordering::Relaxed);

    let mut window =
        Window { elapsed, requests: after.0 - before.0, chunks: after.1 - before.1, ..Window::default() };
    let finished = timeout(FINISH_WITHIN, async {
        while let Some(ended) = loops.join_next().await {
            window.add(ended.unwrap_or_else(|_| Ended::failed("the generator broke")));
        }
    });
    if finished.await.is_err() {
        window.fail(loops.len() as u64, "no end of an answer within 10 s".to_owned());
    }
    (window, first, last)
}

impl Window {
    fn add(&mut self, ended: Ended) {
        self.latency_us.extend(ended.times.latency_us);
        self.chunk_us.extend(ended.times.chunk_us);
        if let Some(failure) = ended.failure {
            self.fail(1, failure);
        }
    }

    fn fail(&mut self, count: u64, what: String) {
        self.failures += count;
        self.first_failure.get_or_insert(what);
    }
}

/// One connection, request after request.
struct Loop {
    plan: Plan,
    board: Arc<Board>,
    request: Arc<Request>,
    times: Times,
}

#[derive(Default)]
struct Times {
    latency_us: Vec<u32>,
    chunk_us: Vec<u32>,
}

struct Ended {
    times: Times,
    failure: Option<String>,
}

impl Ended {
    fn failed(why: &str) -> Self {
        Self { times: Times::default(), failure: Some(why.to_owned()) }
    }
}

impl Loop {
    async fn run(mut self, after: Duration) -> Ended {
        sleep(after).await;
        let failure = self.until_the_end().await.err().map(|failed| failed.to_string());
        Ended { times: self.times, failure }
    }

    async fn until_the_end(&mut self) -> Result<(), Failed> {
        let mut connection = Connection::open(&self.request).await?;
        while self.board.phase() != ENDING {
            let closes = match self.plan.wish.chunks {
                0 => self.whole(&mut connection).await?,
                _ => self.stream(&mut connection).await?,
            };
            if closes {
                connection = Connection::open(&self.request).await?;
            }
        }
        Ok(())
    }

    async fn whole(&mut self, connection: &mut Connection) -> Result<bool, Failed> {
        let asked = monotonic_ns();
        let head = connection.whole(&self.request).await?;
        if self.board.phase() == COUNTING {
            self.times.latency_us.push(us_between(asked, monotonic_ns()));
        }
        check(self.plan.expected, head.has_receipt, head.by_peer)?;
        self.board.requests.fetch_add(1, Ordering::Relaxed);
        Ok(head.closes)
    }

    async fn stream(&mut self, connection: &mut Connection) -> Result<bool, Failed> {
        let asked = monotonic_ns();
        let mut stream = connection.stream(&self.request).await?;
        let mut chunks = 0;
        loop {
            let before = chunks;
            let counting = self.board.phase() == COUNTING;
            let times = &mut self.times;
            let goes_on = connection.more(&mut stream, |arrived, emitted| {
                if counting && chunks == 0 {
                    times.latency_us.push(us_between(asked, arrived));
                }
                if counting && self.plan.times_chunks {
                    times.chunk_us.push(us_between(emitted, arrived));
                }
                chunks += 1;
            });
            let goes_on = goes_on.await?;
            self.board.chunks.fetch_add(chunks - before, Ordering::Relaxed);
            if !goes_on {
                break;
            }
        }
        let wanted = u64::from(self.plan.wish.chunks);
        if chunks != wanted || !stream.seen.done {
            let end = if stream.seen.done { "" } else { " and no end" };
            return Err(Failed::Wrong(format!("{chunks} chunks of {wanted}{end}")));
        }
        check(self.plan.expected, stream.seen.receipt, stream.head.by_peer)?;
        self.board.requests.fetch_add(1, Ordering::Relaxed);
        Ok(stream.head.closes)
    }
}

fn check(expected: Expected, receipt: bool, by_peer: bool) -> Result<(), Failed> {
    if expected.receipt && !receipt {
        return Err(Failed::Wrong("an answer without its receipt".into()));
    }
    if expected.from_peer && !by_peer {
        return Err(Failed::Wrong("an answer that is not a worker's".into()));
    }
    Ok(())
}

fn us_between(from_ns: u64, to_ns: u64) -> u32 {
    (to_ns.saturating_sub(from_ns) / 1_000).try_into().unwrap_or(u32::MAX)
}

/// One request by itself, to see that everything is in its place.
pub async fn once(address: SocketAddr, wish: Wish, expected: Expected) -> Result<(), Failed> {
    let request = Request::chat(address, wish);
    let answer = async {
        let mut connection = Connection::open(&request).await?;
        let head = connection.whole(&request).await?;
        check(expected, head.has_receipt, head.by_peer)
    };
    timeout(ANSWER_WITHIN, answer)
        .await
        .unwrap_or_else(|_| Err(Failed::Wrong("no answer within 10 s".into())))
}

/// Opens streams and keeps them, each after its first chunk. They end when this is dropped.
pub async fn hold(address: SocketAddr, wish: Wish, count: u32) -> Result<Vec<Connection>, Failed> {
    let request = Request::chat(address, wish);
    let mut held = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let open = async {
            let mut connection = Connection::open(&request).await?;
            let mut stream = connection.stream(&request).await?;
            let mut begun = false;
            while !begun {
                connection.more(&mut stream, |_, _| begun = true).await?;
            }
            Ok(connection)
        };
        let opened = timeout(ANSWER_WITHIN, open).await;
        held.push(opened.unwrap_or_else(|_| Err(Failed::Wrong("no first chunk within 10 s".into())))?);
    }
    Ok(held)
}
