//! After a crash: leases of dead processes.

use super::{
    Tasks,
    open::{COLUMNS, OpenLease, read},
};
use crate::{
    limits::LISTED_MAX,
    step::Step,
    store::{error::StoreError, instance::NOBODY, tx::Tx},
};
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
}
