//! The line checker against whatever bytes there are, cut wherever they are cut.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{custom_id, line, line_for};
use proptest::prelude::*;
use work::{
    Endpoint,
    batches::check::{CheckedLine, Checker, Report, body_of},
    limits::{LINES_MAX, MODELS_A_BATCH_MAX, PROBLEMS_LISTED_MAX},
};

fn check<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<CheckedLine>, Report) {
    let mut checker = Checker::new(Some(Endpoint::ChatCompletions));
    let mut lines = Vec::new();
    for chunk in chunks {
        checker.push(chunk, |line| lines.push(line));
    }
    let report = checker.finish(|line| lines.push(line));
    (lines, report)
}

fn problems(text: &str) -> Vec<(Option<u64>, String)> {
    check([text.as_bytes()]).1.problems.into_iter().map(|problem| (problem.line, problem.code)).collect()
}

/// Lines that are good, nearly good, and anything but.
fn a_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0..6u64).prop_map(|n| line(n).into_bytes()),
        (0..6u64, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(n, at, byte)| {
            let mut line = line(n).into_bytes();
            let at = at.index(line.len());
            line[at] = byte;
            line
        }),
        prop::collection::vec(any::<u8>(), 0..40),
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
    ]
}

proptest! {
    #[test]
    fn cutting_the_file_anywhere_changes_nothing(
        file in prop::collection::vec(a_line(), 0..8), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let file = file.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(file.len() + 1)).collect();
        cuts.extend([0, file.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &file[pair[0]..pair[1]]);
        let whole = check([&file[..]]);
        prop_assert_eq!(&check(pieces), &whole);
        prop_assert_eq!(&check(file.chunks(1)), &whole);

        let (lines, report) = whole;
        prop_assert!(!report.problems.is_empty() || report.lines == lines.len() as u64);
        for line in lines {
            let from = line.offset as usize;
            let bytes = &file[from..from + line.length as usize];
            prop_assert!(!bytes.contains(&b'\n'));
            prop_assert!(serde_json::from_slice::<serde_json::Value>(body_of(bytes).unwrap()).unwrap().is_object());
        }
    }
}

#[test]
fn the_request_in_a_line_keeps_every_byte() {
    let line = r#"{"method":"POST","custom_id":"a","url":"/v1/chat/completions","body": {"model":"m","t":0.20,  "x":1e2}}"#;
    let (lines, report) = check([line.as_bytes()]);
    assert_eq!(
        (report.lines, lines[0].number, lines[0].offset, lines[0].length),
        (1, 1, 0, line.len() as u64)
    );
    assert_eq!(body_of(line.as_bytes()).unwrap(), br#"{"model":"m","t":0.20,  "x":1e2}"#);
}

#[test]
fn a_mark_before_the_text_windows_line_ends_and_empty_lines_are_no_problem() {
    let text = format!("\u{feff}{}\r\n\r\n\n{}", line(1).trim_end(), line(2).trim_end());
    let (lines, report) = check([text.as_bytes()]);
    assert_eq!(report.problems, []);
    assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(lines[1].custom_id, custom_id(2));
}

#[test]
fn each_mistake_has_its_code_and_its_line() {
    let good = line(1);
    let with = |from: &str, to: &str| good.replace(from, to);
    let of = |text: &str| problems(text).into_iter().map(|(_, code)| code).collect::<Vec<_>>().concat();
    assert_eq!(of(""), "empty_file");
    assert_eq!(of("\n \n"), "empty_file");
    assert_eq!(of("[1]"), "invalid_json_line");
    assert_eq!(of(&with("{\"", "{\"custom_id\":\"twice\",\"")), "invalid_json_line");
    assert_eq!(of(&with("\"custom_id\"", "\"costum_id\"")), "missing_required_parameter");
    assert_eq!(of(&with("\"request-1\"", "7")), "invalid_value");
    assert_eq!(of(&with("\"request-1\"", "\"\"")), "invalid_value");
    assert_eq!(of(&with("POST", "GET")), "invalid_method");
    assert_eq!(of(&with("/v1/chat/completions", "/v1/images")), "invalid_url");
    assert_eq!(of(&with("\"model\":", "\"stream\":true,\"model\":")), "invalid_value");
    assert_eq!(of(&with("\"llama3.1:8b\"", "null")), "missing_required_parameter");
    assert_eq!(of(&with("\"llama3.1:8b\"", "7")), "invalid_value");
    assert_eq!(of(&with("\"model\":", "\"stream\":false,\"model\":")), "");
    assert_eq!(problems(&format!("{good}{good}")), [(Some(2), "duplicate_custom_id".to_owned())]);
}

#[test]
fn lines_models_and_problems_are_bounded() {
    let bad = "{}\n".repeat(PROBLEMS_LISTED_MAX + 5);
    assert_eq!(problems(&bad).len(), PROBLEMS_LISTED_MAX);
    let many: String = (0..=MODELS_A_BATCH_MAX as u64).map(|n| line_for(&format!("m{n}"), n)).collect();
    assert_eq!(problems(&many), [(Some(MODELS_A_BATCH_MAX as u64 + 1), "too_many_models".to_owned())]);
    let mut checker = Checker::new(None);
    let mut given = 0;
    for n in 0..LINES_MAX + 2 {
        checker.push(line(n).as_bytes(), |_| given += 1);
    }
    let report = checker.finish(|_| given += 1);
    assert_eq!((given, report.lines), (LINES_MAX, LINES_MAX + 2));
    let codes: Vec<_> = report.problems.iter().map(|problem| (problem.line, problem.code.as_str())).collect();
    assert_eq!(codes, [(Some(LINES_MAX + 1), "too_many_lines")]);
}
