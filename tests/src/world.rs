//! The usual pair: a worker with an engine, and a gateway that has it for a friend.

use crate::{
    engine::{Engine, engine},
    node::{Node, Setup},
};

#[derive(Debug)]
pub struct World {
    pub engine: Engine,
    pub worker: Node,
    pub gateway: Node,
}

impl World {
    pub async fn start() -> Self {
        Self::with(|worker| worker, |gateway| gateway).await
    }

    /// With changes to the one and the other.
    pub async fn with(worker: impl FnOnce(Setup) -> Setup, gateway: impl FnOnce(Setup) -> Setup) -> Self {
        let engine = engine();
        let worker = worker(Node::worker(&engine)).start().await;
        let gateway = gateway(Node::gateway().friend(&worker)).start().await;
        Self { engine, worker, gateway }
    }
}
