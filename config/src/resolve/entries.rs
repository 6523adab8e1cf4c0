//! The arrays: friends, upstreams, routes. Each entry is judged on its own, then among the others.

use super::{
    Refusal,
    judge::{Judge, Section, all},
    values::{count, glob, label, model, node_id, tier, timeout},
};
use crate::{
    Environment, Glob, Peer, RawPeer, RawRoute, RawUpstream, Route, Secret, Target, Upstream, key, suggest,
    web::http_url,
};
use std::collections::{BTreeMap, BTreeSet};

/// Names that no upstream may have.
const BUILT_IN: [(&str, Target); 3] = Target::GROUPS;

pub(super) fn peers(raw: Vec<RawPeer>, judge: &mut Judge<'_>) -> Option<Vec<Peer>> {
    let mut seen = BTreeMap::new();
    let peers = raw.into_iter().enumerate().map(|(index, raw)| {
        let path = key::element("peers", index);
        let mut section = judge.section(path.as_str());
        let peer = peer(raw, &mut section);
        if let Some(first) = peer.as_ref().and_then(|peer| seen.insert(peer.pubkey, path)) {
            section.refuse("pubkey", Refusal::new(format!("{first} has the same key")));
        }
        peer
    });
    all(peers)
}

fn peer(raw: RawPeer, section: &mut Section<'_, '_>) -> Option<Peer> {
    let pubkey = section.need("pubkey", raw.pubkey, node_id);
    let url = section.may("url", raw.url.filter(|url| !url.is_empty()), http_url);
    let label = section.may("label", raw.label, label);
    let credit_limit = section.or("credit_limit", raw.credit_limit, Peer::CREDIT_LIMIT, count);
    Some(Peer {
        pubkey: pubkey?,
        url: url?,
        label: label?,
        credit_limit: credit_limit?,
        version1: raw.version1.unwrap_or(false),
    })
}

/// The names that routes may use, of entries that are wrong otherwise too. `None` if an entry has
/// no name: then nobody can say what it was to be called.
pub(super) fn names(raw: &[RawUpstream]) -> Option<BTreeSet<String>> {
    raw.iter().map(|upstream| upstream.name.clone()).collect()
}

pub(super) fn upstreams(
    raw: Vec<RawUpstream>,
    env: &Environment,
    judge: &mut Judge<'_>,
) -> Option<Vec<Upstream>> {
    let mut seen = BTreeMap::new();
    let upstreams = raw.into_iter().enumerate().map(|(index, raw)| {
        let path = key::element("upstreams", index);
        let mut section = judge.section(path.as_str());
        if let Some(first) = raw.name.clone().and_then(|name| seen.insert(name, path)) {
            section.refuse("name", Refusal::new(format!("{first} has the same name")));
        }
        upstream(raw, env, &mut section)
    });
    all(upstreams)
}

fn upstream(raw: RawUpstream, env: &Environment, section: &mut Section<'_, '_>) -> Option<Upstream> {
    let name = section.need("name", raw.name, upstream_name);
    let url = section.need("url", raw.url, http_url);
    let api_key = section.may("api_key_env", raw.api_key_env, |variable| api_key(&variable, env));
    let models = match raw.models {
        Some(models) => section.each("models", Some(models), glob),
        None => Some(vec![Glob::any()]),
    };
    Some(Upstream { name: name?, url: url?, api_key: api_key?, models: models? })
}

/// It travels in the header `x-lobstah-worker`, beside `local` and nodes' keys.
fn upstream_name(name: String) -> Result<String, Refusal> {
    if BUILT_IN.iter().any(|(taken, _)| *taken == name) {
        return Err(
            Refusal::new(format!("`{name}` has a meaning of its own in routes")).hint("choose another name")
        );
    }
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(Refusal::new("a name has letters, digits, `-`, `_` and `.` only"));
    }
    Ok(name)
}

/// The message names the variable only where it may: who mistook the key for a name of a variable
/// must not find it in the log.
fn api_key(variable: &str, env: &Environment) -> Result<Secret, Refusal> {
    let is_name =
        variable.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let shown = if is_name { variable } else { "of this name" };
    let value = env.get(variable).ok_or_else(|| {
        Refusal::new(format!("the environment variable {shown} is not set, or empty"))
            .hint("this key names a variable; it does not hold the API key itself")
    })?;
    let text = value.to_str().map(str::trim).unwrap_or_default();
    super::values::api_key(Secret::new(text.to_owned()))
}

pub(super) fn routes(
    raw: Vec<RawRoute>,
    upstreams: Option<&BTreeSet<String>>,
    judge: &mut Judge<'_>,
) -> Option<Vec<Route>> {
    let routes = raw.into_iter().enumerate().map(|(index, raw)| {
        let mut section = judge.section(key::element("routes", index));
        route(raw, upstreams, &mut section)
    });
    all(routes)
}

fn route(
    raw: RawRoute,
    upstreams: Option<&BTreeSet<String>>,
    section: &mut Section<'_, '_>,
) -> Option<Route> {
    let fallback = Route::unnamed();
    let matched = section.need("model", raw.model, glob);
    let use_model = section.may("use", raw.use_model, model);
    let to = match raw.to {
        Some(to) => targets(to, upstreams, section),
        None => Some(fallback.to),
    };
    let tier = section.may("tier", raw.tier, tier);
    let first_byte_timeout =
        section.or("first_byte_timeout", raw.first_byte_timeout, fallback.first_byte_timeout, timeout);
    let silence_timeout =
        section.or("silence_timeout", raw.silence_timeout, fallback.silence_timeout, timeout);
    let answer_timeout = section.or("answer_timeout", raw.answer_timeout, fallback.answer_timeout, timeout);
    Some(Route {
        model: matched?,
        use_model: use_model?,
        to: to?,
        tier: tier?,
        first_byte_timeout: first_byte_timeout?,
        silence_timeout: silence_timeout?,
        answer_timeout: answer_timeout?,
    })
}

fn targets(
    to: Vec<String>,
    upstreams: Option<&BTreeSet<String>>,
    section: &mut Section<'_, '_>,
) -> Option<Vec<Target>> {
    if to.is_empty() {
        section.refuse(
            "to",
            Refusal::new("a route must lead somewhere").hint("leave `to` out for local and friends"),
        );
    }
    let mut seen = BTreeSet::new();
    let repeated = to.iter().find(|name| !seen.insert(name.as_str())).cloned();
    if let Some(name) = repeated {
        section.refuse("to", Refusal::new(format!("`{name}` is named twice")));
    }
    section.each("to", Some(to), |name| target(name, upstreams))
}

/// Without the upstreams' names any name may be one.
fn target(name: String, upstreams: Option<&BTreeSet<String>>) -> Result<Target, Refusal> {
    let target = Target::named(&name);
    let unknown = |names: &&BTreeSet<String>| !names.contains(&name);
    let Some(upstreams) = upstreams.filter(unknown).filter(|_| matches!(target, Target::Upstream(_))) else {
        return Ok(target);
    };
    let names = BUILT_IN.iter().map(|(name, _)| *name).chain(upstreams.iter().map(String::as_str));
    let refusal = Refusal::new(format!("no upstream is called `{name}`"));
    Err(match suggest::nearest(&name, names) {
        Some(right) => refusal.hint(format!("did you mean {right}?")),
        None => refusal.hint("add an [[upstreams]] entry of this name"),
    })
}
