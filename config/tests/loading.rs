//! Layers over each other, and what comes out of them.

mod support;

use config::{ConfigFile, DEFAULTS, Environment, Share, Source, Target};
use protocol::Tier;
use std::time::Duration;
use support::{env, flag, load, load_all, printed};

/// SPEC section 9, with a whole key for the one that it abbreviates.
const SAMPLE: &str = include_str!("sample.toml");

#[test]
fn the_sample_of_the_contract_loads_and_means_what_it_says() {
    let env = env([("OPENAI_API_KEY", "sk-1")]);
    let config = load_all(SAMPLE, &env, &[]).unwrap().config;
    assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:17475");
    assert_eq!(config.gateway.max_body, 32 << 20);
    assert_eq!(config.gateway.max_wait, Duration::from_secs(120));
    assert_eq!(config.ollama.url.as_str(), "http://127.0.0.1:11434/");
    assert_eq!((config.worker.tier, config.worker.share), (Tier::BestEffort, Share::Always));
    assert_eq!(config.discovery.relays.len(), 3);
    assert_eq!(config.discovery.announce_url, None);
    assert_eq!(config.files.max, 512 << 20);
    assert_eq!(config.peers[0].credit_limit, 100_000);
    assert!(config.upstreams[0].api_key.as_ref().unwrap().matches(b"sk-1"));
    let route = config.route_for("gpt-4o-mini");
    assert_eq!(route.use_model.as_ref().unwrap().as_str(), "llama3.1:8b");
    let network = [Target::Local, Target::Friends, Target::Network, Target::Upstream("openai".into())];
    assert_eq!(route.to, network);
    assert_eq!(route.tier, Some(Tier::Batch));
}

#[test]
fn a_model_that_no_route_names_goes_to_this_machine_and_to_friends() {
    let config = load("[[routes]]\nmodel = \"gpt-*\"\nto = [\"network\"]").unwrap().config;
    let route = config.route_for("llama3.1");
    assert_eq!(route.to, [Target::Local, Target::Friends]);
    assert_eq!(route.first_byte_timeout, Duration::from_secs(600));
    assert_eq!(route.silence_timeout, Duration::from_secs(45));
    assert_eq!(route.answer_timeout, Duration::from_secs(3600));
    assert_eq!(config.route_for("gpt-4").to, [Target::Network]);
    assert_eq!(config.route_for("gpt-4").silence_timeout, Duration::from_secs(45));
}

#[test]
fn the_first_route_that_matches_decides() {
    let text =
        "[[routes]]\nmodel = \"llama*\"\nto = [\"local\"]\n[[routes]]\nmodel = \"*\"\nto = [\"friends\"]";
    let config = load(text).unwrap().config;
    assert_eq!(config.route_for("llama3.1:8b").to, [Target::Local]);
    assert_eq!(config.route_for("qwen3").to, [Target::Friends]);
}

#[test]
fn flags_beat_the_environment_beats_the_file_beats_the_defaults() {
    let text = "[worker]\nconcurrency = 2\nqueue = 2\nmax_time = \"2m\"";
    let env = env([("LOBSTAH_WORKER__CONCURRENCY", "3"), ("LOBSTAH_WORKER__QUEUE", "3")]);
    let loaded = load_all(text, &env, &[flag("--concurrency", "worker.concurrency", 4)]).unwrap();
    assert_eq!(loaded.config.worker.concurrency, 4);
    assert_eq!(loaded.config.worker.queue, 3);
    assert_eq!(loaded.config.worker.max_time, Duration::from_secs(120));
    let source = |key: &str| loaded.origins.get(key).unwrap().source.to_string();
    assert_eq!(source("worker.concurrency"), "--concurrency");
    assert_eq!(source("worker.queue"), "environment variable LOBSTAH_WORKER__QUEUE");
    assert_eq!(source("worker.max_time"), "lobstah.toml:4:12");
    assert_eq!(loaded.origins.get("worker.tier").unwrap().source, Source::Defaults);
}

