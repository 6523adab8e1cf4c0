//! A batch's row: what changes with each lease, in one read and one write.

use super::lifecycle::{BatchStatus, Counts, Lifecycle, Times};
use crate::{
    store::tx::{Tx, View, damaged, integer, moment, natural},
    tasks::TokenUsage,
};
use protocol::{Credits, Timestamp};
use rusqlite::{Params, named_params};

macro_rules! concat_columns {
    ($where:literal) => {
        concat!(
            "SELECT seq, status, unfinished, total, completed, failed, leased, reserved, spent, max_credits, turn, \
             hedge, input_tokens, cached_tokens, output_tokens, reasoning_tokens, in_progress_at, finalizing_at, \
             completed_at, failed_at, expired_at, cancelling_at, cancelled_at, unheard FROM batch ",
            $where
        )
    };
}
/// What a batch may spend, has spent, and may yet have to pay for what runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) max: Option<Credits>,
    pub(crate) spent: u64,
    pub(crate) reserved: u64,
    /// What closed leases may have cost whose worker was not heard.
    pub(crate) unheard: u64,
}

impl Account {
    /// Reserves for a lease. Refused with what is left where that is less.
    pub(crate) fn reserve(&mut self, credits: Credits) -> Result<(), Credits> {
        match self.left() {
            Some(left) if credits > left => Err(left),
            _ => {
                self.reserved = self.reserved.saturating_add(credits.get());
                Ok(())
            }
        }
    }

    /// What may yet be reserved; `None` without a bound.
    pub(crate) fn left(&self) -> Option<Credits> {
        self.max.map(|max| Credits::saturating(max.get().saturating_sub(self.held())))
    }

    /// What cannot be spent on others.
    fn held(&self) -> u64 {
        self.spent.saturating_add(self.reserved).saturating_add(self.unheard)
    }

    /// A lease is closed, and its worker was not heard.
    pub(crate) fn keep(&mut self, reserved: Credits) {
        self.reserved = self.reserved.saturating_sub(reserved.get());
        self.unheard = self.unheard.saturating_add(reserved.get());
    }

    /// What was kept so is known now.
    pub(crate) fn hear(&mut self, kept: Credits, charged: Credits) {
        self.unheard = self.unheard.saturating_sub(kept.get());
        self.spent = self.spent.saturating_add(charged.get());
    }

    /// A lease is closed.
    pub(crate) fn settle(&mut self, reserved: Credits, charged: Credits) {
        self.reserved = self.reserved.saturating_sub(reserved.get());
        self.spent = self.spent.saturating_add(charged.get());
    }
}

/// The row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) seq: i64,
    pub(crate) life: Lifecycle,
    pub(crate) account: Account,
    pub(crate) turn: i64,
    pub(crate) hedge: bool,
    usage: TokenUsage,
}

impl Row {
    pub(crate) const BY_SEQ: &'static str = concat_columns!("WHERE seq = ?1");
    pub(crate) const BY_ID: &'static str = concat_columns!("WHERE id = ?1");

    /// Adds what an answer took.
    pub(crate) fn count(&mut self, usage: TokenUsage) {
        self.usage.input = self.usage.input.saturating_add(usage.input);
        self.usage.cached = self.usage.cached.saturating_add(usage.cached);
        self.usage.output = self.usage.output.saturating_add(usage.output);
        self.usage.reasoning = self.usage.reasoning.saturating_add(usage.reasoning);
    }
}

/// Reads a batch's row, with one of the queries above.
pub(crate) fn load(view: &View<'_>, sql: &str, key: impl Params) -> rusqlite::Result<Option<Row>> {
    view.one(sql, key, |row| {
        let status = BatchStatus::from_code(row.get(1)?).ok_or_else(|| damaged(1))?;
        let unfinished: Option<String> = row.get(2)?;
        let unfinished = unfinished.map(|text| serde_json::from_str(&text).map_err(|_| damaged(2)));
        let max: Option<i64> = row.get(9)?;
        Ok(Row {
            seq: row.get(0)?,
            life: Lifecycle {
                status,
                unfinished: unfinished.transpose()?,
                counts: Counts {
                    total: natural(row, 3)?,
                    completed: natural(row, 4)?,
                    failed: natural(row, 5)?,
                },
                leased: natural(row, 6)?,
                times: Times {
                    in_progress: moment(row, 16)?,
                    finalizing: moment(row, 17)?,
                    completed: moment(row, 18)?,
                    failed: moment(row, 19)?,
                    expired: moment(row, 20)?,
                    cancelling: moment(row, 21)?,
                    cancelled: moment(row, 22)?,
                },
            },
            account: Account {
                max: max.map(|max| Credits::saturating(max.unsigned_abs())),
                reserved: natural(row, 7)?,
                spent: natural(row, 8)?,
                unheard: natural(row, 23)?,
            },
            turn: row.get(10)?,
            hedge: row.get(11)?,
            usage: TokenUsage {
                input: natural(row, 12)?,
                cached: natural(row, 13)?,
                output: natural(row, 14)?,
                reasoning: natural(row, 15)?,
            },
        })
    })
}

