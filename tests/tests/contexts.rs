//! No prompt is cut in silence: it is answered whole, or refused with the numbers.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use std::{collections::HashSet, fs};
use stories::{
    Answer, Engine, Node, Value, ask, ask_stream,
    batches::{A_WHILE, lines_of},
    client::{Event, is_done},
    engine::{Behaviour, Contexts, MODEL, Trouble, engine_of},
    eventually,
    fleet::{Worker, gateway_of},
    json,
};

const CHAT: &str = "/v1/chat/completions";

/// What the engines give a request that says nothing: so little that stories stay short.
const SMALL: Contexts = Contexts { by_default: 1024, in_modelfile: true, trained: 32_768, refuses: true };

/// Longer than what an engine gives by itself, and than two steps more.
const LONG: usize = 3000;

/// A prompt of so many tokens, as the engine counts them.
fn words(count: usize) -> String {
    "word ".repeat(count)
}

fn long() -> Value {
    ask(MODEL, &words(LONG))
}

async fn answered(node: &Node, body: &Value) -> Answer {
    node.answer(body).await
}

/// A worker whose owner lets prompts ask for this much.
async fn worker(contexts: Contexts, max_context: u64) -> Worker {
    let engine = engine_of(contexts);
    let node = Node::worker(&engine).set("worker.max_context", &max_context.to_string()).start().await;
    Worker { engine, node }
}

/// A node with an engine of its own and without peers.
async fn alone(engine: &Engine, max_context: u64) -> Node {
    Node::gateway().ollama(engine).set("worker.max_context", &max_context.to_string()).start().await
}

/// How much context the engine was asked for, request after request.
fn contexts_asked(engine: &Engine) -> Vec<u64> {
    let asked = |path| engine.handle.requests_to(path);
    let context = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["options"]["num_ctx"].as_u64();
    asked("/api/chat").iter().map(|request| context(&request.body).unwrap()).collect()
}

#[track_caller]
fn assert_refused(answer: &Answer, context: u64) {
    let error = answer.error(400, "context_length_exceeded");
    assert_eq!((&error["type"], &error["param"]), (&json!("invalid_request_error"), &json!("messages")));
    assert_eq!(error["contextTokens"], context);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&format!("{context} tokens")), "{message}");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
}

#[track_caller]
fn assert_read_whole(answer: &Answer, tokens: usize) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["usage"]["prompt_tokens"], tokens);
}

#[tokio::test]
async fn a_prompt_that_is_longer_than_the_worker_goes_to_is_refused_with_the_numbers() {
    let worker = worker(SMALL, 2048).await;
    let gateway = gateway_of([&worker]).start().await;
    for body in [long(), ask_stream(MODEL, &words(LONG)), ask(MODEL, &words(20 * LONG))] {
        let answer = answered(&gateway, &body).await;
        assert_refused(&answer, 2048);
        assert!(answer.body.contains("worker.max_context"), "{}", answer.body);
    }
    assert_eq!(
        contexts_asked(&worker.engine),
        [2048, 2048],
        "what surely does not fit is not even asked for"
    );
    assert!(worker.engine.handle.requests_to(CHAT).is_empty());
    assert_eq!(gateway.home().receipts().await, Vec::<Value>::new());
    let standing = worker.node.home().standing(gateway.id).await;
    assert_eq!(
        (&standing["reserved"], &standing["owedToMe"]),
        (&json!(0), &json!(0)),
        "and it costs nothing"
    );
}

#[tokio::test]
async fn with_room_a_long_prompt_is_read_whole_and_the_receipt_says_with_how_much() {
    let worker = worker(SMALL, 32_768).await;
    let gateway = gateway_of([&worker]).start().await;
    assert_read_whole(&answered(&gateway, &long()).await, LONG);
    let mut body = ask_stream(MODEL, &words(LONG));
    body["stream_options"] = json!({"include_usage": true});
    let events = gateway.stream(&body).await.rest().await;
    assert!(is_done(&events), "{events:?}");
    let usage = events.iter().filter_map(Event::json).find_map(|event| event.get("usage").cloned()).unwrap();
    assert_eq!(usage["prompt_tokens"], LONG);
    assert_eq!(contexts_asked(&worker.engine), [8192, 8192]);
    let receipts = gateway.home().receipts().await;
    let contexts: Vec<&Value> = receipts.iter().map(|one| &one["receipt"]["context"]).collect();
    assert_eq!(contexts, [&json!(8192), &json!(8192)]);
    assert_eq!(worker.node.home().receipts().await, receipts);
    gateway.home().assert_audit_is_clean().await;
}

