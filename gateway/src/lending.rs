//! Jobs that others gave this worker (SPEC section 6): taken in, run when the engine has room, kept until
//! their results were acknowledged.

use crate::{
    downstream::{Downstream, Gone},
    failure::Failure,
    node::Node,
};

/// `/v1/jobs` and below, at the worker. `rest` is what follows: empty, or `/{id}`.
pub async fn serve(_node: &Node, down: &mut Downstream, rest: &str) -> Result<(), Gone> {
    down.fail_early(&Failure::NotFound { what: format!("the route /v1/jobs{rest}") }).await
}

/// Runs jobs until the node stops.
pub async fn run(node: &Node) {
    node.stopping.cancelled().await;
}
