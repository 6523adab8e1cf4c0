//! Whatever is done to the credit half behind the ledger's back is found, and named.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW,
    busy::{ACKNOWLEDGED, CLAIMED, TAKEN, busy_home},
    id,
    trade::{answer, friend, ok, order},
};
use ledger::audit::{AuditReport, Finding};

fn tamper(home: &Home, sql: &str) -> AuditReport {
    let without_triggers = "DROP TRIGGER journal_is_never_changed; DROP TRIGGER journal_is_never_deleted;";
    home.raw().execute_batch(&format!("{without_triggers}{sql}")).unwrap();
    home.audit()
}

fn broken(report: &AuditReport) -> Vec<i64> {
    let rows = report.findings.iter().filter_map(|finding| match finding {
        Finding::JournalBroken { row } => Some(*row),
        _ => None,
    });
    rows.collect()
}

#[tokio::test]
async fn a_ledger_with_every_kind_of_row_is_clean_and_names_both_heads() {
    let home = busy_home().await;
    let report = home.audit();
    assert_eq!(report.findings, []);
    assert_eq!((report.entries, report.rows), (9, 33));
    assert_eq!(report.journal_head.len(), 64);
    assert_ne!(report.journal_head, report.head);
}

#[tokio::test]
async fn every_column_of_the_journal_is_in_its_chain() {
    let columns = [
        "kind = 4",
        "at = at + 1",
        "who = zeroblob(32)",
        "about = 9",
        "entry = entry + 1",
        "reserved = 1",
        "credits = 1",
    ];
    for column in columns.into_iter().chain(["pool = 7", "day = 7", "signed = signed || ' '"]) {
        let home = busy_home().await;
        let report = tamper(&home, &format!("UPDATE journal SET {column} WHERE seq = {CLAIMED}"));
        assert_eq!(broken(&report), [CLAIMED], "{column}");
    }
}

#[tokio::test]
async fn what_was_claimed_without_an_order_is_what_its_entry_says() {
    let home = busy_home().await;
    let report = tamper(
        &home,
        "DROP TRIGGER entry_is_never_changed; UPDATE entry SET credits = 31 WHERE requester = x''",
    );
    let said = report.findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n");
    assert!(said.contains("claims another sum than its receipt"), "{said}");
}

#[tokio::test]
async fn a_dropped_row_of_the_journal_is_named_and_the_sums_with_it() {
    let home = busy_home().await;
    let report = tamper(&home, &format!("DELETE FROM journal WHERE seq = {ACKNOWLEDGED}"));
    let missing = Finding::JournalMissing { from: ACKNOWLEDGED, to: ACKNOWLEDGED };
    assert!(report.findings.contains(&missing), "{report:?}");
    let earned = report.findings.iter().find_map(|finding| match finding {
        Finding::StandingDiffers { sum: "earned", kept, replayed, .. } => Some((*kept, *replayed)),
        _ => None,
    });
    assert_eq!(earned, Some((Some(120), Some(60))));
    assert!(report.findings.iter().any(|finding| finding.to_string().contains("`earned` is kept as 120")));
}

#[tokio::test]
async fn the_newest_rows_of_the_journal_cannot_go_unseen() {
    let home = busy_home().await;
    // The sums are set back to match: only the note beside the ledger knows better.
    let report = tamper(
        &home,
        "DELETE FROM journal WHERE seq > 31; DELETE FROM standing WHERE blocked = 1 OR lent IS NOT NULL",
    );
    let lost = Finding::NewestLost { chain: "journal", last: 31, noted: 33, note: String::new() };
    assert_eq!(report.findings, [lost]);
}

