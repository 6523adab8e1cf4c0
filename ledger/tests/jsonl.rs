//! Files of receipts: what is exported can be verified by anyone and imported again.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW, id, node, nth, receipt,
    trade::{ack, answer, answer_as, dispute, friend, ok, order},
};
use ledger::{
    Ledger, Origin, Standing, State,
    jsonl::{self, BadLine, ImportReport, Sum, verify},
    limits::LINE_BYTES_MAX,
};
use protocol::{Ack, Order, Receipt, Signed, Verified, ack::Verdict};
use serde_json::{Value, json};

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
    let with_more = good(3).replace(r#"{"receipt""#, r#"{"note":{"by":"hand"},"receipt""#);
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

/// A ledger of node 1 with a receipt of each state, oldest first: version 1, claimed, settled, disputed.
async fn traded() -> Home {
    let home = Home::new();
    let ledger = home.open();
    ledger.post(receipt(1, node(2), 900, 1), Origin::Served, NOW).await.unwrap();
    for (n, acks) in [(1, [].as_slice()), (2, &[true]), (3, &[false])] {
        let order = order(2, 1, n, 100);
        let held = ledger.admit(&order, friend(1000), NOW).await.unwrap();
        let receipt = answer(&order, 1, 10 * n as u64);
        ledger.claim(held, receipt.clone(), NOW).await.unwrap();
        for is_ok in acks {
            let ack = if *is_ok { ok(2, &receipt) } else { dispute(2, &receipt) };
            ledger.take_acks(vec![ack], NOW).await.remove(0).unwrap();
        }
    }
    home
}

/// `{"receipt","signature","order"?,"ack"?}`
fn line(receipt: &Verified<Receipt>, order: Option<&Verified<Order>>, ack: Option<&Signed<Ack>>) -> String {
    let mut line: Value = serde_json::from_str(&receipt.to_json()).unwrap();
    for (name, statement) in [("order", order.map(Verified::to_json)), ("ack", ack.map(Signed::to_json))] {
        if let Some(statement) = statement {
            line[name] = serde_json::from_str(&statement).unwrap();
        }
    }
    line.to_string()
}

#[tokio::test]
async fn an_export_holds_all_three_statements_and_says_what_it_proves() {
    let home = traded().await;
    let text = export(&home);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let members = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let shapes: Vec<_> = lines.iter().map(members).collect();
    let all = "ack order receipt signature";
    assert_eq!(shapes, ["receipt signature", "order receipt signature", all, all]);
    assert_eq!(lines[2]["order"].to_string(), order(2, 1, 2, 100).to_json());

    let report = verify(text.as_bytes()).unwrap();
    assert_eq!((report.total, report.good), (4, 4));
    let sum = |receipts, credits| Sum { receipts, credits };
    let proves = report.proves;
    assert_eq!((proves.alone, proves.claimed), (sum(1, 11), sum(1, 10)));
    assert_eq!((proves.settled, proves.disputed), (sum(1, 20), sum(1, 30)));
    let of = |receipts, credits| json!({"receipts": receipts, "credits": credits});
    let proves =
        json!({"alone": of(1, 11), "claimed": of(1, 10), "settled": of(1, 20), "disputed": of(1, 30)});
    let printed = json!({"total": 4, "good": 4, "bad": [], "proves": proves});
    assert_eq!(serde_json::to_value(&report).unwrap(), printed);
}

#[tokio::test]
async fn what_is_imported_is_kept_whole_and_moves_no_credit() {
    let text = export(&traded().await);
    let elsewhere = Home::new();
    // The ledger of node 1 again, which had lost all: a file is no proof that nothing is missing.
    let ledger = elsewhere.open();
    assert_eq!(import(&ledger, text.as_bytes()).new, 4);
    assert_eq!(import(&ledger, text.as_bytes()).already, 4);
    assert_eq!(export(&elsewhere), text);
    assert_eq!(elsewhere.standing(2), Standing::default());
    let states: Vec<_> = ledger.last(9).await.unwrap().into_iter().map(|entry| entry.state).collect();
    assert_eq!(states, [State::Disputed, State::Settled, State::Claimed, State::V1]);
    elsewhere.assert_sound();
}

#[tokio::test]
async fn an_acknowledgement_of_our_claim_counts_wherever_it_is_read() {
    let home = traded().await;
    let ledger = home.open();
    let order = order(2, 1, 1, 100);
    let receipt = answer(&order, 1, 10);
    let text = line(&receipt, Some(&order), Some(&ok(2, &receipt)));
    assert_eq!(import(&ledger, text.as_bytes()).already, 1);
    assert_eq!((home.standing(2).claims, home.standing(2).earned), (0, 30));
    home.assert_sound();
}

#[tokio::test]
async fn a_receipt_that_was_imported_first_still_answers_our_order() {
    let home = Home::new();
    let ledger = home.open();
    let placed = order(1, 2, 1, 100);
    let receipt = answer(&placed, 2, 60);
    ledger.place(&placed, NOW).await.unwrap();
    import(&ledger, line(&receipt, Some(&placed), None).as_bytes());
    assert_eq!(home.standing(2).spent, 0);
    let posted = ledger.post_received(receipt.clone(), ack(1, &receipt, Verdict::Ok), NOW).await;
    assert!(!posted.unwrap().is_new());
    assert_eq!(home.standing(2), Standing { spent: 60, ..Standing::default() });
    assert_eq!(ledger.last(1).await.unwrap()[0].state, State::Settled);
    home.assert_sound();
}

#[test]
fn statements_that_do_not_belong_together_make_a_bad_line() {
    let placed = order(2, 1, 1, 100);
    let receipt = answer(&placed, 1, 60);
    let other = answer_as(&placed, 1, 50, "5".repeat(32));
    let forged = line(&receipt, Some(&placed), None).replace("\"maxCredits\":100", "\"maxCredits\":900");
    let bad = [
        (line(&receipt, Some(&order(2, 1, 2, 100)), None), "another than the receipt answers"),
        (line(&nth(1), Some(&placed), None), "another than the receipt answers"),
        (line(&receipt, None, Some(&ok(2, &receipt))), "without its order"),
        (line(&receipt, Some(&placed), Some(&ok(2, &other))), "another receipt"),
        (line(&receipt, Some(&placed), Some(&ok(3, &receipt))), "its acknowledgement: bad signature"),
        (forged, "its order: bad signature"),
    ];
    let text: Vec<_> = bad.iter().map(|(line, _)| line.as_str()).collect();
    let report = verify(text.join("\n").as_bytes()).unwrap();
    assert_eq!(report.good, 0);
    for ((_, said), line) in bad.iter().zip(&report.bad) {
        assert!(line.reason.contains(said), "{said}: {}", line.reason);
    }
    let good = line(&receipt, Some(&placed), Some(&ok(2, &receipt)));
    assert_eq!(verify(good.as_bytes()).unwrap().proves.settled, Sum { receipts: 1, credits: 60 });
    assert_eq!(id(2), placed.requester);
}
