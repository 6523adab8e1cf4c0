//! Before the first use of a stranger: it is asked what it has, since an announcement is only a claim.

use super::{NoAnswer, Search};
use crate::{downstream::Downstream, outcome::Reason};
use futures::{StreamExt, stream::FuturesUnordered};
use std::{iter::once, sync::Arc, time::Duration};

/// So many are asked at once.
const ASKED_AT_ONCE: usize = 4;

/// One that does not say in this time what it has is not used: two round trips to the other side of the
/// world, and a packet lost on the way.
const ASKED_FOR: Duration = Duration::from_secs(3);

impl Search<'_> {
    /// Whether this one announced itself and was not asked yet what it has.
    pub(super) fn must_ask(&self, place: usize) -> bool {
        self.node.prober.must_ask(&self.seats[place].upstream)
    }

    /// Asks the next strangers, `first` among them, all at once. Who is not there, or does not have the
    /// model after all, is not tried.
    pub(super) async fn ask_strangers(
        &mut self,
        down: &mut Downstream,
        first: usize,
    ) -> Result<(), NoAnswer> {
        let others =
            (0..self.seats.len()).filter(|&at| at != first && !self.seats[at].done && self.must_ask(at));
        let places: Vec<usize> = once(first).chain(others).take(ASKED_AT_ONCE).collect();
        let node = self.node;
        let asked = self.until_one_is_good(&places);
        let in_time =
            down.attend(self.wanted.streamed, tokio::time::timeout(ASKED_FOR, asked)).await?.is_ok();
        for place in places {
            let upstream = Arc::clone(&self.seats[place].upstream);
            let inventory = upstream.inventory();
            if node.prober.must_ask(&upstream) {
                // Another was quicker; or it says nothing at all, and is sent nothing.
                if !in_time {
                    let why = "it did not say in time what it has".to_owned();
                    upstream.set_down(why.clone());
                    self.introduced_not(place, Reason::Down(why));
                }
            } else if !inventory.up {
                let why = inventory.trouble.clone().unwrap_or_else(|| "it does not answer".into());
                self.introduced_not(place, Reason::Down(why));
            } else if upstream.serves(self.wanted.asked_for) != Some(true) {
                let why = "it does not have the model that it announced";
                self.introduced_not(place, Reason::Status(404, why.into()));
            }
        }
        Ok(())
    }

    async fn until_one_is_good(&self, places: &[usize]) {
        let ask = |&place: &usize| async move {
            let upstream = &self.seats[place].upstream;
            self.node.prober.ask_once(upstream).await;
            upstream.inventory().up && upstream.serves(self.wanted.asked_for) == Some(true)
        };
        let mut asked: FuturesUnordered<_> = places.iter().map(ask).collect();
        while let Some(good) = asked.next().await {
            if good {
                return;
            }
        }
    }

    fn introduced_not(&mut self, place: usize, reason: Reason) {
        self.node.metrics.attempt("introduced_not");
        self.set_aside(place, reason);
    }
}