#[test]
fn the_environment_sets_every_kind_of_key() {
    let env = env([
        ("LOBSTAH_GATEWAY__LISTEN", "0.0.0.0:0"),
        ("LOBSTAH_GATEWAY__API_KEYS", "sk-1, 12345"),
        ("LOBSTAH_GATEWAY__MAX_BODY", "1048576"),
        ("LOBSTAH_WORKER__ENABLED", "true"),
        ("LOBSTAH_WORKER__MODELS", r#"["llama*", "qwen,3"]"#),
        ("LOBSTAH_CREDIT__PRICES", r#"{ "llama3.1:70b" = { input = 2000 } }"#),
        ("LOBSTAH_DISCOVERY__RELAYS", ""),
    ]);
    let config = load_all("", &env, &[]).unwrap().config;
    assert!(config.gateway.accepts_key(b"12345") && !config.gateway.accepts_key(b"1234"));
    assert_eq!(config.gateway.max_body, 1 << 20);
    assert!(config.worker.enabled && config.discovery.relays.is_empty());
    assert_eq!(config.worker.models[1].as_str(), "qwen,3");
    let price = config.credit.price(&"llama3.1:70b".parse().unwrap()).unwrap();
    assert_eq!((price.input, price.output), (2000, 1000));
}

#[test]
fn variables_that_are_no_keys_are_left_alone() {
    let env = env([
        ("LOBSTAH_HOME", "/x"),
        ("LOBSTAH_PEERS", "/x/peers.json"),
        ("LOBSTAH_LOG", "debug"),
        ("LOBSTAH_BLOCK_PRIVATE_ADDRS", "1"),
        ("GATEWAY__LISTEN", "nonsense"),
    ]);
    assert!(load_all("", &env, &[]).is_ok());
}

#[test]
fn ollama_host_beats_the_file_and_its_own_key_beats_it() {
    let text = "[ollama]\nurl = \"http://file:1\"";
    let host = ("OLLAMA_HOST", "0.0.0.0:9");
    let loaded = load_all(text, &env([host]), &[]).unwrap();
    assert_eq!(loaded.config.ollama.url.as_str(), "http://127.0.0.1:9/");
    assert_eq!(
        loaded.origins.get("ollama.url").unwrap().source.to_string(),
        "environment variable OLLAMA_HOST"
    );
    let both = env([host, ("LOBSTAH_OLLAMA__URL", "http://key:2")]);
    assert_eq!(load_all(text, &both, &[]).unwrap().config.ollama.url.as_str(), "http://key:2/");
}

#[test]
fn secrets_are_shown_nowhere() {
    let text = "[gateway]\napi_keys = [\"sk-geheim\"]\n[[upstreams]]\nname = \"a\"\nurl = \"http://a\"\napi_key_env = \"A\"";
    let loaded = load_all(text, &env([("A", "sk-geheim")]), &[]).unwrap();
    assert_eq!(loaded.origins.get("gateway.api_keys").unwrap().value.to_string(), r#"["***"]"#);
    assert!(!format!("{loaded:?}").contains("geheim"));
    let wrong =
        "[gateway]\napi_keys = \"sk-geheim\"\nqueue = \"sk-geheim\"\n[worker]\napi_keys = [\"sk-geheim\"]
        [[upstreams]]\nname = \"a\"\nurl = \"http://u:sk-geheim@a\"\napi_key_env = \"sk-geheim\"";
    let complaints = printed(load(wrong));
    assert_eq!(complaints.len(), 5, "{complaints:#?}");
    assert!(!complaints.concat().contains("geheim"), "{complaints:#?}");
    let env = env([("LOBSTAH_GATEWAY__API_KEYS", "[\"sk-geheim"), ("LOBSTAH_GATEWAY__QUEUE", "sk-geheim")]);
    let complaints = printed(load_all("", &env, &[]));
    assert!(complaints.len() == 2 && !complaints.concat().contains("geheim"), "{complaints:#?}");
}

#[test]
fn settings_come_in_the_order_of_the_defaults_then_the_arrays() {
    let loaded = load("[[routes]]\nmodel = \"a\"\nto = [\"local\"]\n[files]\nmax = 5").unwrap();
    let keys: Vec<&str> = loaded.origins.settings().iter().map(|setting| setting.key.as_str()).collect();
    assert_eq!(&keys[..2], ["gateway.listen", "gateway.api_keys"]);
    assert_eq!(&keys[keys.len() - 3..], ["files.max", "routes[0].model", "routes[0].to"]);
    assert_eq!(
        serde_json::to_string(loaded.origins.get("files.max").unwrap()).unwrap(),
        r#"{"key":"files.max","value":5,"source":"lobstah.toml:5:7"}"#
    );
}

#[test]
fn a_file_that_nobody_named_may_be_missing() {
    let missing = tempfile::tempdir().unwrap().path().join("lobstah.toml");
    let none = Environment::default();
    assert!(config::load(&ConfigFile::IfPresent(missing.clone()), &none, &[]).is_ok());
    let problems = config::load(&ConfigFile::Required(missing.clone()), &none, &[]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().starts_with(missing.to_str().unwrap()));
}

#[test]
fn a_file_is_read_and_what_is_no_text_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = ConfigFile::IfPresent(folder.path().join("lobstah.toml"));
    std::fs::write(file.path(), "[worker]\nqueue = 7").unwrap();
    assert_eq!(config::load(&file, &Environment::default(), &[]).unwrap().config.worker.queue, 7);
    std::fs::write(file.path(), b"[worker]\nshare = \"\xff\"").unwrap();
    let problems = config::load(&file, &Environment::default(), &[]).unwrap_err();
    assert_eq!((problems.len(), problems[0].line(), problems[0].column()), (1, Some(2), Some(10)));
}

#[test]
fn cloud_models_are_offered_only_when_they_are_named() {
    let offers = |models: &str, model: &str| {
        load(&format!("[worker]\nmodels = {models}")).unwrap().config.worker.offers(model)
    };
    assert!(offers(r#"["*"]"#, "llama3.1:8b"));
    assert!(!offers(r#"["*"]"#, "gpt-oss:120b-cloud") && !offers(r#"["*"]"#, "glm-4.6:cloud"));
    assert!(!offers(r#"["gpt*"]"#, "gpt-oss:120b-cloud"));
    assert!(
        offers(r#"["gpt-oss:120b-cloud"]"#, "gpt-oss:120b-cloud")
            && offers(r#"["*:cloud"]"#, "glm-4.6:cloud")
    );
    assert!(offers(r#"["llama3.1"]"#, "llama3.1:latest") && !offers("[]", "llama3.1"));
}

#[test]
fn every_key_has_its_default_or_an_example() {
    let example: String = DEFAULTS.lines().map(uncommented).collect();
    let with_example: toml::Table = example.parse().unwrap();
    let keys_of = |table: &toml::Value| table.as_table().unwrap().keys().cloned().collect::<Vec<_>>();
    let schema = config::schema();
    for (section, described) in schema["properties"].as_object().unwrap() {
        let written = &with_example[section];
        let (written, described) = match written.as_array() {
            Some(entries) => (&entries[0], &described["items"]),
            None => (written, described),
        };
        let known: Vec<_> = described["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys_of(written), known, "{section}");
    }
}

/// `#key = …` is an example, `# A sentence` is not.
fn uncommented(line: &str) -> String {
    let example = line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| !c.is_whitespace()));
    format!("{}\n", example.unwrap_or(line))
}

#[test]
fn the_example_shows_the_values_of_what_is_left_out() {
    let example: String = DEFAULTS.lines().map(uncommented).collect();
    let env = env([("OPENAI_API_KEY", "sk-1")]);
    let shown = load_all(&example, &env, &[]).unwrap().config;
    let (route, unnamed) = (&shown.routes[0], config::Route::unnamed());
    assert_eq!(shown.peers[0].credit_limit, config::Peer::CREDIT_LIMIT);
    assert!(!shown.peers[0].version1);
    assert_eq!(route.to, unnamed.to);
    assert_eq!(route.first_byte_timeout, unnamed.first_byte_timeout);
    assert_eq!(route.silence_timeout, unnamed.silence_timeout);
    assert_eq!(route.answer_timeout, unnamed.answer_timeout);
}

#[test]
fn the_schema_describes_every_key_and_holds_the_defaults() {
    let schema = config::schema();
    assert_eq!(schema.pointer("/properties/gateway/properties/queue/default"), Some(&1000.into()));
    assert_eq!(schema.pointer("/properties/gateway/additionalProperties"), Some(&false.into()));
    assert_eq!(schema.pointer("/properties/routes/items/properties/use/type"), Some(&"string".into()));
    for (section, described) in schema["properties"].as_object().unwrap() {
        let keys = described.pointer("/properties").or(described.pointer("/items/properties")).unwrap();
        for (key, described) in keys.as_object().unwrap() {
            assert!(described["description"].is_string(), "{section}.{key}");
            assert!(!described.to_string().contains("null"), "{section}.{key}: {described}");
        }
    }
}