#[tokio::test]
async fn a_stream_says_no_usage_that_nobody_asked_for() {
    let worker = worker(SMALL, 32_768).await;
    let gateway = gateway_of([&worker]).start().await;
    let events = gateway.stream(&ask_stream(MODEL, &words(LONG))).await.rest().await;
    assert!(
        is_done(&events) && events.iter().filter_map(Event::json).all(|event| event.get("usage").is_none())
    );
    assert_eq!(gateway.home().receipts().await[0]["receipt"]["inputTokens"], LONG);
}

#[tokio::test]
async fn a_stream_that_waited_its_turn_is_refused_with_the_numbers_as_well() {
    let engine = engine_of(SMALL);
    let limits = Node::worker(&engine).set("worker.max_context", "2048").set("worker.concurrency", "1");
    let worker = Worker { node: limits.start().await, engine };
    let [before, gateway] = [gateway_of([&worker]).start().await, gateway_of([&worker]).start().await];
    worker.engine.handle.set(Behaviour::of(Trouble::HangAfter(1)).times(1));
    let mut holds = before.stream(&ask_stream(MODEL, "hold")).await;
    holds.next_data().await.unwrap();
    let waits = ask_stream(MODEL, &words(LONG));
    let waits = gateway.answer(&waits);
    let release = async {
        counted(&worker.node, "waits in the queue", 1).await;
        worker.engine.handle.release();
        holds.rest().await
    };
    let (answer, held) = futures::join!(waits, release);
    assert!(is_done(&held));
    assert!(
        answer.body.contains("\"context_length_exceeded\"") && answer.body.contains("2048 tokens"),
        "{}",
        answer.body
    );
}

