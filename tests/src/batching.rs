//! Files and batches as tools send them.

use crate::{Answer, Node, Value, eventually, json};
use reqwest::RequestBuilder;

/// Of the forms made here.
pub const BOUNDARY: &str = "story-boundary";

/// A form of fields and, behind them, one file.
pub fn form(fields: &[(&str, &str)], filename: &str, content: &[u8]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        form.extend_from_slice(part.as_bytes());
    }
    form.extend_from_slice(file_head(filename).as_bytes());
    form.extend_from_slice(content);
    form.extend_from_slice(END.as_bytes());
    form
}

/// What stands before a file's bytes.
pub fn file_head(filename: &str) -> String {
    format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
}

/// What stands behind a file that is the last part.
pub const END: &str = "\r\n--story-boundary--\r\n";

pub fn form_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

/// A line of a batch.
pub fn line(custom_id: &str, body: &Value) -> String {
    let line = json!({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body});
    format!("{line}\n")
}

/// So many good lines for this model.
pub fn lines(model: &str, count: usize) -> String {
    (1..=count).map(|at| line(&format!("line-{at}"), &crate::ask(model, &format!("number {at}")))).collect()
}

impl Node {
    /// `POST /v1/files` with any form.
    pub fn post_form(&self, form: impl Into<reqwest::Body>) -> RequestBuilder {
        self.http().post(self.url("/v1/files")).header("content-type", form_type()).body(form)
    }

    /// Uploads a file; gives its object.
    pub async fn upload(&self, purpose: &str, filename: &str, content: &[u8]) -> Value {
        let answer = Answer::of(self.post_form(form(&[("purpose", purpose)], filename, content))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// `POST /v1/batches` for chat completions within a day, with further fields.
    pub fn post_batch(&self, input_file: &Value, more: &Value) -> RequestBuilder {
        let mut request = json!({
            "input_file_id": input_file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
        });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/v1/batches", request.to_string())
    }

    /// Uploads these lines and creates a batch of them.
    pub async fn batch_of(&self, lines: &str) -> Value {
        let file = self.upload("batch", "lines.jsonl", lines.as_bytes()).await;
        let batch = Answer::of(self.post_batch(&file["id"], &json!({}))).await;
        assert_eq!(batch.status, 200, "{}", batch.body);
        batch.json()
    }

    /// Waits until a batch is in this state.
    pub async fn batch_is(&self, batch: &Value, status: &str) -> Value {
        let path = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
        eventually(&format!("the batch is {status}"), async || {
            let now = self.get_json(&path).await;
            (now["status"] == status).then_some(now)
        })
        .await
    }
}
