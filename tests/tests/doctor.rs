//! `lobstah doctor` finds what is wrong and says what mends it.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::os::unix::fs::PermissionsExt;
use stories::{
    Answer, Home, Lab, MeetingPlace, Rogue, Value, World,
    engine::MODEL,
    node::closed_port,
    rogue,
    strangers::{Announced, Meeting},
};

/// The findings of one check.
fn of<'f>(findings: &'f Value, check: &str) -> Vec<&'f Value> {
    findings.as_array().unwrap().iter().filter(|finding| finding["check"] == check).collect()
}

async fn doctor(home: &Home) -> (i32, Value) {
    let said = home.run(&["doctor", "--json"]).await;
    (said.code(), said.json())
}

#[tokio::test]
async fn a_node_in_good_health_has_nothing_to_mend() {
    let world = World::start().await;
    let home = world.gateway.home();
    let (_, findings) = doctor(home).await;
    for check in ["settings", "identity", "ledger", "node", "peer"] {
        assert_eq!(of(&findings, check)[0]["state"], "ok", "{check}: {findings}");
    }
    assert!(of(&findings, "peer")[0]["what"].as_str().unwrap().contains(MODEL));
    // It has no engine of its own, which is no fault while a friend answers.
    let text = world.worker.home().run(&["doctor"]).await.ok().stdout;
    assert!(text.contains("ok    ollama") && text.contains("lends"), "{text}");
}

#[tokio::test]
async fn each_failure_comes_with_what_mends_it() {
    let nobody = closed_port();
    let cloud = Rogue::start(|_| vec![rogue::error(401, "", "bad key")]).await;
    let home = Home::new().env("CLOUD_KEY", "sk-wrong");
    home.write(
        "lobstah.toml",
        &format!(
            "[ollama]\nurl = \"http://{nobody}\"\n[worker]\nenabled = true\n\
             [discovery]\npublish = true\nannounce_url = \"http://127.0.0.1:17474\"\nrelays = [\"ws://{nobody}\"]\n\
             trackers = [\"http://{nobody}\"]\n\
             [[peers]]\npubkey = \"lob1{}\"\nurl = \"http://{nobody}\"\n\
             [[upstreams]]\nname = \"cloud\"\nurl = \"{}/v1\"\napi_key_env = \"CLOUD_KEY\"\n",
            "11".repeat(32),
            cloud.url()
        ),
    );
    let (code, findings) = doctor(&home).await;
    assert_eq!(code, 1);
    for (check, mend) in [
        ("identity", "lobstah keygen"),
        ("ollama", "ollama serve"),
        ("peer", "lobstah peers add"),
        ("upstream", "api_key_env"),
        ("relay", "discovery.relays"),
        ("tracker", "discovery.trackers"),
        ("announce", "announce_url"),
    ] {
        let found = of(&findings, check);
        assert_eq!(found[0]["state"], "failed", "{check}: {findings}");
        assert!(found[0]["mend"].as_str().unwrap().contains(mend), "{check}: {findings}");
    }
    assert!(!findings.to_string().contains("sk-wrong"));

    home.run(&["keygen"]).await.ok();
    let key = home.file("identity.json");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (_, findings) = doctor(&home).await;
    assert!(of(&findings, "identity")[0]["mend"].as_str().unwrap().contains("chmod 600"), "{findings}");

    home.write("lobstah.toml", "[gatway]\n");
    let (code, findings) = doctor(&home).await;
    assert_eq!((code, of(&findings, "settings")[0]["state"].as_str()), (1, Some("failed")));
}

#[tokio::test]
async fn relays_trackers_and_the_announced_address_are_tried() {
    let Some(lab) = Lab::start() else { return };
    let relay = MeetingPlace::relay(&lab.host("relay")).await;
    let tracker = MeetingPlace::tracker(&lab.host("tracker")).await;
    let trackers = format!("[\"{}\"]", tracker.url());
    let worker = Announced::start(&lab, "worker", &Meeting::relays(&[relay.url()]), |setup| {
        setup.set("discovery.trackers", &trackers)
    })
    .await;
    let (code, findings) = doctor(worker.node.home()).await;
    assert_eq!(code, 0, "{findings}");
    for check in ["relay", "clock", "tracker", "announce", "ollama", "worker"] {
        assert_eq!(of(&findings, check)[0]["state"], "ok", "{check}: {findings}");
    }
    let relay = of(&findings, "relay")[0]["what"].as_str().unwrap();
    assert!(relay.contains("read back") && relay.contains("deleted"), "{relay}");
}

#[tokio::test]
async fn a_tracker_takes_what_is_signed_and_nothing_else() {
    let Some(lab) = Lab::start() else { return };
    let host = lab.host("tracker");
    let tracker = MeetingPlace::tracker(&host).await;
    let post = |path: &str, body: String| host.http().post(format!("{}{path}", tracker.url())).body(body);
    let rejected = Answer::of(post("/announce", "lobster".into())).await;
    assert_eq!((rejected.status, rejected.json()["error"]["type"].as_str()), (400, Some("bad_json")));
    for vector in stories::home::vectors("announcements.json") {
        let answer = Answer::of(post("/announce", vector["signed"].to_string())).await;
        // All of them are of another time by now, or were never good.
        assert_eq!(answer.status, 400, "{vector}: {}", answer.body);
        assert!(["rejected", "bad_json"].contains(&answer.json()["error"]["type"].as_str().unwrap()));
    }
    Answer::of(post("/peers", String::new())).await.error(405, "method_not_allowed");
    Answer::of(post("/nothing", String::new())).await.error(404, "not_found");
    Answer::of(post("/announce", "x".repeat(10_000_000))).await.error(413, "request_too_large");
    let listed = Answer::of(host.http().get(format!("{}/peers", tracker.url()))).await.json();
    assert_eq!((&listed["version"], &listed["count"]), (&1.into(), &0.into()), "{listed}");
    // Who asks too often is told to wait.
    let mut statuses = Vec::new();
    for _ in 0..80 {
        statuses.push(Answer::of(host.http().get(format!("{}/peers", tracker.url()))).await.status);
    }
    assert_eq!((statuses[0], statuses.last()), (200, Some(&429)));
}