const SAVE: &str = "UPDATE batch SET status = :status, open = :open, ready = :ready, ended = :ended, \
    ended_at = coalesce(ended_at, :ended_at), unfinished = :unfinished, total = :total, completed = :completed, \
    failed = :failed, leased = :leased, reserved = :reserved, spent = :spent, unheard = :unheard, turn = :turn, \
    input_tokens = :input, cached_tokens = :cached, output_tokens = :output, reasoning_tokens = :reasoning, \
    in_progress_at = :in_progress, finalizing_at = :finalizing, completed_at = :completed_at, \
    failed_at = :failed_at, expired_at = :expired, cancelling_at = :cancelling, cancelled_at = :cancelled \
    WHERE seq = :seq";

/// Writes it back.
pub(crate) fn save(tx: &Tx<'_>, row: &Row, now: Timestamp) -> rusqlite::Result<()> {
    let life = &row.life;
    let at = |time: Option<Timestamp>| time.map(|time| integer(time.as_millis()));
    let unfinished = life.unfinished.as_ref().map(|it| serde_json::to_string(it).unwrap_or_default());
    let values = named_params! {
        ":seq": row.seq,
        ":status": life.status.code(),
        ":open": life.takes_leases(),
        ":ready": life.is_ready(),
        ":ended": life.has_ended(),
        ":ended_at": at(life.has_ended().then_some(now)),
        ":unfinished": unfinished,
        ":total": integer(life.counts.total),
        ":completed": integer(life.counts.completed),
        ":failed": integer(life.counts.failed),
        ":leased": integer(life.leased),
        ":reserved": integer(row.account.reserved),
        ":spent": integer(row.account.spent),
        ":unheard": integer(row.account.unheard),
        ":turn": row.turn,
        ":input": integer(row.usage.input),
        ":cached": integer(row.usage.cached),
        ":output": integer(row.usage.output),
        ":reasoning": integer(row.usage.reasoning),
        ":in_progress": at(life.times.in_progress),
        ":finalizing": at(life.times.finalizing),
        ":completed_at": at(life.times.completed),
        ":failed_at": at(life.times.failed),
        ":expired": at(life.times.expired),
        ":cancelling": at(life.times.cancelling),
        ":cancelled": at(life.times.cancelled),
    };
    tx.run(SAVE, values).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_spent_and_reserved_never_exceeds_the_budget(
            max in 0u64..100, steps in prop::collection::vec((0u64..40, 0u64..40, any::<bool>()), 0..30),
        ) {
            let mut account = Account { max: Credits::new(max), ..Account::default() };
            let (mut open, mut unheard) = (Vec::new(), Vec::new());
            for (reserve, charge, is_heard) in steps {
                match account.reserve(Credits::saturating(reserve)) {
                    Ok(()) => open.push(reserve),
                    Err(left) => {
                        prop_assert!(left.get() < reserve);
                        if let Some(kept) = unheard.pop_if(|_| is_heard) {
                            account.hear(Credits::saturating(kept), Credits::saturating(charge.min(kept)));
                        } else if let Some(reserved) = open.pop() {
                            if !is_heard {
                                account.keep(Credits::saturating(reserved));
                                unheard.push(reserved);
                                continue;
                            }
                            let charged = Credits::saturating(charge.min(reserved));
                            account.settle(Credits::saturating(reserved), charged);
                        }
                    }
                }
                prop_assert!(account.held() <= max);
                prop_assert_eq!(account.reserved, open.iter().sum::<u64>());
            }
        }
    }
}
