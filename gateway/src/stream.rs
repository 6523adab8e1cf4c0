//! A stream on its way back: bytes go on as they come, the books are done before the end.

use crate::{
    books::Books,
    downstream::{Downstream, Gone},
    events::Events,
    exchange::Ended,
    fail_point::FailPoint,
    failure::Failure,
    meter::{End, Meter},
    outcome::OpenStream,
    target::{Connection, Connections, innermost},
};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Chunks that are here already go on in one write, up to this size.
const COALESCED_BYTES_MAX: usize = 64 * 1024;

/// After the end of the events the connection should end too; if it takes longer it is closed.
const TRAILER_PATIENCE: Duration = Duration::from_millis(100);

/// The end of a stream that we end ourselves.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// How long a stream may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Without a byte from the upstream.
    pub silence: Duration,
    /// In all; `None` for as long as it flows.
    pub deadline: Option<Instant>,
}

/// Forwards a stream that has begun, to its end.
pub async fn relay(
    connections: &Connections,
    down: &mut Downstream,
    open: Box<OpenStream>,
    books: &Books<'_>,
    limits: Limits,
) -> Ended {
    let OpenStream { mut connection, mut events, first, tally } = *open;
    let mut meter = Meter::with_tally(books.watch(), tally);
    let mut run = first;
    let end = loop {
        let passed = meter.pass(run);
        if let Some(end) = passed.end {
            break Ok((passed.forward, end));
        }
        if !passed.forward.is_empty() {
            if down.send(passed.forward).await.is_err() {
                return left(down, &meter, books).await;
            }
            books.sent(FailPoint::TokenSent);
        }
        run = match next_run(down, &mut connection, &mut events, limits).await {
            Ok(run) => run,
            Err(Stop::Left) => return left(down, &meter, books).await,
            Err(Stop::Lost(reason)) => {
                // The way broke: if the worker is alive it may ask for what it had made.
                books.cut_off(&meter);
                break Err(reason);
            }
            Err(Stop::Overdue(reason)) => {
                // Its time is over, and not for any fault of the engine's.
                Box::pin(books.cut(&meter, &down.tally())).await;
                break Err(reason);
            }
        };
    };
    let finished = match end {
        // Boxed: what happens once at the end should not take room in every stream that flows.
        Ok((before, End::Done(done))) => Box::pin(complete(down, &meter, books, before, done)).await,
        Ok((before, End::Enough)) => {
            Box::pin(complete(down, &meter, books, before, Bytes::from_static(DONE))).await.map(|ended| {
                match ended {
                    Ended::Complete { usage } => Ended::Enough { usage },
                    other => other,
                }
            })
        }
        Ok((before, End::Error(message))) => {
            books.broke(&meter);
            Box::pin(lost(down, before, message)).await
        }
        Err(reason) => Box::pin(lost(down, Bytes::new(), reason)).await,
    };
    match finished {
        Ok(ended @ Ended::Complete { .. }) => {
            Box::pin(give_back(connections, connection)).await;
            ended
        }
        Ok(ended) => ended,
        Err(Gone) => left(down, &meter, books).await,
    }
}

/// The requester is gone, and the upstream's work ends with it: what was made is owed for.
async fn left(down: &Downstream, meter: &Meter, books: &Books<'_>) -> Ended {
    Box::pin(books.cut(meter, &down.tally())).await;
    Ended::Left
}

enum Stop {
    Left,
    Lost(String),
    /// Beyond what the limits allow in all.
    Overdue(String),
}

/// The next whole events, as many as are here.
async fn next_run(
    down: &mut Downstream,
    connection: &mut Connection,
    events: &mut Events,
    limits: Limits,
) -> Result<Bytes, Stop> {
    let silent_at = Instant::now() + limits.silence;
    loop {
        let until = limits.deadline.map_or(silent_at, |deadline| deadline.min(silent_at));
        let due = down.waiting_due();
        let chunk = tokio::select! {
            biased;
            chunk = connection.session.read_response_body() => chunk,
            _ = down.gone() => return Err(Stop::Left),
            () = sleep_until(until.min(due)) => {
                if until <= due {
                    return Err(overdue(limits));
                }
                down.say_waiting().await.map_err(|Gone| Stop::Left)?;
                continue;
            }
        };
        let chunk = chunk.map_err(|error| Stop::Lost(innermost(&error)))?;
        let Some(chunk) = chunk else { return Err(Stop::Lost("the stream ended before its end".into())) };
        let chunk = coalesce(connection, chunk);
        let run = events.push(chunk).map_err(Stop::Lost)?;
        if !run.is_empty() {
            return Ok(run);
        }
    }
}

fn overdue(limits: Limits) -> Stop {
    match limits.deadline {
        Some(deadline) if Instant::now() >= deadline => {
            Stop::Overdue("it took longer than the worker allows".into())
        }
        _ => Stop::Lost(format!("nothing came for {} s", limits.silence.as_secs())),
    }
}

/// Joins what has arrived already: one write instead of many, and nothing waits for it.
fn coalesce(connection: &mut Connection, first: Bytes) -> Bytes {
    let mut joined: Option<BytesMut> = None;
    while joined.as_ref().map_or(first.len(), BytesMut::len) < COALESCED_BYTES_MAX {
        // An error or the end is seen again by the next read.
        let Some(Ok(Some(more))) = connection.session.read_response_body().now_or_never() else { break };
        joined.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&more);
    }
    joined.map_or(first, BytesMut::freeze)
}

async fn complete(
    down: &mut Downstream,
    meter: &Meter,
    books: &Books<'_>,
    before: Bytes,
    done: Bytes,
) -> Result<Ended, Gone> {
    // What came with the end goes out before the books are done: keeping a receipt takes a flush.
    if !before.is_empty() {
        down.send(before).await?;
    }
    let comment = books.close_stream(meter, &down.tally()).await;
    let tail = comment.map_or(done.clone(), |comment| [&comment[..], &done[..]].concat().into());
    down.send(tail).await?;
    down.finish_stream().await?;
    books.sent(FailPoint::ReceiptSent);
    Ok(Ended::Complete { usage: meter.usage })
}

async fn lost(down: &mut Downstream, before: Bytes, reason: String) -> Result<Ended, Gone> {
    if !before.is_empty() {
        down.send(before).await?;
    }
    down.fail(&Failure::UpstreamLost { reason: reason.clone() }).await?;
    Ok(Ended::Lost { reason })
}

/// A connection whose answer ended can serve again; one on which more follows cannot.
async fn give_back(connections: &Connections, mut connection: Connection) {
    let end = tokio::time::timeout(TRAILER_PATIENCE, connection.session.read_response_body()).await;
    if let Ok(Ok(None)) = end {
        connections.give_back(connection).await;
    }
}
