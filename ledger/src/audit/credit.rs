//! What the ledger says of credit, and whether the journal says the same.

use super::{AuditReport, Finding, each_row};
use crate::{
    append::sums,
    column::natural,
    party::Party,
    standing::{Drawn, Pool, Standings},
};
use rusqlite::Connection;

/// Read at one moment.
pub(super) struct KeptCredit {
    /// The journal's last row.
    pub(super) last: i64,
    exchanges: Option<u64>,
    standings: Option<Standings>,
}

impl KeptCredit {
    /// `None` of a ledger that has no journal yet.
    pub(super) fn read(conn: &Connection, report: &mut AuditReport) -> Option<Self> {
        let has_journal = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'journal')";
        if !conn.query_row(has_journal, [], |row| row.get(0)).unwrap_or(false) {
            return None;
        }
        let last = conn.query_row("SELECT max(seq) FROM journal", [], |row| row.get::<_, Option<i64>>(0));
        // Not readable: then up to wherever the scan gets.
        let last = last.map_or(i64::MAX, Option::unwrap_or_default);
        let exchanges = conn.query_row("SELECT count(*) FROM exchange", [], |row| natural(row, 0));
        let exchanges = exchanges.map_err(|error| report.add(Finding::credit_unreadable(error))).ok();
        let standings = kept_standings(conn, report);
        let standings = standings.map_err(|error| report.add(Finding::credit_unreadable(error))).ok();
        Some(Self { last, exchanges, standings })
    }

    pub(super) fn compare(&self, replayed: &(Standings, u64), report: &mut AuditReport) {
        let (replayed, begun) = replayed;
        if let Some(kept) = self.exchanges.filter(|kept| kept != begun) {
            report.add(Finding::ExchangesDiffer { kept, replayed: *begun });
        }
        let Some(kept) = &self.standings else { return };
        let unkept = replayed.of.keys().filter(|who| !kept.of.contains_key(who));
        for who in kept.of.keys().chain(unkept) {
            let [kept, replayed] = [kept, replayed].map(|all| all.of.get(who).copied().unwrap_or_default());
            for ((sum, kept), (_, replayed)) in kept.named().into_iter().zip(replayed.named()) {
                if kept != replayed {
                    let party = who.to_string();
                    report.add(Finding::StandingDiffers { party, sum, kept, replayed });
                }
            }
        }
        let undrawn = replayed.pools.keys().filter(|pool| !kept.pools.contains_key(pool));
        for key in kept.pools.keys().chain(undrawn) {
            let [kept, replayed] =
                [kept, replayed].map(|all| all.pools.get(key).copied().unwrap_or_default());
            if kept != replayed {
                let (pool, day) = *key;
                report.add(Finding::PoolDiffers { pool, day, kept, replayed });
            }
        }
    }
}

fn kept_standings(conn: &Connection, report: &mut AuditReport) -> rusqlite::Result<Standings> {
    let mut kept = Standings::default();
    each_row(conn, &format!("SELECT {}, who FROM standing", sums::COLUMNS), |row| {
        let who = row.get_ref(15)?.as_bytes().unwrap_or_default();
        match (Party::from_bytes(who), sums::from_row(row)) {
            (Some(who), Ok(standing)) => {
                kept.of.insert(who, standing);
            }
            _ => report.add(Finding::AccountUnreadable { key: hex::encode(who) }),
        }
        Ok(())
    })?;
    each_row(conn, "SELECT kind, day, credits, requests FROM pool", |row| {
        let pool = row.get(0).ok().and_then(Pool::from_code);
        match (pool, natural(row, 1), natural(row, 2), natural(row, 3)) {
            (Some(pool), Ok(day), Ok(credits), Ok(requests)) => {
                kept.pools.insert((pool, day), Drawn { credits, requests });
            }
            _ => report.add(Finding::credit_unreadable("a pool's row makes no sense")),
        }
        Ok(())
    })?;
    Ok(kept)
}
