//! The owner's Ollama: is it there, what does it have, what of it is lent?

use super::{Finding, Patient};
use config::Target;
use futures::future::join_all;
use upstream_ollama::{Model, Ollama, context::OLLAMA_DEFAULT, is_cloud};

const CHECK: &str = "ollama";

/// More models are not asked about one by one.
const MODELS_ASKED_MAX: usize = 64;

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
    findings.extend(small_contexts(patient, ollama, &models).await);
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

/// Models that get little context, of which more could be asked for.
async fn small_contexts(patient: &Patient, ollama: &Ollama, models: &[Model]) -> Option<Finding> {
    let most = patient.config.worker.max_context;
    if most > OLLAMA_DEFAULT {
        return None;
    }
    let loaded = ollama.loaded().await.unwrap_or_default();
    let in_use = |model: &Model| {
        loaded
            .iter()
            .find(|loaded| loaded.name.same_model(&model.name))
            .and_then(|loaded| loaded.context_length)
    };
    let own = models.iter().filter(|model| !model.remote && !is_cloud(&model.name)).take(MODELS_ASKED_MAX);
    let small = own.map(|model| async move {
        let details = ollama.show(&model.name).await.ok()?;
        let runs_with = details.num_ctx.or(in_use(model)).unwrap_or(OLLAMA_DEFAULT);
        let could_have_more = details.context_length.is_none_or(|trained| trained > OLLAMA_DEFAULT);
        (runs_with <= OLLAMA_DEFAULT && could_have_more).then(|| model.name.to_string())
    });
    let small: Vec<String> = join_all(small).await.into_iter().flatten().collect();
    let names = small.join(", ");
    (!small.is_empty()).then(|| {
        Finding::warning(
            "context",
            format!("longer prompts than {OLLAMA_DEFAULT} tokens are refused by {names}"),
            "worker.max_context = 32768, if there is memory for it",
        )
    })
}
