//! Damage of the file and of its log: what is lost is named, and the rest is served.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{
    Home, NOW,
    busy::{TAKEN, busy_home},
    id,
    trade::{answer, friend, order, uuid},
};
use ledger::{Collected, Origin, Reader, audit::Finding};

#[tokio::test]
async fn a_flipped_bit_is_named_and_the_rest_served() {
    let home = busy_home().await;
    let victim = order(2, 1, 1, 100).to_json();
    let mut file = std::fs::read(home.path()).unwrap();
    // Pages that were split have a copy behind that nobody reads.
    let copies: Vec<_> =
        (0..file.len() - victim.len()).filter(|at| file[*at..].starts_with(victim.as_bytes())).collect();
    for at in copies {
        file[at + victim.find("maxCredits").unwrap() + 13] ^= 1;
    }
    std::fs::write(home.path(), file).unwrap();
    let report = home.audit();
    assert!(report.findings.contains(&Finding::JournalBroken { row: TAKEN }), "{report:?}");

    let ledger = home.open();
    let receipt = answer(&order(2, 1, 1, 100), 1, 60);
    let collected = ledger.receipt_for(id(2), uuid(1)).await.unwrap();
    assert_eq!(collected, Collected::Ready(receipt.to_json()));
    drop(ledger.admit(&order(2, 1, 50, 10), friend(1000), NOW).await.unwrap());
    assert_eq!(Reader::open(&home.path()).unwrap().last(100).unwrap().len(), 9);
}

#[tokio::test]
async fn a_destroyed_page_of_the_journal_costs_its_own_rows_only() {
    let home = Home::new();
    let ledger = home.open();
    for n in 0..60 {
        let order = order(2, 1, n, 100);
        let held = ledger.admit(&order, friend(1_000_000), NOW).await.unwrap();
        ledger.claim(held, answer(&order, 1, 60), NOW).await.unwrap();
    }
    ledger.close();
    let victim = order(2, 1, 30, 100).to_json();
    let mut file = std::fs::read(home.path()).unwrap();
    let at = file.windows(victim.len()).position(|window| window == victim.as_bytes()).unwrap();
    file[at / 4096 * 4096..][..4096].fill(0xA5);
    std::fs::write(home.path(), file).unwrap();

    let report = home.audit();
    let lost =
        |f: &Finding| matches!(f, Finding::JournalUnreadable { from, to } if (*from..=*to).contains(&61));
    assert!(report.findings.iter().any(lost), "{report:?}");
    assert!(report.rows > 100 && report.entries == 60, "{report:?}");
    // What is left is served: receipts, and the orders that can be read.
    let mut exported = Vec::new();
    let written = ledger::jsonl::export(&Reader::open(&home.path()).unwrap(), &mut exported).unwrap();
    assert_eq!((written.lines, written.unreadable), (60, 0));
    let verified = ledger::jsonl::verify(&exported[..]).unwrap();
    assert_eq!(verified.good, 60);
    assert!((1..20).contains(&verified.proves.alone.receipts), "{:?}", verified.proves);
    let ledger = home.open();
    ledger.admit(&order(2, 1, 70, 100), friend(1_000_000), NOW).await.unwrap();
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_told_until_the_owner_has_seen_it() {
    let home = Home::with_receipts(5);
    let ledger = home.open();
    ledger.post(common::nth(6), Origin::Served, NOW).await.unwrap();
    // A copy of database and log as a crash would leave them, less the last transaction.
    let log = std::fs::read(home.file("ledger.db-wal")).unwrap();
    ledger.post(common::nth(7), Origin::Served, NOW).await.unwrap();
    let note = std::fs::read(home.file("ledger.db-head")).unwrap();
    let cut = Home::new();
    std::fs::copy(home.path(), cut.path()).unwrap();
    std::fs::write(cut.file("ledger.db-wal"), log).unwrap();
    std::fs::write(cut.file("ledger.db-head"), note).unwrap();

    let lost = |note: &str| Finding::NewestLost { chain: "entry", last: 6, noted: 7, note: note.into() };
    // Reading alone does not take the log in: a writer does.
    let ledger = cut.open();
    assert_eq!(ledger.count().await.unwrap(), 6);
    let kept = cut.file("ledger.db-lost");
    let kept = kept.to_str().unwrap();
    let report = cut.audit();
    assert_eq!(report.findings, [lost(""), lost(kept)]);
    assert!(report.findings[1].to_string().contains("a log was cut"), "{}", report.findings[1]);
    // Another takes the place of what was lost: that is seen too.
    ledger.post(common::nth(8), Origin::Served, NOW).await.unwrap();
    let rewritten = Finding::Rewritten { chain: "entry", row: 7, note: kept.into() };
    assert_eq!(cut.audit().findings, [rewritten]);
    std::fs::remove_file(kept).unwrap();
    assert!(cut.audit().is_clean());
}
