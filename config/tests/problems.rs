//! What is said about a broken configuration: everything, once, with its place and how to mend it.

mod support;

use config::Problem;
use support::{assert_complaint, complaints, env, flag, load, load_all, printed};

const BROKEN: &str = r#"[gateway]
listn = "127.0.0.1:1"
queue = "many"
max_wait = "2 fortnights"
hosts = ["mini.local", 5, "http://mini"]

[worker]
max_body = "1MiB"
tier = "interactiv"
concurrency = 0

[gatewy]
listen = "127.0.0.1:1"

[[peers]]
pubkey = "lob1"
url = "ftp://mini"

[[upstreams]]
name = "openai"
url = "https://api.openai.com/v1"
api_key_env = "OPENAI_API_KEY"
modls = ["*"]

[[routes]]
model = "*"
to = ["local", "openia"]
silence_timeout = 45
"#;

#[test]
fn every_problem_is_reported_at_once_with_its_line() {
    assert_eq!(
        complaints(BROKEN),
        [
            "lobstah.toml:2:1: gateway.listn: unknown key; did you mean gateway.listen?",
            "lobstah.toml:3:9: gateway.queue: expected a whole number from 0, found a string; write it without quotes",
            "lobstah.toml:4:12: gateway.max_wait: ` fortnights` is no unit of time; write it as 500ms, 30s, 2m, 24h or 7d",
            "lobstah.toml:5:24: gateway.hosts[1]: expected a string, found a whole number; put it in quotes",
            "lobstah.toml:5:27: gateway.hosts[2]: `http://mini` is no Host name; write the name alone, without scheme and port",
            "lobstah.toml:8:1: worker.max_body: unknown key; max_body is a key of [gateway]",
            "lobstah.toml:9:8: worker.tier: `interactiv` is none of interactive, batch, best-effort; did you mean interactive?",
            "lobstah.toml:10:15: worker.concurrency: at least 1: with zero nothing would ever run",
            "lobstah.toml:12:2: gatewy: unknown section; did you mean gateway?",
            "lobstah.toml:16:10: peers[0].pubkey: a node's key is `lob1` and 64 lower-case hex digits; `lobstah keygen` shows a node's own",
            "lobstah.toml:17:7: peers[0].url: the URL begins with `ftp:`, not http or https; write it as http://host:port",
            "lobstah.toml:22:15: upstreams[0].api_key_env: the environment variable OPENAI_API_KEY is not set, or empty; this key names a variable; it does not hold the API key itself",
            "lobstah.toml:23:1: upstreams[0].modls: unknown key; did you mean upstreams[0].models?",
            "lobstah.toml:27:16: routes[0].to[1]: no upstream is called `openia`; did you mean openai?",
            "lobstah.toml:28:19: routes[0].silence_timeout: expected a string, found a whole number; put it in quotes",
        ]
    );
}

#[test]
fn problems_of_all_layers_are_reported_together() {
    let env = env([
        ("LOBSTAH_GATEWAY__LISTN", "127.0.0.1:1"),
        ("LOBSTAH_WORKER__ENABLED", "yes"),
        ("LOBSTAH_ROUTES__0__MODEL", "*"),
        ("LOBSTAH_OLAMA__URL", "http://a"),
        ("OLLAMA_HOST", "ftp://a"),
    ]);
    let flags = [flag("--port", "worker.listen", "127.0.0.1:x"), flag("--bogus", "worker.bogus", true)];
    assert_eq!(
        printed(load_all("[credit]\nanonymous = -1", &env, &flags)),
        [
            "lobstah.toml:2:13: credit.anonymous: expected a whole number from 0, found a negative number",
            "environment variable LOBSTAH_GATEWAY__LISTN: gateway.listn: unknown key; did you mean LOBSTAH_GATEWAY__LISTEN?",
            "environment variable LOBSTAH_OLAMA__URL: olama: unknown section; did you mean LOBSTAH_OLLAMA?",
            "environment variable LOBSTAH_ROUTES__0__MODEL: routes.0.model: [[routes]] can only be written in the file",
            "environment variable LOBSTAH_WORKER__ENABLED: worker.enabled: expected true or false",
            "environment variable OLLAMA_HOST: ollama.url: the URL begins with `ftp:`, not http or https; write it as http://host:port",
            "--bogus: worker.bogus: unknown key",
            "--port: worker.listen: `127.0.0.1:x` is no address with a port; write it as 127.0.0.1:17475",
        ]
    );
}

