//! Whatever is done to the file behind the ledger's back is found, and named.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{Home, NOW, id, node, nth};
use ledger::{
    Account, Origin, Reader,
    audit::{AuditReport, Finding},
};

/// Runs SQL that the triggers would refuse.
fn tamper(home: &Home, sql: &str) {
    let without_triggers = "DROP TRIGGER entry_is_never_changed; DROP TRIGGER entry_is_never_deleted;";
    home.raw().execute_batch(&format!("{without_triggers}{sql}")).unwrap();
}

fn found(report: &AuditReport, wanted: impl Fn(&Finding) -> bool) -> bool {
    report.findings.iter().any(wanted)
}

fn missing(report: &AuditReport, rows: (i64, i64)) -> bool {
    found(report, |finding| matches!(finding, Finding::RowsMissing { from, to } if (*from, *to) == rows))
}

#[test]
fn a_sound_ledger_is_clean_and_names_its_head() {
    let home = Home::with_receipts(600);
    let mut progress = Vec::new();
    let report = ledger::audit::audit(&home.path(), |done, total| progress.push((done, total))).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.entries, report.last, report.first_broken), (600, 600, None));
    assert_eq!(report.head.len(), 64);
    assert_eq!(progress, [(500, 600), (600, 600)]);
}

#[test]
fn a_new_ledger_is_clean() {
    let home = Home::new();
    home.open();
    assert!(home.audit().is_clean());
}

