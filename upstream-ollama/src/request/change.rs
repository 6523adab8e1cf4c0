//! From a [`RequestView`] and [`Changes`] to the body that the engine gets.

use super::{Changes, Limit, RequestView, StreamOptions, key};
use crate::{
    edits::Edits,
    members::{self, Span},
};
use bytes::Bytes;
use memchr::memmem;
use protocol::ModelName;
use serde_json::value::RawValue;

const ASK_USAGE: &str = r#"{"include_usage":true}"#;

pub(super) fn apply(view: &RequestView, body: &Bytes, changes: &Changes) -> Bytes {
    debug_assert_eq!(body.len(), view.layout.body_len, "another body than the one that was read");
    let mut edits = Edits::default();
    if let Some(model) = &changes.model {
        name_model(view, model, &mut edits);
    }
    if changes.ask_usage && view.stream && !view.include_usage {
        ask_usage(view, &mut edits);
    }
    if changes.max_tokens_name {
        limit_by_old_name(view, body, changes.max_tokens_cap, &mut edits);
    } else if let Some(cap) = changes.max_tokens_cap {
        limit_by_any_name(view, cap, &mut edits);
    }
    if changes.developer_as_system {
        developer_as_system(view, body, &mut edits);
    }
    if edits.is_empty() { body.clone() } else { edits.apply(body).into() }
}

fn name_model(view: &RequestView, model: &ModelName, edits: &mut Edits) {
    if *model != view.model {
        edits.replace(view.layout.model, serde_json::Value::from(model.as_str()).to_string());
    }
}

fn ask_usage(view: &RequestView, edits: &mut Edits) {
    match view.layout.stream_options {
        // The comma is right: a body that was read has a model, so it is not empty.
        StreamOptions::Absent => edits.insert(view.layout.end, format!(",\"stream_options\":{ASK_USAGE}")),
        StreamOptions::Null(value) => edits.replace(value, ASK_USAGE),
        StreamOptions::Object { include_usage: Some(value), .. } => edits.replace(value, "true"),
        StreamOptions::Object { inside, empty, include_usage: None } => {
            edits.insert(inside, if empty { "\"include_usage\":true" } else { "\"include_usage\":true," });
        }
    }
}

fn limit_by_old_name(view: &RequestView, body: &[u8], cap: Option<u64>, edits: &mut Edits) {
    let value = cap.map_or(view.max_output, |cap| Some(bounded(view.max_output, cap)));
    let layout = &view.layout;
    match (layout.max_tokens, layout.max_completion_tokens) {
        (Some(kept), other) => {
            set(kept, value, edits);
            if let Some(Limit { member, .. }) = other {
                let cut = member.cut_with_comma_before();
                edits.remove(cut.unwrap_or_else(|| member.cut_with_comma_after(body)));
            }
        }
        (None, Some(renamed)) => {
            edits.replace(renamed.member.key, "\"max_tokens\"");
            set(renamed, value, edits);
        }
        (None, None) => add_limit(view, cap, edits),
    }
}

fn limit_by_any_name(view: &RequestView, cap: u64, edits: &mut Edits) {
    let mut there =
        [view.layout.max_tokens, view.layout.max_completion_tokens].into_iter().flatten().peekable();
    if there.peek().is_none() {
        add_limit(view, Some(cap), edits);
    }
    for limit in there {
        set(limit, Some(bounded(limit.value, cap)), edits);
    }
}

/// Never 0: Ollama takes that for no limit at all.
fn bounded(value: Option<u64>, cap: u64) -> u64 {
    value.map_or(cap, |value| value.min(cap)).max(1)
}

fn add_limit(view: &RequestView, cap: Option<u64>, edits: &mut Edits) {
    if let Some(cap) = cap {
        edits.insert(view.layout.end, format!(",\"max_tokens\":{}", bounded(None, cap)));
    }
}

fn set(limit: Limit, value: Option<u64>, edits: &mut Edits) {
    if let Some(value) = value.filter(|value| limit.value != Some(*value)) {
        edits.replace(limit.member.value, value.to_string());
    }
}

/// Messages may be megabytes, so they are parsed only if the word stands in them at all. Nobody
/// writes it with escapes; who does gets what the engine makes of `developer`.
fn developer_as_system(view: &RequestView, body: &[u8], edits: &mut Edits) {
    let Some(messages) = view.layout.messages else { return };
    let text = &body[messages.range()];
    if memmem::find(text, b"developer").is_none() {
        return;
    }
    let Ok(list) = serde_json::from_slice::<Vec<&RawValue>>(text) else { return };
    for message in list {
        let offset = message.get().as_ptr() as usize - body.as_ptr() as usize;
        for role in developer_roles(message.get()) {
            edits.replace(role.shifted(offset), "\"system\"");
        }
    }
}

/// The values of `role` in one message that are `developer`: at most one, unless the key stands twice.
fn developer_roles(message: &str) -> Vec<Span> {
    let mut roles = Vec::new();
    if memmem::find(message.as_bytes(), b"developer").is_none() {
        return roles;
    }
    // A message that is no object is the engine's to refuse.
    let _ = members::walk(message, |member| {
        let is_role = key::find(&message[member.key.range()], &["role"]).is_some();
        if is_role && &message[member.value.range()] == "\"developer\"" {
            roles.push(member.value);
        }
    });
    roles
}
