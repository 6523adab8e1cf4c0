//! Before the first use of a stranger: it is asked what it has, since an announcement is only a claim.

use super::{NoAnswer, Search};
use crate::{downstream::Downstream, outcome::Reason};
use futures::future::join_all;
use std::{iter::once, time::Duration};

/// So many are asked at once.
const ASKED_AT_ONCE: usize = 4;

/// One that does not say in this time what it has is used as it announced itself: two round trips to the
/// other side of the world, and a packet lost on the way.
const ASKED_FOR: Duration = Duration::from_secs(3);

impl Search<'_> {
    /// Whether this one announced itself and was not asked yet what it has.
    pub(super) fn must_ask(&self, place: usize) -> bool {
        let seat = &self.seats[place];
        !seat.silent && self.node.prober.must_ask(&seat.upstream)
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
        let asked = places.iter().map(|&place| node.prober.ask_once(&self.seats[place].upstream));
        let asked = tokio::time::timeout(ASKED_FOR, join_all(asked));
        let _ = down.attend(self.wanted.streamed, asked).await?;
        for place in places {
            let upstream = &self.seats[place].upstream;
            let inventory = upstream.inventory();
            if node.prober.must_ask(upstream) {
                self.seats[place].silent = true;
            } else if !inventory.up {
                let why = inventory.trouble.clone().unwrap_or_else(|| "it does not answer".into());
                self.set_aside(place, Reason::Down(why));
            } else if upstream.serves(self.wanted.asked_for) != Some(true) {
                let why = "it does not have the model that it announced";
                self.set_aside(place, Reason::Status(404, why.into()));
            }
        }
        Ok(())
    }
}
