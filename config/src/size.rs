//! Sizes as they are typed: `32MiB`, `500 KB`, `1048576`.

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASize {
    /// It does not begin with a whole number.
    #[error("a size begins with a whole number")]
    NoNumber,
    /// What follows the number is no unit that we know.
    #[error("`{0}` is no unit of size")]
    UnknownUnit(String),
    /// More bytes than 64 bits count.
    #[error("a size has less than 2^64 bytes")]
    TooLarge,
}

const KIB: u64 = 1024;
const KB: u64 = 1000;

/// Reads a size in bytes. Units are `B`, `KB`, `MB`, `GB` (powers of 1000) and `KiB`, `MiB`, `GiB`
/// (powers of 1024), in any case; none means bytes.
pub fn parse_size(text: &str) -> Result<u64, NotASize> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    if digits.is_empty() {
        return Err(NotASize::NoNumber);
    }
    let number: u64 = digits.parse().map_err(|_| NotASize::TooLarge)?;
    number.checked_mul(bytes_in(unit.trim_start())?).ok_or(NotASize::TooLarge)
}

fn bytes_in(unit: &str) -> Result<u64, NotASize> {
    match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Ok(1),
        "kb" => Ok(KB),
        "mb" => Ok(KB * KB),
        "gb" => Ok(KB * KB * KB),
        "kib" => Ok(KIB),
        "mib" => Ok(KIB * KIB),
        "gib" => Ok(KIB * KIB * KIB),
        _ => Err(NotASize::UnknownUnit(unit.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_read_as_they_are_written() {
        assert_eq!(parse_size("32MiB"), Ok(32 << 20));
        assert_eq!(parse_size(" 512 mib "), Ok(512 << 20));
        assert_eq!(parse_size("1GB"), Ok(1_000_000_000));
        assert_eq!(parse_size("17"), Ok(17));
        assert_eq!(parse_size("MiB"), Err(NotASize::NoNumber));
        assert_eq!(parse_size("-1"), Err(NotASize::NoNumber));
        assert_eq!(parse_size("1.5GiB"), Err(NotASize::UnknownUnit(".5GiB".into())));
        assert_eq!(parse_size("17179869184GiB"), Err(NotASize::TooLarge));
        assert_eq!(parse_size(&"9".repeat(40)), Err(NotASize::TooLarge));
    }

    proptest! {
        #[test]
        fn a_number_and_a_unit_multiply(number in 0..1u64 << 30, unit in 0..7usize) {
            let (name, factor) = [("", 1), ("B", 1), ("KB", 1000), ("MB", 1_000_000), ("KiB", 1 << 10),
                ("MiB", 1 << 20), ("GiB", 1 << 30)][unit];
            prop_assert_eq!(parse_size(&format!("{number}{name}")), Ok(number * factor));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,30}") {
            let _ = parse_size(&text);
        }
    }
}
