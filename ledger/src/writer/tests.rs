//! What the writer owes to those who wait, when all goes well and when it does not.

use crate::{
    Ledger, Origin, PostError, Posted, Unwritten, audit::audit, block_on::block_on, limits::BATCH_PARTS_MAX,
};
use protocol::{Keypair, Receipt, Requester, Timestamp, Usage, Verified, receipt::Nonce};
use rusqlite::Connection;
use std::{
    path::PathBuf,
    pin::pin,
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

/// SQLite's, unless told otherwise.
const PAGE: usize = 4096;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

struct Home {
    folder: tempfile::TempDir,
    key: Keypair,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), key: Keypair::from_seed(&[1; 32]) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn open(&self) -> Ledger {
        Ledger::open(&self.path(), self.key.node_id()).unwrap()
    }

    fn nth(&self, n: u128) -> Verified<Receipt> {
        let receipt = Receipt {
            job_id: "3f0e6a2e-7c1d-4a51-9c1b-0f6a54c1a001".into(),
            nonce: Nonce(n.to_be_bytes()),
            requester: Requester::Anonymous,
            worker: self.key.node_id(),
            model: "llama3.1:8b".parse().unwrap(),
            usage: Usage { input_tokens: 1, output_tokens: 2 },
            started_at: NOW,
            completed_at: NOW,
            answers: None,
        };
        Verified::sign(receipt, &self.key).unwrap()
    }

    fn assert_sound(&self, receipts: u64) {
        let report = audit(&self.path(), |_, _| {}).unwrap();
        assert_eq!((report.findings, report.entries), (vec![], receipts));
    }
}

/// Keeps the writing thread from taking the next job until the sender is dropped.
fn hold_up(ledger: &Ledger) -> mpsc::Sender<()> {
    let (go_on, held) = mpsc::channel::<()>();
    ledger.meddle(move |_| {
        let _ = held.recv();
    });
    go_on
}

#[test]
fn group_commit_costs_a_batch_not_a_flush_each() {
    let home = Home::new();
    let ledger = home.open();
    let go_on = hold_up(&ledger);
    let posts: Vec<_> = (0..300).map(|n| Box::pin(ledger.post(home.nth(n), Origin::Served, NOW))).collect();
    let queued = posts.into_iter().map(|mut post| {
        assert!(post.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        post
    });
    let queued: Vec<_> = queued.collect();
    drop(go_on);

    let seqs: Vec<_> = queued.into_iter().map(|post| block_on(post).unwrap().seq()).collect();
    assert_eq!(seqs, (1..=300).collect::<Vec<_>>());
    let written = ledger.written();
    assert_eq!(written.receipts, 300);
    // One, unless the machine is so slow that the batch's time was up in between.
    assert!(written.commits < 30, "{written:?}");
}

#[test]
fn many_at_once_are_a_few_transactions() {
    let home = Home::new();
    let ledger = home.open();
    let receipts: Vec<_> = (0..2 * BATCH_PARTS_MAX as u128 + 1).map(|n| home.nth(n)).collect();
    let outcomes = ledger.post_many_blocking(receipts, Origin::Imported, NOW);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(ledger.written().commits, 3);
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let home = Home::new();
    let ledger = home.open();
    let mut kept = 0;
    let mut post = |n| {
        let outcome = ledger.post_blocking(home.nth(n), Origin::Served, NOW);
        kept += u64::from(outcome.is_ok());
        outcome
    };
    (0..10).for_each(|n| assert!(post(n).is_ok()));

    let set_pages_max = |pages: &'static str| {
        ledger.meddle(move |conn| {
            conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
        });
    };
    set_pages_max("1");
    let refused = (10..100).find_map(|n| post(n).err()).unwrap();
    assert!(matches!(refused, PostError::Unwritten(Unwritten::DiskFull(_))), "{refused:?}");
    assert!(refused.to_string().contains("free some space"));

    // All that waits is told, and the thread lives on.
    let batch = (1000..1064).map(|n| home.nth(n)).collect();
    let outcomes = ledger.post_many_blocking(batch, Origin::Served, NOW);
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Err(PostError::Unwritten(Unwritten::DiskFull(_)))))
    );

    set_pages_max("4294967294");
    assert!((2000..2010).all(|n| post(n).is_ok()));
    assert_eq!(ledger.reader().unwrap().count().unwrap(), kept);
    home.assert_sound(kept);
}

