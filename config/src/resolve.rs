//! What was typed -> what it means. Pure: the environment is a value, and no file or clock is read.
//!
//! Every value is read even after one was refused, so that all problems are found in one pass.

mod entries;
mod judge;
mod sections;
mod values;

use crate::{Config, Environment, Origins, Problem, RawConfig};
use judge::Judge;

pub(crate) use judge::Refusal;

impl RawConfig {
    /// Resolves a configuration in which the defaults are laid under what was typed; a key of a
    /// section that is still missing is a problem. `env` holds the upstreams' API keys, `origins`
    /// tells the problems where they stand.
    pub fn resolve(self, env: &Environment, origins: &Origins) -> Result<Config, Vec<Problem>> {
        let mut judge = Judge::new(origins);
        let gateway = sections::gateway(self.gateway, &mut judge);
        let ollama = sections::ollama(self.ollama, &mut judge);
        let worker = sections::worker(self.worker, &mut judge);
        let credit = sections::credit(self.credit, &mut judge);
        let discovery = sections::discovery(self.discovery, &mut judge);
        let files = sections::files(self.files, &mut judge);
        let peers = entries::peers(self.peers, &mut judge);
        let names = entries::names(&self.upstreams);
        let upstreams = entries::upstreams(self.upstreams, env, &mut judge);
        let routes = entries::routes(self.routes, names.as_ref(), &mut judge);
        let whole = (|| {
            Some(Config {
                gateway: gateway?,
                ollama: ollama?,
                worker: worker?,
                credit: credit?,
                discovery: discovery?,
                files: files?,
                peers: peers?,
                upstreams: upstreams?,
                routes: routes?,
            })
        })();
        judge.verdict(whole)
    }
}
