//! `lobstah batch run` once more on a file whose batch ended early: what has an answer is not asked again.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{fs, time::Duration};
use stories::{
    Home, Node, Value,
    batches::{A_WHILE, short_lines},
    engine,
    engine::{MODEL, bodies, pace},
    json,
};

const LINES: usize = 40;

/// Those that ran when the batch was cancelled are asked again.
const RAN_MAX: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_after_an_early_end_asks_only_what_has_no_answer_and_joins_both() {
    let engine = engine();
    engine.handle.set(pace(2, Duration::from_millis(20)));
    let node = Node::gateway().ollama(&engine).start().await;
    let home = Home::new().env("LOBSTAH_HOME", node.home().file("").to_str().unwrap());
    let file = home.outside().join("questions.jsonl").display().to_string();
    let text = short_lines(MODEL, LINES);
    fs::write(&file, &text).unwrap();

    let first = home.run(&["batch", "submit", &file]).await.ok().stdout.trim().to_owned();
    node.batch_reaches(&first, LINES as u64 / 3, A_WHILE).await;
    home.run(&["batch", "cancel", &first]).await.ok();
    let ended = node.batch_ended(&first, A_WHILE).await;
    let answered = ended.output.len();
    assert!(answered < LINES && ended.status() == "cancelled");

    let run = home.run(&["batch", "run", &file, "--window", "2h"]).await.ok();
    assert!(run.stderr.contains(&format!("{answered} lines have their answers")), "{}", run.stderr);
    assert!(run.stdout.contains(&format!("with {answered} of earlier runs")), "{}", run.stdout);
    let output = home.outside().join("questions.out.jsonl");
    let ids = |text: &str| -> Vec<_> {
        let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["custom_id"].clone();
        text.lines().map(id).collect()
    };
    assert_eq!(ids(&fs::read_to_string(&output).unwrap()), ids(&text), "each line once, in order");
    assert!(!output.with_extension("errors.jsonl").exists());
    let asked = bodies(&engine).len();
    assert!(asked <= LINES + RAN_MAX, "{asked} were asked");

    // Whatever the options: there is nothing left to ask.
    let again = home.run(&["batch", "run", &file, "--max-credits", "5", "--json"]).await.ok();
    assert_eq!(again.json()["status"], json!("completed"));
    assert_eq!(ids(&fs::read_to_string(&output).unwrap()), ids(&text));
    assert_eq!(bodies(&engine).len(), asked);
    assert_eq!(node.get_json("/v1/batches").await["data"].as_array().unwrap().len(), 2);
}
