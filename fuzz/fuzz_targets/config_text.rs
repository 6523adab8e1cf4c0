//! `lobstah.toml`: whatever stands in it comes into force or is named with its place.
#![no_main]

use config::{Config, Environment, Problem, load_text};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    match load_text(Path::new("lobstah.toml"), text, &Environment::default(), &[]) {
        Ok(loaded) => {
            is_in_force(&loaded.config);
            assert!(!loaded.origins.settings().is_empty());
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            problems.iter().for_each(|problem| is_placed(problem, text));
        }
    }
});

fn is_in_force(config: &Config) {
    for model in ["llama3.1", "gpt-4o-mini", "hf.co/team/m:Q4_K_M"] {
        let route = config.route_for(model);
        assert!(!route.to.is_empty(), "a request that goes nowhere: {route:?}");
        let _ = config.worker.offers(model);
        let _ = config.credit.price(&model.parse().expect("a name"));
    }
    let open = !config.gateway.listen.ip().to_canonical().is_loopback() && config.gateway.api_keys.is_empty();
    assert!(!open, "beyond loopback without keys");
}

/// An editor can go there.
fn is_placed(problem: &Problem, text: &str) {
    assert!(!problem.message.is_empty() && !problem.to_string().is_empty());
    let lines: Vec<&str> = text.split('\n').collect();
    if let (Some(line), Some(column)) = (problem.line(), problem.column()) {
        assert!((1..=lines.len()).contains(&line), "{problem}");
        assert!((1..=lines[line - 1].chars().count() + 1).contains(&column), "{problem}");
    }
}
