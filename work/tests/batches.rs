//! Batches from the file to the answers, and every way in which they end early.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW, assert_whole, begin, close, custom_ids, drain, get, good, later, lease, line_for, lines,
    new_batch, upload, waiting, written,
};
use serde_json::{Value, json};
use work::{
    Created, Idempotency, Swept,
    batches::{BatchStatus, CreateError, NewBatch, StopError, ValidateError, Validated, WriteError},
    files::{ContentError, ListError},
    tasks::{Closed, Verdict},
};

#[tokio::test]
async fn every_line_gets_its_answer_in_the_order_of_the_input() {
    let home = Home::new();
    let work = home.open();
    let batch = begin(&work, &lines(1200), json!({"mine": "x"})).await;
    assert_eq!((batch.status, batch.request_counts.total), (BatchStatus::InProgress, 1200));
    assert_eq!(batch.model.as_deref(), Some("llama3.1:8b"));
    drain(&work, later(5000)).await;

    let batch = get(&work, &batch.id).await;
    assert_eq!(batch.status, BatchStatus::Completed);
    assert_whole(&work, &batch, 1200).await;
    let (output, _) = written(&work, &batch).await;
    let first = &output[0];
    assert!(first["id"].as_str().unwrap().starts_with("batch_req_"));
    let response = json!({"status_code": 200, "request_id": "req-1", "body": {"said": "1"}});
    assert_eq!((&first["response"], &first["error"]), (&response, &Value::Null));
    assert_eq!(batch.usage.total_tokens, 2400);
    assert!(batch.error_file_id.is_none() && batch.in_progress_at.is_some() && batch.completed_at.is_some());
}

#[tokio::test]
async fn an_ended_batch_leaves_its_files_and_no_rows() {
    let home = Home::new();
    let work = home.open();
    begin(&work, &lines(1200), json!({})).await;
    drain(&work, NOW).await;
    while work.sweep(NOW).await.unwrap() == Swept::Some {}
    let rows = |table: &str| -> i64 {
        home.raw().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows("task"), rows("outcome"), rows("lane")), (0, 0, 0));
    assert_eq!(home.files().len(), 2);
}

#[tokio::test]
async fn mistakes_in_the_file_fail_the_batch_with_their_lines() {
    let home = Home::new();
    let work = home.open();
    let text = [
        &line_for("m", 1),
        "{\"custom_id\": \"broken\n",
        &line_for("m", 1),
        &line_for("m", 4).replace("/v1/chat/completions", "/v1/embeddings"),
        &line_for("m", 5).replace("\"model\"", "\"modle\""),
    ]
    .concat();
    let file = upload(&work, &text).await;
    let batch = work.batches().create(new_batch(&file, json!({})), NOW).await.unwrap().into_inner();
    assert_eq!(work.batches().validate(&batch.id, NOW).await.unwrap(), Validated::Failed);
    let batch = get(&work, &batch.id).await;
    let problems: Vec<_> =
        batch.errors.unwrap().data.into_iter().map(|p| (p.line.unwrap(), p.code, p.param)).collect();
    let expected = [
        (2, "invalid_json_line", None),
        (3, "duplicate_custom_id", Some("custom_id")),
        (4, "invalid_url", Some("url")),
        (5, "missing_required_parameter", Some("body.model")),
    ];
    assert_eq!(
        problems,
        expected.map(|(line, code, param)| (line, code.to_owned(), param.map(str::to_owned)))
    );
    assert_eq!(batch.status, BatchStatus::Failed);
    assert!(batch.failed_at.is_some());
    assert!(waiting(&work, 10, NOW).await.is_empty());
}

#[tokio::test]
async fn an_upload_says_what_is_wrong_with_it_before_there_is_a_batch() {
    let home = Home::new();
    let work = home.open();
    let file = upload(&work, "{\n").await;
    let file = work.files().get(&file).await.unwrap().unwrap();
    let shown = serde_json::to_value(&file).unwrap();
    assert_eq!(shown["status"], "error");
    assert!(shown["status_details"].as_str().unwrap().starts_with("line 1: "), "{shown}");
}

