//! Members of a JSON object, read strictly: what is wrong is named.

use crate::{Credits, Rejected, Timestamp, limits::INTEGER_MAX};
use serde_json::Value;
use std::fmt;

/// Reads members of an object, naming the one that is wrong.
pub(crate) struct Fields<'v>(pub(crate) &'v Value);

impl<'v> Fields<'v> {
    pub(crate) fn text(&self, name: &str) -> Result<&'v str, Rejected> {
        let text = self.0.get(name).and_then(Value::as_str);
        text.ok_or_else(|| Rejected::malformed(format!("`{name}` is not a text")))
    }

    pub(crate) fn integer(&self, name: &str) -> Result<u64, Rejected> {
        let number = self.0.get(name).and_then(whole_number);
        number.ok_or_else(|| Rejected::malformed(format!("`{name}` is not an integer from 0 to 2^53 - 1")))
    }

    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<T, Rejected>
    where
        T::Err: fmt::Display,
    {
        self.text(name)?.parse().map_err(|e| Rejected::malformed(format!("`{name}`: {e}")))
    }

    pub(crate) fn time(&self, name: &str) -> Result<Timestamp, Rejected> {
        self.integer(name).map(Timestamp::from_millis)
    }

    pub(crate) fn credits(&self, name: &str) -> Result<Credits, Rejected> {
        self.integer(name).map(Credits::saturating)
    }

    /// Text of 8-4-4-4-12 hex digits.
    pub(crate) fn uuid(&self, name: &str) -> Result<String, Rejected> {
        let text = self.text(name)?;
        let shape = text.len() == 36
            && text.bytes().enumerate().all(|(at, b)| match at {
                8 | 13 | 18 | 23 => b == b'-',
                _ => b.is_ascii_hexdigit(),
            });
        shape.then(|| text.to_owned()).ok_or_else(|| Rejected::malformed(format!("`{name}` is not a UUID")))
    }

    /// `N` bytes as lower-case hex digits.
    pub(crate) fn bytes<const N: usize>(&self, name: &str) -> Result<[u8; N], Rejected> {
        let text = self.text(name)?;
        let mut bytes = [0; N];
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) if lower => Ok(bytes),
            _ => Err(Rejected::malformed(format!("`{name}` is not {} lower-case hex digits", N * 2))),
        }
    }

    /// True or false; absent means false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Rejected> {
        let flag = self.0.get(name).map_or(Some(false), Value::as_bool);
        flag.ok_or_else(|| Rejected::malformed(format!("`{name}` is neither true nor false")))
    }

    /// A member that may be absent. One that is there, `null` too, must be of the right form.
    pub(crate) fn maybe<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Self, &str) -> Result<T, Rejected>,
    ) -> Result<Option<T>, Rejected> {
        self.0.get(name).map(|_| read(self, name)).transpose()
    }
}

/// JSON does not tell 5 from 5.0 or 5e0, and their canonical form is the same: all are read as 5.
fn whole_number(value: &Value) -> Option<u64> {
    let number = match value.as_u64() {
        Some(integer) => integer,
        None => {
            let double =
                value.as_f64().filter(|d| d.fract() == 0.0 && *d >= 0.0 && *d <= INTEGER_MAX as f64)?;
            double as u64
        }
    };
    (number <= INTEGER_MAX).then_some(number)
}
