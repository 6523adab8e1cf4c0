//! What a node says of itself: models, peers, books, capacity, health, metrics.

use crate::{
    downstream::{Downstream, Gone},
    exchange::Role,
    failure::Failure,
    node::Node,
    roster::{Identity, Model, Upstream},
    routes::Report,
};
use bytes::Bytes;
use ledger::{Account, QueryError, Totals};
use protocol::{ModelName, NodeId, Requester};
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::Duration};

/// What the first Lobstah lent every key; kept in `GET /balance` for its tools.
const BOOTSTRAP_ALLOWANCE: u64 = 10_000;

/// `GET /ledger` without a limit.
const LEDGER_DEFAULT: usize = 50;

/// The most that `GET /ledger` gives at once.
const LEDGER_MAX: usize = 500;

/// Accounts in `GET /balance`; those with the most receipts.
const ACCOUNTS_MAX: usize = 1000;

/// A list of models is asked for anew if it is older.
const MODELS_AGE: Duration = Duration::from_secs(2);

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
        Report::Models => Ok(models(node, role).await),
        Report::Model(id) => model(node, role, id).await,
        Report::Peers => peers(node),
        Report::Balance => balance(node).await,
        Report::Ledger => ledger(node, query).await,
        Report::Capacity => Ok(capacity(node).await),
        Report::Metrics => return metrics(node, role, down).await,
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
        .is_some_and(|addr| addr.ip().is_loopback());
    if role == Role::Worker && !local {
        return down.fail(&Failure::NotFound { what: "the route /metrics (to other machines)".into() }).await;
    }
    let waiting = node.slots.waiting() + node.engine.slots.waiting();
    let body = node.metrics.encode(node.open.len(), waiting);
    down.answer(200, "application/openmetrics-text; version=1.0.0; charset=utf-8", &[], body.into()).await
}

/// Everything that some route reaches, each model once: the owner's own first.
async fn models(node: &Node, role: Role) -> Value {
    let data: Vec<Value> =
        offered(node, role).await.iter().map(|(model, owner)| model_object(model, owner)).collect();
    json!({"object": "list", "data": data})
}

async fn model(node: &Node, role: Role, id: &str) -> Result<Value, Failure> {
    // Clients escape what they put in a path: `/` and `:` come as they are or as %2F and %3A.
    let id = percent_decoded(id);
    let name: ModelName =
        id.parse().map_err(|_| Failure::NotFound { what: "a model without a name".into() })?;
    let offered = offered(node, role).await;
    let found = offered.iter().find(|(model, _)| model.name.same_model(&name));
    let near = Vec::new();
    found.map(|(model, owner)| model_object(model, owner)).ok_or(Failure::ModelNotFound { model: name, near })
}

async fn offered(node: &Node, role: Role) -> Vec<(Model, String)> {
    let all = match role {
        Role::Gateway => node.roster.all(),
        Role::Worker => Arc::new(vec![Arc::clone(node.roster.local())]),
    };
    let asked =
        futures::future::join_all(all.iter().map(|upstream| node.prober.if_older(upstream, MODELS_AGE)));
    let _ = tokio::time::timeout(Duration::from_secs(3), asked).await;
    let mut offered: Vec<(Model, String)> = Vec::new();
    for upstream in all.iter() {
        let owner = owner(node, role, upstream);
        for model in upstream.inventory().models() {
            let wanted = role == Role::Gateway || crate::worker::offers(node, model);
            if wanted && !offered.iter().any(|(known, _)| known.name.same_model(&model.name)) {
                offered.push((model.clone(), owner.clone()));
            }
        }
    }
    offered
}

fn owner(node: &Node, role: Role, upstream: &Upstream) -> String {
    match (&upstream.identity, role) {
        (Identity::Local, Role::Gateway) => "local".into(),
        (Identity::Local, Role::Worker) => format!("lobstah:{}", node.me.short()),
        (Identity::Friend { node, label }, _) => {
            format!("lobstah:{}", label.clone().unwrap_or_else(|| node.short()))
        }
    }
}

fn model_object(model: &Model, owner: &str) -> Value {
    let mut object = Map::new();
    object.insert("id".into(), json!(model.name));
    object.insert("object".into(), json!("model"));
    object.insert("created".into(), json!(model.created));
    object.insert("owned_by".into(), json!(owner));
    if let Some(length) = model.context_length {
        object.insert("context_length".into(), json!(length));
    }
    Value::Object(object)
}

fn percent_decoded(text: &str) -> String {
    let bytes: Vec<u8> = url::form_urlencoded::parse(text.replace('+', "%2B").as_bytes())
        .flat_map(|(key, _)| key.into_owned().into_bytes())
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn peers(node: &Node) -> Result<Value, Failure> {
    let friends = node.friends().map_err(|error| Failure::Internal { message: error.to_string() })?;
    Ok(json!(friends))
}

async fn balance(node: &Node) -> Result<Value, Failure> {
    let me = Requester::Node(node.me);
    let read = node.ledger.read(move |reader| {
        Ok::<_, QueryError>((reader.totals()?, reader.account(me)?, reader.accounts(ACCOUNTS_MAX)?))
    });
    let (totals, own, accounts) = read.await.and_then(|inner| inner).map_err(|error| unreadable(&error))?;
    Ok(balance_object(node.me, totals, own, &accounts))
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

async fn capacity(node: &Node) -> Value {
    let models: Vec<ModelName> =
        offered(node, Role::Worker).await.into_iter().map(|(model, _)| model.name).collect();
    let config = &node.config.worker;
    let (running, queued) = (node.engine.lane.in_flight(), node.engine.slots.waiting());
    let mut object = json!({
        "pubkey": node.me,
        "protocol": 2,
        "models": models,
        "tier": config.tier.as_str(),
        "concurrency": config.concurrency,
        "queueDepth": running + queued,
        "jobCounts": {"queued": 0, "running": 0, "done": 0, "error": 0},
    });
    if !node.config.credit.prices.is_empty() {
        let price = |(model, price): (&String, &config::Price)| {
            (model.clone(), json!({"input": price.input, "output": price.output}))
        };
        object["prices"] = node.config.credit.prices.iter().map(price).collect::<Map<_, _>>().into();
    }
    object
}
