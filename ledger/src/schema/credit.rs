//! Migration 2: orders, reservations, claims, acknowledgements, payments.

use crate::{
    append::{GENESIS, sums},
    column::natural,
    journal::{self, Kind, Step},
    standing::Standings,
};
use protocol::{NodeId, Timestamp};
use rusqlite::Connection;

/// `journal` is kept for good and chained, all the rest follows from it (but for who waits for what:
/// `owner`, `due`, `outbox`, `courier`, `instance`, which move no credit).
///
/// `who` is a party's bytes. `exchange.seq` is the journal's row that began the exchange, `ack` the one
/// that holds its acknowledgement, `changed` the last that changed it. Indexes of orders are unique, so
/// that no order is taken twice; those of what is open hold only that. Orders of ours (side 1) are found by
/// their ids, which grow with time; a hash stands anywhere in an index, and each would cost a page.
pub(super) const TABLES: &str = "
CREATE TABLE journal (
    seq      INTEGER PRIMARY KEY,
    chain    BLOB    NOT NULL,
    kind     INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    who      BLOB    NOT NULL,
    about    INTEGER NOT NULL,
    entry    INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    credits  INTEGER NOT NULL,
    pool     INTEGER NOT NULL,
    day      INTEGER NOT NULL,
    signed   TEXT    NOT NULL
) STRICT;
CREATE TRIGGER journal_is_never_changed BEFORE UPDATE ON journal
    BEGIN SELECT RAISE(ABORT, 'a row of the journal is never changed'); END;
CREATE TRIGGER journal_is_never_deleted BEFORE DELETE ON journal
    BEGIN SELECT RAISE(ABORT, 'a row of the journal is never deleted'); END;