#[test]
fn a_flipped_bit_is_found_and_named() {
    let home = Home::with_receipts(20);
    let victim = nth(7).to_json();
    let mut file = std::fs::read(home.path()).unwrap();
    let at = file.windows(victim.len()).position(|window| window == victim.as_bytes()).unwrap();
    let tokens = at + victim.find(r#""inputTokens":7"#).unwrap() + r#""inputTokens":"#.len();
    file[tokens] ^= 1;
    std::fs::write(home.path(), file).unwrap();

    let report = home.audit();
    assert_eq!(report.first_broken, Some(7));
    assert_eq!(
        report.findings,
        [
            Finding::ChainBroken { seq: 7 },
            Finding::BadReceipt { seq: 7, reason: "bad signature".into() },
            Finding::ColumnDiffers { seq: 7, column: "input_tokens" },
            Finding::ColumnDiffers { seq: 7, column: "credits" },
        ]
    );
    // The rest is served, and nothing is silently dropped.
    assert_eq!(Reader::open(&home.path()).unwrap().last(100).unwrap().len(), 20);
}

#[test]
fn a_deleted_row_is_found() {
    let home = Home::with_receipts(20);
    tamper(&home, "DELETE FROM entry WHERE seq IN (5, 6)");
    let report = home.audit();
    assert!(missing(&report, (5, 6)), "{report:?}");
    assert!(found(&report, |finding| matches!(finding, Finding::TotalsDiffer { .. })));
    assert_eq!(report.entries, 18);
}

#[test]
fn a_deleted_first_or_last_row_is_found() {
    let home = Home::with_receipts(5);
    tamper(&home, "DELETE FROM entry WHERE seq IN (1, 5)");
    let report = home.audit();
    assert!(missing(&report, (1, 1)));
    assert!(report.findings.contains(&Finding::NewestMissing { last: 4, counted: 5 }));
}

#[test]
fn closing_the_gap_of_a_deleted_row_breaks_the_chain() {
    let home = Home::with_receipts(5);
    tamper(&home, "DELETE FROM entry WHERE seq = 3; UPDATE entry SET seq = seq - 1 WHERE seq > 3");
    assert_eq!(home.audit().first_broken, Some(3));
}

#[test]
fn a_changed_balance_is_found_and_named() {
    let home = Home::with_receipts(5);
    home.raw().execute("UPDATE account SET earned = earned + 1 WHERE earned > 0", []).unwrap();
    let kept = Account { earned: 66, spent: 0, receipts: 5 };
    let report = home.audit();
    assert_eq!(
        report.findings,
        [Finding::AccountDiffers { key: id(1).to_string(), kept, replayed: Account { earned: 65, ..kept } }]
    );
    assert!(report.findings[0].to_string().contains("66 earned"), "{}", report.findings[0]);
}

#[test]
fn a_changed_total_and_an_invented_account_are_found() {
    let home = Home::with_receipts(5);
    home.raw()
        .execute_batch(
            "UPDATE totals SET spent = 0; INSERT INTO account VALUES (x'', 1000, 0, 1), (x'0102', 1, 1, 1)",
        )
        .unwrap();
    let report = home.audit();
    assert!(found(&report, |finding| matches!(finding, Finding::TotalsDiffer { .. })));
    assert!(found(&report, |f| matches!(f, Finding::AccountDiffers { key, .. } if key == "anonymous")));
    assert!(found(&report, |f| matches!(f, Finding::AccountUnreadable { key } if key == "0102")));
}

#[test]
fn a_changed_column_is_found() {
    let home = Home::with_receipts(5);
    tamper(
        &home,
        "UPDATE entry SET model = 'gpt-4o' WHERE seq = 2; UPDATE entry SET origin = 9 WHERE seq = 3",
    );
    assert_eq!(
        home.audit().findings,
        [
            Finding::ColumnDiffers { seq: 2, column: "model" },
            // No signature covers where a receipt came from: the chain does.
            Finding::ChainBroken { seq: 3 },
            Finding::ColumnDiffers { seq: 3, column: "origin" },
        ]
    );
}

#[test]
fn a_receipt_that_was_made_to_count_for_less_is_found() {
    let home = Home::with_receipts(5);
    tamper(&home, "UPDATE entry SET credits = credits - 1 WHERE seq = 4");
    let report = home.audit();
    assert_eq!(report.first_broken, Some(4));
    assert!(found(&report, |finding| matches!(finding, Finding::TotalsDiffer { .. })));
}

#[test]
fn a_nonce_that_stands_twice_is_found_without_the_index() {
    let home = Home::with_receipts(3);
    tamper(
        &home,
        "DROP INDEX entry_worker_nonce; INSERT INTO entry SELECT 4, chain, worker, requester, nonce, job_id, model, \
         input_tokens, output_tokens, started_at, completed_at, origin, posted_at, credits, signed FROM entry WHERE seq = 2",
    );
    let report = home.audit();
    assert!(report.findings.contains(&Finding::NonceTwice { first: 2, last: 4, times: 2 }), "{report:?}");
    assert_eq!(report.first_broken, Some(4));
}

#[test]
fn rows_of_the_wrong_kind_are_findings_and_no_panic() {
    let home = Home::with_receipts(5);
    tamper(
        &home,
        "UPDATE entry SET signed = 'no receipt', worker = x'01', input_tokens = -1, posted_at = -1 WHERE seq = 2; \
         UPDATE entry SET chain = x'' WHERE seq = 4",
    );
    let report = home.audit();
    assert!(found(&report, |finding| matches!(finding, Finding::BadReceipt { seq: 2, .. })));
    assert!(found(&report, |finding| matches!(finding, Finding::ChainBroken { seq: 4 })));
    assert_eq!(report.first_broken, Some(2));
    assert_eq!(Reader::open(&home.path()).unwrap().last(100).unwrap().len(), 5);
}

#[test]
fn a_destroyed_page_costs_its_own_entries_only() {
    let home = Home::with_receipts(100);
    let victim = nth(50).to_json();
    let mut file = std::fs::read(home.path()).unwrap();
    let at = file.windows(victim.len()).position(|window| window == victim.as_bytes()).unwrap();
    let page = at / 4096 * 4096;
    file[page..page + 4096].fill(0xA5);
    std::fs::write(home.path(), file).unwrap();

    let report = home.audit();
    assert!(found(&report, |finding| matches!(finding, Finding::FileDamaged { .. })));
    assert!(
        found(&report, |f| matches!(f, Finding::Unreadable { from, to } if (*from..=*to).contains(&50))),
        "{report:?}"
    );
    assert!(report.entries >= 90, "{report:?}");

    let mut exported = Vec::new();
    let written = ledger::jsonl::export(&Reader::open(&home.path()).unwrap(), &mut exported).unwrap();
    assert_eq!((written.lines, written.unreadable), (report.entries, 1));
}

#[test]
fn an_audit_runs_beside_a_node_that_goes_on_posting() {
    let home = Home::with_receipts(1000);
    let ledger = home.open();
    let mut posted = 1000u128;
    let report = ledger::audit::audit(&home.path(), |_, _| {
        posted += 1;
        ledger.post_blocking(nth(posted), Origin::Served, NOW).unwrap();
    });
    let report = report.unwrap();
    assert_eq!((report.findings, report.last), (vec![], 1000));
    assert!(posted > 1000);
}

#[test]
fn a_backup_of_a_running_ledger_is_a_ledger() {
    let home = Home::with_receipts(50);
    let ledger = home.open();
    ledger.post_blocking(nth(51), Origin::Served, NOW).unwrap();
    let to = home.file("backup.db");
    let reader = ledger.reader().unwrap();
    reader.backup(&to).unwrap();
    ledger.post_blocking(nth(52), Origin::Served, NOW).unwrap();

    let report = common::audited(&to);
    assert_eq!((report.findings, report.entries), (vec![], 51));
    assert!(!home.file("backup.db.partial").exists() && !home.file("backup.db-wal").exists());
    assert!(reader.backup(&to).unwrap_err().to_string().contains("is there already"));
    assert_eq!(Reader::open(&to).unwrap().account(node(1)).unwrap().receipts, 51);
}