#[tokio::test]
async fn a_batch_submitted_twice_with_one_key_is_one_batch() {
    let home = Home::new();
    let work = home.open();
    let file = upload(&work, &lines(2)).await;
    let request = |window: &str| {
        let body =
            json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": window});
        let body = body.to_string().into_bytes();
        let key = Idempotency::new("key-1", &body).unwrap();
        NewBatch::parse(&body, Some(key)).unwrap()
    };
    let Created::New(first) = work.batches().create(request("24h"), NOW).await.unwrap() else {
        panic!("not new")
    };
    work.files().delete(&file).await.unwrap().unwrap();
    let again = work.batches().create(request("24h"), later(1)).await.unwrap();
    assert_eq!(again, Created::Before(first));
    let other = work.batches().create(request("7d"), NOW).await;
    assert!(matches!(other, Err(CreateError::KeyUsed)), "{other:?}");
    assert_eq!(work.batches().list(None, None).await.unwrap().data.len(), 1);
}

#[tokio::test]
async fn at_its_expiry_finished_lines_stay_and_the_others_are_batch_expired() {
    let home = Home::new();
    let work = home.open();
    let batch = begin(&work, &lines(4), json!({})).await;
    let tasks = waiting(&work, 3, NOW).await;
    let first = lease(&work, tasks[0].id, "local").await;
    close(&work, first, good("1")).await;
    let second = lease(&work, tasks[1].id, "local").await;
    let third = lease(&work, tasks[2].id, "local").await;
    let day = 24 * 60 * 60 * 1000;
    assert_eq!(work.batches().expire(later(day - 1)).await.unwrap(), 0);
    assert_eq!(work.batches().expire(later(day)).await.unwrap(), 1);
    assert!(waiting(&work, 10, later(day)).await.is_empty());
    assert_eq!(work.tasks().to_cancel().await.unwrap().len(), 2);
    assert_eq!(close(&work, second, Verdict::Cut).await, Closed::Waiting);
    close(&work, third, good("3")).await;
    assert!(waiting(&work, 10, later(day)).await.is_empty(), "what was cut waits for nobody");

    assert_eq!(work.batches().write(&batch.id, later(day)).await.unwrap(), BatchStatus::Expired);
    let batch = get(&work, &batch.id).await;
    assert_eq!(batch.request_counts.completed, 2, "what was answered in time counts");
    assert_whole(&work, &batch, 4).await;
    let (_, errors) = written(&work, &batch).await;
    assert!(errors.iter().all(|line| line["error"]["code"] == "batch_expired" && line["response"].is_null()));
    assert_eq!(batch.expired_at, batch.expires_at);
}

#[tokio::test]
async fn a_batch_can_be_cancelled_at_each_state_that_is_no_end() {
    let home = Home::new();
    let work = home.open();
    let cancel = async |id: &str| work.batches().cancel(id, NOW).await.map(|batch| batch.status);

    let file = upload(&work, &lines(3)).await;
    let validating = work.batches().create(new_batch(&file, json!({})), NOW).await.unwrap().into_inner();
    assert_eq!(cancel(&validating.id).await.unwrap(), BatchStatus::Cancelled);
    let late = work.batches().validate(&validating.id, NOW).await;
    assert!(matches!(late, Err(ValidateError::NotValidating)));

    let running = begin(&work, &lines(3), json!({})).await;
    let tasks = waiting(&work, 2, NOW).await;
    let [first, second] = [lease(&work, tasks[0].id, "a").await, lease(&work, tasks[1].id, "b").await];
    assert_eq!(cancel(&running.id).await.unwrap(), BatchStatus::Cancelling);
    assert_eq!(cancel(&running.id).await.unwrap(), BatchStatus::Cancelling);
    let early = work.batches().write(&running.id, NOW).await;
    assert!(matches!(early, Err(WriteError::NotReady)));
    assert_eq!(work.tasks().to_cancel().await.unwrap().len(), 2);
    assert!(matches!(close(&work, first, good("1")).await, Closed::Answered { .. }));
    assert_eq!(close(&work, second, Verdict::Cut).await, Closed::Waiting);
    drain(&work, NOW).await;
    let running = get(&work, &running.id).await;
    assert_eq!(running.status, BatchStatus::Cancelled);
    assert_whole(&work, &running, 3).await;
    let (_, errors) = written(&work, &running).await;
    assert!(errors.iter().all(|line| line["error"]["code"] == "batch_cancelled"));

    let finalizing = begin(&work, &lines(1), json!({})).await;
    let task = waiting(&work, 1, NOW).await.remove(0);
    let last = lease(&work, task.id, "a").await;
    close(&work, last, good("1")).await;
    assert!(matches!(cancel(&finalizing.id).await, Err(StopError::NotNow(_))));
    drain(&work, NOW).await;
    assert!(matches!(cancel(&finalizing.id).await, Err(StopError::NotNow(_))));
    assert_eq!(cancel(&running.id).await.unwrap(), BatchStatus::Cancelled);
    assert!(matches!(cancel("batch_none").await, Err(StopError::NotFound)));
}

