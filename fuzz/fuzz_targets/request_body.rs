//! Requests' bodies: what we read of them, and the few changes that are made in place.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use upstream_ollama::{
    Changes, RequestView,
    context::Prompt,
    native::{Stamp, translate},
};

fuzz_target!(|data: &[u8]| {
    let Ok(view) = RequestView::read(data) else { return };
    // By the grammar alone: half of a surrogate pair is no text, and yet JSON.
    let json = serde_json::from_slice::<&RawValue>(data).map(RawValue::get);
    assert!(json.as_ref().is_ok_and(|text| text.starts_with('{')), "{json:?}");
    let body = Bytes::copy_from_slice(data);
    assert_eq!(view.apply(&body, &Changes::default()), body);
    for changes in all_changes() {
        is_changed(&view, &body, &changes);
    }
    is_put_to_ollama(&view, data);
});

/// It is measured, and what Ollama's own API gets is a body too.
fn is_put_to_ollama(view: &RequestView, data: &[u8]) {
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"] {
        let prompt = Prompt::measure(path, data, view.max_output);
        assert!(prompt.tokens_min() <= data.len() as u64);
        let stamp = Stamp { id: "1".into(), created: 0 };
        let Ok(question) = translate(path, data, 4096, stamp) else { continue };
        let native: serde_json::Value = serde_json::from_slice(&question.body).expect("JSON");
        assert_eq!(native["options"]["num_ctx"], 4096);
        assert_eq!(native["truncate"], false);
    }
}

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
    let keys = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(&after);
    if let (true, Ok(keys)) = (changes.max_tokens_name, keys) {
        assert!(!keys.contains_key("max_completion_tokens"));
    }
}