/// Waits until so many requests of others run or wait beside the one that runs.
async fn counted(worker: &Node, what: &str, waiting: u64) {
    eventually(what, async || {
        let capacity = Answer::of(worker.http().get(worker.worker_url("/capacity"))).await.json();
        (capacity["queueDepth"] == waiting + 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn short_requests_go_to_the_engine_as_they_came_and_the_receipt_says_what_it_ran_with() {
    let worker = worker(SMALL, 32_768).await;
    let gateway = gateway_of([&worker]).start().await;
    assert_read_whole(&answered(&gateway, &ask(MODEL, "a few words")).await, 3);
    assert_eq!(contexts_asked(&worker.engine), Vec::<u64>::new());
    assert_eq!(gateway.home().receipts().await[0]["receipt"]["context"], 1024);
}

#[tokio::test]
async fn a_model_that_was_given_more_keeps_it_for_short_requests_too() {
    let engine = engine_of(SMALL);
    let node = alone(&engine, 32_768).await;
    assert_read_whole(&answered(&node, &long()).await, LONG);
    assert_read_whole(&answered(&node, &ask(MODEL, "a few words")).await, 3);
    assert_eq!(contexts_asked(&engine), [8192, 8192], "it is not loaded anew between the two");
}

#[tokio::test]
async fn where_the_count_was_too_low_the_engine_is_asked_once_more_for_all_there_is() {
    let engine = engine_of(SMALL);
    let node = alone(&engine, 8192).await;
    // Two bytes a token, and a room for one of three.
    let dense = |count: usize| ask(MODEL, &"a ".repeat(count));
    assert_read_whole(&answered(&node, &dense(5000)).await, 5000);
    assert_eq!(contexts_asked(&engine), [4096, 8192]);
    assert_refused(&answered(&node, &dense(9000)).await, 8192);
}

#[tokio::test]
async fn the_own_engine_without_peers_reads_all_or_refuses() {
    let engine = engine_of(Contexts { in_modelfile: false, ..SMALL });
    let node = alone(&engine, 8192).await;
    assert_read_whole(&answered(&node, &long()).await, LONG);
    assert_refused(&answered(&node, &ask(MODEL, &words(9000))).await, 8192);
    let prompt = json!({"model": MODEL, "prompt": words(LONG)});
    assert_read_whole(&Answer::of(node.post("/v1/completions", prompt.to_string())).await, LONG);
    let input = json!({"model": "practice-embed", "input": ["a", words(LONG)]});
    assert_read_whole(&Answer::of(node.post("/v1/embeddings", input.to_string())).await, LONG + 1);
    let input = json!({"model": "practice-embed", "input": words(9000)});
    let refused = Answer::of(node.post("/v1/embeddings", input.to_string())).await;
    assert_eq!(refused.error(400, "context_length_exceeded")["param"], "input");
}

#[tokio::test]
async fn an_engine_that_cuts_all_the_same_is_not_believed() {
    let engine = engine_of(Contexts { refuses: false, ..SMALL });
    let node = alone(&engine, 2048).await;
    assert_refused(&answered(&node, &long()).await, 2048);
    let events = node.stream(&ask_stream(MODEL, &words(LONG))).await.rest().await;
    assert!(!is_done(&events) && format!("{:?}", events.last()).contains("cut the prompt"), "{events:?}");
    let with_room = engine_of(Contexts { refuses: false, ..SMALL });
    assert_read_whole(&answered(&alone(&with_room, 8192).await, &long()).await, LONG);
}

#[tokio::test]
async fn a_request_that_can_only_go_through_v1_is_refused_rather_than_cut() {
    let engine = engine_of(SMALL);
    let node = alone(&engine, 32_768).await;
    let body = json!({"model": MODEL, "messages": [
        {"role": "user", "content": words(LONG)},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}]},
    ]});
    let answer = answered(&node, &body).await;
    let error = answer.error(400, "context_length_exceeded");
    assert!(error["message"].as_str().unwrap().contains("input_audio"), "{error}");
    assert_eq!(engine.handle.counts().received, 0);
}

#[tokio::test]
async fn a_request_goes_on_to_a_friend_who_has_the_room() {
    let [small, large] = [worker(SMALL, 2048).await, worker(SMALL, 16_384).await];
    let engine = engine_of(SMALL);
    let gateway = gateway_of([&small, &large])
        .ollama(&engine)
        .set("worker.max_context", "2048")
        .route("to = [\"local\", \"friends\"]")
        .start()
        .await;
    for _ in 0..3 {
        let answer = answered(&gateway, &long()).await;
        assert_read_whole(&answer, LONG);
        assert_eq!(answer.header("x-lobstah-worker"), Some(large.node.id.to_string().as_str()));
    }
    let surely = answered(&gateway, &ask(MODEL, &words(9000))).await;
    assert_read_whole(&surely, 9000);
    let asked = small.engine.handle.counts().received;
    assert!(
        contexts_asked(&small.engine).len() as u64 == asked && asked <= 3,
        "of what it surely cannot it is not asked"
    );
    let refused = answered(&gateway, &ask(MODEL, &words(50_000))).await;
    assert_refused(&refused, 16_384);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_long_lines_of_a_batch_go_where_there_is_room_and_each_is_answered() {
    const LINES: usize = 40;
    let [small, large] = [worker(SMALL, 2048).await, worker(SMALL, 16_384).await];
    let gateway = gateway_of([&small, &large]).start().await;
    let body = |n: usize| match n % 4 {
        0 => ask(MODEL, &format!("{n} {}", words(LONG))),
        // Surely too long for the one, so that it is not even asked.
        1 => ask(MODEL, &format!("{n} {}", words(3 * LONG))),
        _ => ask(MODEL, &format!("count to {n}")),
    };
    let id = gateway.begin_batch(&lines_of((0..LINES).map(body)), json!({})).await;
    let ended = gateway.batch_ended(&id, A_WHILE).await;
    ended.assert_answered(LINES);
    let read: u64 = ended
        .output
        .iter()
        .map(|line| line["response"]["body"]["usage"]["prompt_tokens"].as_u64().unwrap())
        .sum();
    let long_lines = LINES / 4 * (LONG + 1) + LINES / 4 * (3 * LONG + 1);
    assert_eq!(read as usize, long_lines + LINES / 2 * 3, "nothing was cut");
    let long: Vec<Vec<u8>> =
        small.engine.handle.requests_to("/api/chat").into_iter().map(|asked| asked.body.to_vec()).collect();
    let long: Vec<_> = long.into_iter().filter(|body| body.len() > LONG).collect();
    assert!(long.len() <= LINES / 4, "who surely has no room is not asked: {}", long.len());
    assert_eq!(long.iter().collect::<HashSet<_>>().len(), long.len(), "nor is anybody asked twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_for_which_nobody_has_room_ends_with_the_largest_context_that_was_found() {
    let [one, two] = [worker(SMALL, 2048).await, worker(SMALL, 4096).await];
    let gateway = gateway_of([&one, &two]).start().await;
    let lines = lines_of([ask(MODEL, "short"), ask(MODEL, &words(5000)), ask(MODEL, &words(50_000))]);
    let ended = gateway.batch_ended(&gateway.begin_batch(&lines, json!({})).await, A_WHILE).await;
    ended.assert_whole(3);
    assert_eq!(ended.output.len(), 1);
    assert_eq!(ended.error_codes(), ["context_length_exceeded".to_owned()].into());
    for line in &ended.errors {
        let message = line["error"]["message"].as_str().unwrap();
        assert!(message.contains("4096 tokens"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_do_not_fit_the_own_engine_alone_end_with_its_numbers() {
    let engine = engine_of(SMALL);
    let node = alone(&engine, 2048).await;
    let lines = lines_of([long(), ask(MODEL, "short")]);
    let ended = node.batch_ended(&node.begin_batch(&lines, json!({})).await, A_WHILE).await;
    ended.assert_whole(2);
    assert_eq!(ended.error_codes(), ["context_length_exceeded".to_owned()].into());
}

#[tokio::test]
async fn what_a_request_can_really_use_is_listed() {
    let worker = worker(SMALL, 4096).await;
    let gateway = gateway_of([&worker]).start().await;
    gateway.knows_model(MODEL).await;
    assert_eq!(gateway.get_json(&format!("/v1/models/{MODEL}")).await["context_length"], 4096);
    let capacity = Answer::of(gateway.http().get(worker.node.worker_url("/capacity"))).await.json();
    assert_eq!(capacity["contexts"][MODEL], 4096);
    let roomy = engine_of(Contexts { by_default: 8192, ..SMALL });
    let own = alone(&roomy, 100).await;
    assert_eq!(own.get_json(&format!("/v1/models/{MODEL}")).await["context_length"], 8192);
    let own = alone(&roomy, 100_000).await;
    assert_eq!(own.get_json(&format!("/v1/models/{MODEL}")).await["context_length"], 32_768);
}

#[tokio::test]
async fn the_owner_can_allow_more_while_the_node_runs() {
    let engine = engine_of(SMALL);
    let node = alone(&engine, 2048).await;
    assert_refused(&answered(&node, &long()).await, 2048);
    let file = node.home().file("lobstah.toml");
    let text = fs::read_to_string(&file).unwrap().replace("max_context = 2048", "max_context = 16384");
    fs::write(&file, text).unwrap();
    let answer = eventually("the prompt is answered", async || {
        let answer = answered(&node, &long()).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_read_whole(&answer, LONG);
}

#[tokio::test]
async fn a_job_that_a_worker_has_no_room_for_ends_with_the_numbers() {
    let worker = worker(SMALL, 2048).await;
    let ask_job = async |body: &Value| {
        let post = worker.node.http().post(worker.node.worker_url("/v1/jobs"));
        Answer::of(post.header("content-type", "application/json").body(body.to_string())).await
    };
    let surely = ask_job(&ask(MODEL, &words(50_000))).await;
    assert_eq!(surely.error(400, "context_length_exceeded")["contextTokens"], 2048);
    let taken = ask_job(&long()).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    let path = format!("/v1/jobs/{}?wait=30", taken.json()["jobId"].as_str().unwrap());
    let record = Answer::of(worker.node.http().get(worker.node.worker_url(&path))).await.json();
    assert_eq!(
        (&record["status"], &record["error"]["type"]),
        (&json!("error"), &json!("context_length_exceeded"))
    );
}

#[tokio::test]
async fn the_doctor_names_models_whose_prompts_are_kept_short() {
    let engine = engine_of(SMALL);
    let warned = alone(&engine, 4096).await;
    let said = warned.home().run(&["doctor"]).await;
    assert!(said.stdout.contains("worker.max_context = 32768"), "{}", said.stdout);
    let said = alone(&engine, 32_768).await.home().run(&["doctor"]).await;
    assert!(!said.stdout.contains("worker.max_context"), "{}", said.stdout);
}
