//! An engine in good health.

use super::support::{Events, answer, counted, parsed, question, within, world, world_of};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::time::Duration;
use upstream_ollama::{
    Practice, RequestView,
    practice::{Behaviour, UsageStyle},
    usage::{self, Stripped},
};

fn words(text: &Value) -> u64 {
    text.as_str().unwrap().split_whitespace().count() as u64
}

#[tokio::test]
async fn a_whole_answer_counts_its_words() {
    let world = world();
    let response = within(world.chat(question(json!({})))).await;
    let body = within(response.bytes()).await.unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let content = &answer["choices"][0]["message"]["content"];
    assert!(content.as_str().unwrap().starts_with("Practice text from no model at all: "));
    let usage = usage::of_answer(&body).unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens), (3, words(content)));
    assert_eq!(
        (&answer["object"], &answer["choices"][0]["finish_reason"]),
        (&json!("chat.completion"), &json!("stop"))
    );
}

#[tokio::test]
async fn a_stream_has_ollamas_chunks_and_ends_with_done() {
    let world = world();
    let events = Events::of(world.chat(question(json!({"stream": true}))).await).rest().await;
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, b"[DONE]");
    let first = parsed(&chunks[0]);
    assert!(first["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(first["object"], "chat.completion.chunk");
    assert_eq!(first["system_fingerprint"], "fp_ollama");
    assert_eq!(first["choices"][0]["delta"], json!({"role": "assistant", "content": "Practice"}));
    let last = parsed(chunks.last().unwrap());
    assert_eq!(
        last["choices"][0],
        json!({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"})
    );
    assert!(chunks.iter().all(|chunk| parsed(chunk).get("usage").is_none()));
}

#[tokio::test]
async fn usage_comes_in_an_extra_chunk_if_asked_for() {
    let world = world();
    let body = question(json!({"stream": true, "stream_options": {"include_usage": true}}));
    let events = Events::of(world.chat(body).await).rest().await;
    let [chunks @ .., extra, _done] = events.as_slice() else { panic!() };
    let text = chunks.iter().filter(|chunk| usage::has_text(chunk)).count();
    assert_eq!(counted(extra).output_tokens, text as u64);
    assert_eq!(usage::strip(extra), Stripped::Dropped);
    assert!(chunks.iter().all(|chunk| usage::strip(chunk) == Stripped::Unchanged));
}

#[tokio::test]
async fn usage_can_come_as_openai_sends_it_or_not_at_all() {
    let world = world();
    let body = question(json!({"stream": true, "stream_options": {"include_usage": true}}));
    world.handle().set(Behaviour { usage: UsageStyle::NullsLikeOpenAi, ..Behaviour::default() });
    let events = Events::of(world.chat(body.clone()).await).rest().await;
    assert!(parsed(&events[0])["usage"].is_null() && parsed(&events[0]).get("usage").is_some());
    world.handle().set(Behaviour { usage: UsageStyle::Omitted, ..Behaviour::default() });
    let events = Events::of(world.chat(body).await).rest().await;
    assert!(events.iter().all(|event| usage::of_event(event).is_none()));
}

#[tokio::test]
async fn the_same_question_gets_the_same_bytes() {
    let world = world();
    let body = async |more| within(world.chat(question(more)).await.bytes()).await.unwrap();
    assert_eq!(body(json!({"seed": 1})).await, body(json!({"seed": 1, "temperature": 0.2})).await);
    assert_ne!(body(json!({"seed": 1})).await, body(json!({"seed": 2})).await);
}

#[tokio::test]
async fn only_the_older_name_of_the_limit_is_known() {
    let world = world();
    let choice = async |more| answer(world.chat(question(more)).await).await["choices"][0].clone();
    let limited = choice(json!({"max_tokens": 5})).await;
    assert_eq!((words(&limited["message"]["content"]), &limited["finish_reason"]), (5, &json!("length")));
    let unlimited = choice(json!({"max_completion_tokens": 5})).await;
    assert!(words(&unlimited["message"]["content"]) > 5);
}

#[tokio::test]
async fn a_changed_body_is_understood() {
    let world = world();
    let body: bytes::Bytes =
        serde_json::to_vec(&question(json!({"stream": true, "max_completion_tokens": 5}))).unwrap().into();
    let changes = upstream_ollama::Changes { ask_usage: true, max_tokens_name: true, ..Default::default() };
    let changed = RequestView::read(&body).unwrap().apply(&body, &changes);
    let response = world.chat(parsed(&changed)).await;
    let events = Events::of(response).rest().await;
    assert_eq!(counted(&events[events.len() - 2]).output_tokens, 5);
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_answered() {
    let world = world();
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]);
    let first = answer(world.chat(question(json!({"tools": tools}))).await).await["choices"][0].clone();
    assert_eq!(first["finish_reason"], "tool_calls");
    let call = &first["message"]["tool_calls"][0];
    assert_eq!((&call["type"], &call["function"]["name"]), (&json!("function"), &json!("weather")));
    assert!(parsed(call["function"]["arguments"].as_str().unwrap().as_bytes())["city"].is_string());

    let messages = json!([
        {"role": "user", "content": "how is it?"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "sunny"},
    ]);
    let second = answer(world.chat(question(json!({"tools": tools, "messages": messages}))).await).await;
    assert_eq!(second["choices"][0]["finish_reason"], "stop");
    let refused = answer(world.chat(question(json!({"tools": tools, "tool_choice": "none"}))).await).await;
    assert_eq!(refused["choices"][0]["finish_reason"], "stop");

    let events = Events::of(world.chat(question(json!({"tools": tools, "stream": true}))).await).rest().await;
    assert!(usage::has_text(&events[0]));
    assert_eq!(parsed(&events[1])["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn a_structured_answer_fits_its_schema() {
    let world = world();
    let schema = json!({"type": "object", "properties": {"count": {"type": "integer"}, "names": {"type": "array", "items": {"type": "string"}}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let whole = answer(world.chat(question(json!({"response_format": format}))).await).await;
    let value = parsed(whole["choices"][0]["message"]["content"].as_str().unwrap().as_bytes());
    assert!(value["count"].is_i64() && value["names"][0].is_string());
}

#[tokio::test]
async fn unknown_models_are_refused_in_ollamas_words() {
    let world = world();
    let response = world.chat(question(json!({"model": "x"}))).await;
    assert_eq!(response.status(), 404);
    assert_eq!(
        within(response.text()).await.unwrap(),
        r#"{"error":{"message":"model 'x' not found","type":"not_found_error","param":null,"code":null}}"#
    );
    let response = world.ask("/api/chat", question(json!({"model": "x"}))).await;
    assert_eq!(within(response.text()).await.unwrap(), r#"{"error":"model 'x' not found"}"#);
    assert_eq!(world.chat(question(json!({"model": "practice-embed"}))).await.status(), 400);
}

#[tokio::test]
async fn completions_tell_a_usage_of_zeros_in_every_chunk() {
    let world = world();
    let body = json!({"model": "practice:1b", "prompt": "one two", "stream": true, "stream_options": {"include_usage": true}});
    let events = Events::of(world.ask("/v1/completions", body).await).rest().await;
    assert_eq!(counted(&events[0]).total(), 0);
    assert!(usage::has_text(&events[0]) && matches!(usage::strip(&events[0]), Stripped::Edited(_)));
    assert_eq!(counted(&events[events.len() - 2]).input_tokens, 2);
    let whole = answer(
        world.ask("/v1/completions", json!({"model": "practice:1b", "prompt": "x", "max_tokens": 2})).await,
    )
    .await;
    assert_eq!(whole["choices"][0], json!({"text": "Practice text", "index": 0, "finish_reason": "length"}));
}

#[tokio::test]
async fn embeddings_are_the_same_in_both_formats() {
    let world = world();
    let embed = async |more: Value| {
        let mut body = json!({"model": "practice-embed", "input": ["a b", "c"], "dimensions": 8});
        body["encoding_format"] = more;
        answer(world.ask("/v1/embeddings", body).await).await
    };
    let (floats, base64) = (embed(json!("float")).await, embed(json!("base64")).await);
    assert_eq!(floats["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    for index in 0..2 {
        let bytes = STANDARD.decode(base64["data"][index]["embedding"].as_str().unwrap()).unwrap();
        let decoded: Vec<f32> =
            bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        let plain: Vec<f32> = serde_json::from_value(floats["data"][index]["embedding"].clone()).unwrap();
        assert_eq!((decoded.len(), &decoded), (8, &plain));
    }
    let one =
        answer(world.ask("/v1/embeddings", json!({"model": "practice-embed", "input": "a"})).await).await;
    assert_eq!(one["data"][0]["embedding"].as_array().unwrap().len(), 384);
    assert_eq!(
        world.ask("/v1/embeddings", json!({"model": "practice-embed", "input": [1, 2]})).await.status(),
        400
    );
}

#[tokio::test]
async fn ollamas_own_chat_streams_lines_unless_told_not_to() {
    let world = world();
    let body = question(json!({"options": {"num_predict": 3}}));
    let response = world.ask("/api/chat", body.clone()).await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = within(response.text()).await.unwrap();
    let lines: Vec<Value> = text.lines().map(|line| parsed(line.as_bytes())).collect();
    assert_eq!((lines.len(), &lines[0]["done"]), (4, &json!(false)));
    assert_eq!((&lines[3]["done_reason"], &lines[3]["eval_count"]), (&json!("length"), &json!(3)));
    let mut whole = body;
    whole["stream"] = json!(false);
    let whole = answer(world.ask("/api/chat", whole).await).await;
    assert_eq!(whole["message"]["content"], "Practice text from");
}

#[tokio::test]
async fn the_root_says_that_it_runs() {
    let world = world();
    let root = within(world.get("/").send()).await.unwrap();
    assert_eq!(within(root.text()).await.unwrap(), "Ollama is running");
    let head = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap()
        .head(world.engine.url.clone());
    assert_eq!(within(head.send()).await.unwrap().status(), 200);
    assert_eq!(within(world.get("/nowhere").send()).await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_models_name_carries_knobs() {
    let world = world();
    let long = answer(world.chat(question(json!({"model": "practice:8b-s300-l1"}))).await).await;
    assert_eq!(
        (&long["model"], &long["usage"]["completion_tokens"]),
        (&json!("practice:8b-s300-l1"), &json!(300))
    );
    assert_eq!(world.chat(question(json!({"model": "practice:8b-e429"}))).await.status(), 429);
}

#[tokio::test]
async fn tokens_come_at_their_pace() {
    let world =
        world_of(Practice::builder().tokens_per_second(100).first_token_delay(Duration::from_millis(30)));
    let start = tokio::time::Instant::now();
    answer(world.chat(question(json!({"max_tokens": 4}))).await).await;
    // The first token, three more, and the end.
    assert!(start.elapsed() >= Duration::from_millis(30 + 40));
}

#[tokio::test]
async fn requests_are_recorded_byte_for_byte() {
    let world = world();
    let body = r#"{ "model":"practice:8b","messages":[{"role":"user","content":"a"}], "temperature":0.20 }"#;
    let request = world.post("/v1/chat/completions?x=1", &json!({})).body(body).header("x-test", "1");
    within(request.send()).await.unwrap();
    let recorded = world.handle().requests_to("/v1/chat/completions?x=1").pop().unwrap();
    assert_eq!((recorded.method.as_str(), &recorded.body[..]), ("POST", body.as_bytes()));
    assert_eq!(recorded.headers["x-test"], "1");
}
