//! Asking relays once: what is announced now, which receipts are public?

use super::{
    NoConnection, RELAYS_MAX, ask,
    ask::Topic,
    ear::Ear,
    frame::Frame,
    line::{Line, Taken},
    wire::{Broken, Wire},
};
use crate::public_receipts;
use futures::{StreamExt, stream};
use nostr_sdk::{ClientMessage, Filter};
use protocol::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::yield_now,
    time::{Instant, timeout_at},
};
use url::Url;

/// What came of asking one relay.
#[derive(Debug)]
pub struct Gathered {
    /// Which.
    pub relay: Url,
    /// How many events it had, those included that another relay had too.
    pub result: Result<u64, NotGathered>,
}

/// Why a relay was not heard out. What it sent before was heard.
#[derive(Debug, thiserror::Error)]
pub enum NotGathered {
    /// It was not reached.
    #[error(transparent)]
    NoConnection(#[from] NoConnection),
    /// It broke off.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It does not answer such questions; in its words.
    #[error("refused: {0}")]
    Refused(String),
    /// It did not come to an end in time.
    #[error("{events} events came, but no end of them in time")]
    Unfinished {
        /// What came.
        events: u64,
    },
}

/// What relays are asked for once.
#[derive(Clone, Copy, Debug)]
pub enum Question {
    /// What is announced at this time, and what was taken back.
    AnnouncedAt(Timestamp),
    /// The receipts that nodes made public.
    Receipts,
}

impl Question {
    fn filters(self) -> Vec<Filter> {
        match self {
            Question::AnnouncedAt(now) => ask::announcements(now),
            Question::Receipts => vec![public_receipts::filter()],
        }
    }
}

/// Asks every relay, all at the same time (at most [`RELAYS_MAX`]), and lets `ear` hear the answers.
/// Takes hardly longer than `patience`; the results are in the order of `urls`.
pub async fn gather(urls: &[Url], ear: Arc<dyn Ear>, asked: Question, patience: Duration) -> Vec<Gathered> {
    let deadline = Instant::now() + patience;
    let errands = urls.iter().map(|url| {
        let line = Line::once(url.clone(), Arc::clone(&ear));
        async move {
            let heard_out = hear_out(&line, asked, patience, deadline).await;
            let state = line.state();
            let events = state.events_heard + state.events_repeated;
            let result = match heard_out {
                Ok(Some(())) => Ok(events),
                Ok(None) => Err(NotGathered::Unfinished { events }),
                Err(why) => Err(why),
            };
            Gathered { relay: state.url, result }
        }
    });
    stream::iter(errands).buffered(RELAYS_MAX).collect().await
}

/// `None` if the time was up before the relay came to an end.
async fn hear_out(
    line: &Line,
    asked: Question,
    patience: Duration,
    deadline: Instant,
) -> Result<Option<()>, NotGathered> {
    let (mut wire, _) = Wire::open(line.url(), patience).await?;
    let heard_out = timeout_at(deadline, ask_and_listen(&mut wire, line, asked)).await;
    wire.close().await;
    heard_out.ok().transpose()
}

async fn ask_and_listen(wire: &mut Wire, line: &Line, asked: Question) -> Result<(), NotGathered> {
    let id = Topic::Announcements.id();
    wire.say(ClientMessage::req(id.clone(), asked.filters())).await?;
    loop {
        match line.take(&wire.next().await?, Instant::now()) {
            Taken::Said(Frame::End(ended)) if ended == id => return Ok(()),
            Taken::Said(Frame::Closed { id: closed, why }) if closed == id => {
                return Err(NotGathered::Refused(why));
            }
            _ => yield_now().await,
        }
    }
}