#[tokio::test]
async fn a_changed_standing_and_a_changed_pool_are_named() {
    let home = busy_home().await;
    let report =
        tamper(&home, "UPDATE standing SET claimed = 1 WHERE claims = 1; UPDATE pool SET credits = 0");
    let claimed = Finding::StandingDiffers {
        party: id(4).to_string(),
        sum: "claimed",
        kept: Some(1),
        replayed: Some(60),
    };
    assert_eq!(report.findings[0], claimed);
    let pools: Vec<_> = report.findings[1..]
        .iter()
        .map(|finding| match finding {
            Finding::PoolDiffers { replayed, .. } => replayed.credits,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(pools, [60, 30]);
}

#[tokio::test]
async fn an_exchange_that_was_moved_is_named() {
    let moves = [
        ("phase = 0", "stands elsewhere"),
        ("credits = credits + 1", "charges another sum"),
        ("entry = entry + 1", "names another receipt"),
        ("ack = ack - 1", "names another acknowledgement"),
        ("changed = changed - 1", "does not know its last change"),
        ("changed = changed + 1", "was changed by a row that is not about it"),
        ("who = zeroblob(32)", "names another party"),
    ];
    for (change, said) in moves {
        let home = busy_home().await;
        // The third order of node 2, which was disputed and then settled.
        let report = tamper(&home, &format!("UPDATE exchange SET {change} WHERE order_id = x'{:032x}'", 3));
        let told = report.findings.iter().any(|finding| finding.to_string().contains(said));
        assert!(told, "{change}: {:?}", report.findings);
    }
    let home = busy_home().await;
    let report = tamper(&home, &format!("UPDATE exchange SET order_sha256 = x'00' WHERE seq = {TAKEN}"));
    assert!(!report.is_clean());
    let home = busy_home().await;
    let report = tamper(&home, &format!("DELETE FROM exchange WHERE seq = {TAKEN}"));
    assert!(report.findings.iter().any(|finding| matches!(finding, Finding::ExchangesDiffer { .. })));
}

#[tokio::test]
async fn a_statement_that_was_changed_is_named_with_what_is_wrong() {
    let home = busy_home().await;
    let report = tamper(
        &home,
        &format!(
            "UPDATE journal SET signed = replace(signed, '\"ok\"', '\"dispute\"') WHERE seq = {ACKNOWLEDGED}"
        ),
    );
    let bad = report.findings.iter().find(|finding| matches!(finding, Finding::BadRow { .. })).unwrap();
    assert_eq!(
        bad.to_string(),
        format!("row {ACKNOWLEDGED} of the journal makes no sense: its acknowledgement: bad signature")
    );
    let report = tamper_other(&home, &format!("UPDATE journal SET signed = '{{}}' WHERE seq = {TAKEN}"));
    assert!(report.findings.iter().any(|finding| finding.to_string().contains("its order: malformed")));
}

/// The triggers are gone already.
fn tamper_other(home: &Home, sql: &str) -> AuditReport {
    home.raw().execute_batch(sql).unwrap();
    home.audit()
}

#[tokio::test]
async fn an_audit_runs_beside_a_node_that_goes_on_trading() {
    let home = Home::new();
    let ledger = home.open();
    let trade = |n| {
        let ledger = ledger.clone();
        async move {
            let order = order(2, 1, n, 100);
            let held = ledger.admit(&order, friend(1_000_000_000), NOW).await.unwrap();
            let receipt = answer(&order, 1, 60);
            ledger.claim(held, receipt.clone(), NOW).await.unwrap();
            ledger.take_acks(vec![ok(2, &receipt)], NOW).await.remove(0).unwrap();
        }
    };
    for n in 0..400 {
        trade(n).await;
    }
    let open = ledger.admit(&order(2, 1, 5000, 100), friend(1_000_000_000), NOW).await.unwrap();
    let claim = answer(&order(2, 1, 5000, 100), 1, 50);
    let (go_on, go) = std::sync::mpsc::channel();
    let path = home.path();
    let audit = std::thread::spawn(move || {
        ledger::audit::audit(&path, |_, _| go_on.send(()).unwrap_or_default()).unwrap()
    });
    // While it is read, an exchange goes on that was open when the audit began.
    go.recv().unwrap();
    ledger.claim(open, claim.clone(), NOW).await.unwrap();
    ledger.take_acks(vec![ok(2, &claim)], NOW).await.remove(0).unwrap();
    let mut n = 400;
    while !audit.is_finished() {
        trade(n).await;
        n += 1;
    }
    let report = audit.join().unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.rows, 1201);
}
