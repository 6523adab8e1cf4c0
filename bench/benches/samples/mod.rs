//! Receipts as a worker signs them, for the benches that need some.

use protocol::{Keypair, NodeId, Receipt, Requester, Timestamp, Usage, Verified, receipt::Nonce};

/// The worker that signs.
pub(crate) fn worker() -> Keypair {
    Keypair::from_seed(&[7; 32])
}

/// A moment, so that nothing here reads the clock.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// The receipt number `n`. Its nonce looks as random as a real one, which is what an index minds; the
/// requesters are a thousand nodes and, for every sixteenth receipt, nobody in particular.
pub(crate) fn receipt(worker: NodeId, n: u64) -> Receipt {
    let requester =
        if n.is_multiple_of(16) { Requester::Anonymous } else { Requester::Node(node(n % 1_000)) };
    let started_at = Timestamp::from_millis(NOW.as_millis() - 90_000 + n % 60_000);
    Receipt {
        job_id: format!("0b9f4c5e-7d1a-4c2e-9f3b-{:012x}", n & 0xffff_ffff_ffff),
        nonce: nonce(n),
        requester,
        worker,
        model: "llama3.1:8b".parse().expect("a model's name"),
        usage: Usage { input_tokens: 40 + n % 2_000, output_tokens: 20 + n % 700 },
        started_at,
        completed_at: Timestamp::from_millis(started_at.as_millis() + 850),
        answers: None,
    }
}

/// The same, signed.
pub(crate) fn signed(worker: &Keypair, n: u64) -> Verified<Receipt> {
    Verified::sign(receipt(worker.node_id(), n), worker).expect("the worker signs its own receipt")
}

fn node(n: u64) -> NodeId {
    let mut bytes = [0; 32];
    for (place, part) in bytes.chunks_exact_mut(8).enumerate() {
        part.copy_from_slice(&scattered(n * 4 + place as u64).to_be_bytes());
    }
    NodeId::from_bytes(bytes)
}

fn nonce(n: u64) -> Nonce {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&scattered(n).to_be_bytes());
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    Nonce(bytes)
}

/// splitmix64: neighbours end up far apart, and no two numbers in one place.
fn scattered(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
