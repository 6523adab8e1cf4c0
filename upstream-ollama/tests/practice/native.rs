//! The same question through `/v1` and by Ollama's own API has the same answer.

use super::support::{World, answer, question, within, world, world_of};
use proptest::prelude::*;
use serde_json::{Value, json};
use upstream_ollama::{
    Practice,
    native::{Question, Stamp, refusal, says_too_long, translate},
    practice::Contexts,
};

const CHAT: &str = "/v1/chat/completions";

/// The practice engine reads no clock.
const CREATED: u64 = 1_767_225_600;

fn translated(path: &str, body: &Value, num_ctx: u64) -> Question {
    let stamp = Stamp { id: "1".into(), created: CREATED };
    translate(path, body.to_string().as_bytes(), num_ctx, stamp).unwrap()
}

async fn natively(world: &World, path: &str, body: &Value, num_ctx: u64) -> (u16, Vec<u8>, Question) {
    let question = translated(path, body, num_ctx);
    let native = serde_json::from_slice(&question.body).unwrap();
    let response = world.ask(question.path, native).await;
    (response.status().as_u16(), within(response.bytes()).await.unwrap().to_vec(), question)
}

/// Every answer has an id of its own.
fn without_ids(mut value: Value) -> Value {
    value.as_object_mut().unwrap().remove("id");
    value
}

async fn assert_same_whole(path: &str, body: Value) {
    let world = world();
    let plain = answer(world.ask(path, body.clone()).await).await;
    let (status, native, question) = natively(&world, path, &body, 8192).await;
    assert_eq!(status, 200);
    let back = question.back.whole(&native).unwrap();
    assert!(!back.was_cut);
    assert_eq!(without_ids(serde_json::from_slice(&back.body).unwrap()), without_ids(plain), "{body}");
}

fn events(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).unwrap();
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).map_or_else(|_| json!(data), without_ids)).collect()
}

async fn assert_same_stream(path: &str, body: Value) {
    let world = world();
    let plain = within(world.ask(path, body.clone()).await.bytes()).await.unwrap();
    let (status, native, question) = natively(&world, path, &body, 8192).await;
    assert_eq!(status, 200);
    let mut lines = question.back.stream();
    let back: Vec<u8> = native.chunks(7).flat_map(|chunk| lines.push(chunk).unwrap().to_vec()).collect();
    assert_eq!(events(&back), events(&plain), "{body}");
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "look_up", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    }}}])
}

fn after_a_call() -> Value {
    json!([
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "what is"}, {"type": "text", "text": "the weather?"}]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_7", "type": "function", "function": {"name": "look_up", "arguments": "{\"city\":\"Bremen\"}"}},
        ]},
        {"role": "tool", "tool_call_id": "call_7", "content": "rain"},
    ])
}

#[tokio::test]
async fn a_whole_answer_is_the_same_either_way() {
    for more in [
        json!({}),
        json!({"seed": 7, "max_tokens": 9, "temperature": 0.2, "top_p": null, "stop": "x", "n": 1}),
        json!({"response_format": {"type": "json_object"}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema":
            {"type": "object", "properties": {"a": {"type": "integer"}}}}}}),
        json!({"tools": tools()}),
        json!({"tools": tools(), "messages": after_a_call()}),
    ] {
        assert_same_whole(CHAT, question(more)).await;
    }
    let prompt =
        json!({"model": "practice:8b", "prompt": "tell me \u{1f99e}", "max_tokens": 12, "stop": ["a", "b"]});
    assert_same_whole("/v1/completions", prompt).await;
    for (input, format) in [(json!("one"), "float"), (json!(["one", "two"]), "base64")] {
        let body =
            json!({"model": "practice-embed", "input": input, "encoding_format": format, "dimensions": 8});
        assert_same_whole("/v1/embeddings", body).await;
    }
}

