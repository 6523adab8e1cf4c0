//! Files of receipts: what is exported can be verified by anyone and imported again.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{Home, NOW, node, nth, receipt};
use ledger::{
    Ledger, Origin,
    jsonl::{self, BadLine, ImportReport, verify},
    limits::LINE_BYTES_MAX,
};

fn import(ledger: &Ledger, text: &[u8]) -> ImportReport {
    jsonl::import(ledger, text, NOW, |_| {}).unwrap()
}

fn export(home: &Home) -> String {
    let mut out = Vec::new();
    jsonl::export(&home.open().reader().unwrap(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_is_exported_can_be_imported_and_is_the_same() {
    let home = Home::with_receipts(1200);
    let text = export(&home);
    let expected: String = (1..=1200).map(|n| nth(n).to_json() + "\n").collect();
    assert_eq!(text, expected);
    let report = verify(text.as_bytes()).unwrap();
    assert_eq!((report.total, report.good, report.bad), (1200, 1200, vec![]));

    let other = Home::new();
    let ledger = other.open();
    let report = import(&ledger, text.as_bytes());
    assert_eq!(report, ImportReport { total: 1200, new: 1200, ..Default::default() });
    let again = import(&ledger, text.as_bytes());
    assert_eq!(again, ImportReport { total: 1200, already: 1200, ..Default::default() });
    assert!(ledger.written().commits <= 6, "{:?}", ledger.written());
    assert_eq!(export(&other), text);
}

/// A file in which only lines 1, 3, 5 and 6 are good.
fn mixed() -> Vec<u8> {
    let good = |n: u128| nth(n).to_json();
    let forged = good(9).replace(r#""inputTokens":9"#, r#""inputTokens":99"#);
    let twice = good(9).replace(r#"{"receipt":{"#, r#"{"receipt":{"version":1,"#);
    let with_more = good(3).replace(r#"{"receipt""#, r#"{"order":{"order":{},"signature":""},"receipt""#);
    let stranger = receipt(7, node(8), 4, 5).to_json();
    let reused = receipt(1, node(5), 1, 77).to_json();
    let long = format!(r#"{{"padding":"{}"}}"#, "x".repeat(LINE_BYTES_MAX));
    let lines = [
        good(1),
        String::new(),
        good(2) + "\r",
        "  ".into(),
        with_more,
        stranger,
        forged,
        twice,
        reused,
        long,
        "{".into(),
    ];
    let mut text = lines.join("\n").into_bytes();
    text.extend_from_slice(b"\n\xFF\xFE\n[]");
    text
}

#[test]
fn a_broken_line_never_stops_an_import() {
    let home = Home::new();
    let ledger = home.open();
    let report = import(&ledger, &mixed());
    let ImportReport { total, new, already, foreign, refused_total, .. } = report;
    assert_eq!((total, new, already, foreign, refused_total), (11, 4, 0, 1, 7));
    let mut refused: Vec<_> = report.refused.iter().map(|bad| bad.line).collect();
    refused.sort_unstable();
    assert_eq!(refused, [7, 8, 9, 10, 11, 12, 13]);
    let reason = |line| &report.refused.iter().find(|bad: &&BadLine| bad.line == line).unwrap().reason;
    assert_eq!(reason(7), "bad signature");
    assert!(reason(8).contains("stands twice"));
    assert!(reason(9).contains("nonce"));
    assert!(reason(10).contains("longer than"));

    assert_eq!(ledger.reader().unwrap().last(1).unwrap()[0].origin, Origin::Imported);
    assert!(home.audit().is_clean());
}

#[test]
fn verify_needs_nothing_but_the_file_and_names_each_bad_line() {
    let report = verify(&mixed()[..]).unwrap();
    // The reused nonce is well signed: only a ledger can know of the other.
    assert_eq!((report.total, report.good), (11, 5));
    assert_eq!(report.bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [7, 8, 10, 11, 12, 13]);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["bad"][0], serde_json::json!({"line": 7, "reason": "bad signature"}));
}

#[test]
fn an_import_that_cannot_be_kept_says_at_which_line() {
    let home = Home::new();
    let ledger = home.open();
    ledger.close();
    let error = jsonl::import(&ledger, nth(1).to_json().as_bytes(), NOW, |_| {}).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[test]
fn a_reason_is_short_whatever_it_quotes() {
    let line = nth(1)
        .to_json()
        .replace(r#"{"receipt":{"#, &format!(r#"{{"receipt":{{"{0}":1,"{0}":1,"#, "é".repeat(5000)));
    let report = verify(line.as_bytes()).unwrap();
    assert!(report.bad[0].reason.len() <= ledger::limits::REASON_BYTES_MAX, "{}", report.bad[0].reason.len());
}
