//! A signed text, kept small: most of it is names of fields, hex digits, and what the entry holds
//! besides.
//!
//! Canonical JSON has no byte below a space, so those stand for what was left out. Whatever the text
//! is, it comes back byte for byte; only that an ordinary one gets small is a matter of its form.

/// The byte that follows stands for itself.
const LITERAL: u8 = 0;
/// So many bytes follow as the next says; their hex digits were here.
const HEX: u8 = 1;
/// The text of the owner at the index that follows was here.
const OWN: u8 = 2;
/// And beyond: [`FRAGMENTS`].
const FIRST_FRAGMENT: u8 = 3;

/// Shorter runs of hex digits stay as they are.
const HEX_BYTES_MIN: usize = 3;

/// More of the owner's texts are not looked for, or a list of hundreds of models would be looked for
/// hundreds of times.
const OWN_MAX: usize = 16;

/// What announcements are made of, of two that begin alike the longer first. At most 29.
const FRAGMENTS: &[&str] = &[
    r#"{"announcedAt":"#,
    r#","capacity":{"concurrency":"#,
    r#","queueDepth":"#,
    r#","tokensPerSecond":{""#,
    r#","label":""#,
    r#","models":[""#,
    r#"","models":[""#,
    r#""],"nostrPubkey":""#,
    r#""],"prices":{""#,
    r#""],"protocol":2,"pubkey":""#,
    r#""],"pubkey":""#,
    r#"","prices":{""#,
    r#"","protocol":2,"pubkey":""#,
    r#","protocol":2,"pubkey":""#,
    r#"","tier":"batch","ttlSeconds":"#,
    r#"","tier":"best-effort","ttlSeconds":"#,
    r#"","tier":"interactive","ttlSeconds":"#,
    r#"","ttlSeconds":"#,
    r#","url":""#,
    r#"","version":1}"#,
    r#"":{"input":"#,
    r#","output":"#,
    r#"",""#,
    r#"":"#,
];

/// The text, packed.
#[derive(Debug, Default)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    /// `own` are texts that its owner holds besides: they are left out, and needed to get it back.
    pub(super) fn new(text: &str, own: &[&str]) -> Self {
        let text = text.as_bytes();
        let mut packed = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let quoted = at > 0 && text[at - 1] == b'"';
            at += pack_fragment(rest, &mut packed)
                .or_else(|| if quoted { pack_own(rest, own, &mut packed) } else { None })
                .or_else(|| pack_hex(rest, &mut packed))
                .unwrap_or_else(|| pack_byte(rest[0], &mut packed));
        }
        // A copy of its own size: one that shrinks in place leaves a hole behind.
        Self(packed.as_slice().into())
    }

    /// The text again, from what [`Packed::new`] was given.
    pub(super) fn text(&self, own: &[&str]) -> String {
        let mut text = Vec::with_capacity(self.0.len() * 3);
        let mut bytes = self.0.iter().copied();
        while let Some(byte) = bytes.next() {
            match byte {
                LITERAL => text.extend(bytes.next()),
                HEX => {
                    let count = bytes.next().unwrap_or_default().into();
                    bytes.by_ref().take(count).for_each(|byte| text.extend(digits(byte)));
                }
                OWN => {
                    let of_owner = bytes.next().and_then(|index| own.get(usize::from(index)));
                    text.extend(of_owner.unwrap_or(&"").bytes());
                }
                _ => match FRAGMENTS.get(usize::from(byte - FIRST_FRAGMENT)) {
                    Some(fragment) => text.extend(fragment.bytes()),
                    None => text.push(byte),
                },
            }
        }
        String::from_utf8(text).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

// Each packs the beginning of what is left, if it can, and says how much of it.

fn pack_fragment(rest: &[u8], packed: &mut Vec<u8>) -> Option<usize> {
    if !matches!(rest[0], b'{' | b',' | b'"') {
        return None;
    }
    let found = FRAGMENTS.iter().position(|fragment| rest.starts_with(fragment.as_bytes()))?;
    packed.push(FIRST_FRAGMENT + found as u8);
    Some(FRAGMENTS[found].len())
}

fn pack_own(rest: &[u8], own: &[&str], packed: &mut Vec<u8>) -> Option<usize> {
    let fits = |text: &&str| text.len() > 2 && rest.starts_with(text.as_bytes());
    let found = own.iter().take(OWN_MAX).position(fits)?;
    packed.extend([OWN, found as u8]);
    Some(own[found].len())
}

fn pack_hex(rest: &[u8], packed: &mut Vec<u8>) -> Option<usize> {
    let pairs = rest.chunks_exact(2).map_while(|pair| Some(value(pair[0])? << 4 | value(pair[1])?));
    let bytes: usize = pairs.clone().take(u8::MAX.into()).count();
    if bytes < HEX_BYTES_MIN {
        return None;
    }
    packed.extend([HEX, bytes as u8]);
    packed.extend(pairs.take(bytes));
    Some(bytes * 2)
}

fn pack_byte(byte: u8, packed: &mut Vec<u8>) -> usize {
    if byte < b' ' {
        packed.push(LITERAL);
    }
    packed.push(byte);
    1
}

/// What a lower-case hex digit is worth.
fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|value| if value < 10 { b'0' + value } else { b'a' + value - 10 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn there_and_back(text: &str, own: &[&str]) -> usize {
        let packed = Packed::new(text, own);
        assert_eq!(packed.text(own), text);
        packed.len()
    }

    #[test]
    fn an_ordinary_announcement_gets_small() {
        let (node, url) = (format!("lob1{}", "0f".repeat(32)), "https://mini.example.net:17474");
        let text = format!(
            r#"{{"announcedAt":1790000000000,"capacity":{{"concurrency":4,"queueDepth":64,"tokensPerSecond":{{"llama3.1:8b":42.5,"qwen2.5:7b":51.25}}}},"label":"mini","models":["llama3.1:8b","qwen2.5:7b"],"nostrPubkey":"{}","protocol":2,"pubkey":"{node}","tier":"batch","ttlSeconds":300,"url":"{url}","version":1}}"#,
            "a7".repeat(32)
        );
        let own = [node.as_str(), url, "mini", "llama3.1:8b", "qwen2.5:7b"];
        let packed = there_and_back(&text, &own);
        assert!(packed * 4 < text.len(), "{packed} of {}", text.len());
    }

    #[test]
    fn the_codes_fit_below_a_space() {
        assert!(usize::from(FIRST_FRAGMENT) + FRAGMENTS.len() <= usize::from(b' '));
        for (at, fragment) in FRAGMENTS.iter().enumerate() {
            let hidden = FRAGMENTS[..at].iter().find(|before| fragment.starts_with(**before));
            assert_eq!(hidden, None, "{fragment} is never found");
        }
    }

    /// Pieces that mean something to the packer, between others.
    fn piece() -> impl Strategy<Value = String> {
        let known = (0..FRAGMENTS.len()).prop_map(|at| FRAGMENTS[at].to_owned());
        prop_oneof![known, "[0-9a-f]{0,9}", "\\PC{0,6}", "[\\x00-\\x7f]{0,4}", Just("\"mini".to_owned())]
    }

    proptest! {
        #[test]
        fn every_text_comes_back(pieces in proptest::collection::vec(piece(), 0..30)) {
            there_and_back(&pieces.concat(), &["mini", "", "a"]);
            there_and_back(&pieces.concat(), &[]);
        }

        #[test]
        fn long_runs_of_digits_come_back(length in 0usize..2000) {
            there_and_back(&"f".repeat(length), &[]);
        }
    }
}