#[test]
fn a_syntax_error_has_a_place_and_hides_nothing_else() {
    assert_eq!(
        complaints("[gateway]\nqueue = \nlistn = \"a\"\n\n[worker]\nqueue = [1,\n"),
        [
            "lobstah.toml:2:9: string values must be quoted, expected literal string",
            "lobstah.toml:3:1: gateway.listn: unknown key; did you mean gateway.listen?",
            "lobstah.toml:6:12: unclosed array, expected `]`",
        ]
    );
}

#[test]
fn after_a_broken_header_nothing_is_guessed() {
    let complaints = complaints("[worker]\nqueu = 1\n[gateway\nlisten = \"0.0.0.0:1\"\nlistn = 1\n");
    assert_eq!(complaints.len(), 2, "{complaints:#?}");
    assert!(complaints[0].starts_with("lobstah.toml:2:1: worker.queu: unknown key"));
    assert!(complaints[1].starts_with("lobstah.toml:3:9: unclosed table"));
}

#[test]
fn a_key_that_stands_twice_is_a_problem() {
    assert_complaint("[worker]\nqueue = 1\nqueue = 2\n", "lobstah.toml:3:1: duplicate key");
}

#[test]
fn a_gateway_beyond_loopback_needs_a_key() {
    let open = "[gateway]\nlisten = \"0.0.0.0:17475\"\n";
    assert_complaint(
        open,
        "lobstah.toml:2:10: gateway.listen: 0.0.0.0:17475 can be reached from other machines",
    );
    assert_complaint(open, "gateway.api_keys");
    assert!(load(&format!("{open}api_keys = [\"sk-1\"]")).is_ok());
    assert_complaint(&format!("{open}api_keys = \"sk-1\""), "expected a list, found a string; put it in [ ]");
    assert_complaint(
        &format!("{open}api_keys = [\"\"]"),
        "gateway.api_keys[0]: an API key has at least one character",
    );
    for loopback in ["127.0.0.1:0", "[::1]:17475", "localhost:17475", "[::ffff:127.0.0.1]:1"] {
        assert!(load(&format!("[gateway]\nlisten = \"{loopback}\"")).is_ok(), "{loopback}");
    }
    assert_complaint("[gateway]\nlisten = \"[::]:17475\"", "can be reached");
}

#[test]
fn names_and_keys_stand_once() {
    let key = format!("lob1{}", "ab".repeat(32));
    let peers = format!("[[peers]]\npubkey = \"{key}\"\n[[peers]]\npubkey = \"{key}\"");
    assert_complaint(&peers, "lobstah.toml:4:10: peers[1].pubkey: peers[0] has the same key");
    let upstream = |name: &str| format!("[[upstreams]]\nname = \"{name}\"\nurl = \"https://a\"\n");
    assert_complaint(
        &[upstream("a"), upstream("a")].concat(),
        "upstreams[1].name: upstreams[0] has the same name",
    );
    for taken in ["local", "friends", "network"] {
        assert_complaint(&upstream(taken), "has a meaning of its own");
    }
    assert_complaint(&upstream("a b"), "letters, digits");
}

