//! OpenAI's batches and our jobs, as far as nobody has to answer: lines that cannot be run, states,
//! cancelling, asking twice, pages. Nobody here has a model.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use stories::{
    Answer, Node, Value, ask, ask_stream,
    batching::{line, lines},
    engine::MODEL,
    eventually, json,
};

async fn cancel(node: &Node, batch: &Value) -> Answer {
    let path = format!("/v1/batches/{}/cancel", batch["id"].as_str().unwrap());
    Answer::of(node.http().post(node.url(&path))).await
}

#[tokio::test]
async fn a_good_file_becomes_a_batch_that_is_in_progress() {
    let node = Node::gateway().start().await;
    let file = node.upload("batch", "lines.jsonl", lines(MODEL, 3).as_bytes()).await;
    assert_eq!(file["status"], "processed");
    let more = json!({"metadata": {"mine": "x", "max_credits": "900"}, "completion_window": "30m"});
    let created = Answer::of(node.post_batch(&file["id"], &more)).await.json();
    assert_eq!((&created["object"], &created["status"]), (&json!("batch"), &json!("validating")));
    let batch = node.batch_is(&created, "in_progress").await;
    assert_eq!(batch["request_counts"], json!({"total": 3, "completed": 0, "failed": 0}));
    assert_eq!((&batch["model"], &batch["input_file_id"]), (&json!(MODEL), &file["id"]));
    assert_eq!((&batch["metadata"], &batch["endpoint"]), (&more["metadata"], &json!("/v1/chat/completions")));
    assert_eq!(batch["expires_at"].as_u64().unwrap() - batch["created_at"].as_u64().unwrap(), 30 * 60);
    assert_eq!((&batch["output_file_id"], &batch["error_file_id"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_bad_file_fails_its_batch_and_each_problem_has_its_line() {
    let node = Node::gateway().start().await;
    let good = |id: &str| line(id, &ask(MODEL, "x"));
    let text = [
        good("a"),
        "no json\n".to_owned(),
        good("a"),
        line("b", &ask_stream(MODEL, "x")),
        "{\"custom_id\":\"c\",\"method\":\"GET\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"m\"}}\n".to_owned(),
        "{\"custom_id\":\"d\",\"method\":\"POST\",\"url\":\"/v1/embeddings\",\"body\":{\"model\":\"m\"}}\n".to_owned(),
    ];
    let batch = node.batch_of(&text.concat()).await;
    let batch = node.batch_is(&batch, "failed").await;
    let problems = batch["errors"]["data"].as_array().unwrap();
    let lines: Vec<u64> = problems.iter().map(|problem| problem["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6], "{problems:?}");
    for problem in problems {
        assert!(problem["code"].is_string() && problem["message"].as_str().unwrap().len() > 10, "{problem}");
    }
    assert_eq!((&batch["errors"]["object"], batch["failed_at"].is_u64()), (&json!("list"), true));
    cancel(&node, &batch).await.error(409, "not_cancellable");

    let empty = node.batch_of("\n\n").await;
    let empty = node.batch_is(&empty, "failed").await;
    assert_eq!(
        (&empty["errors"]["data"][0]["code"], &empty["errors"]["data"][0]["line"]),
        (&json!("empty_file"), &Value::Null)
    );
}

#[tokio::test]
async fn what_is_no_request_for_a_batch_is_refused_by_field() {
    let node = Node::gateway().set("gateway.max_body", "\"4KiB\"").start().await;
    let file = node.upload("batch", "lines.jsonl", lines(MODEL, 1).as_bytes()).await;
    let notes = node.upload("user_data", "notes", b"x").await;
    for (more, param) in [
        (json!({"endpoint": "/v1/images"}), "endpoint"),
        (json!({"completion_window": "soon"}), "completion_window"),
        (json!({"metadata": {"max_credits": "much"}}), "metadata.max_credits"),
        (json!({"output_expires_after": {"anchor": "created_at", "seconds": 1}}), "output_expires_after"),
        (json!({"input_file_id": null}), "input_file_id"),
        (json!({"input_file_id": notes["id"]}), "input_file_id"),
    ] {
        let error = Answer::of(node.post_batch(&file["id"], &more)).await.error(400, "invalid_value");
        assert_eq!(error["param"], param);
    }
    Answer::of(node.post_batch(&json!("file-none"), &json!({}))).await.error(404, "not_found");
    Answer::of(node.post("/v1/batches", "{")).await.error(400, "invalid_value");
    Answer::of(node.post("/v1/batches", "x".repeat(5000))).await.error(413, "request_too_large");
    let text = node.http().post(node.url("/v1/batches")).body("{}");
    Answer::of(text).await.error(415, "unsupported_media_type");
    for path in ["/v1/batches/batch_none", "/v1/batches/batch_none/cancel/more", "/v1/batches/a/b"] {
        Answer::of(node.get(path)).await.error(404, "not_found");
    }
    let method = Answer::of(node.http().delete(node.url("/v1/batches/batch_none"))).await;
    method.error(405, "method_not_allowed");
    assert_eq!(method.header("allow"), Some("GET, HEAD"));
    Answer::of(node.get("/v1/batches/batch_none/cancel")).await.error(405, "method_not_allowed");
    assert_eq!(node.get_json("/v1/batches").await["data"], json!([]));
}

#[tokio::test]
async fn a_batch_that_runs_is_cancelled_and_each_line_stands_in_its_error_file() {
    let node = Node::gateway().start().await;
    let batch = node.batch_of(&lines(MODEL, 3)).await;
    let batch = node.batch_is(&batch, "in_progress").await;
    let cancelling = cancel(&node, &batch).await;
    assert_eq!(cancelling.status, 200, "{}", cancelling.body);
    assert!(cancelling.json()["cancelling_at"].is_u64());
    let over = node.batch_is(&batch, "cancelled").await;
    assert_eq!(over["request_counts"], json!({"total": 3, "completed": 0, "failed": 3}));
    assert_eq!(over["output_file_id"], Value::Null);
    let errors = format!("/v1/files/{}", over["error_file_id"].as_str().unwrap());
    assert_eq!(node.get_json(&errors).await["purpose"], "batch_output");
    let written = Answer::of(node.get(&format!("{errors}/content"))).await.body;
    let said: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = said.iter().map(|line| line["custom_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["line-1", "line-2", "line-3"]);
    assert!(said.iter().all(|line| line["error"]["code"] == "batch_cancelled" && line["response"].is_null()));
    assert_eq!(cancel(&node, &batch).await.json()["status"], "cancelled", "twice is once");
    cancel(&node, &json!({"id": "batch_none"})).await.error(404, "not_found");
}

#[tokio::test]
async fn the_same_request_with_the_same_key_is_the_same_batch() {
    let node = Node::gateway().start().await;
    let file = node.upload("batch", "lines.jsonl", lines(MODEL, 1).as_bytes()).await;
    let create = async |more: &Value, key: &str| {
        Answer::of(node.post_batch(&file["id"], more).header("idempotency-key", key)).await
    };
    let first = create(&json!({}), "one").await.json();
    assert_eq!(create(&json!({}), "one").await.json()["id"], first["id"]);
    assert_ne!(create(&json!({}), "two").await.json()["id"], first["id"]);
    let other = create(&json!({"completion_window": "7d"}), "one").await.error(400, "invalid_value");
    assert_eq!(other["param"], "Idempotency-Key");
    create(&json!({}), &"k".repeat(256)).await.error(400, "invalid_value");
    let node = node.start_again().await;
    let again = node.post_batch(&file["id"], &json!({})).header("idempotency-key", "one");
    assert_eq!(Answer::of(again).await.json()["id"], first["id"], "across a restart");
    assert_eq!(node.get_json("/v1/batches").await["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn batches_are_listed_page_by_page_the_newest_first() {
    let node = Node::gateway().start().await;
    let file = node.upload("batch", "lines.jsonl", lines(MODEL, 1).as_bytes()).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, Answer::of(node.post_batch(&file["id"], &json!({}))).await.json()["id"].clone());
    }
    let mut seen = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let page = node.get_json(&format!("/v1/batches?{query}")).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|batch| batch["id"].clone()));
        if page["has_more"] == false {
            break;
        }
        query = format!("limit=2&after={}", page["last_id"].as_str().unwrap());
    }
    assert_eq!(seen, ids);
    for (query, param) in [("limit=101", "limit"), ("after=batch_none", "after")] {
        let error = Answer::of(node.get(&format!("/v1/batches?{query}"))).await.error(400, "invalid_value");
        assert_eq!(error["param"], param);
    }
}

#[tokio::test]
async fn a_batch_keeps_its_input_although_the_file_is_deleted() {
    let node = Node::gateway().start().await;
    let batch = node.batch_of(&lines(MODEL, 2)).await;
    let path = format!("/v1/files/{}", batch["input_file_id"].as_str().unwrap());
    assert_eq!(Answer::of(node.http().delete(node.url(&path))).await.status, 200);
    Answer::of(node.get(&path)).await.error(404, "not_found");
    let batch = node.batch_is(&batch, "in_progress").await;
    assert_eq!(batch["request_counts"]["total"], 2);
    let input = node.home().file("files").join(batch["input_file_id"].as_str().unwrap());
    assert!(input.exists(), "its lines are still to be read");
    cancel(&node, &batch).await;
    node.batch_is(&batch, "cancelled").await;
    eventually("the input is gone", async || (!input.exists()).then_some(())).await;
}

#[tokio::test]
async fn a_batch_outlives_the_process_that_created_it() {
    let mut node = Node::gateway().start().await;
    let batch = node.batch_of(&lines(MODEL, 500)).await;
    node.kill();
    let node = node.start_again().await;
    let batch = node.batch_is(&batch, "in_progress").await;
    assert_eq!(batch["request_counts"]["total"], 500);
}

#[tokio::test]
async fn a_job_is_taken_on_once_read_by_its_id_and_cancelled() {
    let node = Node::gateway().start().await;
    let mut body = ask(MODEL, "in the night");
    body["metadata"] = json!({"mine": "x"});
    let submit = async |body: &Value| {
        Answer::of(node.post("/v1/jobs", body.to_string()).header("idempotency-key", "night-1")).await
    };
    let taken = submit(&body).await;
    assert_eq!((taken.status, &taken.json()["status"]), (202, &json!("queued")), "{}", taken.body);
    assert!(taken.json()["createdAt"].is_u64());
    assert_eq!(submit(&body).await.json()["jobId"], taken.json()["jobId"]);
    body["seed"] = json!(7);
    assert_eq!(submit(&body).await.error(400, "invalid_value")["param"], "Idempotency-Key");

    let path = format!("/v1/jobs/{}", taken.json()["jobId"].as_str().unwrap());
    let job = node.get_json(&path).await;
    assert_eq!((&job["status"], &job["metadata"]), (&json!("queued"), &json!({"mine": "x"})));
    assert_eq!(node.get_json(&format!("{path}?wait=1")).await["status"], "queued", "the time was over");
    for wait in ["0", "31", "x"] {
        let error = Answer::of(node.get(&format!("{path}?wait={wait}"))).await.error(400, "invalid_value");
        assert_eq!(error["param"], "wait");
    }
    let (waiting, cancelled) = tokio::join!(Answer::of(node.get(&format!("{path}?wait=30"))), async {
        Answer::of(node.http().delete(node.url(&path))).await
    });
    for answer in [waiting, cancelled] {
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("error")), "{}", answer.body);
        assert_eq!(answer.json()["error"]["type"], "cancelled");
    }
    Answer::of(node.http().delete(node.url(&path))).await.error(409, "not_cancellable");
    Answer::of(node.get("/v1/jobs/none")).await.error(404, "not_found");
    Answer::of(node.get("/v1/jobs")).await.error(405, "method_not_allowed");
}

#[tokio::test]
async fn what_no_engine_would_take_is_refused_as_a_job_too() {
    let node = Node::gateway().start().await;
    let submit = async |body: &str| Answer::of(node.post("/v1/jobs", body.to_owned())).await;
    submit("{").await.error(400, "invalid_json");
    submit("{\"messages\":[]}").await.error(400, "missing_model");
    for (body, param) in [
        ("{\"model\":\"m\",\"max_tokens\":\"many\"}", "max_tokens"),
        ("{\"model\":\"m\",\"stream\":true}", "stream"),
        ("{\"model\":\"m\",\"metadata\":{\"a\":1}}", "metadata"),
        ("{\"model\":\"m\",\"metadata\":{},\"metadata\":{}}", "metadata"),
    ] {
        assert_eq!(submit(body).await.error(400, "invalid_value")["param"], param, "{body}");
    }
    let elsewhere = node.post("/v1/jobs", "{\"model\":\"m\"}").header("x-lobstah-endpoint", "/v1/images");
    Answer::of(elsewhere).await.error(400, "invalid_value");
}

#[tokio::test]
async fn a_tool_that_prefers_it_gets_a_job_in_place_of_an_answer() {
    let node = Node::gateway().start().await;
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"] {
        let body = json!({"model": MODEL, "prompt": "x", "input": "x", "messages": []}).to_string();
        let asked = Answer::of(node.post(path, body).header("prefer", "wait=5, respond-async")).await;
        assert_eq!(asked.status, 202, "{path}: {}", asked.body);
        assert_eq!(asked.header("preference-applied"), Some("respond-async"));
        let (job, location) = (asked.json(), asked.header("location").unwrap());
        assert_eq!(location, format!("/v1/jobs/{}", job["jobId"].as_str().unwrap()));
        assert_eq!(node.get_json(location).await["status"], "queued");
    }
    let streamed = node.chat(&ask_stream(MODEL, "x")).header("prefer", "respond-async");
    assert_ne!(Answer::of(streamed).await.status, 202, "a stream is not put off");
}