CREATE TABLE exchange (
    seq          INTEGER PRIMARY KEY,
    side         INTEGER NOT NULL,
    who          BLOB    NOT NULL,
    order_id     BLOB,
    order_sha256 BLOB,
    phase        INTEGER NOT NULL,
    reserved     INTEGER NOT NULL,
    pool         INTEGER NOT NULL,
    day          INTEGER NOT NULL,
    credits      INTEGER NOT NULL,
    entry        INTEGER NOT NULL,
    ack          INTEGER NOT NULL,
    changed      INTEGER NOT NULL,
    owner        INTEGER NOT NULL,
    due          INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX exchange_order ON exchange (order_id, who, side);
CREATE UNIQUE INDEX exchange_order_sha256 ON exchange (order_sha256, side) WHERE side <> 1;
CREATE INDEX exchange_entry ON exchange (entry, side) WHERE entry > 0;
CREATE INDEX exchange_running ON exchange (owner) WHERE phase = 0 AND side = 0;
CREATE INDEX exchange_awaited ON exchange (due) WHERE phase = 0 AND side = 1;

CREATE TABLE standing (
    who            BLOB    PRIMARY KEY,
    open_orders    INTEGER NOT NULL,
    reserved       INTEGER NOT NULL,
    claims         INTEGER NOT NULL,
    claimed        INTEGER NOT NULL,
    disputed       INTEGER NOT NULL,
    settled_orders INTEGER NOT NULL,
    earned         INTEGER NOT NULL,
    awaited_orders INTEGER NOT NULL,
    ordered        INTEGER NOT NULL,
    spent          INTEGER NOT NULL,
    refused        INTEGER NOT NULL,
    paid_to_me     INTEGER NOT NULL,
    paid_by_me     INTEGER NOT NULL,
    blocked        INTEGER NOT NULL,
    lent           INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE pool (
    kind     INTEGER NOT NULL,
    day      INTEGER NOT NULL,
    credits  INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    PRIMARY KEY (kind, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE payment (
    id   BLOB    PRIMARY KEY,
    seq  INTEGER NOT NULL,
    mine INTEGER NOT NULL,
    done INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY,
    who BLOB    NOT NULL
) STRICT;
CREATE INDEX outbox_who ON outbox (who);
CREATE TABLE courier (
    who   BLOB    PRIMARY KEY,
    due   INTEGER NOT NULL,
    tries INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX courier_due ON courier (due);

CREATE TABLE instance (id INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;
";

const OWED_BEFORE: &str =
    "SELECT seq, worker, posted_at, credits FROM entry WHERE origin = 1 AND requester = ?1 ORDER BY seq";
/// What we owed before there was a journal: each version 1 receipt for a request of ours gets its row.
pub(super) fn carry_over(conn: &Connection, me: &NodeId) -> rusqlite::Result<()> {
    let mut standings = Standings::default();
    let mut owed = conn.prepare(OWED_BEFORE)?;
    let mut rows = owed.query([me.as_bytes()])?;
    let (mut seq, mut chain) = (0, GENESIS);
    while let Some(row) = rows.next()? {
        let (entry, credits) = (natural(row, 0)?, natural(row, 3)?);
        let at = Timestamp::from_millis(natural(row, 2)?);
        let step = Step { entry, credits, ..Step::new(Kind::Owed, at, row.get(1)?) };
        chain = journal::link(&chain, step.numbers(), &step.who.to_bytes(), b"");
        seq += 1;
        journal::insert(conn, seq, &chain, &step)?;
        standings.apply(&step);
    }
    standings.of.iter().try_for_each(|(who, standing)| sums::store(conn, *who, standing))
}

#[cfg(test)]
mod tests {
    use crate::{
        Ledger, OpenError, Origin, Party, Reader,
        append::{GENESIS, Ours, link},
        audit::audit,
        schema::{MIGRATIONS, migrate},
    };
    use protocol::{Keypair, Receipt, Requester, Timestamp, Usage, Verified, receipt::Nonce};
    use rusqlite::{Connection, params};
    use std::path::Path;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    /// A ledger as the version before orders left it: two receipts that `worker` gave us.
    fn older(path: &Path, me: &Keypair, worker: &Keypair) {
        let mut conn = Connection::open(path).unwrap();
        migrate(&mut conn, &MIGRATIONS[..1], &me.node_id()).unwrap();
        let mut chain = GENESIS;
        for n in 1..=2u8 {
            let receipt = Receipt {
                job_id: "3f0e6a2e-7c1d-4a51-9c1b-0f6a54c1a001".into(),
                nonce: Nonce([n; 16]),
                requester: Requester::Node(me.node_id()),
                worker: worker.node_id(),
                model: "llama3.1:8b".parse().unwrap(),
                usage: Usage { input_tokens: 10, output_tokens: n.into() },
                started_at: NOW,
                completed_at: NOW,
                answers: None,
            };
            let receipt = Verified::sign(receipt, worker).unwrap();
            let (json, credits, at) = (receipt.to_json(), receipt.usage.total(), NOW.as_millis());
            let ours = Ours { origin: Origin::Received.code(), posted_at: at, credits };
            chain = link(&chain, ours, json.as_bytes());
            let insert = "INSERT INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'llama3.1:8b', 10, ?1, ?7, ?7, 1, ?7, ?8, ?9)";
            let (from, to, nonce) = (worker.node_id(), me.node_id(), receipt.nonce.0);
            let job = &receipt.job_id;
            let row = params![
                n,
                chain,
                from.as_bytes(),
                to.as_bytes(),
                nonce,
                job,
                at as i64,
                credits as i64,
                json
            ];
            conn.execute(insert, row).unwrap();
        }
        let accounts = "INSERT INTO account VALUES (?1, 23, 0, 2), (?2, 0, 23, 2)";
        conn.execute(accounts, params![worker.node_id().as_bytes(), me.node_id().as_bytes()]).unwrap();
        conn.execute("UPDATE totals SET earned = 23, spent = 23, receipts = 2", []).unwrap();
    }

    #[test]
    fn a_ledger_from_before_there_were_orders_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let [me, worker] = [1, 2].map(|n| Keypair::from_seed(&[n; 32]));
        older(&path, &me, &worker);
        assert_eq!(audit(&path, |_, _| {}).unwrap().findings, [], "as it is");
        assert!(matches!(Reader::open(&path), Err(OpenError::Older { .. })));

        let ledger = Ledger::open(&path, me.node_id()).unwrap();
        let reader = ledger.reader().unwrap();
        assert_eq!(reader.count().unwrap(), 2);
        assert_eq!(reader.standing(Party::Node(worker.node_id())).unwrap().owed_by_me(), 23);
        let report = audit(&path, |_, _| {}).unwrap();
        assert_eq!((report.findings, report.entries, report.rows), (vec![], 2, 2));
    }
}
