//! What reading and changing a body promise. The properties are in `properties.rs`.

mod properties;

use super::*;

fn read(body: &str) -> RequestView {
    RequestView::read(body.as_bytes()).unwrap()
}

fn refusal(body: &str) -> BadBody {
    RequestView::read(body.as_bytes()).unwrap_err()
}

fn changed(body: &str, changes: &Changes) -> String {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let after = read(body).apply(&bytes, changes);
    String::from_utf8(after.to_vec()).unwrap()
}

fn ask_usage() -> Changes {
    Changes { ask_usage: true, ..Changes::default() }
}

fn old_name() -> Changes {
    Changes { max_tokens_name: true, ..Changes::default() }
}

#[test]
fn the_fields_that_we_read_are_found_anywhere() {
    let view = read(
        "\n{ \"messages\":[{\"model\":\"inner\"}],\"stream\" : true ,\"n\":2,\"stream_options\":{\"x\":1,\"include_usage\":true},\
         \"max_tokens\":9,\"max_completion_tokens\":7,\"model\":\"a\\/b\\u003a1\"}\n",
    );
    assert_eq!(view.model.as_str(), "a/b:1");
    assert!(view.stream && view.include_usage);
    assert_eq!((view.max_output, view.n), (Some(7), Some(2)));
}

