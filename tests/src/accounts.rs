//! What a batch cost, as the ledgers of all who worked at it have it.

use crate::{Node, Value, batches::Ended};
use protocol::NodeId;
use std::collections::{HashMap, HashSet};

/// The receipts of one ledger, each by its order.
#[derive(Debug)]
pub struct Accounts(HashMap<String, Value>);

impl Accounts {
    /// Of a node. No order was charged twice.
    pub async fn of(node: &Node) -> Self {
        let receipts = node.home().receipts().await;
        let count = receipts.len();
        let by_order: HashMap<String, Value> = receipts
            .into_iter()
            .map(|one| (one["receipt"]["jobId"].as_str().unwrap().to_owned(), one["receipt"].clone()))
            .collect();
        assert_eq!(by_order.len(), count, "an order was charged twice");
        Self(by_order)
    }

    /// What a worker charges, all together.
    pub fn of_worker(&self, worker: NodeId) -> u64 {
        let worker = worker.to_string();
        self.sum(|_, receipt| receipt["workerPubkey"] == worker)
    }

    /// The tokens of all.
    pub fn tokens(&self) -> u64 {
        let of = |receipt: &Value, way: &str| receipt[way].as_u64().unwrap();
        self.0.values().map(|receipt| of(receipt, "inputTokens") + of(receipt, "outputTokens")).sum()
    }

    /// What is charged for answers that were cut.
    pub fn cut(&self) -> u64 {
        self.sum(|_, receipt| receipt["cut"] == true)
    }

    /// What is charged all together.
    pub fn total(&self) -> u64 {
        self.sum(|_, _| true)
    }

    /// Every line's answer has a receipt, of which what they charge is what the batch says that they took.
    /// Gives what is charged beside that: answers that came too late or were cut, which no line has.
    #[track_caller]
    pub fn assert_answers_are_paid_once(&self, ended: &Ended) -> u64 {
        let answers: HashSet<&str> =
            ended.output.iter().map(|line| line["response"]["request_id"].as_str().unwrap()).collect();
        assert_eq!(answers.len(), ended.output.len(), "one answer for two lines");
        let unpaid: Vec<_> = answers.iter().filter(|order| !self.0.contains_key(**order)).collect();
        assert!(unpaid.is_empty(), "answers without a receipt: {unpaid:?}");
        let used = self.sum(|order, _| answers.contains(order));
        assert_eq!(used, ended.tokens(), "a token is a credit");
        let cut_and_used = self.sum(|order, receipt| answers.contains(order) && receipt["cut"] == true);
        assert_eq!(cut_and_used, 0, "what was cut is nobody's answer");
        self.total() - used
    }

    fn sum(&self, which: impl Fn(&str, &Value) -> bool) -> u64 {
        let those = self.0.iter().filter(|(order, receipt)| which(order, receipt));
        those.map(|(_, receipt)| receipt["credits"].as_u64().unwrap()).sum()
    }
}