#[test]
fn a_route_leads_somewhere_that_exists() {
    let to = |to: &str| format!("[[routes]]\nmodel = \"*\"\nto = {to}");
    assert_complaint(&to("[]"), "routes[0].to: a route must lead somewhere");
    assert_complaint(&to("[\"nobody\"]"), "no upstream is called `nobody`; add an [[upstreams]] entry");
    assert_complaint(&to("[\"local\", \"local\"]"), "named twice");
    assert_complaint(&to("\"local\""), "put it in [ ]");
    assert_complaint(
        "[[routes]]\nto = [\"local\"]",
        "lobstah.toml:1:1: routes[0].model: a value is needed here",
    );
}

#[test]
fn urls_have_the_scheme_of_their_purpose() {
    assert_complaint(
        "[discovery]\nrelays = [\"https://a\"]",
        "discovery.relays[0]: the URL begins with `https:`, not ws or wss",
    );
    assert_complaint("[discovery]\ntrackers = [\"ws://a\"]", "not http or https");
    assert_complaint("[discovery]\nannounce_url = \"a.example:17474\"", "discovery.announce_url");
    assert_complaint("[discovery]\nannounce_url = \"http://a.example/x\"", "scheme, host and port only");
    assert_complaint(
        "[gateway]\ncors_origins = [\"http://a/b\"]",
        "gateway.cors_origins[0]: `http://a/b` is no origin",
    );
    assert_complaint("[ollama]\nurl = \"\"", "ollama.url: this is no http or https URL");
}

#[test]
fn numbers_are_in_their_bounds() {
    assert_complaint("[ollama]\nconcurrency = 0", "ollama.concurrency: at least 1");
    assert_complaint("[gateway]\nmax_output_tokens = 0", "at least 1");
    assert_complaint("[gateway]\nmax_body = \"0MiB\"", "nothing fits");
    assert_complaint("[gateway]\nmax_body = \"1TB\"", "`TB` is no unit of size; write it as 32MiB");
    assert_complaint("[worker]\nmax_time = \"0s\"", "nothing is done in no time");
    assert_complaint("[discovery]\nttl = \"25h\"", "1s to 24h");
    assert_complaint("[credit]\nanonymous = 9007199254740992", "at most 9007199254740991");
    assert_complaint(
        "[credit]\nanonymous = 99999999999999999999",
        "lobstah.toml:2:13: credit.anonymous: the number is too large",
    );
    assert_complaint(
        "[credit]\nprices = { m = { inptu = 1 } }",
        "credit.prices.m.inptu: unknown key; did you mean credit.prices.m.input?",
    );
    assert_complaint(
        "[credit.prices.\"llama3.1:70b\"]\ninput = \"x\"",
        "credit.prices.\"llama3.1:70b\".input: expected a whole number",
    );
}

#[test]
fn a_table_and_a_list_of_tables_are_not_taken_for_each_other() {
    assert_complaint("gateway = [\"127.0.0.1:1\"]", "gateway: expected a table, found a list");
    assert_complaint(
        "[peers]\nurl = \"http://a\"",
        "peers: expected a list, found a table; write its header as [[…]]",
    );
    assert_complaint("peers = [5]", "peers[0]: expected a table, found a whole number");
    assert_complaint(
        "listen = \"127.0.0.1:1\"",
        "lobstah.toml:1:1: listen: unknown key; listen is a key of [gateway], [worker]",
    );
}

#[test]
fn a_problem_is_printed_as_json_too() {
    let problems = load("[worker]\nqueu = 1").unwrap_err();
    let json = serde_json::to_value::<&[Problem]>(&problems).unwrap();
    assert_eq!(json[0]["source"], "lobstah.toml");
    assert_eq!((&json[0]["line"], &json[0]["column"]), (&2.into(), &1.into()));
    assert_eq!(json[0]["hint"], "did you mean worker.queue?");
}

proptest::proptest! {
    #[test]
    fn no_file_makes_it_panic(text in "(\\[{0,2}(gateway|peers|routes|x)\\]{0,2}|(listen|to|\u{e9}) ?= ?|[\"\\[\\]{},.#\n]|[0-9]{1,20}|\"a\"){0,20}") {
        let _ = load(&text);
    }
}
