//! What was reported as kept is kept: through a kill, beside other processes, on one chain.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{Home, NOW, nth, receipt, trade};
use ledger::{Ledger, Origin};
use protocol::Requester;
use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
};

const CHILD_LEDGER: &str = "LEDGER_TEST_CHILD";

/// This test program again, as another process that runs only `test` on the ledger of `home`.
fn spawn_child(test: &str, home: &Home) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD_LEDGER, home.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Where the ledger is, if this process is such a child.
fn child_ledger() -> Option<PathBuf> {
    std::env::var_os(CHILD_LEDGER).map(PathBuf::from)
}

/// What the child said it has kept: `kept <seq> <n>`, wherever the test harness put it.
fn kept(line: &str) -> Option<(u64, u128)> {
    let mut words = line.split("kept ").nth(1)?.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[test]
fn child_posts_until_it_is_killed() {
    let Some(path) = child_ledger() else { return };
    let ledger = Ledger::open(&path, common::id(1)).unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            let ledger = &ledger;
            scope.spawn(move || {
                for n in (thread..).step_by(4) {
                    let posted = ledger.post_blocking(nth(n), Origin::Served, NOW).unwrap();
                    println!("kept {} {n}", posted.seq());
                }
            });
        }
    });
}

#[test]
fn a_receipt_reported_as_kept_survives_kill_9() {
    let home = Home::new();
    let mut child = spawn_child("child_posts_until_it_is_killed", &home);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut reported: Vec<_> = lines.by_ref().filter_map(|line| kept(&line)).take(60).collect();
    child.kill().unwrap();
    // What it had still written to the pipe was reported too; the last line may be torn.
    let mut rest: Vec<_> = lines.collect();
    rest.pop();
    reported.extend(rest.iter().filter_map(|line| kept(line)));
    child.wait().unwrap();

    let ledger = home.open();
    assert!(reported.len() >= 60);
    let entries = ledger.reader().unwrap().last(usize::MAX).unwrap();
    for (seq, n) in reported {
        let entry = entries.iter().find(|entry| entry.seq == seq).unwrap();
        assert_eq!(entry.signed, nth(n).to_json());
    }
    assert!(home.audit().is_clean());
}

#[test]
fn child_posts_a_hundred() {
    let Some(path) = child_ledger() else { return };
    let ledger = Ledger::open(&path, common::id(1)).unwrap();
    for n in 0..100 {
        ledger.post_blocking(receipt(3, Requester::Anonymous, n, 1), Origin::Imported, NOW).unwrap();
    }
}

#[test]
fn two_processes_share_one_ledger_and_one_chain() {
    let home = Home::new();
    let mut children = [(); 2].map(|()| spawn_child("child_posts_a_hundred", &home));
    let handles = [home.open(), home.open()];
    thread::scope(|scope| {
        for (start, ledger) in (0..).step_by(1000).zip(&handles) {
            scope.spawn(move || {
                for n in start..start + 100 {
                    ledger.post_blocking(nth(n), Origin::Served, NOW).unwrap();
                }
            });
        }
    });
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }

    // Both children posted the same hundred, and each handle a hundred of its own.
    let report = home.audit();
    assert_eq!(report.findings, []);
    assert_eq!((report.entries, report.last), (300, 300));
    assert_eq!(handles[0].reader().unwrap().count().unwrap(), 300);
}

#[test]
fn many_may_make_the_ledger_at_once() {
    for _ in 0..10 {
        let home = Home::new();
        thread::scope(|scope| {
            for n in 0..8 {
                let home = &home;
                scope.spawn(move || home.open().post_blocking(nth(n), Origin::Served, NOW).unwrap());
            }
        });
        assert_eq!(home.audit().entries, 8);
    }
}

#[test]
fn only_its_owner_can_read_the_ledger_and_its_log() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let ledger = home.open();
    ledger.post_blocking(nth(1), Origin::Served, NOW).unwrap();
    let held = trade::order(2, 1, 1, 10);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let held = runtime.block_on(ledger.admit(&held, trade::friend(10), NOW)).unwrap();
    let files = ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db-head", "ledger.db-run-1"];
    let mut beside = home.beside();
    beside.sort_unstable();
    assert_eq!(beside, ["ledger.db", "ledger.db-head", "ledger.db-run-1", "ledger.db-shm", "ledger.db-wal"]);
    for name in files {
        let mode = std::fs::metadata(home.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    drop(held);
}

#[test]
fn a_closed_ledger_is_one_file_and_refuses_in_words() {
    let home = Home::new();
    let ledger = home.open();
    let clone = ledger.clone();
    ledger.post_blocking(nth(1), Origin::Served, NOW).unwrap();
    ledger.close();
    ledger.close();
    assert!(!home.file("ledger.db-wal").exists());
    assert_eq!(
        clone.post_blocking(nth(2), Origin::Served, NOW).unwrap_err().to_string(),
        "the ledger is closed"
    );
    assert_eq!(home.open().reader().unwrap().count().unwrap(), 1);
}

#[test]
fn a_file_that_is_no_ledger_is_refused_and_left_as_it_was() {
    let home = Home::new();
    let jsonl = format!("{}\n", nth(1).to_json());
    std::fs::write(home.path(), &jsonl).unwrap();
    let error = Ledger::open(&home.path(), common::id(1)).err().unwrap();
    assert!(error.to_string().contains("receipts import"), "{error}");
    assert_eq!(std::fs::read_to_string(home.path()).unwrap(), jsonl);

    let missing = home.file("no/such/folder/ledger.db");
    let error = Ledger::open(&missing, common::id(1)).err().unwrap();
    assert!(error.to_string().contains("its folder must exist"), "{error}");
}

#[test]
fn a_newer_ledger_is_refused_with_what_to_do() {
    let home = Home::with_receipts(1);
    home.raw().pragma_update(None, "user_version", 99).unwrap();
    let error = Ledger::open(&home.path(), common::id(1)).err().unwrap();
    assert!(error.to_string().contains("install the newer lobstah"), "{error}");
}
