//! When the disk is flushed, and what becomes of what was dropped when nothing can be written.

use crate::{Ledger, Line, Party, Unwritten, audit::audit, block_on::block_on};
use protocol::{
    Answer, Credits, Keypair, Order, Receipt, Requester, Timestamp, Usage, Verified, receipt::Nonce,
};
use rusqlite::Connection;
use std::{
    path::PathBuf,
    pin::pin,
    sync::mpsc,
    task::{Context, Waker},
    time::Duration,
};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const LINE: Line = Line::Friend { limit: Credits::saturating(1_000) };

fn worker() -> Keypair {
    Keypair::from_seed(&[1; 32])
}

fn requester() -> Keypair {
    Keypair::from_seed(&[2; 32])
}

fn order(n: u8) -> Verified<Order> {
    let order = Order {
        order_id: format!("3f0e6a2e-7c1d-4a51-9c1b-0f6a54c1a0{n:02x}"),
        requester: requester().node_id(),
        worker: worker().node_id(),
        model: "llama3.1:8b".parse().unwrap(),
        body_sha256: [7; 32],
        max_input_tokens: 1,
        max_output_tokens: 1,
        max_credits: Credits::saturating(10),
        created_at: NOW,
        expires_at: NOW,
        answer_by: None,
        model_digest: None,
        price: None,
    };
    Verified::sign(order, &requester()).unwrap()
}

fn answer(order: &Verified<Order>, n: u8) -> Verified<Receipt> {
    let receipt = Receipt {
        job_id: order.order_id.clone(),
        nonce: Nonce([n; 16]),
        requester: Requester::Node(order.requester),
        worker: order.worker,
        model: order.model.clone(),
        usage: Usage { input_tokens: 1, output_tokens: 1 },
        started_at: NOW,
        completed_at: NOW,
        answers: Some(Answer {
            order_sha256: order.signed().sha256(),
            response_sha256: [9; 32],
            response_bytes: None,
            credits: Credits::saturating(10),
            model_digest: None,
            cut: false,
            estimated: false,
            context: None,
        }),
    };
    Verified::sign(receipt, &worker()).unwrap()
}

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn open(&self) -> Ledger {
        Ledger::open(&self.path(), worker().node_id()).unwrap()
    }

    fn reserved(&self, ledger: &Ledger) -> u64 {
        let who = Party::Node(requester().node_id());
        ledger.reader().unwrap().standing(who).unwrap().reserved
    }
}

#[test]
fn an_admission_alone_costs_no_flush() {
    let home = Home::new();
    let ledger = home.open();
    let held: Vec<_> = (0..20).map(|n| block_on(ledger.admit(&order(n), LINE, NOW)).unwrap()).collect();
    let written = ledger.written();
    assert_eq!((written.commits, written.flushes), (20, 0));
    for (n, held) in (0..).zip(held) {
        block_on(ledger.claim(held, answer(&order(n), n), NOW)).unwrap();
    }
    assert_eq!(ledger.written().flushes, 20);
}

#[test]
fn what_waits_together_shares_one_flush() {
    let home = Home::new();
    let ledger = home.open();
    let held = block_on(ledger.admit(&order(0), LINE, NOW)).unwrap();
    let (go_on, hold) = mpsc::channel::<()>();
    ledger.meddle(move |_| {
        let _ = hold.recv();
    });
    let orders: Vec<_> = (1..40).map(order).collect();
    let mut admissions: Vec<_> =
        orders.iter().map(|order| Box::pin(ledger.admit(order, LINE, NOW))).collect();
    let mut claim = pin!(ledger.claim(held, answer(&order(0), 0), NOW));
    let mut context = Context::from_waker(Waker::noop());
    assert!(admissions.iter_mut().all(|admission| admission.as_mut().poll(&mut context).is_pending()));
    assert!(claim.as_mut().poll(&mut context).is_pending());
    let before = ledger.written();
    drop(go_on);
    block_on(claim).unwrap();
    let held: Vec<_> = admissions.into_iter().map(|admission| block_on(admission).unwrap()).collect();
    let after = ledger.written();
    assert_eq!((after.commits - before.commits, after.flushes - before.flushes), (1, 1));
    drop(held);
}

#[test]
fn a_reservation_that_is_dropped_while_nothing_can_be_written_is_given_back_later() {
    let home = Home::new();
    let ledger = home.open();
    let held: Vec<_> = (0..60).map(|n| block_on(ledger.admit(&order(n), LINE, NOW)).unwrap()).collect();
    ledger.meddle(|conn| conn.busy_timeout(Duration::ZERO).unwrap());
    let other = Connection::open(home.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    drop(held);
    assert!(matches!(block_on(ledger.release_orphans(NOW)), Err(Unwritten::Locked(_))));
    assert_eq!(home.reserved(&ledger), 600);
    other.execute_batch("COMMIT").unwrap();
    // Whatever is written next takes it along.
    block_on(ledger.release_orphans(NOW)).unwrap();
    assert_eq!(home.reserved(&ledger), 0);
    ledger.close();
    assert_eq!(audit(&home.path(), |_, _| {}).unwrap().findings, []);
}
