//! Tables and numbered migrations.
//!
//! A migration is added at the end of [`MIGRATIONS`] and never edited once released. Its number is
//! its place in the list, kept as SQLite's `user_version`.

mod credit;

use protocol::NodeId;
use rusqlite::{Connection, TransactionBehavior};

/// Marks the file as ours (`LOBS`), so that another program's database is never touched.
const APPLICATION_ID: i64 = 0x4C4F_4253;

/// One step, in a transaction of its own.
#[derive(Clone, Copy)]
pub(crate) struct Migration {
    sql: &'static str,
    /// What follows in code, for the ledger of this node.
    then: Option<fn(&Connection, &NodeId) -> rusqlite::Result<()>>,
}

/// From nothing to the present.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { sql: ENTRIES_AND_ACCOUNTS, then: None },
    Migration { sql: credit::TABLES, then: Some(credit::carry_over) },
];

/// `signed` stands last: queries that do not want it need not read past the short columns.
/// `credits` is what the receipt counts for here: its tokens, or less where they cannot be believed.
/// `requester` and `key` are the 32 bytes of a node, or empty for `anonymous`.
const ENTRIES_AND_ACCOUNTS: &str = "
PRAGMA application_id = 0x4C4F4253;

CREATE TABLE entry (
    seq           INTEGER PRIMARY KEY,
    chain         BLOB    NOT NULL,
    worker        BLOB    NOT NULL,
    requester     BLOB    NOT NULL,
    nonce         BLOB    NOT NULL,
    job_id        TEXT    NOT NULL,
    model         TEXT    NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    started_at    INTEGER NOT NULL,
    completed_at  INTEGER NOT NULL,
    origin        INTEGER NOT NULL,
    posted_at     INTEGER NOT NULL,
    credits       INTEGER NOT NULL,
    signed        TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX entry_worker_nonce ON entry (worker, nonce);

CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry
    BEGIN SELECT RAISE(ABORT, 'an entry of the ledger is never changed'); END;
CREATE TRIGGER entry_is_never_deleted BEFORE DELETE ON entry
    BEGIN SELECT RAISE(ABORT, 'an entry of the ledger is never deleted'); END;

CREATE TABLE account (
    key      BLOB    PRIMARY KEY,
    earned   INTEGER NOT NULL,
    spent    INTEGER NOT NULL,
    receipts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE totals (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    earned   INTEGER NOT NULL,
    spent    INTEGER NOT NULL,
    receipts INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (1, 0, 0, 0);
";

/// One statement, hence one moment: another process may be making the tables right now.
const STATE: &str = "SELECT (SELECT user_version FROM pragma_user_version), \
    (SELECT application_id FROM pragma_application_id), count(*) FROM sqlite_schema";

/// Why a database cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("the ledger has version {found}, this program knows {known}")]
    Newer { found: i64, known: i64 },
    #[error("the database is not a ledger")]
    NotALedger,
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// The version of the database, 0 if it is empty. Refuses what is not ours and what is newer.
pub(crate) fn version(conn: &Connection, migrations: &[Migration]) -> Result<usize, SchemaError> {
    let (found, application, tables) = conn.query_row(STATE, [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    let empty = found == 0 && application == 0 && tables == 0;
    if !empty && (found < 1 || application != APPLICATION_ID) {
        return Err(SchemaError::NotALedger);
    }
    let known = migrations.len();
    usize::try_from(found)
        .ok()
        .filter(|found| *found <= known)
        .ok_or(SchemaError::Newer { found, known: known as i64 })
}

/// Brings the ledger of the node `me` to the newest version, each step in a transaction of its own.
pub(crate) fn migrate(
    conn: &mut Connection,
    migrations: &[Migration],
    me: &NodeId,
) -> Result<(), SchemaError> {
    while version(conn, migrations)? < migrations.len() {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Asked again under the lock: another process may have come before us.
        let done = version(&tx, migrations)?;
        if let Some(migration) = migrations.get(done) {
            tx.execute_batch(migration.sql)?;
            migration.then.map_or(Ok(()), |then| then(&tx, me))?;
            tx.pragma_update(None, "user_version", done as i64 + 1)?;
        }
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDS_A_NOTE: Migration =
        Migration { sql: "ALTER TABLE account ADD COLUMN note TEXT NOT NULL DEFAULT 'none'", then: None };
    const BREAKS: Migration = Migration { sql: "CREATE TABLE half (a); CREATE TABLE entry (b);", then: None };
    const ME: NodeId = NodeId::from_bytes([1; 32]);

    fn opened() -> Connection {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, MIGRATIONS, &ME).unwrap();
        conn
    }

    #[test]
    fn an_older_ledger_is_migrated_and_keeps_its_rows() {
        let mut conn = opened();
        conn.execute("INSERT INTO account VALUES (x'01', 5, 6, 7)", []).unwrap();

        let newer = [MIGRATIONS, &[ADDS_A_NOTE]].concat();
        migrate(&mut conn, &newer, &ME).unwrap();

        let row: (i64, String) =
            conn.query_row("SELECT spent, note FROM account", [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
        assert_eq!(row, (6, "none".to_owned()));
        assert_eq!(version(&conn, &newer).unwrap(), newer.len());
    }

    #[test]
    fn a_migration_that_fails_halfway_changes_nothing() {
        let mut conn = opened();
        let broken = [MIGRATIONS, &[BREAKS]].concat();
        assert!(migrate(&mut conn, &broken, &ME).is_err());
        assert_eq!(version(&conn, &broken).unwrap(), MIGRATIONS.len());
        assert!(
            conn.query_row("SELECT * FROM half", [], |_| Ok(())).unwrap_err().to_string().contains("no such")
        );
    }

    #[test]
    fn a_newer_ledger_and_another_programs_database_are_refused() {
        let conn = opened();
        conn.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(version(&conn, MIGRATIONS), Err(SchemaError::Newer { found: 99, known: 2 })));

        let mut theirs = Connection::open_in_memory().unwrap();
        theirs.execute_batch("CREATE TABLE bookmarks (url)").unwrap();
        assert!(matches!(migrate(&mut theirs, MIGRATIONS, &ME), Err(SchemaError::NotALedger)));
    }

    #[test]
    fn an_entry_and_a_row_of_the_journal_can_be_neither_changed_nor_deleted() {
        let conn = opened();
        let entry = "INSERT INTO entry VALUES (1, x'', x'01', x'', x'02', '', '', 1, 1, 1, 1, 0, 1, 2, '')";
        conn.execute(entry, []).unwrap();
        assert!(conn.execute("UPDATE entry SET model = 'other'", []).is_err());
        assert!(conn.execute("DELETE FROM entry", []).is_err());
        conn.execute("INSERT INTO journal VALUES (1, x'', 1, 1, x'01', 0, 0, 1, 0, 0, 0, '')", []).unwrap();
        assert!(conn.execute("UPDATE journal SET credits = 7", []).is_err());
        assert!(conn.execute("DELETE FROM journal", []).is_err());
    }

    #[test]
    fn what_was_owed_before_there_was_a_journal_is_carried_over() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, &MIGRATIONS[..1], &ME).unwrap();
        let mine = format!("x'{}'", hex::encode(ME.as_bytes()));
        let worker = format!("x'{}'", "22".repeat(32));
        let rows = [
            format!("(1, x'', {worker}, {mine}, x'01', '', '', 1, 1, 1, 1, 1, 10, 5, '')"),
            format!("(2, x'', {worker}, x'', x'02', '', '', 1, 1, 1, 1, 1, 11, 6, '')"),
            format!("(3, x'', {mine}, {worker}, x'03', '', '', 1, 1, 1, 1, 0, 12, 7, '')"),
            format!("(4, x'', {worker}, {mine}, x'04', '', '', 1, 1, 1, 1, 2, 13, 8, '')"),
            format!("(5, x'', {worker}, {mine}, x'05', '', '', 1, 1, 1, 1, 1, 14, 9, '')"),
        ];
        conn.execute_batch(&format!("INSERT INTO entry VALUES {}", rows.join(","))).unwrap();
        migrate(&mut conn, MIGRATIONS, &ME).unwrap();

        let spent: i64 = conn.query_row("SELECT spent FROM standing", [], |row| row.get(0)).unwrap();
        assert_eq!(spent, 5 + 9);
        let owed: String = conn
            .query_row("SELECT group_concat(entry || ':' || credits) FROM journal", [], |row| row.get(0))
            .unwrap();
        assert_eq!(owed, "1:5,5:9");
    }
}
