//! A requester that is a key and nothing more: it orders, collects and acknowledges as its story wants.

use crate::{
    Node, Value,
    client::{Answer, http},
    forge::{ahead, now, uncarried},
    json,
    rogue_worker::new_key,
};
use protocol::{
    Ack, Credits, Keypair, NodeId, Order, Receipt, Signed, Verified,
    ack::{self, Verdict},
    auth::{Asked, Auth},
    canonical::{CanonicalBytes, sha256},
    carriers::{self, AUTH_HEADER, ORDER_HEADER, REQUESTER_HEADER},
    order::max_input_tokens,
};
use reqwest::RequestBuilder;
use std::time::Duration;

/// The longest answer that is ordered, unless a story says otherwise.
pub const OUTPUT_MAX: u64 = 100;

/// Whoever holds this key.
#[derive(Clone, Debug)]
pub struct Requester {
    pub key: Keypair,
}

impl Default for Requester {
    fn default() -> Self {
        Self::new()
    }
}

impl Requester {
    /// One that nobody has heard of.
    pub fn new() -> Self {
        Self { key: new_key() }
    }

    pub fn id(&self) -> NodeId {
        self.key.node_id()
    }

    /// An order as an honest gateway makes it, at the common price.
    pub fn order(&self, worker: NodeId, body: &Value) -> Order {
        let text = body.to_string();
        let max_input_tokens = max_input_tokens(text.len() as u64);
        Order {
            order_id: uuid::Uuid::new_v4().to_string(),
            requester: self.id(),
            worker,
            model: body["model"].as_str().unwrap().parse().unwrap(),
            body_sha256: sha256(text.as_bytes()),
            max_input_tokens,
            max_output_tokens: OUTPUT_MAX,
            max_credits: Credits::saturating(max_input_tokens + OUTPUT_MAX),
            created_at: now(),
            expires_at: ahead(Duration::from_secs(300)),
            answer_by: None,
            model_digest: None,
            price: None,
        }
    }

    pub fn sign(&self, order: Order) -> Verified<Order> {
        Verified::sign(order, &self.key).unwrap()
    }

    /// Any object in an order's place, rightly signed, as the header carries it.
    pub fn sign_value(&self, order: &Value) -> String {
        let canonical = CanonicalBytes::of(order).unwrap();
        let text = format!("lobstah/order/2\n{}", canonical.as_str());
        let signature = hex::encode(self.key.sign_text(&text));
        crate::forge::carried(&format!(r#"{{"order":{},"signature":"{signature}"}}"#, canonical.as_str()))
    }

    /// Orders and asks, as an honest gateway does.
    pub async fn ask(&self, worker: &Node, body: &Value) -> Served {
        let order = self.sign(self.order(worker.id, body));
        let answer = Answer::of(ordered(worker, body, &order)).await;
        Served { order, answer }
    }

    /// `GET /v1/receipts/{orderId}`, signed as it should be.
    pub async fn collect(&self, worker: &Node, order_id: &str) -> Answer {
        let path = format!("/v1/receipts/{order_id}");
        let asked = Asked { worker: worker.id, method: "GET", path: &path };
        let auth = Auth::sign(&self.key, &asked, now()).to_header();
        Answer::of(http().get(worker.worker_url(&path)).header(AUTH_HEADER, auth)).await
    }

    /// Its word on a receipt.
    pub fn word(
        &self,
        order: &Verified<Order>,
        receipt: &Verified<Receipt>,
        verdict: Verdict,
    ) -> Verified<Ack> {
        let ack = Ack {
            order_sha256: order.signed().sha256(),
            receipt_sha256: receipt.signed().sha256(),
            verdict,
            at: now(),
        };
        ack.sign(&self.key).unwrap()
    }

    /// Says that the receipt is right.
    pub async fn agree(&self, worker: &Node, served: &Served) {
        self.agree_to(worker, &served.order, &served.receipt()).await;
    }

    /// The same of a receipt that came another way.
    pub async fn agree_to(&self, worker: &Node, order: &Verified<Order>, receipt: &Verified<Receipt>) {
        let ack = self.word(order, receipt, Verdict::Ok);
        assert_eq!(acknowledge(worker, &[ack]).await, json!({"accepted": 1, "refused": []}));
    }
}

/// What came of an order.
#[derive(Clone, Debug)]
pub struct Served {
    pub order: Verified<Order>,
    pub answer: Answer,
}

impl Served {
    /// The receipt of a whole answer.
    #[track_caller]
    pub fn receipt(&self) -> Verified<Receipt> {
        assert_eq!(self.answer.status, 200, "{}", self.answer.body);
        let carried = self.answer.header(carriers::RECEIPT_HEADER).expect("a receipt");
        receipt_of(&uncarried(carried).to_string())
    }
}

/// A receipt in good order.
#[track_caller]
pub fn receipt_of(json: &str) -> Verified<Receipt> {
    Signed::parse(json.as_bytes()).unwrap().verify().unwrap()
}

/// A request to a worker.
pub fn to_worker(worker: &Node, body: &Value) -> RequestBuilder {
    let request = http().post(worker.worker_url("/v1/chat/completions"));
    request.header("content-type", "application/json").body(body.to_string())
}

/// The same with an order.
pub fn ordered(worker: &Node, body: &Value, order: &Verified<Order>) -> RequestBuilder {
    to_worker(worker, body).header(ORDER_HEADER, carriers::to_header(order.signed()))
}

/// The same on no more than somebody's word.
pub fn named(worker: &Node, body: &Value, requester: NodeId) -> RequestBuilder {
    to_worker(worker, body).header(REQUESTER_HEADER, requester.to_string())
}

/// What the worker says to acknowledgements.
pub async fn acknowledge(worker: &Node, acks: &[Verified<Ack>]) -> Value {
    let request = http().post(worker.worker_url("/v1/receipts/ack"));
    let answer =
        Answer::of(request.header("content-type", "application/json").body(ack::write_batch(acks))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}
