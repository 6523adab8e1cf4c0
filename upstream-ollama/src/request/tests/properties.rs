//! What holds for every body.

use crate::request::{BadBody, Changes, RequestView};
use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

/// A value as JSON text, with what a re-serialisation would lose: spaces, escapes, 0.20.
fn any_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        select(vec![
            "0.20",
            "1e5",
            "-0.0",
            "\"\\u0041\\/\"",
            "\"developer\"",
            "\"ü😀\"",
            "{}",
            "[ ]",
            "\"}\""
        ])
        .prop_map(str::to_owned),
        ".{0,12}".prop_map(|text| Value::from(text).to_string()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            vec(("[a-z]{1,6}", inner), 0..4).prop_map(|members| object(members.into_iter(), " ")),
        ]
    })
}

fn object(members: impl Iterator<Item = (String, String)>, space: &str) -> String {
    let members: Vec<_> =
        members.map(|(key, value)| format!("{space}\"{key}\"{space}:{space}{value}{space}")).collect();
    format!("{space}{{{}}}{space}", members.join(","))
}

fn message() -> impl Strategy<Value = String> {
    (select(vec!["user", "developer", "system"]), any_value())
        .prop_map(|(role, content)| format!("{{\"role\" :\"{role}\",\"content\": {content}}}"))
}

fn limit() -> impl Strategy<Value = Option<String>> {
    option::of(prop_oneof![Just("null".to_owned()), (0..100_u64).prop_map(|limit| limit.to_string())])
}

prop_compose! {
    /// A body that is to be accepted, its members in any order.
    fn good_body()(
        model in "[a-z]{1,8}(:[a-z0-9]{1,4})?",
        stream in option::of(select(vec!["true", "false", "null"])),
        stream_options in option::of(select(vec![
            "null", "{}", "{ }", "{\"include_usage\":true}", "{\"include_usage\" : false}",
            "{\"a\":[1],\"include_usage\":null}", "{\"include_obfuscation\":false}",
        ])),
        max_tokens in limit(),
        max_completion_tokens in limit(),
        n in option::of(1..9_u64),
        messages in option::of(vec(message(), 0..4)),
        others in vec(("x_[a-z]{1,6}", any_value()), 0..5),
        space in select(vec!["", " ", "\n\t"]),
    )(
        members in Just({
            let mut members = vec![("model".to_owned(), format!("\"{model}\""))];
            let mut add = |key: &str, value: Option<String>| members.extend(value.map(|value| (key.to_owned(), value)));
            add("stream", stream.map(str::to_owned));
            add("stream_options", stream_options.map(str::to_owned));
            add("max_tokens", max_tokens);
            add("max_completion_tokens", max_completion_tokens);
            add("n", n.map(|n| n.to_string()));
            add("messages", messages.map(|list| format!("[{}]", list.join(",\n"))));
            members.extend(others);
            members
        }).prop_shuffle(),
        space in Just(space),
    ) -> String { object(members.into_iter(), space) }
}

prop_compose! {
    fn any_changes()(
        model in option::of("[a-z]{1,8}"),
        ask_usage: bool,
        max_tokens_name: bool,
        max_tokens_cap in option::of(0..100_u64),
        developer_as_system: bool,
    ) -> Changes {
        let model = model.map(|model| model.parse().unwrap());
        Changes { model, ask_usage, max_tokens_name, max_tokens_cap, developer_as_system }
    }
}

/// What the changes mean, said over parsed values.
fn model_of_changes(body: &mut Map<String, Value>, view: &RequestView, changes: &Changes) {
    if let Some(model) = &changes.model {
        body["model"] = json!(model.as_str());
    }
    if changes.ask_usage && view.stream {
        let options = body.entry("stream_options").or_insert(Value::Null);
        if options.is_null() {
            *options = json!({});
        }
        options["include_usage"] = json!(true);
    }
    expected_limits(body, changes);
    if changes.developer_as_system
        && let Some(Value::Array(messages)) = body.get_mut("messages")
    {
        for message in messages.iter_mut().filter(|message| message["role"] == "developer") {
            message["role"] = json!("system");
        }
    }
}

