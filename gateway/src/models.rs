//! `GET /v1/models`: which models there are, as OpenAI's API lists them.

use crate::{
    candidates::Sought,
    downstream::{Downstream, Gone},
    exchange::Role,
    failure::Failure,
    inventory::Model,
    node::Node,
    own_engine,
    upstream::{Identity, Upstream},
    worker,
};
use config::{Config, Route, Target};
use protocol::ModelName;
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::Duration};

/// A list of models is asked for anew if it is older.
const FRESH: Duration = Duration::from_secs(2);

/// A list is given without those who do not answer in this time.
const PATIENCE: Duration = Duration::from_secs(3);

/// One model in the list, and who has it.
pub struct Listed {
    pub model: Model,
    owner: String,
}

/// The list.
pub async fn list(node: &Node, role: Role) -> Value {
    let data: Vec<Value> = offered(node, role).await.iter().map(Listed::object).collect();
    json!({"object": "list", "data": data})
}

/// One of them.
pub async fn one(node: &Node, role: Role, id: &str, down: &mut Downstream) -> Result<(), Gone> {
    match find(node, role, id).await {
        Ok(listed) => down.json(200, &listed.object()).await,
        Err(failure) => down.fail(&failure).await,
    }
}

async fn find(node: &Node, role: Role, id: &str) -> Result<Listed, Failure> {
    // Clients escape what they put in a path: `/` and `:` come as they are or as %2F and %3A.
    let id = percent_decoded(id);
    let name: ModelName =
        id.parse().map_err(|_| Failure::NotFound { what: "a model without a name".into() })?;
    let offered = offered(node, role).await;
    let found = offered.into_iter().find(|listed| listed.model.name.same_model(&name));
    found.ok_or(Failure::ModelNotFound { model: name, near: Vec::new() })
}

/// What a worker lends; what some route of a gateway reaches, the owner's own first. Each model once.
pub async fn offered(node: &Node, role: Role) -> Vec<Listed> {
    let all = match role {
        Role::Worker => Arc::new(vec![Arc::clone(node.upstreams.local())]),
        Role::Gateway | Role::Owner => node.upstreams.all(),
    };
    let asked = futures::future::join_all(all.iter().map(|upstream| node.prober.if_older(upstream, FRESH)));
    let _ = tokio::time::timeout(PATIENCE, asked).await;
    let config = node.config();
    match role {
        Role::Worker => lent(node, &config),
        Role::Gateway | Role::Owner => reached(node, &config, &all),
    }
}

fn lent(node: &Node, config: &Config) -> Vec<Listed> {
    let owner = format!("lobstah:{}", node.me.short());
    let inventory = node.upstreams.local().inventory();
    let lent = worker::lent(&config.worker, &inventory);
    lent.map(|model| Listed { model: as_used(node, model), owner: owner.clone() }).collect()
}

/// A model of the own engine, with the context that a request can really have.
fn as_used(node: &Node, model: &Model) -> Model {
    let room = own_engine::room(node, &model.name);
    let known = model.context_length.or(room.in_use());
    Model { context_length: known.map(|_| room.most()), ..model.clone() }
}

fn reached(node: &Node, config: &Config, all: &[Arc<Upstream>]) -> Vec<Listed> {
    let mut list = List::default();
    for upstream in all {
        for model in upstream.inventory().models() {
            let route = config.route_for(model.name.as_str());
            let sought = Sought { model: &model.name, route: &route, streamed: false };
            let reached = route.to.iter().any(|group| upstream.is_in(group));
            // What a route gives another name is listed below, where that other is there.
            if reached && sought.model_for(upstream) == &model.name && sought.has(upstream) == Some(true) {
                let own = upstream.identity == Identity::Local;
                list.add(if own { as_used(node, model) } else { model.clone() }, owner(upstream));
            }
        }
    }
    for name in node.strangers.models() {
        if config.route_for(name.as_str()).to.contains(&Target::Network) {
            list.add(Model::named(name), "lobstah:network".into());
        }
    }
    let found = list.models.len();
    for route in &config.routes {
        if let Some(alias) = alias(node, route, all, &list.models[..found]) {
            list.add(alias.model, alias.owner);
        }
    }
    list.models
}

/// A route that gives one name to another model puts that name into the list, where the model is there.
fn alias(node: &Node, route: &Route, all: &[Arc<Upstream>], listed: &[Listed]) -> Option<Listed> {
    let stands_for = route.use_model.as_ref()?;
    let name: ModelName = (!route.model.is_pattern()).then(|| route.model.as_str().parse().ok())??;
    let reachable = |upstream: &&Arc<Upstream>| {
        upstream.server.is_none() && route.to.iter().any(|group| upstream.is_in(group))
    };
    let has = |upstream: &Arc<Upstream>| {
        let model = upstream.with_model(stands_for, Model::clone)?;
        Some(if upstream.identity == Identity::Local { as_used(node, &model) } else { model })
    };
    let known = all.iter().filter(reachable).find_map(|upstream| Some((has(upstream)?, owner(upstream))));
    let announced = || {
        let there = route.to.contains(&Target::Network) && node.strangers.have(stands_for);
        there.then(|| (Model::named(stands_for.clone()), "lobstah:network".to_owned()))
    };
    let (model, owner) = known.or_else(announced)?;
    let there_already = listed.iter().any(|other| other.model.name.same_model(&name));
    (!there_already).then_some(Listed { model: Model { name, ..model }, owner })
}

#[derive(Default)]
struct List {
    models: Vec<Listed>,
    names: std::collections::HashSet<String>,
}

impl List {
    fn add(&mut self, model: Model, owner: String) {
        if self.names.insert(model.name.with_tag().into_owned()) {
            self.models.push(Listed { model, owner });
        }
    }
}

fn owner(upstream: &Upstream) -> String {
    match &upstream.identity {
        Identity::Local => "local".into(),
        Identity::Server { name } => name.clone(),
        Identity::Friend { node, label } | Identity::Stranger { node, label } => {
            format!("lobstah:{}", label.clone().unwrap_or_else(|| node.short()))
        }
    }
}

impl Listed {
    fn object(&self) -> Value {
        let mut object = Map::new();
        object.insert("id".into(), json!(self.model.name));
        object.insert("object".into(), json!("model"));
        object.insert("created".into(), json!(self.model.created));
        object.insert("owned_by".into(), json!(self.owner));
        if let Some(length) = self.model.context_length {
            object.insert("context_length".into(), json!(length));
        }
        Value::Object(object)
    }
}

fn percent_decoded(text: &str) -> String {
    let bytes: Vec<u8> = url::form_urlencoded::parse(text.replace('+', "%2B").as_bytes())
        .flat_map(|(key, _)| key.into_owned().into_bytes())
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
