//! The same over a relay that others wrote: the PyPI package `nostr-relay`.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{fs, path::Path};
use stories::{
    Home, Host, Lab, ask_stream,
    client::is_done,
    engine::MODEL,
    eventually,
    process::Process,
    strangers::{Announced, Meeting, gateway_at, has_forgotten, knows},
};

/// Of the relay, on its host.
const PORT: u16 = 6969;

/// Starts it; its files are in the home.
async fn foreign_relay(host: &Host) -> (Process, Home, String) {
    let installed = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("clients/relay");
    let wanted = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/relay/requirements.txt");
    let same =
        fs::read(installed.join("installed.txt")).is_ok_and(|there| there == fs::read(wanted).unwrap());
    assert!(same, "the relay is not installed, or is another version: run ./x setup");
    let home = Home::new().on(host);
    let (address, store) = (host.address(), home.file("nostr.sqlite3"));
    let config = home.write(
        "relay.yaml",
        &format!(
            "storage:\n  sqlalchemy.url: sqlite+aiosqlite:///{}\n  validators:\n    \
             - nostr_relay.validators.is_signed\n    - nostr_relay.validators.is_recent\n\
             verification:\n  nip05_verification: disabled\n\
             gunicorn:\n  bind: {address}:{PORT}\n  workers: 1\n  loglevel: info\n",
            store.display()
        ),
    );
    let program = installed.join("bin/nostr-relay");
    let serve = home.shell(&format!("exec {} -c {} serve", program.display(), config.display()));
    let process = Process::of(&home, serve);
    let url = format!("http://{address}:{PORT}");
    eventually("the relay answers", async || {
        let asked = host.http().get(&url).header("accept", "application/nostr+json").send().await;
        asked.is_ok_and(|answer| answer.status() == 200).then_some(())
    })
    .await;
    (process, home, format!("ws://{address}:{PORT}"))
}

#[tokio::test]
async fn nodes_find_use_and_forget_each_other_on_a_relay_that_others_wrote() {
    let Some(lab) = Lab::start() else { return };
    let (_relay, _files, url) = foreign_relay(&lab.host("relay")).await;
    let meeting = Meeting::relays(std::slice::from_ref(&url));
    let (host, gateway) = gateway_at(&lab, &meeting, |setup| setup).await;
    let worker = Announced::start(&lab, "worker", &meeting, |setup| setup).await;
    knows(&gateway, &worker).await;
    let mut stream = gateway.stream(&ask_stream(MODEL, "hello over there")).await;
    assert_eq!(stream.header("x-lobstah-worker"), Some(worker.id().as_str()));
    assert!(is_done(&stream.rest().await));

    // What the doctor does with a relay, this one does too.
    let checked = Home::new().on(&host);
    checked.write("lobstah.toml", &format!("[discovery]\nsubscribe = true\nrelays = [\"{url}\"]\n"));
    let findings = checked.run(&["doctor", "--json"]).await.json();
    let relay = findings.as_array().unwrap().iter().find(|finding| finding["check"] == "relay").unwrap();
    assert_eq!(relay["state"], "ok", "{findings}");

    worker.node.terminate();
    has_forgotten(&gateway, &worker.id()).await;
}
