//! `lobstah balance --network`: what nodes claim in public. It changes nothing here.

use crate::commands::{counted, table};
use anyhow::ensure;
use discovery::{
    public_receipts::{Claimed, Hearsay, Tally},
    relays::{self, Ear, Question},
};
use serde::Serialize;
use std::{fmt, process::ExitCode, sync::Arc, time::Duration};
use url::Url;

/// How long the relays are listened to.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many nodes are shown, those who are said to have earned most.
const SHOWN_MAX: usize = 100;

/// What the relays had.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Network {
    relays: Vec<Asked>,
    /// Receipts that are added up.
    receipts: u64,
    /// Events that were none, or forged.
    refused: u64,
    /// Good ones that are not added up, for want of room.
    left_out: u64,
    per_peer: Vec<Row>,
}

#[derive(Serialize)]
struct Asked {
    url: Url,
    events: Option<u64>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Row {
    pubkey: String,
    earned: u64,
    spent: u64,
    receipts: u64,
}

/// Asks all relays at the same time.
pub(super) fn ask(urls: &[Url]) -> anyhow::Result<Network> {
    ensure!(!urls.is_empty(), "no relay is named in discovery.relays; name one, or leave --network out");
    let hearsay = Arc::new(Hearsay::default());
    let ear: Arc<dyn Ear> = Arc::clone(&hearsay) as Arc<dyn Ear>;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let gathered = runtime.block_on(relays::gather(urls, ear, Question::Receipts, PATIENCE));
    let Tally { receipts, refused, left_out } = hearsay.tally();
    let asked = gathered.into_iter().map(|one| match one.result {
        Ok(events) => Asked { url: one.relay, events: Some(events), error: None },
        Err(error) => Asked { url: one.relay, events: None, error: Some(error.to_string()) },
    });
    let row = |(pubkey, claimed): (String, Claimed)| Row {
        pubkey,
        earned: claimed.earned,
        spent: claimed.spent,
        receipts: claimed.receipts,
    };
    let per_peer = hearsay.claims().into_iter().take(SHOWN_MAX).map(row).collect();
    Ok(Network { relays: asked.collect(), receipts, refused, left_out, per_peer })
}

impl Network {
    /// Failed where no relay was heard out.
    pub(super) fn exit_code(&self) -> ExitCode {
        let heard = self.relays.iter().any(|relay| relay.error.is_none());
        if heard { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for relay in &self.relays {
            let word = match (&relay.events, &relay.error) {
                (_, Some(error)) => error.clone(),
                (events, None) => counted(events.unwrap_or_default() as usize, "event"),
            };
            writeln!(f, "{}: {word}", relay.url)?;
        }
        let rows: Vec<Vec<String>> = self
            .per_peer
            .iter()
            .map(|row| {
                let numbers = [row.earned, row.spent, row.receipts].map(|number| number.to_string());
                [numbers.to_vec(), vec![row.pubkey.clone()]].concat()
            })
            .collect();
        if !rows.is_empty() {
            f.write_str(&table::render(
                &["claims it earned", "is said to have spent", "receipts", "key"],
                &rows,
            ))?;
        }
        writeln!(
            f,
            "{} made public, {} refused, {} left out",
            counted(self.receipts as usize, "receipt"),
            self.refused,
            self.left_out
        )?;
        f.write_str("these are claims of others, whom nobody checked: they change no credit here\n")
    }
}