#[tokio::test]
async fn a_deleted_input_file_is_gone_for_tools_and_there_for_its_batch() {
    let home = Home::new();
    let work = home.open();
    let batch = begin(&work, &lines(3), json!({})).await;
    let file = batch.input_file_id.clone();
    assert!(work.files().delete(&file).await.unwrap().is_some());
    assert!(work.files().get(&file).await.unwrap().is_none());
    assert!(matches!(work.files().content(&file, 0, None).await, Err(ContentError::NotFound)));
    assert!(work.files().delete(&file).await.unwrap().is_none());
    work.sweep(NOW).await.unwrap();
    let task = waiting(&work, 1, NOW).await.remove(0);
    let body: Value = serde_json::from_slice(&work.tasks().body(task.id).await.unwrap()).unwrap();
    assert_eq!(body["messages"][1]["content"], "1");

    drain(&work, NOW).await;
    assert_whole(&work, &get(&work, &batch.id).await, 3).await;
    assert_eq!(home.files().len(), 1, "only the output is left");
}

#[tokio::test]
async fn the_list_of_batches_is_read_page_by_page() {
    let home = Home::new();
    let work = home.open();
    let mut made = Vec::new();
    let file = upload(&work, &lines(1)).await;
    for n in 0..5 {
        let new = new_batch(&file, json!({}));
        made.push(work.batches().create(new, later(n)).await.unwrap().into_inner().id);
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = work.batches().list(after, Some(2)).await.unwrap();
        assert_eq!(page.first_id, page.data.first().map(|batch| batch.id.clone()));
        seen.extend(page.data.iter().map(|batch| batch.id.clone()));
        after = page.last_id.clone();
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seen, made);
    let unknown = work.batches().list(Some("batch_none".into()), None).await;
    assert!(matches!(unknown, Err(ListError::UnknownAfter)));
    assert!(matches!(work.batches().list(None, Some(101)).await, Err(ListError::BadLimit { max: 100 })));
}

#[tokio::test]
async fn the_object_has_openais_fields() {
    let home = Home::new();
    let work = home.open();
    let batch = begin(&work, &lines(1), json!({"mine": "x"})).await;
    let shown = serde_json::to_value(&batch).unwrap();
    let schema: Value = serde_json::from_str(include_str!("openai_batch.json")).unwrap();
    let shown = shown.as_object().unwrap();
    for field in schema["required"].as_array().unwrap() {
        assert!(!shown[field.as_str().unwrap()].is_null(), "{field}");
    }
    let known = schema["properties"].as_array().unwrap();
    assert!(shown.keys().all(|key| known.contains(&json!(key))), "{shown:?}");
    assert_eq!(shown["created_at"], NOW.as_millis() / 1000);
    assert_eq!(shown["expires_at"], NOW.as_millis() / 1000 + 24 * 60 * 60);
    assert_eq!(shown["metadata"], json!({"mine": "x"}));
}

#[tokio::test]
async fn a_line_that_was_refused_stands_in_the_error_file_with_its_response() {
    let home = Home::new();
    let work = home.open();
    let batch = begin(&work, &lines(2), json!({})).await;
    let tasks = waiting(&work, 2, NOW).await;
    let first = lease(&work, tasks[0].id, "a").await;
    assert_eq!(close(&work, first, common::bad(400)).await, Closed::Failed);
    let second = lease(&work, tasks[1].id, "a").await;
    let failed = Verdict::Failed { code: "model_not_found".into(), message: "nobody has it".into() };
    assert_eq!(close(&work, second, failed).await, Closed::Failed);
    drain(&work, NOW).await;
    let batch = get(&work, &batch.id).await;
    assert_eq!((batch.status, batch.output_file_id.is_none()), (BatchStatus::Completed, true));
    let (_, errors) = written(&work, &batch).await;
    assert_eq!(custom_ids(&errors), ["request-1", "request-2"]);
    assert_eq!(errors[0]["response"]["body"]["error"]["code"], "bad");
    assert_eq!((&errors[0]["response"]["status_code"], &errors[0]["error"]), (&json!(400), &Value::Null));
    assert_eq!(errors[1]["error"], json!({"code": "model_not_found", "message": "nobody has it"}));
}
