//! Every row of the table of errors (SPEC section 7) that applies: the status, OpenAI's envelope with
//! all four members, whether an SDK may try again, and a message that says what to do next.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use stories::{
    Answer, Node, Raw, Setup, World, ask, ask_stream,
    client::{Stream, http},
    engine::{self, Behaviour, MODEL, Trouble},
    json,
};

#[track_caller]
fn not_to_be_retried(answer: &Answer) {
    assert_eq!(answer.header("x-should-retry"), Some("false"), "{}", answer.body);
}

async fn gateway(change: impl FnOnce(Setup) -> Setup) -> (stories::Engine, Node) {
    let engine = stories::engine();
    let gateway = change(Node::gateway().ollama(&engine)).start().await;
    (engine, gateway)
}

#[tokio::test]
async fn a_body_that_cannot_be_read_says_where_and_which_field() {
    let (engine, gateway) = gateway(|setup| setup).await;
    let cases = [
        ("", "invalid_json", None),
        ("{\"model\":", "invalid_json", None),
        ("[1]", "invalid_json", None),
        ("{\"model\":\"practice:8b\"} {}", "invalid_json", None),
        ("{\"messages\":[]}", "missing_model", Some("model")),
        ("{\"model\":null}", "missing_model", Some("model")),
        ("{\"model\":7}", "invalid_value", Some("model")),
        ("{\"model\":\"\"}", "invalid_value", Some("model")),
        ("{\"model\":\"practice:8b\",\"stream\":\"yes\"}", "invalid_value", Some("stream")),
        ("{\"model\":\"practice:8b\",\"max_tokens\":-1}", "invalid_value", Some("max_tokens")),
        ("{\"model\":\"practice:8b\",\"n\":0}", "invalid_value", Some("n")),
        ("{\"model\":\"practice:8b\",\"stream_options\":1}", "invalid_value", Some("stream_options")),
        ("{\"model\":\"practice:8b\",\"model\":\"practice:1b\"}", "invalid_value", Some("model")),
        ("{\"Model\":\"practice:1b\",\"model\":\"practice:8b\"}", "invalid_value", Some("model")),
        ("{\"model\":\"practice:8b\",\"m\\u006fdel\":\"practice:1b\"}", "invalid_value", Some("model")),
        ("{\"model\":\"practice:8b\",\"STREAM\":true}", "invalid_value", Some("stream")),
        ("{\"model\":\"practice:8b\",\"Max_Tokens\":1}", "invalid_value", Some("max_tokens")),
    ];
    for (body, code, param) in cases {
        let answer = Answer::of(gateway.post("/v1/chat/completions", body)).await;
        let error = answer.error(400, code);
        assert_eq!(error["param"].as_str(), param, "{body}");
        assert_eq!(error["type"], "invalid_request_error");
        not_to_be_retried(&answer);
    }
    let broken = Answer::of(gateway.post("/v1/chat/completions", "{\n  \"model\": oops}")).await;
    assert!(
        broken.error(400, "invalid_json")["message"].as_str().unwrap().contains("line 2"),
        "{}",
        broken.body
    );
    assert_eq!(engine.handle.counts().received, 0, "none of them reached the engine");
}