#[tokio::test]
async fn a_stream_is_the_same_either_way_with_its_usage_where_that_was_asked_for() {
    for more in [
        json!({"stream": true}),
        json!({"stream": true, "stream_options": {"include_usage": true}, "max_tokens": 5}),
        json!({"stream": true, "stream_options": {"include_usage": true}, "tools": tools()}),
    ] {
        assert_same_stream(CHAT, question(more)).await;
    }
    let prompt = json!({"model": "practice:8b", "prompt": "tell me", "stream": true});
    assert_same_stream("/v1/completions", prompt).await;
}

#[tokio::test]
async fn what_goes_to_a_tool_finds_its_name_and_its_call() {
    let body = question(json!({"messages": after_a_call(), "reasoning_effort": "low", "logprobs": true}));
    let native: Value = serde_json::from_slice(&translated(CHAT, &body, 4096).body).unwrap();
    assert_eq!(native["messages"].as_array().unwrap().len(), 5, "{native}");
    let call = json!([{"id": "call_7", "function": {"name": "look_up", "arguments": {"city": "Bremen"}}}]);
    assert_eq!(native["messages"][3]["tool_calls"], call);
    let said = json!({"role": "tool", "content": "rain", "tool_name": "look_up", "tool_call_id": "call_7"});
    assert_eq!(native["messages"][4], said);
    assert_eq!((&native["think"], &native["logprobs"]), (&json!("low"), &json!(true)));
    assert_eq!(native["options"], json!({"num_ctx": 4096, "temperature": 1.0, "top_p": 1.0}));
    assert_eq!((&native["truncate"], &native["shift"]), (&json!(false), &json!(false)));
}

#[test]
fn pictures_go_as_their_bytes_and_what_ollama_does_not_know_goes_not_at_all() {
    let with = |part: Value| question(json!({"messages": [{"role": "user", "content": [part]}]}));
    let stamp = || Stamp { id: "1".into(), created: 0 };
    let png = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}});
    let native: Value = serde_json::from_slice(&translated(CHAT, &with(png), 1).body).unwrap();
    assert_eq!(native["messages"][0]["images"], json!(["QUJD"]));
    for part in [
        json!({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}),
        json!({"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}),
        json!({"type": "text"}),
    ] {
        assert!(translate(CHAT, with(part).to_string().as_bytes(), 1, stamp()).is_err());
    }
    for more in [json!({"reasoning_effort": "maximal"}), json!({"stop": 7}), json!({"messages": []})] {
        assert!(translate(CHAT, question(more).to_string().as_bytes(), 1, stamp()).is_err());
    }
}

#[tokio::test]
async fn thinking_is_reasoning_and_its_absence_is_nothing() {
    let back = translated(CHAT, &question(json!({})), 10).back;
    let reply = br#"{"model":"m","message":{"role":"assistant","content":"42","thinking":"hm"},"done":true,
        "done_reason":"stop","prompt_eval_count":3,"eval_count":2,"logprobs":[{"token":"42","logprob":-0.5}]}"#;
    let whole: Value = serde_json::from_slice(&back.whole(reply).unwrap().body).unwrap();
    let choice = &whole["choices"][0];
    assert_eq!(choice["message"], json!({"role": "assistant", "content": "42", "reasoning": "hm"}));
    assert_eq!(choice["logprobs"]["content"][0]["logprob"], -0.5);
    assert_eq!(whole["usage"], json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}));
    assert!(back.whole(b"<html>").is_err());
}

