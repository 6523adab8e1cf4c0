//! After a crash: leases of dead processes, and leases that nobody answered in time.

use super::{
    Closed, Tasks,
    close::close,
    open::{COLUMNS, OpenLease, read},
    verdict::{Charge, Verdict},
};
use crate::{
    limits::{LISTED_MAX, ROWS_AT_ONCE},
    step::Step,
    store::{
        error::StoreError,
        instance::NOBODY,
        tx::{Tx, integer},
    },
};
use protocol::Timestamp;
use rusqlite::params;

impl Tasks<'_> {
    /// Takes over the leases of dead processes that have an order: ask each worker for its answer by the
    /// order's id, and close the lease with it. [`crate::Work::sweep`] finds out who is dead. At most
    /// [`LISTED_MAX`] at once.
    pub async fn adopt(self) -> Result<Vec<OpenLease>, StoreError> {
        let adopt = move |tx: &Tx<'_>| {
            const TAKE: &str = "UPDATE lease SET instance = ?1 WHERE id = ?2";
            let sql = format!("SELECT {COLUMNS} FROM lease WHERE instance = ?1 ORDER BY id LIMIT ?2");
            let orphans = tx.all(&sql, params![NOBODY, LISTED_MAX as i64], read)?;
            orphans.iter().try_for_each(|lease| tx.run(TAKE, [tx.me(), lease.id.0]).map(|_| ()))?;
            Ok(Ok(orphans))
        };
        self.work.write(Step::Swept, adopt).await
    }

    /// Closes leases whose order wants no answer any more: their tasks wait again, and nobody owes. At
    /// most [`ROWS_AT_ONCE`] at once.
    pub async fn lapse(self, now: Timestamp) -> Result<Vec<(OpenLease, Closed)>, StoreError> {
        let lapse = move |tx: &Tx<'_>| {
            let sql = format!(
                "SELECT {COLUMNS} FROM lease WHERE answer_by IS NOT NULL AND answer_by <= ?1 \
                 ORDER BY answer_by LIMIT ?2"
            );
            let due = tx.all(&sql, params![integer(now.as_millis()), ROWS_AT_ONCE as i64], read)?;
            let lapsed = due.into_iter().map(|lease| {
                let verdict = Verdict::Retry { not_before: now, error: "no answer in time".to_owned() };
                let closed = close(tx, &lease, &verdict, Charge::default(), now)?;
                Ok((lease, closed))
            });
            lapsed.collect::<rusqlite::Result<Vec<_>>>().map(Ok)
        };
        self.work.write(Step::LeaseClosed, lapse).await
    }
}
