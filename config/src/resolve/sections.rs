//! The sections, each a table that is there once.

use super::{
    judge::{Judge, Section},
    values::{
        api_key, concurrency, count, count_above_zero, glob, model, share, size, size_above_zero, span, tier,
        timeout,
    },
};
use crate::{
    Credit, Discovery, Files, Gateway, Ollama, RawCredit, RawDiscovery, RawFiles, RawGateway, RawOllama,
    RawPrice, RawWorker, Worker, key,
    resolve::Refusal,
    web::{address, bare_url, host_name, http_url, origin, relay_url},
};
use protocol::{
    Price,
    limits::{LABEL_BYTES_MAX, TTL_SECONDS_MAX},
};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

pub(super) fn gateway(raw: RawGateway, judge: &mut Judge<'_>) -> Option<Gateway> {
    let mut section = judge.section("gateway");
    let listen = section.need("listen", raw.listen, address);
    let api_keys = section.each("api_keys", raw.api_keys, api_key);
    let max_body = section.need("max_body", raw.max_body, size_above_zero);
    let max_output_tokens = section.need("max_output_tokens", raw.max_output_tokens, count_above_zero);
    let max_price = section.need("max_price", raw.max_price, count);
    let queue = section.need("queue", raw.queue, Ok);
    let max_wait = section.need("max_wait", raw.max_wait, span);
    let drain = section.need("drain", raw.drain, span);
    let hosts = section.each("hosts", raw.hosts, host_name);
    let cors_origins = section.each("cors_origins", raw.cors_origins, origin);
    if let (Some(listen), Some([])) = (listen, api_keys.as_deref()) {
        refuse_to_be_open(listen, &mut section);
    }
    Some(Gateway {
        listen: listen?,
        api_keys: api_keys?,
        max_body: max_body?,
        max_output_tokens: max_output_tokens?,
        max_price: max_price?,
        queue: queue?,
        max_wait: max_wait?,
        drain: drain?,
        hosts: hosts?,
        cors_origins: cors_origins?,
    })
}

/// Whoever reaches the gateway spends its owner's credit.
fn refuse_to_be_open(listen: SocketAddr, section: &mut Section<'_, '_>) {
    if listen.ip().to_canonical().is_loopback() || section.was_dropped("api_keys") {
        return;
    }
    let message = format!("{listen} can be reached from other machines, and gateway.api_keys is empty");
    let hint = "set gateway.api_keys, or listen on 127.0.0.1";
    section.refuse("listen", Refusal::new(message).hint(hint));
}

pub(super) fn ollama(raw: RawOllama, judge: &mut Judge<'_>) -> Option<Ollama> {
    let mut section = judge.section("ollama");
    let url = section.need("url", raw.url, http_url);
    let concurrency = section.need("concurrency", raw.concurrency, concurrency);
    Some(Ollama { url: url?, concurrency: concurrency? })
}

pub(super) fn worker(raw: RawWorker, judge: &mut Judge<'_>) -> Option<Worker> {
    let mut section = judge.section("worker");
    let enabled = section.need("enabled", raw.enabled, Ok);
    let listen = section.need("listen", raw.listen, address);
    let tier = section.need("tier", raw.tier, tier);
    let concurrency = section.need("concurrency", raw.concurrency, concurrency);
    let queue = section.need("queue", raw.queue, Ok);
    let models = section.each("models", raw.models, glob);
    let max_time = section.need("max_time", raw.max_time, timeout);
    let max_context = section.need("max_context", raw.max_context, count_above_zero);
    let share = section.need("share", raw.share, share);
    Some(Worker {
        enabled: enabled?,
        listen: listen?,
        tier: tier?,
        concurrency: concurrency?,
        queue: queue?,
        models: models?,
        max_time: max_time?,
        max_context: max_context?,
        share: share?,
    })
}

pub(super) fn credit(raw: RawCredit, judge: &mut Judge<'_>) -> Option<Credit> {
    let mut section = judge.section("credit");
    let newcomer_allowance = section.need("newcomer_allowance", raw.newcomer_allowance, count);
    let newcomer_pool_per_day = section.need("newcomer_pool_per_day", raw.newcomer_pool_per_day, count);
    let anonymous = section.need("anonymous", raw.anonymous, count);
    let trust_requester_header = section.need("trust_requester_header", raw.trust_requester_header, Ok);
    let prices = section.need("prices", raw.prices, Ok);
    let prices = prices.and_then(|prices| self::prices(prices, judge));
    Some(Credit {
        newcomer_allowance: newcomer_allowance?,
        newcomer_pool_per_day: newcomer_pool_per_day?,
        anonymous: anonymous?,
        trust_requester_header: trust_requester_header?,
        prices: prices?,
    })
}

fn prices(raw: BTreeMap<String, RawPrice>, judge: &mut Judge<'_>) -> Option<BTreeMap<String, Price>> {
    let mut prices = Some(BTreeMap::new());
    for (name, raw) in raw {
        let mut section = judge.section(key::child("credit.prices", &name));
        let named = section.need("", Some(name), model);
        let input = section.or("input", raw.input, Price::COMMON.input, count);
        let output = section.or("output", raw.output, Price::COMMON.output, count);
        let priced = named.zip(input.zip(output));
        prices = prices.zip(priced).map(|(mut prices, (name, (input, output)))| {
            prices.insert(name.to_string(), Price { input, output });
            prices
        });
    }
    prices
}

pub(super) fn discovery(raw: RawDiscovery, judge: &mut Judge<'_>) -> Option<Discovery> {
    let mut section = judge.section("discovery");
    let subscribe = section.need("subscribe", raw.subscribe, Ok);
    let publish = section.need("publish", raw.publish, Ok);
    let announce_url = raw.announce_url.filter(|url| !url.is_empty());
    let announce_url = section.may("announce_url", announce_url, bare_url);
    let announce_label = raw.announce_label.filter(|label| !label.is_empty());
    let announce_label = section.may("announce_label", announce_label, label);
    let relays = section.each("relays", raw.relays, relay_url);
    let trackers = section.each("trackers", raw.trackers, http_url);
    let ttl = section.need("ttl", raw.ttl, ttl);
    let publish_receipts = section.need("publish_receipts", raw.publish_receipts, Ok);
    let allow_private = section.need("allow_private", raw.allow_private, Ok);
    Some(Discovery {
        subscribe: subscribe?,
        publish: publish?,
        announce_url: announce_url?,
        announce_label: announce_label?,
        relays: relays?,
        trackers: trackers?,
        ttl: ttl?,
        publish_receipts: publish_receipts?,
        allow_private: allow_private?,
    })
}

fn label(text: String) -> Result<String, Refusal> {
    if text.len() <= LABEL_BYTES_MAX && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err(Refusal::new(format!("a label has at most {LABEL_BYTES_MAX} bytes and no control characters")))
    }
}

/// Whole seconds travel, and other nodes count no more than a day.
fn ttl(text: String) -> Result<Duration, Refusal> {
    let ttl = span(text)?;
    if (1..=TTL_SECONDS_MAX).contains(&ttl.as_secs()) && ttl.subsec_nanos() == 0 {
        Ok(ttl)
    } else {
        Err(Refusal::new("an announcement counts for 1s to 24h, in whole seconds"))
    }
}

pub(super) fn files(raw: RawFiles, judge: &mut Judge<'_>) -> Option<Files> {
    Some(Files { max: judge.section("files").need("max", raw.max, size)? })
}