#[tokio::test]
async fn v1_cuts_and_says_nothing_where_the_native_api_refuses() {
    let contexts = Contexts { by_default: 16, in_modelfile: false, ..Contexts::default() };
    let world = world_of(Practice::builder().contexts(contexts));
    let long = question(json!({"messages": [
        {"role": "user", "content": "word ".repeat(12)}, {"role": "user", "content": "word ".repeat(10)},
    ]}));
    let plain = answer(world.chat(long.clone()).await).await;
    assert_eq!(plain["usage"]["prompt_tokens"], 10, "the first message was dropped");
    let (status, refused, _) = natively(&world, CHAT, &long, 16).await;
    assert!(status == 400 && says_too_long(std::str::from_utf8(&refused).unwrap()));
    let (status, answered, question) = natively(&world, CHAT, &long, 32).await;
    let whole = question.back.whole(&answered).unwrap();
    let whole: Value = serde_json::from_slice(&whole.body).unwrap();
    assert_eq!((status, &whole["usage"]["prompt_tokens"]), (200, &json!(22)));
    assert_eq!(within(world.ollama.loaded()).await.unwrap()[0].context_length, Some(32));
}

#[tokio::test]
async fn an_engine_that_cuts_all_the_same_is_found_out() {
    let contexts = Contexts { by_default: 16, refuses: false, ..Contexts::default() };
    let world = world_of(Practice::builder().contexts(contexts));
    let long = |stream: bool| {
        question(json!({"stream": stream, "messages": [{"role": "user", "content": "word ".repeat(40)}]}))
    };
    let (_, answered, question) = natively(&world, CHAT, &long(false), 16).await;
    assert!(question.back.whole(&answered).unwrap().was_cut);
    let (_, streamed, question) = natively(&world, CHAT, &long(true), 16).await;
    let back = question.back.stream().push(&streamed).unwrap();
    let last = events(&back).pop().unwrap();
    assert_eq!(last["error"]["code"], "context_length_exceeded");
}

#[test]
fn an_error_in_a_stream_ends_it_and_a_line_without_end_is_given_up() {
    let back = translated(CHAT, &question(json!({"stream": true})), 10).back;
    let mut lines = back.stream();
    let events_of = lines.push(b"{\"error\":\"out of memory\"}\n{\"done\":true}\n").unwrap();
    assert_eq!(events(&events_of)[0]["error"]["message"], "out of memory");
    assert_eq!(events(&events_of).len(), 1);
    let mut lines = back.stream();
    assert!((0..20).any(|_| lines.push(&[b'x'; 100_000]).is_err()));
    assert!(back.stream().push(b"nonsense\n").is_err());
    let refused: Value = serde_json::from_slice(&refusal(404, "no such model")).unwrap();
    assert_eq!(refused["error"]["type"], "not_found_error");
}

proptest! {
    #[test]
    fn texts_and_numbers_arrive_as_they_were_written(text in ".{0,60}", temperature in "[01]\\.[0-9]{1,17}") {
        let content = json!(text).to_string();
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}],"temperature":{temperature}}}"#
        );
        let stamp = Stamp { id: "1".into(), created: 0 };
        let question = translate(CHAT, body.as_bytes(), 7, stamp).unwrap();
        let native = std::str::from_utf8(&question.body).unwrap();
        let number = format!("\"temperature\":{temperature}");
        prop_assert!(native.contains(&content) && native.contains(&number), "{}", native);
    }

    #[test]
    fn cutting_a_stream_anywhere_changes_nothing(cuts in prop::collection::vec(0usize..300, 0..6)) {
        let stream = concat!(
            "{\"message\":{\"content\":\"a\\n\\u00e4\"},\"done\":false}\n",
            "{\"message\":{\"content\":\"\u{1f99e}\"},\"done\":false}\r\n\n",
            "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":2}\n",
        ).as_bytes();
        let back = translated(CHAT, &question(json!({"stream": true})), 10).back;
        let whole = back.stream().push(stream).unwrap();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).chain([0, stream.len()]).collect();
        cuts.sort_unstable();
        let mut lines = back.stream();
        let joined: Vec<u8> =
            cuts.windows(2).flat_map(|pair| lines.push(&stream[pair[0]..pair[1]]).unwrap().to_vec()).collect();
        prop_assert_eq!(joined, whole.to_vec());
    }
}
