//! What exchanges cost, in whole credits (SPEC section 4).

use crate::{Price, Usage, limits::INTEGER_MAX};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// A price counts for so many tokens.
const TOKENS_PRICED: u128 = 1000;

/// An amount of credits.
///
/// **Invariant:** at most [`Credits::MAX`], so that every JSON implementation keeps it exact and
/// SQLite's signed integers hold it. Sums are checked where a wrong one would book a wrong debt;
/// what saturates says so in its name, and its reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Credits(u64);

impl Credits {
    /// None.
    pub const ZERO: Credits = Credits(0);
    /// 2^53 - 1, the most that the wire carries.
    pub const MAX: Credits = Credits(INTEGER_MAX);

    /// `None` beyond [`Credits::MAX`].
    pub const fn new(amount: u64) -> Option<Self> {
        if amount <= INTEGER_MAX { Some(Self(amount)) } else { None }
    }

    /// [`Credits::MAX`] beyond it: for limits, of which too much is as good as endless.
    pub const fn saturating(amount: u64) -> Self {
        if amount <= INTEGER_MAX { Self(amount) } else { Self::MAX }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum; `None` beyond [`Credits::MAX`].
    pub const fn checked_add(self, other: Credits) -> Option<Self> {
        // Two amounts below 2^53 are far from the end of a u64.
        Self::new(self.0 + other.0)
    }

    /// The difference; `None` below zero.
    pub const fn checked_sub(self, other: Credits) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(amount) => Some(Self(amount)),
            None => None,
        }
    }

    /// What is left after `other`; nothing if that is more.
    pub const fn saturating_sub(self, other: Credits) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Credits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amount = u64::deserialize(deserializer)?;
        Self::new(amount).ok_or_else(|| serde::de::Error::custom("more credits than 2^53 - 1"))
    }
}

impl Price {
    /// Of a model that its owner gave no price: one token is one credit.
    pub const COMMON: Price = Price { input: 1000, output: 1000 };

    /// `ceil((input tokens · input price + output tokens · output price) / 1000)`.
    ///
    /// Saturates at [`Credits::MAX`]: a sum beyond it is beyond every order's `maxCredits` too, and
    /// no more than that is ever charged.
    pub fn charge(self, usage: Usage) -> Credits {
        let thousandths =
            product(usage.input_tokens, self.input).saturating_add(product(usage.output_tokens, self.output));
        Credits::saturating(thousandths.div_ceil(TOKENS_PRICED).try_into().unwrap_or(u64::MAX))
    }

    /// The most output tokens that `budget` pays for besides `input_tokens`; `None` if the input
    /// alone costs more. A price of 0 buys as many as there are.
    pub fn output_within(self, budget: Credits, input_tokens: u64) -> Option<u64> {
        let whole = u128::from(budget.get()) * TOKENS_PRICED;
        let left = whole.checked_sub(product(input_tokens, self.input))?;
        match left.checked_div(u128::from(self.output)) {
            Some(tokens) => Some(tokens.try_into().unwrap_or(u64::MAX)),
            None => Some(u64::MAX),
        }
    }
}

/// Exact: two factors below 2^64.
fn product(tokens: u64, price: u64) -> u128 {
    u128::from(tokens) * u128::from(price)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `a·b + c·d`, digit by digit in base 10, least first: another way to the same number.
    fn by_hand(factors: [(u64, u64); 2]) -> Vec<u8> {
        let mut columns = [0u64; 48];
        for (a, b) in factors {
            for (i, x) in digits(a.into()).into_iter().enumerate() {
                for (j, y) in digits(b.into()).into_iter().enumerate() {
                    columns[i + j] += u64::from(x * y);
                }
            }
        }
        let mut carry = 0;
        columns
            .map(|column| {
                let sum = column + carry;
                carry = sum / 10;
                (sum % 10) as u8
            })
            .to_vec()
    }

    fn digits(mut number: u128) -> Vec<u8> {
        let mut digits = Vec::new();
        while number > 0 {
            digits.push((number % 10) as u8);
            number /= 10;
        }
        digits
    }

    /// Rounded up to whole credits: three digits less, one more if any of them was not zero.
    fn ceiling(thousandths: &[u8]) -> u128 {
        let whole = thousandths[3..].iter().rev().fold(0, |sum, &digit| sum * 10 + u128::from(digit));
        whole + u128::from(thousandths[..3].iter().any(|&digit| digit > 0))
    }

    proptest! {
        #[test]
        fn a_charge_is_what_one_gets_by_hand(input: u64, output: u64, p_in: u64, p_out: u64, shift in 0u32..64) {
            let usage = Usage { input_tokens: input >> shift, output_tokens: output >> shift };
            let price = Price { input: p_in >> (63 - shift), output: p_out >> (shift / 2) };
            let due = ceiling(&by_hand([(usage.input_tokens, price.input), (usage.output_tokens, price.output)]));
            prop_assert_eq!(u128::from(price.charge(usage).get()), due.min(u128::from(INTEGER_MAX)));
        }

        #[test]
        fn what_a_budget_buys_costs_no_more_and_one_token_more_does(
            budget in 0..=INTEGER_MAX, input in 0u64..1 << 40, p_in in 0u64..1 << 20, p_out in 1u64..1 << 20,
        ) {
            let (price, budget) = (Price { input: p_in, output: p_out }, Credits::saturating(budget));
            let cost = |output_tokens| price.charge(Usage { input_tokens: input, output_tokens });
            match price.output_within(budget, input) {
                Some(tokens) => {
                    prop_assert!(cost(tokens) <= budget);
                    prop_assert!(budget == Credits::MAX || cost(tokens + 1) > budget);
                }
                None => prop_assert!(budget == Credits::MAX || cost(0) > budget),
            }
        }

        #[test]
        fn sums_are_right_or_absent(a in 0..=INTEGER_MAX, b in 0..=INTEGER_MAX) {
            let (x, y) = (Credits::saturating(a), Credits::saturating(b));
            prop_assert_eq!(x.checked_add(y).map(Credits::get), Some(a + b).filter(|&sum| sum <= INTEGER_MAX));
            prop_assert_eq!(x.checked_sub(y).map(Credits::get), a.checked_sub(b));
            prop_assert_eq!(x.saturating_sub(y).get(), a.saturating_sub(b));
        }
    }

    #[test]
    fn at_the_common_price_a_token_is_a_credit() {
        let usage = Usage { input_tokens: 812, output_tokens: 344 };
        assert_eq!(Price::COMMON.charge(usage).get(), usage.total());
        let dear = Price { input: 1, output: 0 };
        assert_eq!(dear.charge(Usage { input_tokens: 1, output_tokens: 9 }).get(), 1, "rounded up");
        assert_eq!(dear.charge(Usage::default()), Credits::ZERO);
    }

    #[test]
    fn the_largest_numbers_saturate() {
        let all = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX };
        assert_eq!(Price { input: u64::MAX, output: u64::MAX }.charge(all), Credits::MAX);
        assert_eq!(Price { input: u64::MAX, output: 1 }.output_within(Credits::MAX, u64::MAX), None);
        assert_eq!(Price { input: 0, output: 0 }.output_within(Credits::ZERO, u64::MAX), Some(u64::MAX));
        assert_eq!(Credits::new(INTEGER_MAX + 1), None);
        assert_eq!(Credits::MAX.checked_add(Credits::saturating(1)), None);
    }

    #[test]
    fn too_many_are_not_read() {
        assert_eq!(serde_json::from_str::<Credits>("7").unwrap(), Credits::saturating(7));
        assert!(serde_json::from_str::<Credits>("9007199254740992").is_err());
    }
}