#[test]
fn null_counts_as_absent() {
    let view = read(r#"{"model":"m","stream":null,"n":null,"max_tokens":null,"stream_options":null}"#);
    assert!(!view.stream && !view.include_usage);
    assert_eq!((view.max_output, view.n), (None, None));
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    assert_eq!(refusal("{\"model\":\n \"m\",}").code(), "invalid_json");
    let BadBody::NotJson { line, column, why } = refusal("{\"model\":\n x}") else { panic!() };
    assert_eq!((line, column, why.as_str()), (2, 2, "expected value"));
    let not_utf8 = RequestView::read(b"{\n\"a\xff\"}").unwrap_err();
    assert!(matches!(not_utf8, BadBody::NotJson { line: 2, column: 3, .. }), "{not_utf8:?}");
    for rubbish in [
        "",
        "   ",
        "{",
        "{\"model\":\"m\"} x",
        "{\"model\":\"m\",\"a\":01}",
        "{\"model\":\"m\",\"a\":\"\n\"}",
    ] {
        assert!(matches!(refusal(rubbish), BadBody::NotJson { .. }), "{rubbish}");
    }
}

#[test]
fn json_that_is_no_object_is_refused() {
    for body in ["[]", "null", "\"model\"", "1"] {
        assert_eq!(refusal(body), BadBody::NotAnObject);
    }
}

#[test]
fn a_model_is_needed() {
    assert_eq!(refusal("{}"), BadBody::MissingModel);
    assert_eq!(refusal(r#"{"model":null}"#), BadBody::MissingModel);
    for body in [
        r#"{"model":1}"#,
        r#"{"model":""}"#,
        r#"{"model":["m"]}"#,
        r#"{"model":"a\nb"}"#,
        r#"{"model":"\ud800"}"#,
    ] {
        assert_eq!((refusal(body).code(), refusal(body).param()), ("invalid_value", Some("model")), "{body}");
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_by_name() {
    for (member, param) in [
        (r#""stream":"true""#, "stream"),
        (r#""stream":1"#, "stream"),
        (r#""n":0"#, "n"),
        (r#""n":true"#, "n"),
        (r#""max_tokens":-1"#, "max_tokens"),
        (r#""max_tokens":1.0"#, "max_tokens"),
        (r#""max_tokens":99999999999999999999"#, "max_tokens"),
        (r#""max_completion_tokens":"5""#, "max_completion_tokens"),
        (r#""stream_options":true"#, "stream_options"),
        (r#""stream_options":{"include_usage":1}"#, "stream_options.include_usage"),
    ] {
        let refusal = refusal(&format!("{{\"model\":\"m\",{member}}}"));
        assert_eq!((refusal.code(), refusal.param()), ("invalid_value", Some(param)), "{member}");
    }
}

#[test]
fn a_key_that_the_engine_would_read_otherwise_is_refused() {
    for (member, param) in [
        (r#""model":"other""#, "model"),
        (r#""\u006dodel":"other""#, "model"),
        (r#""Model":"other""#, "model"),
        ("\"\u{17f}tream\":true", "stream"),
        ("\"MAX_TO\u{212a}ENS\":1", "max_tokens"),
        (r#""stream_options":{"include_usage":true,"include_usage":false}"#, "stream_options.include_usage"),
        (r#""stream_options":{"Include_Usage":true}"#, "stream_options.include_usage"),
        (r#""messages":[],"messages":[]"#, "messages"),
    ] {
        let refusal = refusal(&format!("{{\"model\":\"m\",{member}}}"));
        assert_eq!((refusal.code(), refusal.param()), ("invalid_value", Some(param)), "{member}");
    }
}

#[test]
fn nothing_to_change_is_no_copy() {
    let body = Bytes::from_static(
        br#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":5}"#,
    );
    let changes = Changes {
        model: Some("m".parse().unwrap()),
        ask_usage: true,
        max_tokens_name: true,
        max_tokens_cap: Some(5),
        developer_as_system: true,
    };
    let after = RequestView::read(&body).unwrap().apply(&body, &changes);
    assert_eq!(after.as_ptr(), body.as_ptr());
}

#[test]
fn the_model_is_named_in_place() {
    let changes = Changes { model: Some("x\"y".parse().unwrap()), ..Changes::default() };
    assert_eq!(
        changed(r#"{"t":0.20, "model" : "m" ,"z":1}"#, &changes),
        r#"{"t":0.20, "model" : "x\"y" ,"z":1}"#
    );
}

#[test]
fn usage_is_asked_for_wherever_the_options_stand() {
    let cases = [
        (
            r#"{"model":"m","stream":true } "#,
            r#"{"model":"m","stream":true ,"stream_options":{"include_usage":true}} "#,
        ),
        (
            r#"{"stream_options":null,"model":"m","stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"model":"m","stream":true}"#,
        ),
        (
            r#"{"stream_options":{ },"model":"m","stream":true}"#,
            r#"{"stream_options":{"include_usage":true },"model":"m","stream":true}"#,
        ),
        (
            r#"{"stream_options":{"x":1},"model":"m","stream":true}"#,
            r#"{"stream_options":{"include_usage":true,"x":1},"model":"m","stream":true}"#,
        ),
        (
            r#"{"stream_options":{"include_usage": false},"model":"m","stream":true}"#,
            r#"{"stream_options":{"include_usage": true},"model":"m","stream":true}"#,
        ),
    ];
    for (before, after) in cases {
        assert_eq!(changed(before, &ask_usage()), after);
    }
    assert_eq!(changed(r#"{"model":"m"}"#, &ask_usage()), r#"{"model":"m"}"#);
}

#[test]
fn the_newer_name_of_the_limit_becomes_the_older() {
    let cases = [
        (r#"{"max_completion_tokens":5,"model":"m"}"#, r#"{"max_tokens":5,"model":"m"}"#),
        (r#"{"max_completion_tokens":5, "max_tokens":9,"model":"m"}"#, r#"{"max_tokens":5,"model":"m"}"#),
        (r#"{"max_tokens":9 , "max_completion_tokens":5,"model":"m"}"#, r#"{"max_tokens":5,"model":"m"}"#),
        (r#"{"model":"m","max_tokens":3, "max_completion_tokens":5}"#, r#"{"model":"m","max_tokens":3}"#),
        (r#"{"model":"m","max_tokens":null,"max_completion_tokens":5}"#, r#"{"model":"m","max_tokens":5}"#),
        (r#"{"model":"m"}"#, r#"{"model":"m"}"#),
    ];
    for (before, after) in cases {
        assert_eq!(changed(before, &old_name()), after);
    }
}

#[test]
fn a_cap_holds_under_whichever_name_the_limit_stands() {
    let cap = |max_tokens_name| Changes { max_tokens_name, max_tokens_cap: Some(4), ..Changes::default() };
    for (before, plain, renamed) in [
        (r#"{"model":"m"}"#, r#"{"model":"m","max_tokens":4}"#, r#"{"model":"m","max_tokens":4}"#),
        (
            r#"{"model":"m","max_tokens":3}"#,
            r#"{"model":"m","max_tokens":3}"#,
            r#"{"model":"m","max_tokens":3}"#,
        ),
        (
            r#"{"model":"m","max_tokens":null}"#,
            r#"{"model":"m","max_tokens":4}"#,
            r#"{"model":"m","max_tokens":4}"#,
        ),
        (
            r#"{"max_completion_tokens":9,"model":"m"}"#,
            r#"{"max_completion_tokens":4,"model":"m"}"#,
            r#"{"max_tokens":4,"model":"m"}"#,
        ),
        (
            r#"{"max_completion_tokens":2,"max_tokens":9,"model":"m"}"#,
            r#"{"max_completion_tokens":2,"max_tokens":4,"model":"m"}"#,
            r#"{"max_tokens":2,"model":"m"}"#,
        ),
    ] {
        assert_eq!(changed(before, &cap(false)), plain);
        assert_eq!(changed(before, &cap(true)), renamed);
    }
}

#[test]
fn under_a_cap_nothing_is_unlimited() {
    let cap = |max_tokens_cap| Changes { max_tokens_name: true, max_tokens_cap, ..Changes::default() };
    let body = r#"{"model":"m","max_tokens":0}"#;
    assert_eq!(changed(body, &cap(Some(4))), r#"{"model":"m","max_tokens":1}"#);
    assert_eq!(changed(r#"{"model":"m"}"#, &cap(Some(0))), r#"{"model":"m","max_tokens":1}"#);
    assert_eq!(changed(body, &cap(None)), body);
}

#[test]
fn a_developer_speaks_as_the_system() {
    let changes = Changes { developer_as_system: true, ..Changes::default() };
    assert_eq!(
        changed(
            r#"{"model":"m","messages":[{"role": "developer","content":"you are a \"developer\""},{"content":"developer","role":"user"},7]}"#,
            &changes
        ),
        r#"{"model":"m","messages":[{"role": "system","content":"you are a \"developer\""},{"content":"developer","role":"user"},7]}"#
    );
    let untouched = r#"{"model":"m","messages":"developer"}"#;
    assert_eq!(changed(untouched, &changes), untouched);
}

#[test]
fn all_changes_at_once_fit_together() {
    let changes = Changes {
        model: Some("n".parse().unwrap()),
        ask_usage: true,
        max_tokens_name: true,
        max_tokens_cap: Some(10),
        developer_as_system: true,
    };
    assert_eq!(
        changed(
            r#"{"model":"m","stream":true,"messages":[{"role":"developer"}],"max_completion_tokens":99}"#,
            &changes
        ),
        r#"{"model":"n","stream":true,"messages":[{"role":"system"}],"max_tokens":10,"stream_options":{"include_usage":true}}"#
    );
}
