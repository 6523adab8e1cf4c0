//! What the tests share: keys, receipts, a ledger in a folder of its own.
#![allow(clippy::unwrap_used, dead_code, reason = "each test uses a part of it")]

pub(crate) mod busy;
pub(crate) mod trade;

use ledger::{Ledger, Origin, Party, Standing, audit, audit::AuditReport};
use protocol::{Keypair, NodeId, Receipt, Requester, Timestamp, Usage, Verified, receipt::Nonce};
use std::path::{Path, PathBuf};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// The node whose number this is.
pub(crate) fn key(number: u8) -> Keypair {
    Keypair::from_seed(&[number; 32])
}

pub(crate) fn id(number: u8) -> NodeId {
    key(number).node_id()
}

pub(crate) fn node(number: u8) -> Requester {
    Requester::Node(id(number))
}

/// A receipt of worker `worker`, the `nonce`th of its kind.
pub(crate) fn receipt(worker: u8, requester: Requester, nonce: u128, tokens: u64) -> Verified<Receipt> {
    let receipt = Receipt {
        job_id: "3f0e6a2e-7c1d-4a51-9c1b-0f6a54c1a001".into(),
        nonce: Nonce(nonce.to_be_bytes()),
        requester,
        worker: id(worker),
        model: "llama3.1:8b".parse().unwrap(),
        usage: Usage { input_tokens: tokens, output_tokens: 10 },
        started_at: Timestamp::from_millis(1_789_999_958_750),
        completed_at: NOW,
        answers: None,
    };
    Verified::sign(receipt, &key(worker)).unwrap()
}

/// The `n`th receipt that node 1 signs for node 2.
pub(crate) fn nth(n: u128) -> Verified<Receipt> {
    receipt(1, node(2), n, n as u64)
}

/// A folder that is gone after the test.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The names of what is in the folder.
    pub(crate) fn beside(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The ledger of node 1.
    pub(crate) fn open(&self) -> Ledger {
        Ledger::open(&self.path(), id(1)).unwrap()
    }

    /// A closed ledger with the receipts 1 to `count`.
    pub(crate) fn with_receipts(count: u128) -> Self {
        let home = Self::new();
        let receipts = (1..=count).map(nth).collect();
        let outcomes = home.open().post_many_blocking(receipts, Origin::Served, NOW);
        assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().is_new()));
        home
    }

    /// A connection that nothing holds back, to do damage.
    pub(crate) fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    /// How node 1 stands with a node.
    pub(crate) fn standing(&self, with: u8) -> Standing {
        ledger::Reader::open(&self.path()).unwrap().standing(Party::Node(id(with))).unwrap()
    }

    /// Waits until nothing of a node runs here any more: what was dropped is released by the writer when
    /// it gets to it.
    pub(crate) fn wait_until_idle(&self, with: u8) {
        const TRIES_MAX: u32 = 100_000;
        let idle = (0..TRIES_MAX).any(|_| {
            std::thread::yield_now();
            self.standing(with).open_orders == 0
        });
        assert!(idle, "still reserved: {:?}", self.standing(with));
    }

    pub(crate) fn assert_sound(&self) {
        let report = self.audit();
        assert_eq!(report.findings, []);
    }

    pub(crate) fn audit(&self) -> AuditReport {
        audited(&self.path())
    }
}

pub(crate) fn audited(path: &Path) -> AuditReport {
    audit::audit(path, |_, _| {}).unwrap()
}
