use super::*;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;

const PLAIN: &str =
    r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":null}]}"#;

fn usage(input_tokens: u64, output_tokens: u64) -> Option<Usage> {
    Some(Usage { input_tokens, output_tokens })
}

fn stripped(data: &str) -> Stripped {
    strip(data.as_bytes())
}

fn edited(text: &str) -> Stripped {
    Stripped::Edited(text.as_bytes().to_vec())
}

#[test]
fn usage_is_read_from_chunks_and_answers() {
    let last = br#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}"#;
    assert_eq!(of_event(last), usage(3, 5));
    assert_eq!(of_answer(br#"{"data":[],"usage":{"prompt_tokens":4,"total_tokens":4}}"#), usage(4, 0));
}

#[test]
fn no_usage_is_no_usage() {
    for data in [
        PLAIN,
        "[DONE]",
        "",
        r#"{"usage":null}"#,
        r#"{"usage":{}}"#,
        r#"{"usage":{"prompt_tokens":-1}}"#,
        r#"{"a":"\"usage\""}"#,
    ] {
        assert_eq!(of_event(data.as_bytes()), None, "{data}");
    }
}

#[test]
fn the_extra_chunk_is_dropped() {
    assert_eq!(stripped(r#"{"id":"c","choices":[ ],"usage":{"prompt_tokens":3}}"#), Stripped::Dropped);
    assert_eq!(stripped(r#"{"usage":{"prompt_tokens":3},"choices":[]}"#), Stripped::Dropped);
}

#[test]
fn usage_is_cut_out_wherever_it_stands() {
    for (before, after) in [
        (r#"{"usage":null,"choices":[1]}"#, r#"{"choices":[1]}"#),
        (r#"{"choices":[1], "usage" : {"prompt_tokens":3} , "x":0.20}"#, r#"{"choices":[1] , "x":0.20}"#),
        (r#"{"choices":[1] , "usage":null }"#, r#"{"choices":[1] }"#),
        (r#"{"choices":[],"usage":null}"#, r#"{"choices":[]}"#),
        (r#"{"error":{},"choices":[],"usage":{}}"#, r#"{"error":{},"choices":[]}"#),
        (r#"{ "usage":null }"#, r#"{  }"#),
        (r#"{"usage":1,"usage":2,"a":3,"usage":4}"#, r#"{"a":3}"#),
        (r#"{"usage":1, "usage":2}"#, r#"{}"#),
    ] {
        assert_eq!(stripped(before), edited(after), "{before}");
    }
}

#[test]
fn a_text_that_speaks_of_usage_survives() {
    for data in [
        PLAIN,
        "[DONE]",
        r#"{"choices":[{"delta":{"content":"\"usage\": {\"prompt_tokens\":1}"}}]}"#,
        r#"{"choices":[{"delta":{"content":"usage"},"usage":{"prompt_tokens":1}}]}"#,
        r#"not json "usage""#,
        r#"["usage"]"#,
    ] {
        assert_eq!(stripped(data), Stripped::Unchanged, "{data}");
    }
}

#[test]
fn a_chunk_that_says_something_is_told_from_one_that_does_not() {
    for delta in [
        r#"{"content":"a"}"#,
        r#"{"role":"assistant","content":"","reasoning":"hm"}"#,
        r#"{"reasoning_content":"hm"}"#,
        r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}"#,
    ] {
        assert!(has_text(format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#).as_bytes()), "{delta}");
    }
    for delta in [
        r#"{}"#,
        r#"{"role":"assistant"}"#,
        r#"{"content":""}"#,
        r#"{"content":null,"tool_calls":[ ]}"#,
        "null",
    ] {
        assert!(!has_text(format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#).as_bytes()), "{delta}");
    }
    assert!(has_text(br#"{"choices":[{"text":"a"}]}"#));
    // As other writers of JSON space it, with what is no text beside it, and as a whole answer.
    let padded =
        br#"{"choices": [{"delta": {"content": "four", "pad": "AAAA"}, "pad": "AAAA"}], "pad": "AAAA"}"#;
    assert_eq!(text_bytes(padded), 4);
    let whole = br#"{"choices":[{"message":{"content":"12","reasoning":"345","refusal":"","tool_calls":[{"id":"x","function":{"name":"67","arguments":"{}"}}]}}]}"#;
    assert_eq!(text_bytes(whole), 9);
    assert!(!has_text(br#"{"choices":[{"text":""}]}"#));
    assert!(!has_text(br#"{"choices":[]}"#) && !has_text(b"[DONE]") && !has_text(b""));
}

proptest! {
    #[test]
    fn stripping_leaves_every_other_member(
        members in vec((select(vec!["usage", "id", "choices", "x"]), select(vec!["null", "1", "[]", "[0.20]", "{\"usage\": 1}", "\"usage\""])), 0..6),
        space in select(vec!["", " "]),
    ) {
        let write = |members: &[(&str, &str)]| {
            let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\"{space}:{value}{space}")).collect();
            format!("{{{}}}", members.join(&format!(",{space}")))
        };
        let text = write(&members);
        let kept: Vec<_> = members.iter().copied().filter(|(key, _)| *key != "usage").collect();
        match strip(text.as_bytes()) {
            Stripped::Unchanged => prop_assert_eq!(&kept, &members),
            Stripped::Dropped => prop_assert!(kept.contains(&("choices", "[]")) || kept.contains(&("choices", "null"))),
            Stripped::Edited(after) => {
                let after = String::from_utf8(after).unwrap();
                prop_assert!(serde_json::from_str::<Value>(&after).is_ok(), "{}", after);
                let bare = |text: &str| text.replace(' ', "");
                prop_assert_eq!(bare(&after), bare(&write(&kept)));
            }
        }
    }

    #[test]
    fn rubbish_never_panics(bytes in vec(any::<u8>(), 0..64), text in "[{}\\[\\]\":, a-z]{0,40}") {
        for data in [bytes, format!("{text}\"usage\"{text}").into_bytes()] {
            let _ = (strip(&data), of_event(&data), of_answer(&data), has_text(&data));
        }
    }
}
