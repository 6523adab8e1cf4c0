//! Relays and trackers: can this node announce itself there, and do their clocks agree with ours?

use super::{Finding, Patient};
use crate::clock;
use discovery::{
    relays::{self, RelayCheck},
    tracker,
};
use nostr_sdk::Keys;
use std::time::Duration;
use url::Url;

/// One relay, from the connection to the deletion.
const PATIENCE: Duration = Duration::from_secs(15);

/// Announcements from further ahead are refused (SPEC section 5); half of it is worth a word.
const CLOCK_MAX_MS: u64 = 5 * 60 * 1000;

pub(super) async fn relay(patient: &Patient, url: &Url) -> Vec<Finding> {
    const CHECK: &str = "relay";
    let keys = patient.identity.as_ref().and_then(|identity| relays::keys(&identity.nostr).ok());
    // Without an identity of its own any key will do for a look.
    let keys = keys.unwrap_or_else(Keys::generate);
    let checked = relays::check(url, &keys, clock::now, PATIENCE).await;
    let mut findings = vec![steps(CHECK, url, &checked)];
    findings.extend(clock_finding(url, &checked));
    findings
}

fn steps(check: &'static str, url: &Url, checked: &RelayCheck) -> Finding {
    let failed = checked.steps.iter().find_map(|step| Some((step.step, step.result.as_ref().err()?)));
    match failed {
        None => {
            let took: Duration = checked.steps.iter().map(|step| step.took).sum();
            let what = format!("{url}: connected, wrote, read back, deleted in {} ms", took.as_millis());
            Finding::ok(check, what)
        }
        Some((step, why)) => {
            let mend = "leave it out of discovery.relays, or add another; `lobstah relay start` runs one of your own";
            Finding::failed(check, format!("{url}: {}: {why}", word(step)), mend)
        }
    }
}

fn word(step: relays::CheckStep) -> &'static str {
    match step {
        relays::CheckStep::Connect => "connecting",
        relays::CheckStep::Write => "writing an event",
        relays::CheckStep::ReadBack => "reading it back",
        relays::CheckStep::Delete => "deleting it",
    }
}

fn clock_finding(url: &Url, checked: &RelayCheck) -> Option<Finding> {
    const CHECK: &str = "clock";
    let clock = checked.clock?;
    let off = clock.ahead_ms.unsigned_abs().saturating_sub(clock.give_or_take_ms);
    let what = format!("{:.1} s from that of {url}", off as f64 / 1000.0);
    Some(if off < CLOCK_MAX_MS / 2 {
        Finding::ok(CHECK, what)
    } else {
        let mend =
            "set this machine's clock: timedatectl set-ntp true (Linux), sntp -sS time.apple.com (macOS)";
        Finding::failed(CHECK, what, mend)
    })
}

pub(super) async fn tracker(url: &Url) -> Vec<Finding> {
    const CHECK: &str = "tracker";
    let asked = match tracker::Client::new(url.clone()) {
        Ok(client) => client.peers().await.map(|listed| listed.peers.len()),
        Err(error) => Err(error),
    };
    vec![match asked {
        Ok(count) => Finding::ok(CHECK, format!("{url} lists {count} workers")),
        Err(error) => {
            let mend = "correct it in discovery.trackers; `lobstah tracker start` runs one of your own";
            Finding::failed(CHECK, format!("{url}: {error}"), mend)
        }
    }]
}
