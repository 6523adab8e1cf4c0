//! What holds for every signed statement.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

use protocol::{Receipt, Signed, limits::STATEMENT_BYTES_MAX};
use serde_json::Value;

#[test]
fn a_statement_that_grows_beyond_the_bound_in_canonical_form_is_refused() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/receipts.json");
    let vectors: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let plain = vectors[0]["signed"].to_string();
    let grown = |count: usize| {
        let numbers = vec!["1e20"; count].join(",");
        plain.replacen("{\"receipt\":{", &format!("{{\"receipt\":{{\"x\":[{numbers}],"), 1)
    };
    let (short, long) = (grown(100), grown(12_000));
    assert!(long.len() < STATEMENT_BYTES_MAX && long != plain, "{plain}");
    let kept = Signed::<Receipt>::parse(short.as_bytes()).unwrap().to_json();
    assert!(Signed::<Receipt>::parse(kept.as_bytes()).is_ok(), "what is kept can be read again");
    let refused = Signed::<Receipt>::parse(long.as_bytes()).unwrap_err().to_string();
    assert!(refused.contains("canonical form"), "{refused}");
}
