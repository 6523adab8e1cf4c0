//! Requests' bodies: what we read of them, and the few changes that are made in place.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use upstream_ollama::{Changes, RequestView};

fuzz_target!(|data: &[u8]| {
    let Ok(view) = RequestView::read(data) else { return };
    let is_object = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(data);
    assert!(is_object.is_ok(), "{is_object:?}");
    let body = Bytes::copy_from_slice(data);
    assert_eq!(view.apply(&body, &Changes::default()), body);
    for changes in all_changes() {
        is_changed(&view, &body, &changes);
    }
});

fn all_changes() -> impl Iterator<Item = Changes> {
    (0_u8..32).map(|bits| Changes {
        model: (bits & 1 != 0).then(|| "other\"model:8b".parse().expect("a name")),
        ask_usage: bits & 2 != 0,
        max_tokens_name: bits & 4 != 0,
        max_tokens_cap: (bits & 8 != 0).then_some(64),
        developer_as_system: bits & 16 != 0,
    })
}

/// It is a body again, says what the changes say, and is not changed by them once more.
fn is_changed(before: &RequestView, body: &Bytes, changes: &Changes) {
    let after = before.apply(body, changes);
    let view = RequestView::read(&after).expect("a body that was changed is a body");
    assert_eq!(view.apply(&after, changes), after);
    assert_eq!(view.model, *changes.model.as_ref().unwrap_or(&before.model));
    assert_eq!((view.stream, view.n), (before.stream, before.n));
    assert_eq!(view.include_usage, before.include_usage || (changes.ask_usage && before.stream));
    match changes.max_tokens_cap {
        Some(cap) => assert_eq!(view.max_output, Some(before.max_output.unwrap_or(cap).clamp(1, cap))),
        None => assert_eq!(view.max_output, before.max_output),
    }
    if changes.max_tokens_name {
        let keys: BTreeMap<String, IgnoredAny> = serde_json::from_slice(&after).expect("it was read");
        assert!(!keys.contains_key("max_completion_tokens"));
    }
}
