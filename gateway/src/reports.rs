//! What a node says of itself: models, peers, books, capacity, health, metrics.

use crate::{
    asynchronous::batches,
    downstream::{Downstream, Gone},
    exchange::Role,
    explain,
    failure::Failure,
    models,
    node::Node,
    owed::{self, Owed},
    own_engine, peers, prices,
    routes::Report,
};
use bytes::Bytes;
use ledger::{Account, QueryError, Totals};
use protocol::{ModelName, NodeId, Requester};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the first Lobstah lent every key; kept in `GET /balance` for its tools.
const BOOTSTRAP_ALLOWANCE: u64 = 10_000;

/// `GET /ledger` without a limit.
const LEDGER_DEFAULT: usize = 50;

/// The most that `GET /ledger` gives at once.
const LEDGER_MAX: usize = 500;

/// Accounts in `GET /balance`; those with the most receipts.
const ACCOUNTS_MAX: usize = 1000;

/// Answers a request to read something.
pub async fn answer(
    node: &Node,
    role: Role,
    down: &mut Downstream,
    report: Report<'_>,
    query: &str,
) -> Result<(), Gone> {
    let value = match report {
        Report::Welcome => {
            return text(down, &format!("lobstah {}, {}\n", role.as_str(), env!("CARGO_PKG_VERSION"))).await;
        }
        Report::Healthz => Ok(json!({"status": "ok"})),
        Report::Readyz => Ok(json!({"status": "ready"})),
        Report::Pubkey => Ok(json!({"pubkey": node.me})),
        Report::Models => Ok(models::list(node, role).await),
        Report::Model(id) => return models::one(node, role, id, down).await,
        Report::Route => explain(node, query).await,
        Report::Peers => peers(node, role).await,
        Report::Balance => balance(node, role).await,
        Report::Ledger => ledger(node, query).await,
        Report::Capacity => capacity(node).await,
        Report::Metrics => return metrics(node, role, down).await,
        Report::Progress(id) => batches::progress(node, id).await,
    };
    match value {
        Ok(value) => down.json(200, &value).await,
        Err(failure) => down.fail(&failure).await,
    }
}

async fn text(down: &mut Downstream, text: &str) -> Result<(), Gone> {
    down.answer(200, "text/plain; charset=utf-8", &[], Bytes::copy_from_slice(text.as_bytes())).await
}

async fn metrics(node: &Node, role: Role, down: &mut Downstream) -> Result<(), Gone> {
    let local = down
        .session
        .client_addr()
        .and_then(|addr| addr.as_inet())
        .is_some_and(|addr| addr.ip().to_canonical().is_loopback());
    if role == Role::Worker && !local {
        return down.fail(&Failure::NotFound { what: "the route /metrics (to other machines)".into() }).await;
    }
    let waiting = node.slots.waiting() + node.engine.slots.waiting();
    node.metrics.strangers(node.strangers.len(), node.strangers.evicted());
    let body = node.metrics.encode(node.open.len(), waiting);
    down.answer(200, "application/openmetrics-text; version=1.0.0; charset=utf-8", &[], body.into()).await
}

async fn peers(node: &Node, role: Role) -> Result<Value, Failure> {
    // The owner's command shows how things are now, a report how they were last seen.
    let rows = peers::rows(node, role == Role::Owner).await;
    rows.map(|rows| json!(rows)).map_err(|error| Failure::Internal { message: error.to_string() })
}

async fn balance(node: &Node, role: Role) -> Result<Value, Failure> {
    let me = Requester::Node(node.me);
    let read = node.ledger.read(move |reader| {
        Ok::<_, QueryError>((reader.totals()?, reader.account(me)?, reader.accounts(ACCOUNTS_MAX)?))
    });
    let (totals, own, accounts) = read.await.and_then(|inner| inner).map_err(|error| unreadable(&error))?;
    let mut balance = balance_object(node.me, totals, own, &accounts);
    if role == Role::Owner {
        balance["peers"] = json!(credit(node).await?);
    }
    Ok(balance)
}

/// How this node stands with each other one, as `lobstah balance` shows it.
async fn credit(node: &Node) -> Result<Vec<Owed>, Failure> {
    let config = node.config();
    let friends = node.friends().map_err(|error| Failure::Internal { message: error.to_string() })?;
    let read = node.ledger.read(move |reader| owed::with_all(&config, &friends, reader)).await;
    read.and_then(|inner| inner).map_err(|error| unreadable(&error))
}

