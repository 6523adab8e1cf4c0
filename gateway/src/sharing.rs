//! Whether this node works for others now: as `lobstah up` began, or as its owner said since
//! (`lobstah share`). What was said lasts until the node stops; `worker.enabled` is what it begins with.

use crate::{
    app::Desk,
    downstream::{Downstream, Gone},
    exchange::Role,
    failure::Failure,
    node::Node,
    services::{self, Bound, CannotListen, Listening},
    worker,
};
use http::Method;
use ledger::QueryError;
use parking_lot::Mutex;
use protocol::Requester;
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Wishes that wait; there is one owner.
const WISHES_MAX: usize = 8;

/// A longer body than a wish needs is no wish.
const WISH_BYTES_MAX: u64 = 1024;

/// What the rest of the node sees of it.
pub struct Sharing {
    wishes: mpsc::Sender<Wish>,
    inbox: Mutex<Option<mpsc::Receiver<Wish>>>,
    /// Where the worker listens.
    address: watch::Sender<Option<SocketAddr>>,
}

struct Wish {
    on: bool,
    told: oneshot::Sender<Result<(), String>>,
}

/// `POST /share`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    sharing: bool,
}

/// The answer of `GET /share` and `POST /share`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shared {
    pub sharing: bool,
    /// Where others reach the worker.
    pub listen: Option<SocketAddr>,
    /// Whether it is announced to strangers.
    pub announcing: bool,
    /// What it lends now.
    pub models: Vec<String>,
    /// Credits that this node ever earned.
    pub earned: u64,
    /// Requests of others in the engine.
    pub serving: usize,
}

impl Default for Sharing {
    fn default() -> Self {
        let (wishes, inbox) = mpsc::channel(WISHES_MAX);
        Self { wishes, inbox: Mutex::new(Some(inbox)), address: watch::Sender::new(None) }
    }
}

impl Sharing {
    /// Whether others are served.
    pub fn is_on(&self) -> bool {
        self.address.borrow().is_some()
    }

    /// Tells of each change.
    pub fn changes(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.address.subscribe()
    }

    async fn set(&self, on: bool) -> Result<(), Failure> {
        let cannot = |message: String| Failure::CannotShare { message };
        let (told, answer) = oneshot::channel();
        let stopping = || cannot("this node is being stopped".to_owned());
        self.wishes.send(Wish { on, told }).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?.map_err(cannot)
    }
}

/// A worker that is open to others.
struct Open {
    listening: Listening,
    /// Ends connections that others keep: between two requests at once, else when theirs is answered.
    closing: CancellationToken,
}

/// Serves others as is wished for, until the node stops. `bound` is what it begins with.
pub async fn run(node: &Arc<Node>, bound: Option<Bound>) {
    let Some(mut wishes) = node.sharing.inbox.lock().take() else { return };
    let mut open = bound.map(|bound| begin(node, bound));
    loop {
        let wish = tokio::select! {
            wish = wishes.recv() => wish,
            () = node.stopping.cancelled() => None,
        };
        let Some(Wish { on, told }) = wish else { break };
        let done = match (on, open.take()) {
            (true, None) => bind(node).map(|bound| open = Some(begin(node, bound))),
            (false, Some(was)) => {
                end(node, was).await;
                Ok(())
            }
            (_, as_wished) => {
                open = as_wished;
                Ok(())
            }
        };
        let done =
            done.map_err(|error| format!("{error}: worker.listen in lobstah.toml, read at the next start"));
        // Who asked may have left.
        let _ = told.send(done);
    }
    if let Some(open) = open {
        end(node, open).await;
    }
}

fn bind(node: &Node) -> Result<Bound, CannotListen> {
    services::bind(Role::Worker.as_str(), node.config().worker.listen)
}

fn begin(node: &Arc<Node>, bound: Bound) -> Open {
    let address = bound.address();
    let (listening, closing) = (Listening::default(), node.stopping.child_token());
    let desk = Desk { node: Arc::clone(node), role: Role::Worker, stopping: closing.clone() };
    listening.serve(bound, Arc::new(desk));
    node.sharing.address.send_replace(Some(address));
    tracing::info!(%address, "others are served");
    Open { listening, closing }
}

/// What is in flight finishes, later than this resolves.
async fn end(node: &Node, open: Open) {
    node.sharing.address.send_replace(None);
    open.closing.cancel();
    open.listening.stop().await;
    tracing::info!("others are not served any more");
}

/// `/share`, to the owner.
pub async fn serve(node: &Node, down: &mut Downstream, method: &Method) -> Result<(), Gone> {
    if *method == Method::POST {
        let body = match crate::admit::read_json(down, WISH_BYTES_MAX, &node.body_memory).await {
            Ok(body) => body,
            Err(failure) => return down.fail_early(&failure).await,
        };
        let Ok(Wanted { sharing }) = serde_json::from_slice(&body.bytes) else {
            let wrong = Failure::invalid_value("sharing", "send {\"sharing\": true} or {\"sharing\": false}");
            return down.fail(&wrong).await;
        };
        if let Err(failure) = node.sharing.set(sharing).await {
            return down.fail(&failure).await;
        }
    }
    match shared(node).await {
        Ok(shared) => down.json(200, &shared).await,
        Err(failure) => down.fail(&failure).await,
    }
}

async fn shared(node: &Node) -> Result<Shared, Failure> {
    let me = Requester::Node(node.me);
    let read = node.ledger.read(move |reader| Ok::<_, QueryError>(reader.account(me)?.earned)).await;
    let earned =
        read.and_then(|inner| inner).map_err(|error| Failure::Internal { message: error.to_string() })?;
    let config = node.config();
    let inventory = node.upstreams.local().inventory();
    let listen = *node.sharing.address.borrow();
    Ok(Shared {
        sharing: listen.is_some(),
        listen,
        announcing: listen.is_some() && config.discovery.publish,
        models: worker::lent(&config.worker, &inventory).map(|model| model.name.to_string()).collect(),
        earned,
        serving: node.engine.lane.in_flight(),
    })
}