#[test]
fn a_ledger_that_stays_locked_answers_everyone_and_lives_on() {
    let home = Home::new();
    let ledger = home.open();
    ledger.meddle(|conn| conn.busy_timeout(Duration::ZERO).unwrap());
    let other = Connection::open(home.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let posts = [1, 2, 3].map(|n| {
            scope.spawn({
                let (ledger, home) = (&ledger, &home);
                move || ledger.post_blocking(home.nth(n), Origin::Served, NOW)
            })
        });
        for post in posts {
            assert!(matches!(post.join().unwrap(), Err(PostError::Unwritten(Unwritten::Locked(_)))));
        }
    });
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(ledger.post_blocking(home.nth(1), Origin::Served, NOW).unwrap(), Posted::New { seq: 1 });
}

#[test]
fn one_bad_receipt_does_not_refuse_the_others() {
    let home = Home::new();
    let ledger = home.open();
    ledger.meddle(|conn| {
        conn.execute_batch(
            "CREATE TEMP TRIGGER damaged BEFORE INSERT ON main.entry WHEN NEW.nonce = x'00000000000000000000000000000002' \
             BEGIN SELECT RAISE(ABORT, 'poisoned'); END",
        )
        .unwrap();
    });
    let outcomes = ledger.post_many_blocking((1..=3).map(|n| home.nth(n)).collect(), Origin::Served, NOW);
    assert!(matches!(
        outcomes[..],
        [
            Ok(Posted::New { seq: 1 }),
            Err(PostError::Unwritten(Unwritten::Store(_))),
            Ok(Posted::New { seq: 2 })
        ]
    ));
    home.assert_sound(2);
}

#[test]
fn damage_that_one_receipt_meets_does_not_refuse_the_others() {
    let home = Home::new();
    let ledger = home.open();
    ledger.post_many_blocking((0..1000).map(|n| home.nth(n)).collect(), Origin::Served, NOW);
    let root = ledger.reader().unwrap().conn.query_row(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'entry_worker_nonce'",
        [],
        |row| row.get::<_, u32>(0),
    );
    ledger.close();

    // The first child of the index's root: the page of the lowest nonces.
    let mut file = std::fs::read(home.path()).unwrap();
    let root = (root.unwrap() as usize - 1) * PAGE;
    let first_cell = root + usize::from(u16::from_be_bytes([file[root + 12], file[root + 13]]));
    let child = u32::from_be_bytes(file[first_cell..first_cell + 4].try_into().unwrap()) as usize;
    file[(child - 1) * PAGE..child * PAGE].fill(0xA5);
    std::fs::write(home.path(), file).unwrap();

    let ledger = home.open();
    let batch = [5000, 3, 5001].map(|n| home.nth(n)).to_vec();
    let outcomes = ledger.post_many_blocking(batch, Origin::Served, NOW);
    assert!(
        matches!(
            outcomes[..],
            [
                Ok(Posted::New { seq: 1001 }),
                Err(PostError::Unwritten(Unwritten::Store(_))),
                Ok(Posted::New { seq: 1002 })
            ]
        ),
        "{outcomes:?}"
    );
}

#[test]
fn a_full_queue_waits_and_closing_finishes_what_was_queued() {
    let home = Home::new();
    let ledger = home.open();
    let go_on = hold_up(&ledger);
    let jobs = crate::limits::QUEUE_JOBS_MAX as u128 + 5;
    let mut posts: Vec<_> =
        (0..jobs).map(|n| Box::pin(ledger.post(home.nth(n), Origin::Served, NOW))).collect();
    for post in &mut posts {
        assert!(post.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    // Those that found no room are never polled again before the end: closing must not wait for them.
    drop(go_on);
    ledger.close();
    let kept = posts.into_iter().map(|post| block_on(post).is_ok()).filter(|kept| *kept).count() as u64;
    assert!(kept >= crate::limits::QUEUE_JOBS_MAX as u64, "{kept}");
    home.assert_sound(kept);
}

#[test]
fn dropping_the_last_handle_finishes_what_was_queued() {
    let home = Home::new();
    let ledger = home.open();
    {
        let mut post = pin!(ledger.post(home.nth(1), Origin::Served, NOW));
        let polled = post.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending | Poll::Ready(Ok(_))));
    }
    drop(ledger);
    home.assert_sound(1);
}