/// The books as the first Lobstah shows them.
pub fn balance_object(me: NodeId, totals: Totals, own: Account, accounts: &[(Requester, Account)]) -> Value {
    let per_peer: Vec<Value> = accounts.iter().map(|(who, account)| account_object(who, account)).collect();
    json!({
        "pubkey": me,
        "totals": {"earned": totals.earned, "spent": totals.spent, "receipts": totals.receipts},
        "self": account_object(&Requester::Node(me), &own),
        "perPeer": per_peer,
        "bootstrapAllowance": BOOTSTRAP_ALLOWANCE,
    })
}

/// One account as the first Lobstah shows it. `available` = allowance + earned - spent.
fn account_object(who: &Requester, account: &Account) -> Value {
    let net = i128::from(account.earned) - i128::from(account.spent);
    json!({
        "pubkey": who.to_string(),
        "earned": account.earned,
        "spent": account.spent,
        "net": net as i64,
        "allowance": BOOTSTRAP_ALLOWANCE,
        "available": (net + i128::from(BOOTSTRAP_ALLOWANCE)) as i64,
    })
}

async fn ledger(node: &Node, query: &str) -> Result<Value, Failure> {
    let limit = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "limit");
    let limit = match limit {
        None => LEDGER_DEFAULT,
        Some((_, text)) => {
            text.parse().ok().filter(|limit| (1..=LEDGER_MAX).contains(limit)).ok_or_else(|| {
                Failure::invalid_value("limit", format!("limit is a number from 1 to {LEDGER_MAX}"))
            })?
        }
    };
    let read = node.ledger.read(move |reader| Ok::<_, QueryError>((reader.count()?, reader.last(limit)?)));
    let (total, entries) = read.await.and_then(|inner| inner).map_err(|error| unreadable(&error))?;
    let receipts: Vec<Value> =
        entries.iter().filter_map(|entry| serde_json::from_str(&entry.signed).ok()).collect();
    Ok(json!({"total": total, "returned": receipts.len(), "receipts": receipts}))
}

fn unreadable(error: &QueryError) -> Failure {
    Failure::Internal { message: error.to_string() }
}

async fn capacity(node: &Node) -> Result<Value, Failure> {
    let jobs = node.work.lent().counts().await;
    let jobs = jobs.map_err(|error| Failure::Internal { message: error.to_string() })?;
    let listed = models::offered(node, Role::Worker).await;
    let models: Vec<&ModelName> = listed.iter().map(|listed| &listed.model.name).collect();
    let config = node.config();
    let mut object = json!({
        "pubkey": node.me,
        "protocol": 2,
        "models": models,
        "tier": config.worker.tier.as_str(),
        "concurrency": config.worker.concurrency,
        "queueDepth": node.engine.depth(),
        "jobCounts": {
            "queued": jobs.queued,
            "running": jobs.running,
            "done": jobs.done,
            "error": jobs.error,
        },
    });
    let prices = prices::uncommon(&config.credit, &node.upstreams.local().inventory(), models);
    if !prices.is_empty() {
        object["prices"] = json!(prices);
    }
    // What a requester may hold this worker to: an order that names another digest is refused.
    let digest =
        |listed: &models::Listed| Some((listed.model.name.clone(), hex::encode(listed.model.digest?)));
    let digests: BTreeMap<ModelName, String> = listed.iter().filter_map(digest).collect();
    if !digests.is_empty() {
        object["digests"] = json!(digests);
    }
    // How much context a prompt is given here: who needs more asks somewhere else.
    let context = |listed: &models::Listed| {
        let room = own_engine::room(node, &listed.model.name);
        room.is_told().then(|| (listed.model.name.clone(), room.most()))
    };
    let contexts: BTreeMap<ModelName, u64> = listed.iter().filter_map(context).collect();
    if !contexts.is_empty() {
        object["contexts"] = json!(contexts);
    }
    Ok(object)
}

/// Every candidate for the model that is asked for, to the owner.
async fn explain(node: &Node, query: &str) -> Result<Value, Failure> {
    let asked: std::collections::HashMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).collect();
    let model = asked.get("model").and_then(|name| name.parse().ok());
    let model = model.ok_or_else(|| Failure::invalid_value("model", "name the model: /route?model=NAME"))?;
    let streamed = asked.get("stream").is_none_or(|stream| stream != "false");
    Ok(json!(explain::explain(node, &model, streamed).await))
}
