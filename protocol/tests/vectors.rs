//! The vectors of an implementation that shares no code with this one.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

use protocol::{
    Announcement, Body, Identity, Keypair, Liveness, NodeId, NostrKeypair, Receipt, Rejected, Requester,
    Signed, Timestamp, Unannounce, Usage, Verified, canonical::CanonicalBytes, carriers, identity::Parsed,
    keypair, receipt::Nonce, unannounce::NotWithdrawn,
};
use serde_json::{Value, json};
use std::{fs, path::Path};

fn vectors(name: &str) -> Vec<Value> {
    serde_json::from_value(vector(name)).unwrap()
}

fn vector(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

#[test]
fn identities_load_sign_and_name_their_nostr_key() {
    for case in vectors("identity.json") {
        let Parsed::WithoutNostr(node) = Identity::parse(&case["file_v1"].to_string()).unwrap() else {
            panic!("a version 1 file has no Nostr key")
        };
        let Parsed::Complete(identity) = Identity::parse(&case["file_v2"].to_string()).unwrap() else {
            panic!("a version 2 file has both keys")
        };
        assert_eq!(node.node_id(), identity.node.node_id());
        assert_eq!(identity.nostr.npub(), text(&case, "npub"));
        assert_eq!(serde_json::from_str::<Value>(&identity.to_json()).unwrap(), case["file_v2"]);
        let signature = node.sign_text(text(&case, "message"));
        assert_eq!(hex::encode(signature), text(&case, "signature"));
        assert!(keypair::verify_bytes(&node.node_id(), text(&case, "message").as_bytes(), &signature));
        assert!(!keypair::verify_bytes(&node.node_id(), b"another message", &signature));
    }
}

#[test]
fn an_identity_that_contradicts_itself_is_refused() {
    let cases = vectors("identity.json");
    for (field, of_another) in [("publicKey", "publicKey"), ("nostrPublicKey", "nostrPublicKey")] {
        let mut file = cases[0]["file_v2"].clone();
        file[field] = cases[1]["file_v2"][of_another].clone();
        assert!(Identity::parse(&file.to_string()).is_err(), "{field}");
    }
}

#[test]
fn canonical_json_is_byte_for_byte_theirs() {
    for case in vectors("canonical.json") {
        let canonical = CanonicalBytes::of(&case["value"]).unwrap();
        assert_eq!(canonical.as_str(), text(&case, "canonical"));
        assert_eq!(hex::encode(canonical.sha256()), text(&case, "sha256"));
    }
}

#[test]
fn receipts_verify_exactly_when_theirs_do() {
    for case in vectors("receipts.json") {
        let name = text(&case, "name");
        let outcome =
            Signed::<Receipt>::parse(case["signed"].to_string().as_bytes()).and_then(Signed::verify);
        match (&outcome, text(&case, "why")) {
            (Ok(receipt), "ok") => {
                assert_eq!(receipt.signed().canonical().as_str(), text(&case, "canonical"), "{name}");
                assert_eq!(
                    serde_json::from_str::<Value>(&receipt.to_json()).unwrap(),
                    case["signed"],
                    "{name}"
                );
                let carried = carriers::from_base64::<Receipt>(text(&case, "header").as_bytes()).unwrap();
                assert_eq!(&carried, receipt.signed(), "{name}");
                let comment = text(&case, "sse").as_bytes().strip_prefix(carriers::RECEIPT_COMMENT).unwrap();
                assert_eq!(&carriers::from_base64::<Receipt>(comment).unwrap(), receipt.signed(), "{name}");
            }
            (Err(Rejected::BadSignature), "bad signature") => {}
            (Err(Rejected::BadSignature | Rejected::Malformed(_)), "bad signature or missing field") => {}
            (Err(Rejected::Malformed(_)), "malformed") => {}
            (Err(Rejected::UnsupportedVersion), "unsupported version") => {}
            (_, why) => panic!("{name}: {outcome:?}, and they say {why}"),
        }
        assert_eq!(outcome.is_ok(), case["valid"].as_bool().unwrap(), "{name}");
    }
}

#[test]
fn receipts_are_fresh_exactly_when_theirs_are() {
    let plain = &vectors("receipts.json")[0]["signed"];
    let plain = Signed::<Receipt>::parse(plain.to_string().as_bytes()).unwrap();
    for case in vectors("receipt-freshness.json") {
        let at = |name: &str| Timestamp::from_millis(case[name].as_u64().unwrap());
        let receipt = Receipt { completed_at: at("completedAt"), ..plain.unverified().clone() };
        assert_eq!(receipt.is_fresh(at("now")), case["fresh"].as_bool().unwrap(), "{}", text(&case, "name"));
    }
}

#[test]
fn announcements_verify_and_live_exactly_when_theirs_do() {
    for case in vectors("announcements.json") {
        let name = text(&case, "name");
        let now = Timestamp::from_millis(case["now"].as_u64().unwrap());
        let outcome =
            Signed::<Announcement>::parse(case["signed"].to_string().as_bytes()).and_then(Signed::verify);
        let status = match &outcome {
            Ok(announcement) => match announcement.liveness(now) {
                Liveness::Live => "ok",
                Liveness::Stale => "stale",
                Liveness::Future => "future",
            },
            Err(Rejected::BadSignature) => "bad signature",
            Err(other) => panic!("{name}: {other}"),
        };
        assert_eq!(status, text(&case, "status"), "{name}");
        assert_eq!(outcome.is_ok(), case["valid"].as_bool().unwrap(), "{name}");
    }
}

#[test]
fn what_nostr_events_carry_verifies_exactly_when_theirs_does() {
    let events = vector("nostr.json");
    let mut secret = [0; 32];
    hex::decode_to_slice(text(&events, "nostr_secret_key"), &mut secret).unwrap();
    let nostr = NostrKeypair::from_secret(&secret).unwrap();
    assert_eq!(nostr.npub(), text(&events, "npub"));
    assert_eq!(nostr.public_hex(), text(&events["forged_event"], "pubkey"));

    let content = |name: &str| text(&events[name], "content").as_bytes();
    let receipt = Signed::<Receipt>::parse(content("receipt_event")).and_then(Signed::verify).unwrap();
    let tags = events["receipt_event"]["tags"].as_array().unwrap();
    assert!(tags.contains(&json!(["worker_pubkey", receipt.worker])));
    assert!(tags.contains(&json!(["requester_pubkey", receipt.requester.to_string()])));
    // Of this one the envelope is forged, which is discovery's to find out.
    Signed::<Announcement>::parse(content("forged_event")).and_then(Signed::verify).unwrap();
    assert!(matches!(
        Signed::<Announcement>::parse(content("content_is_not_json")),
        Err(Rejected::Malformed(_))
    ));
}

#[test]
fn nodes_leave_trackers_exactly_when_theirs_do() {
    let words = vector("tracker.json");
    let word = |name: &str| Unannounce::parse(words[name].to_string().as_bytes()).unwrap();
    let now = Timestamp::from_millis(words["unannounce"]["timestamp"].as_u64().unwrap());
    let withdrawal = word("unannounce").verify(now).unwrap();
    assert_eq!(
        (withdrawal.node().to_string().as_str(), withdrawal.at()),
        (text(&words["unannounce"], "pubkey"), now)
    );
    assert_eq!(serde_json::from_str::<Value>(&word("unannounce").to_json()).unwrap(), words["unannounce"]);
    assert_eq!(word("unannounce_forged").verify(now), Err(NotWithdrawn::BadSignature));
}

fn receipt_by(key: &Keypair) -> Receipt {
    Receipt {
        job_id: "3f0e6a2e-7c1d-4a51-9c1b-0f6a54c1a001".into(),
        nonce: Nonce([7; 16]),
        requester: Requester::Anonymous,
        worker: key.node_id(),
        model: "llama3.1:8b".parse().unwrap(),
        usage: Usage { input_tokens: 3, output_tokens: 4 },
        started_at: Timestamp::from_millis(1),
        completed_at: Timestamp::from_millis(2),
        answers: None,
    }
}

#[test]
fn what_we_sign_comes_back_verified_and_equal() {
    let key = Keypair::from_seed(&[1; 32]);
    let ours = Verified::sign(receipt_by(&key), &key).unwrap();
    assert_eq!(Signed::parse(ours.to_json().as_bytes()).unwrap().verify().unwrap(), ours);
    assert_eq!(carriers::from_base64(carriers::to_header(ours.signed()).as_bytes()).unwrap(), *ours.signed());
}

#[test]
fn nobody_signs_for_another() {
    let key = Keypair::from_seed(&[1; 32]);
    let other = Keypair::from_seed(&[2; 32]);
    assert_eq!(Verified::sign(receipt_by(&key), &other), Err(Rejected::BadSignature));
}

#[test]
fn a_key_twice_is_refused_before_anything_else() {
    let key = Keypair::from_seed(&[1; 32]);
    let json = Verified::sign(receipt_by(&key), &key).unwrap().to_json();
    let twice = json.replacen("\"inputTokens\":3", "\"inputTokens\":9,\"inputTokens\":3", 1);
    assert!(matches!(Signed::<Receipt>::parse(twice.as_bytes()), Err(Rejected::Malformed(_))));
}

#[test]
fn a_key_of_small_order_verifies_nothing() {
    // The neutral element: with a lax check, R = S·B verifies any message under it.
    let mut neutral = [0u8; 32];
    neutral[0] = 1;
    let mut signature = [0u8; 64];
    signature[0] = 1;
    assert!(!keypair::verify_bytes(&NodeId::from_bytes(neutral), b"anything", &signature));
}

#[test]
fn secrets_do_not_print() {
    let identity =
        Identity { node: Keypair::from_seed(&[9; 32]), nostr: NostrKeypair::from_secret(&[9; 32]).unwrap() };
    assert!(!format!("{identity:?}").contains(&"09".repeat(32)));
}

/// The project tests itself without `../shared`; where that folder exists, the copy must be its.
#[test]
fn the_copy_of_the_vectors_is_not_behind() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../../shared/vectors");
    if !shared.is_dir() {
        println!("no ../shared here: the copy was not compared");
        return;
    }
    for entry in fs::read_dir(root.join("tests/vectors")).unwrap() {
        let copy = entry.unwrap().path();
        let original = shared.join(copy.file_name().unwrap());
        assert!(
            fs::read(&copy).unwrap() == fs::read(&original).unwrap(),
            "{} differs from {}: copy it anew and note it in CHANGELOG.md",
            copy.display(),
            original.display()
        );
    }
}

proptest::proptest! {
    #[test]
    fn rubbish_is_refused_and_never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..512)) {
        let _ = Signed::<Receipt>::parse(&bytes);
        let _ = Signed::<Announcement>::parse(&bytes);
        let _ = Unannounce::parse(&bytes);
        let _ = carriers::from_base64::<Receipt>(&bytes);
        let _ = Identity::parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn changing_any_number_breaks_the_signature(input in 0u64..1 << 53, output in 0u64..1 << 53) {
        let key = Keypair::from_seed(&[1; 32]);
        let usage = Usage { input_tokens: input, output_tokens: output };
        let signed = Verified::sign(Receipt { usage, ..receipt_by(&key) }, &key).unwrap();
        let mut value: Value = serde_json::from_str(&signed.to_json()).unwrap();
        value["receipt"]["outputTokens"] = (output ^ 1).into();
        proptest::prop_assert_eq!(Signed::<Receipt>::from_value(&value).unwrap().verify(), Err(Rejected::BadSignature));
    }
}

#[test]
fn the_signed_member_is_named_as_on_the_wire() {
    assert_eq!((Receipt::NAME, Announcement::NAME), ("receipt", "announcement"));
}
