//! `/v1/jobs` and below, at the gateway.

use crate::{
    downstream::{Downstream, Gone},
    failure::Failure,
    node::Node,
};

/// `rest` is what follows `/v1/jobs`: empty, or begins with a slash.
pub async fn serve(_node: &Node, down: &mut Downstream, rest: &str) -> Result<(), Gone> {
    down.fail_early(&Failure::NotFound { what: format!("the route /v1/jobs{rest}") }).await
}
