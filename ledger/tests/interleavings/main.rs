//! Whatever happens in whatever order: no more is admitted than is available, every sum is what the
//! exchanges add up to, and the audit agrees.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

#[path = "../common/mod.rs"]
mod common;
mod model;

use model::Model;
use proptest::prelude::*;

/// What one may do. Orders are named by when they were tried.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    /// A requester orders, for so many credits.
    Admit(u8, u64),
    /// An order that runs is answered, for so many parts in 16 of what was reserved.
    Claim(usize, u64),
    Release(usize),
    Resume(usize),
    Ack(usize, bool),
    ForgiveOrder(usize),
    ForgiveSum(u8, u64),
    /// We order of it, it charges so much, and we agree or not.
    Buy(u8, u64, bool),
    NextDay,
    /// The node is closed, what it holds is dropped with it, and it is opened again.
    Restart,
}

/// What became of an order, as the model has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    Runs,
    Released,
    Claimed(u64),
    Disputed(u64),
    Settled(u64),
    Forgiven,
    ForgivenSettled(u64),
}

fn doings() -> impl Strategy<Value = Vec<Do>> {
    let who = 2..6u8;
    let one = prop_oneof![
        6 => (who.clone(), 0..600u64).prop_map(|(who, amount)| Do::Admit(who, amount)),
        6 => (0..60usize, 0..=16u64).prop_map(|(at, part)| Do::Claim(at, part)),
        2 => (0..60usize).prop_map(Do::Release),
        1 => (0..60usize).prop_map(Do::Resume),
        6 => (0..60usize, any::<bool>()).prop_map(|(at, ok)| Do::Ack(at, ok)),
        1 => (0..60usize).prop_map(Do::ForgiveOrder),
        1 => (who.clone(), 0..300u64).prop_map(|(who, amount)| Do::ForgiveSum(who, amount)),
        2 => (who, 0..400u64, any::<bool>()).prop_map(|(who, amount, ok)| Do::Buy(who, amount, ok)),
        1 => Just(Do::NextDay),
        1 => Just(Do::Restart),
    ];
    proptest::collection::vec(one, 1..70)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn sums_are_what_the_exchanges_add_up_to_in_any_order(doings in doings()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new();
            for what in &doings {
                model.apply(what).await;
                model.check(what);
            }
            model.home.assert_sound();
        });
    }
}
