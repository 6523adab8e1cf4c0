//! What crashes and cut uploads left behind, and files whose time is over.

use crate::store::tx::{Tx, integer};
use protocol::Timestamp;

/// Uploads that will never be files; their bytes are to be removed, and then [`forget`]-ten.
///
/// Part of [`crate::Work::sweep`]; `mine` are the uploads of this process that go on.
pub(crate) fn sweep(
    tx: &Tx<'_>,
    dead: &[i64],
    mine: &[String],
    now: Timestamp,
) -> rusqlite::Result<Vec<String>> {
    const EXPIRED: &str = "UPDATE file SET doomed = 1 \
        WHERE doomed = 0 AND expires_at IS NOT NULL AND expires_at <= ?1";
    const UPLOADS: &str = "SELECT id, instance FROM upload";
    tx.run(EXPIRED, [integer(now.as_millis())])?;
    let uploads = tx.all(UPLOADS, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    let lost = uploads
        .into_iter()
        .filter(|(id, instance)| dead.contains(instance) || (*instance == tx.me() && !mine.contains(id)));
    Ok(lost.map(|(id, _)| id).collect())
}
