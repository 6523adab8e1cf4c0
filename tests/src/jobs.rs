//! Jobs at a worker, as a gateway gives them: submitted with an order, polled, cancelled.

use crate::{
    Answer, Node, Requester, Value,
    client::http,
    eventually,
    forge::now,
    json,
    requester::{acknowledge, receipt_of},
};
use protocol::{
    Order, Receipt, Verified,
    ack::Verdict,
    auth::{Asked, Auth},
    canonical::CanonicalBytes,
    carriers::{self, AUTH_HEADER, ORDER_HEADER},
    judge::{Judgement, Received, Seen, judge},
};
use reqwest::{Method, RequestBuilder};

/// A job that was taken, and its order.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: String,
    pub order: Verified<Order>,
}

/// `POST /v1/jobs` without an order.
pub fn submission(worker: &Node, body: &Value) -> RequestBuilder {
    let request = http().post(worker.worker_url("/v1/jobs"));
    request.header("content-type", "application/json").body(body.to_string())
}

/// The same with one.
pub fn ordered_submission(worker: &Node, body: &Value, order: &Verified<Order>) -> RequestBuilder {
    submission(worker, body).header(ORDER_HEADER, carriers::to_header(order.signed()))
}

/// `GET` or `DELETE` of a job by its id alone.
pub fn unsigned(worker: &Node, method: Method, id: &str) -> RequestBuilder {
    http().request(method, worker.worker_url(&format!("/v1/jobs/{id}")))
}

impl Requester {
    /// Orders a job that must be taken.
    pub async fn submit(&self, worker: &Node, body: &Value) -> Job {
        self.submit_order(worker, body, self.sign(self.order(worker.id, body))).await
    }

    /// The same with an order that is not the usual one.
    pub async fn submit_order(&self, worker: &Node, body: &Value, order: Verified<Order>) -> Job {
        let answer = Answer::of(ordered_submission(worker, body, &order)).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        let id = answer.json()["jobId"].as_str().unwrap().to_owned();
        assert_eq!(id, order.order_id);
        Job { id, order }
    }

    /// `GET` or `DELETE` of a job of its own.
    pub fn asks(&self, worker: &Node, method: Method, id: &str, query: &str) -> RequestBuilder {
        let path = format!("/v1/jobs/{id}");
        let asked = Asked { worker: worker.id, method: method.as_str(), path: &path };
        let auth = Auth::sign(&self.key, &asked, now()).to_header();
        http().request(method, worker.worker_url(&format!("{path}{query}"))).header(AUTH_HEADER, auth)
    }

    /// `GET /v1/jobs/{id}`
    pub async fn poll(&self, worker: &Node, id: &str) -> Answer {
        Answer::of(self.asks(worker, Method::GET, id, "")).await
    }

    /// The same with `?wait=`.
    pub async fn poll_for(&self, worker: &Node, id: &str, seconds: u64) -> Answer {
        Answer::of(self.asks(worker, Method::GET, id, &format!("?wait={seconds}"))).await
    }

    /// `DELETE /v1/jobs/{id}`
    pub async fn cancel(&self, worker: &Node, id: &str) -> Answer {
        Answer::of(self.asks(worker, Method::DELETE, id, "")).await
    }

    /// The record, once the job has this status.
    pub async fn once(&self, worker: &Node, id: &str, status: &str) -> Value {
        eventually(&format!("the job is {status}"), async || {
            let record = self.poll(worker, id).await.json();
            (record["status"] == status).then_some(record)
        })
        .await
    }

    /// Says that the receipt of a job is right.
    pub async fn settle(&self, worker: &Node, job: &Job, record: &Value) {
        let ack = self.word(&job.order, &receipt_in(record), Verdict::Ok);
        assert_eq!(acknowledge(worker, &[ack]).await, json!({"accepted": 1, "refused": []}));
    }
}

/// The receipt in a record, rightly signed.
#[track_caller]
pub fn receipt_in(record: &Value) -> Verified<Receipt> {
    receipt_of(&record["signedReceipt"].to_string())
}

/// What an honest gateway makes of a record with a result: its receipt must account for it, and be nothing
/// to dispute.
#[track_caller]
pub fn accounted(job: &Job, record: &Value) -> Verified<Receipt> {
    let receipt = receipt_in(record);
    let canonical = CanonicalBytes::of(&record["result"]).unwrap();
    let seen =
        Seen { bytes: canonical.as_bytes().len() as u64, sha256: canonical.sha256(), text_bytes: None };
    assert_eq!(judge(&receipt, job.order.signed(), &Received::Whole(seen)), Judgement::Ok);
    receipt
}
