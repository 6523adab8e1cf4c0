//! The owner's Ollama: is it there, what does it have, what of it is lent?

use super::{Finding, Patient};
use config::Target;
use upstream_ollama::is_cloud;

const CHECK: &str = "ollama";

pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    let url = patient.config.ollama.url.as_str().trim_end_matches('/');
    let Some(ollama) = &patient.ollama else {
        return vec![Finding::failed(CHECK, format!("{url} cannot be asked"), "correct ollama.url")];
    };
    let models = match ollama.models().await {
        Ok(models) => models,
        Err(error) => return vec![absent(patient, &error.to_string())],
    };
    let version = ollama.version().await.map(|version| format!(" ({version})")).unwrap_or_default();
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    let only_cloud = !models.is_empty() && models.iter().all(|model| is_cloud(&model.name));
    let mut findings = vec![if names.is_empty() {
        Finding::failed(CHECK, format!("{url}{version} has no models"), "ollama pull llama3.2:1b")
    } else {
        Finding::ok(CHECK, format!("{url}{version} has {}", names.join(", ")))
    }];
    findings.extend(lent(patient, &names, only_cloud));
    findings
}

/// A node may well have no engine of its own: then something else must answer.
fn absent(patient: &Patient, why: &str) -> Finding {
    let config = &patient.config;
    let mend = "ollama serve, or set OLLAMA_HOST to where it is";
    let others = config.peers.iter().any(|peer| peer.url.is_some())
        || config.routes.iter().any(|route| route.to.iter().any(|to| *to != Target::Local));
    if config.worker.enabled || !others {
        Finding::failed(CHECK, why, mend)
    } else {
        Finding::warning(CHECK, format!("{why}; only others can answer here"), mend)
    }
}

fn lent(patient: &Patient, names: &[&str], only_cloud: bool) -> Option<Finding> {
    let worker = &patient.config.worker;
    if !worker.enabled {
        return Some(Finding::off("worker", "lends nothing; to serve others: worker.enabled = true"));
    }
    let lent: Vec<&str> = names.iter().copied().filter(|name| worker.offers(name)).collect();
    if !lent.is_empty() {
        return Some(Finding::ok("worker", format!("lends {}", lent.join(", "))));
    }
    let what = if only_cloud {
        "all models run in Ollama's cloud, and those are lent only by name"
    } else {
        "no model that Ollama has fits worker.models"
    };
    Some(Finding::failed("worker", what, "worker.models = [\"*\"], or pull one that it names"))
}