#[tokio::test]
async fn a_worker_refuses_keys_that_stand_twice_or_in_another_case() {
    let world = World::start().await;
    for (body, param) in [
        (r#"{"model":"practice:8b","messages":[],"max_tokens":1,"max_tokens":100000}"#, "max_tokens"),
        (r#"{"Model":"practice:8b","model":"practice:1b","messages":[]}"#, "model"),
        (r#"{"model":"practice:8b","messages":[],"Stream":true}"#, "stream"),
    ] {
        let request = http().post(world.worker.worker_url("/v1/chat/completions"));
        let answer = Answer::of(request.header("content-type", "application/json").body(body)).await;
        assert_eq!(answer.error(400, "invalid_value")["param"], param);
        not_to_be_retried(&answer);
    }
    assert_eq!(world.worker.home().receipts().await.len(), 0);
}

#[tokio::test]
async fn a_gateway_with_keys_lets_nobody_in_without_one() {
    let (_engine, gateway) =
        gateway(|setup| setup.set("gateway.api_keys", "[\"key-one\", \"key-two\"]")).await;
    let mut refusals = Vec::new();
    for given in
        [None, Some("Bearer wrong"), Some("Bearer key-on"), Some("Bearer key-one2"), Some("Basic key-one")]
    {
        for path in ["/v1/models", "/balance", "/metrics", "/nowhere"] {
            let mut request = gateway.get(path);
            request = given.iter().fold(request, |request, key| request.header("authorization", *key));
            let answer = Answer::of(request).await;
            answer.error(401, "invalid_api_key");
            not_to_be_retried(&answer);
            let mut names: Vec<String> = answer.headers.keys().map(|name| name.to_string()).collect();
            names.sort();
            refusals.push((names, answer.body));
        }
    }
    assert!(refusals.iter().all(|one| *one == refusals[0]), "a refusal tells nothing about the key");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(Answer::of(gateway.get(path)).await.status, 200, "{path}");
    }
    for key in ["key-one", "key-two"] {
        let answer = Answer::of(gateway.chat(&ask(MODEL, "hi")).bearer_auth(key)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_gateway_on_loopback_answers_only_to_names_that_it_knows() {
    let (_engine, gateway) = gateway(|setup| setup.set("gateway.hosts", "[\"box.local\"]")).await;
    for evil in [
        "evil.example",
        "evil.example:17475",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "169.254.169.254",
    ] {
        let answer = Answer::of(gateway.get("/v1/models").header("host", evil)).await;
        let error = answer.error(403, "host_not_allowed");
        assert!(error["message"].as_str().unwrap().contains("gateway.hosts"), "{error}");
        not_to_be_retried(&answer);
    }
    for good in ["localhost", "LocalHost:1", "127.0.0.1", "[::1]", "[::1]:80", "box.local", "box.local:9"] {
        let answer = Answer::of(gateway.get("/v1/models").header("host", good)).await;
        assert_eq!(answer.status, 200, "{good}: {}", answer.body);
    }
}

#[tokio::test]
async fn web_pages_may_use_a_gateway_only_where_its_owner_says_so() {
    let (engine, gateway) =
        gateway(|setup| setup.set("gateway.cors_origins", "[\"http://app.example:3000\"]")).await;
    for evil in ["https://evil.example", "null", "http://app.example", "http://app.example:30001"] {
        let answer = Answer::of(gateway.chat(&ask(MODEL, "hi")).header("origin", evil)).await;
        let error = answer.error(403, "origin_not_allowed");
        assert!(error["message"].as_str().unwrap().contains("gateway.cors_origins"), "{error}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        not_to_be_retried(&answer);
        let preflight = http().request(reqwest::Method::OPTIONS, gateway.url("/v1/chat/completions"));
        let answer =
            Answer::of(preflight.header("origin", evil).header("access-control-request-method", "POST"))
                .await;
        answer.error(403, "origin_not_allowed");
    }
    assert_eq!(engine.handle.counts().received, 0);

    let app = "http://app.example:3000";
    let preflight = http().request(reqwest::Method::OPTIONS, gateway.url("/v1/chat/completions"));
    let preflight = preflight.header("origin", app).header("access-control-request-method", "POST");
    let answer =
        Answer::of(preflight.header("access-control-request-headers", "authorization,content-type")).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some(app)));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,content-type"));
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
    let answer = Answer::of(gateway.chat(&ask(MODEL, "hi")).header("origin", app)).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(app)));
    let stream = Stream::of(gateway.chat(&ask_stream(MODEL, "hi")).header("origin", app)).await;
    assert_eq!(stream.header("access-control-allow-origin"), Some(app));
    let own = format!("http://{}", gateway.gateway_address());
    assert_eq!(Answer::of(gateway.chat(&ask(MODEL, "hi")).header("origin", own)).await.status, 200);
}

#[tokio::test]
async fn a_model_that_nobody_has_is_told_with_the_names_that_come_near() {
    let (_engine, gateway) = gateway(|setup| setup).await;
    for body in [ask("practise:8b", "hi"), ask_stream("practise:8b", "hi")] {
        let answer = gateway.answer(&body).await;
        let error = answer.error(404, "model_not_found");
        assert_eq!((&error["param"], &error["type"]), (&json!("model"), &json!("invalid_request_error")));
        assert!(error["message"].as_str().unwrap().contains("`practice:8b`"), "{error}");
        not_to_be_retried(&answer);
    }
    let answer = Answer::of(gateway.get("/v1/models/llama3:1b")).await;
    answer.error(404, "model_not_found");
}

#[tokio::test]
async fn routes_and_methods_that_are_not_there_are_told_apart() {
    let world = World::start().await;
    for path in ["/nowhere", "/v1", "/v1/chat/completions/", "/capacity", "/V1/models"] {
        let answer = Answer::of(world.gateway.get(path)).await;
        answer.error(404, "not_found");
        not_to_be_retried(&answer);
    }
    for path in ["/balance", "/ledger", "/peers"] {
        Answer::of(http().get(world.worker.worker_url(path))).await.error(404, "not_found");
    }
    let answer = Answer::of(world.gateway.get("/v1/chat/completions")).await;
    answer.error(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    let answer = Answer::of(http().delete(world.gateway.url("/v1/models"))).await;
    answer.error(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    not_to_be_retried(&answer);
    let answer = Answer::of(world.gateway.get("/ledger?limit=501")).await;
    assert_eq!(answer.error(400, "invalid_value")["param"], "limit");
}

#[tokio::test]
async fn what_is_not_json_is_refused_by_its_media_type() {
    let (_engine, gateway) = gateway(|setup| setup).await;
    let question = ask(MODEL, "hi").to_string();
    for kind in [None, Some("text/plain"), Some("multipart/form-data; boundary=x"), Some("application/jsonx")]
    {
        let request = http().post(gateway.url("/v1/chat/completions")).body(question.clone());
        let answer =
            Answer::of(kind.iter().fold(request, |request, kind| request.header("content-type", *kind)))
                .await;
        let error = answer.error(415, "unsupported_media_type");
        assert!(error["message"].as_str().unwrap().contains("application/json"), "{error}");
        not_to_be_retried(&answer);
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        let request = http().post(gateway.url("/v1/chat/completions")).header("content-type", kind);
        assert_eq!(Answer::of(request.body(question.clone())).await.status, 200, "{kind}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_without_being_read() {
    let (engine, gateway) = gateway(|setup| setup.set("gateway.max_body", "\"1KiB\"")).await;
    let announced =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let mut by_length = Raw::to(gateway.gateway_address()).await;
    // Not one byte of the hundred megabytes is sent.
    by_length.send(format!("{announced}Content-Length: 100000000\r\n\r\n")).await;
    let mut chunked = Raw::to(gateway.gateway_address()).await;
    chunked
        .send(format!("{announced}Transfer-Encoding: chunked\r\n\r\n1000\r\n{}\r\n", "x".repeat(4096)))
        .await;
    let mut expecting = Raw::to(gateway.gateway_address()).await;
    expecting.send(format!("{announced}Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n")).await;
    for mut tool in [by_length, chunked, expecting] {
        let answer = tool.answer().await;
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "request_too_large");
        assert!(error["message"].as_str().unwrap().contains("gateway.max_body"), "{error}");
        tool.until_closed().await;
    }
    let large = ask(MODEL, &"x".repeat(2000));
    gateway.answer(&large).await.error(413, "request_too_large");
    assert_eq!(engine.handle.counts().received, 0);
    assert_eq!(gateway.answer(&ask(MODEL, "small")).await.status, 200);
}

#[tokio::test]
async fn what_the_engine_says_of_the_request_is_passed_on_in_its_own_words() {
    let world = World::start().await;
    let own = Node::gateway().ollama(&world.engine).start().await;
    for gateway in [&own, &world.gateway] {
        let answer = gateway.answer(&ask("practice-embed", "chat with me")).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"]["message"], "\"practice-embed\" does not support chat");
        for member in ["type", "param", "code"] {
            assert!(answer.json()["error"].get(member).is_some());
        }
        not_to_be_retried(&answer);
    }
    let body =
        "{\"error\":{\"message\":\"odd  spacing\",\"type\":\"x\",\"param\":\"tools\",\"code\":\"own\"}}";
    let trouble = Trouble::Fail { status: 422, body: Some(body.into()) };
    world.engine.handle.set(Behaviour::of(trouble));
    let answer = own.answer(&ask(MODEL, "hi")).await;
    assert_eq!((answer.status, answer.body.as_str()), (422, body));
    assert_eq!(engine::bodies(&world.engine).len(), 3, "a verdict of the engine's is not asked for twice");
}

#[tokio::test]
async fn what_is_no_http_is_answered_and_hurts_nobody() {
    let (_engine, gateway) = gateway(|setup| setup).await;
    for garbage in [
        "\x16\x03\x01\x02\x00\x01\x00",
        "hello there\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\nNo Colon\r\n\r\n",
    ] {
        let mut tool = Raw::to(gateway.gateway_address()).await;
        tool.send(garbage).await;
        tool.finish().await;
        let said = String::from_utf8_lossy(&tool.until_closed().await).into_owned();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{garbage:?}: {said}");
    }
    let mut tool = Raw::to(gateway.gateway_address()).await;
    tool.send("NONSENSE from beginning to end\r\n\r\n").await;
    let answer = tool.answer().await;
    assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/json")));
    assert!(answer.json()["error"]["message"].is_string());
    assert_eq!(gateway.answer(&ask(MODEL, "still there?")).await.status, 200);
}