fn expected_limits(body: &mut Map<String, Value>, changes: &Changes) {
    const NAMES: [&str; 2] = ["max_tokens", "max_completion_tokens"];
    let given = NAMES.iter().filter_map(|name| body.get(*name)?.as_u64()).min();
    if changes.max_tokens_name
        && let Some(value) = body.remove("max_completion_tokens")
    {
        body.entry("max_tokens").or_insert(value);
        if let Some(given) = given {
            body["max_tokens"] = given.into();
        }
    }
    let Some(cap) = changes.max_tokens_cap else { return };
    if NAMES.iter().all(|name| !body.contains_key(*name)) {
        body.insert("max_tokens".to_owned(), cap.max(1).into());
    }
    for name in NAMES {
        if let Some(value) = body.get_mut(name) {
            *value = value.as_u64().map_or(cap, |value| value.min(cap)).max(1).into();
        }
    }
}

/// The members of an object with each value as the text that it stands in.
fn texts(body: &[u8]) -> Vec<(String, String)> {
    let text = std::str::from_utf8(body).unwrap();
    let mut members = Vec::new();
    crate::members::walk(text, |member| {
        members.push((text[member.key.range()].to_owned(), text[member.value.range()].to_owned()));
    })
    .unwrap();
    members
}

proptest! {
    #[test]
    fn an_edit_changes_only_what_it_names(body in good_body(), changes in any_changes()) {
        let view = RequestView::read(body.as_bytes()).unwrap();
        let before = Bytes::from(body);
        let after = view.apply(&before, &changes);
        let mut expected: Map<String, Value> = serde_json::from_slice(&before).unwrap();
        model_of_changes(&mut expected, &view, &changes);
        prop_assert_eq!(serde_json::from_slice::<Map<String, Value>>(&after).unwrap(), expected);

        const EDITED: [&str; 5] =
            ["\"model\"", "\"stream_options\"", "\"max_tokens\"", "\"max_completion_tokens\"", "\"messages\""];
        let untouched = |body| {
            texts(body).into_iter().filter(|(key, _)| !EDITED.contains(&key.as_str())).collect::<Vec<_>>()
        };
        prop_assert_eq!(untouched(&before), untouched(&after));
    }

    #[test]
    fn changes_made_twice_are_changes_made_once(body in good_body(), changes in any_changes()) {
        let once = RequestView::read(body.as_bytes()).unwrap().apply(&Bytes::from(body), &changes);
        let twice = RequestView::read(&once).unwrap().apply(&once, &changes);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn reading_agrees_with_a_parser(body in good_body()) {
        let view = RequestView::read(body.as_bytes()).unwrap();
        let value: Value = serde_json::from_str(&body).unwrap();
        prop_assert_eq!(Some(view.model.as_str()), value["model"].as_str());
        prop_assert_eq!(view.stream, value["stream"] == true);
        prop_assert_eq!(view.include_usage, value["stream_options"]["include_usage"] == true);
        prop_assert_eq!(view.n, value["n"].as_u64());
        let limits = [&value["max_tokens"], &value["max_completion_tokens"]];
        prop_assert_eq!(view.max_output, limits.into_iter().filter_map(Value::as_u64).min());
    }

    #[test]
    fn only_json_objects_are_read(text in any_value()) {
        match RequestView::read(text.as_bytes()) {
            Err(BadBody::NotAnObject) => prop_assert!(!serde_json::from_str::<Value>(&text).unwrap().is_object()),
            Err(BadBody::MissingModel) => prop_assert!(serde_json::from_str::<Value>(&text).unwrap().is_object()),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn rubbish_never_panics(bytes in vec(any::<u8>(), 0..64), body in good_body(), at in any::<prop::sample::Index>(), byte: u8) {
        let _ = RequestView::read(&bytes);
        let mut broken = body.into_bytes();
        let at = at.index(broken.len());
        broken[at] = byte;
        let cut = Bytes::copy_from_slice(&broken[..at]);
        let broken = Bytes::from(broken);
        let changes = Changes { ask_usage: true, max_tokens_name: true, max_tokens_cap: Some(1), developer_as_system: true, model: None };
        for body in [broken, cut] {
            if let Ok(view) = RequestView::read(&body) {
                let after = view.apply(&body, &changes);
                prop_assert!(RequestView::read(&after).is_ok());
            }
        }
    }
}
