//! Tables and numbered migrations.
//!
//! A migration is added at the end of [`MIGRATIONS`] and never edited once released. Its number is
//! its place in the list, kept as SQLite's `user_version`.

use crate::{batches, files, lent, tasks};
use rusqlite::{Connection, TransactionBehavior};

/// Marks the file as ours (`LOBW`), so that another program's database is never touched.
const APPLICATION_ID: i64 = 0x4C4F_4257;

/// `turn` counts what was handed out, so that who was served longest ago is known; `jobs` is the turn at
/// which the gateway's jobs were served last.
const STORE: &str = "
PRAGMA application_id = 0x4C4F4257;
CREATE TABLE instance (id INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;
CREATE TABLE clock (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    turn INTEGER NOT NULL,
    jobs INTEGER NOT NULL
) STRICT;
INSERT INTO clock VALUES (1, 0, 0);
";

/// From nothing to the present; each in one transaction.
const MIGRATIONS: &[&[&str]] = &[
    &[STORE, lent::schema::TABLES, files::schema::TABLES, batches::schema::TABLES, tasks::schema::TABLES],
    &[batches::schema::UNHEARD, tasks::schema::UNHEARD],
];

/// One statement, hence one moment: another process may be making the tables right now.
const STATE: &str = "SELECT (SELECT user_version FROM pragma_user_version), \
    (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)";

/// Why a database cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("the work store has version {found}, this program knows {known}")]
    Newer { found: i64, known: i64 },
    #[error("the database is no work store")]
    NotAStore,
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// The version of the database, 0 if it is empty. Refuses what is not ours and what is newer.
pub(crate) fn version(conn: &Connection) -> Result<usize, SchemaError> {
    let (found, application, tables) = conn.query_row(STATE, [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    let empty = found == 0 && application == 0 && tables == 0;
    if !empty && (found < 1 || application != APPLICATION_ID) {
        return Err(SchemaError::NotAStore);
    }
    let known = MIGRATIONS.len();
    let version = usize::try_from(found).ok().filter(|found| *found <= known);
    version.ok_or(SchemaError::Newer { found, known: known as i64 })
}

/// Brings the store to the newest version.
pub(crate) fn migrate(conn: &mut Connection) -> Result<(), SchemaError> {
    while version(conn)? < MIGRATIONS.len() {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Asked again under the lock: another process may have come before us.
        let done = version(&tx)?;
        if let Some(parts) = MIGRATIONS.get(done) {
            parts.iter().try_for_each(|sql| tx.execute_batch(sql))?;
            tx.pragma_update(None, "user_version", done as i64 + 1)?;
        }
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_store_and_another_programs_database_are_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        migrate(&mut conn).unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(version(&conn), Err(SchemaError::Newer { found: 99, known: 2 })));

        let mut theirs = Connection::open_in_memory().unwrap();
        theirs.execute_batch("CREATE TABLE bookmarks (url)").unwrap();
        assert!(matches!(migrate(&mut theirs), Err(SchemaError::NotAStore)));
    }
}
