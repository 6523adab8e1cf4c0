//! `lobstah doctor`: everything that a node needs from outside, tried once, and how to mend what fails.
//!
//! Each check is a small function that gives findings; nothing is changed by any of them, but for an event
//! that a relay keeps for a minute.

mod announced;
mod engine;
mod finding;
mod home;
mod meeting_places;
mod others;

pub use finding::{Finding, State};

use crate::{identity_file, prober::Prober, target::Connections};
use config::{Config, Paths};
use protocol::Identity;
use std::{future::Future, pin::Pin, sync::Arc};
use upstream_ollama::Ollama;

/// What the checks are made with.
pub struct Patient {
    pub config: Config,
    pub paths: Paths,
    pub identity: Option<Identity>,
    pub block_private: bool,
    connections: Arc<Connections>,
    ollama: Option<Ollama>,
    prober: Option<Prober>,
}

/// A check that is under way.
pub type Check<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + 'a>>;

impl Patient {
    pub fn new(config: Config, paths: Paths, block_private: bool) -> Self {
        let connections = Arc::new(Connections::new(block_private));
        let ollama = Ollama::new(config.ollama.url.clone()).ok();
        let prober =
            ollama.clone().map(|ollama| Prober::new(ollama, Arc::clone(&connections), Arc::default()));
        let identity = identity_file::load(&paths.identity).ok().flatten();
        Self { config, paths, identity, block_private, connections, ollama, prober }
    }

    /// Every check, in the order in which they are shown. They may run at the same time.
    pub fn checks(&self) -> Vec<Check<'_>> {
        let mut checks: Vec<Check<'_>> = vec![
            Box::pin(async { home::check(self) }),
            Box::pin(engine::check(self)),
            Box::pin(others::friends(self)),
            Box::pin(others::servers(self)),
        ];
        if self.uses_relays() {
            let relays = &self.config.discovery.relays;
            checks.extend(relays.iter().map(|url| Box::pin(meeting_places::relay(self, url)) as Check<'_>));
        }
        let trackers = &self.config.discovery.trackers;
        checks.extend(trackers.iter().map(|url| Box::pin(meeting_places::tracker(url)) as Check<'_>));
        checks.push(Box::pin(announced::check(self)));
        checks
    }

    fn uses_relays(&self) -> bool {
        self.config.discovery.subscribe || self.config.discovery.publish
    }
}
