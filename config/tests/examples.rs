//! The examples that users start from are settings that come into force, and mean what they say.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

use config::{Config, Environment, Target, load_text};
use std::{fs, path::PathBuf};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn example(name: &str) -> Config {
    let path = folder().join(name);
    let env: Environment = [("OPENAI_API_KEY", "sk-example")].into_iter().collect();
    let text = fs::read_to_string(&path).unwrap();
    load_text(&path, &text, &env, &[]).unwrap_or_else(|problems| panic!("{name}: {problems:?}")).config
}

#[test]
fn every_example_comes_into_force() {
    let names =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let settings: Vec<String> = names.filter(|name| name.ends_with(".toml")).collect();
    assert!(settings.len() >= 4, "{settings:?}");
    for name in settings {
        example(&name);
    }
}

#[test]
fn only_mine_leads_nowhere_else() {
    let config = example("only-mine.toml");
    for model in ["llama3.1:8b", "gpt-4o-mini", "team/model:tag"] {
        assert_eq!(config.route_for(model).to, [Target::Local]);
    }
    assert!(!config.discovery.subscribe && !config.discovery.publish);
}

#[test]
fn friends_first_asks_friends_first() {
    let config = example("friends-first.toml");
    assert_eq!(config.route_for("llama3.1:8b").to, [Target::Friends, Target::Local]);
    assert_eq!(config.peers.len(), 2);
}

#[test]
fn only_the_nightly_names_reach_strangers() {
    let config = example("overnight-on-the-network.toml");
    assert!(config.route_for("batch-small").to.contains(&Target::Network));
    assert!(!config.route_for("llama3.1:8b").to.contains(&Target::Network));
    assert!(config.discovery.subscribe && !config.discovery.publish);
}

#[test]
fn the_cloud_is_the_last_resort_and_only_for_its_own_names() {
    let config = example("cloud-as-the-last-resort.toml");
    let cloud = Target::Upstream("openai".into());
    let route = config.route_for("gpt-4o-mini");
    assert_eq!((route.to.last(), route.to.len()), (Some(&cloud), 3));
    assert_eq!(config.route_for("gpt-4.1").to, std::slice::from_ref(&cloud));
    assert!(!config.route_for("llama3.1:8b").to.contains(&cloud));
}

#[test]
fn lending_announces_an_address_that_others_can_reach() {
    let config = example("lend-to-the-network.toml");
    assert!(config.worker.enabled && config.discovery.publish);
    let url = config.discovery.announce_url.unwrap();
    assert_eq!(url.host_str(), Some("mini.example"));
    assert!(config.worker.offers("llama3.1:8b") && !config.worker.offers("llama3.1:70b"));
}
