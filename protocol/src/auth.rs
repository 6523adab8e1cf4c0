//! A requester's word that it reads or cancels its own: the header `x-lobstah-auth` (SPEC section 4).
//!
//! `<lob1…>.<unix ms>.<hex signature over "lobstah/auth/2\n<worker's lob1…>\n<METHOD> <path>\n<unix ms>">`.
//! It can be said again within its minute, so it guards only what may be done twice.

use crate::{
    Keypair, NodeId, Timestamp, keypair,
    limits::{AUTH_BYTES_MAX, AUTH_SKEW_MS, INTEGER_MAX},
};

/// What a requester asks of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who is asked.
    pub worker: NodeId,
    /// Upper case: `GET`.
    pub method: &'a str,
    /// As in the request line, without a query: `/v1/jobs/…`.
    pub path: &'a str,
}

impl Asked<'_> {
    fn text(&self, at: Timestamp) -> String {
        let Self { worker, method, path } = self;
        format!("lobstah/auth/2\n{worker}\n{method} {path}\n{}", at.as_millis())
    }
}

/// The header as received: its form is checked, its signature is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    node: NodeId,
    at: Timestamp,
    signature: [u8; 64],
}

/// Proof that `node` itself asked for this, within a minute of our clock.
///
/// **Invariant:** only [`Auth::verify`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentic {
    node: NodeId,
}

impl Authentic {
    /// Who asked.
    pub const fn node(&self) -> NodeId {
        self.node
    }
}

/// Why the header proves nothing: 401 `invalid_auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAuth {
    /// Not of the form in the module's description.
    #[error("x-lobstah-auth is malformed, send `<lob1…>.<unix ms>.<hex signature>`")]
    Malformed,
    /// More than a minute from our clock.
    #[error("x-lobstah-auth was signed more than a minute away from this worker's clock, sign it anew")]
    Stale,
    /// Signed by another key, for another worker or for another request.
    #[error("x-lobstah-auth is not that key's signature over this worker, method, path and time")]
    BadSignature,
}

impl Auth {
    /// Signs that `key`'s node asks for this at `now`.
    pub fn sign(key: &Keypair, asked: &Asked<'_>, now: Timestamp) -> Self {
        Self { node: key.node_id(), at: now, signature: key.sign_text(&asked.text(now)) }
    }

    /// The header's value.
    pub fn to_header(&self) -> String {
        format!("{}.{}.{}", self.node, self.at.as_millis(), hex::encode(self.signature))
    }

    /// Reads the header's value.
    pub fn parse(header: &str) -> Result<Self, InvalidAuth> {
        if header.len() > AUTH_BYTES_MAX {
            return Err(InvalidAuth::Malformed);
        }
        let mut parts = header.splitn(3, '.');
        let mut part = || parts.next().ok_or(InvalidAuth::Malformed);
        let node = part()?.parse().map_err(|_| InvalidAuth::Malformed)?;
        let at = time(part()?).ok_or(InvalidAuth::Malformed)?;
        let mut signature = [0; 64];
        hex::decode_to_slice(part()?, &mut signature).map_err(|_| InvalidAuth::Malformed)?;
        Ok(Self { node, at, signature })
    }

    /// Checks time and signature. Whose job or receipt it is, is the caller's to know.
    pub fn verify(self, asked: &Asked<'_>, now: Timestamp) -> Result<Authentic, InvalidAuth> {
        if now.as_millis().abs_diff(self.at.as_millis()) > AUTH_SKEW_MS {
            return Err(InvalidAuth::Stale);
        }
        if !keypair::verify_bytes(&self.node, asked.text(self.at).as_bytes(), &self.signature) {
            return Err(InvalidAuth::BadSignature);
        }
        Ok(Authentic { node: self.node })
    }
}

/// Digits only: `u64` would read `+5` too.
fn time(text: &str) -> Option<Timestamp> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let ms = text.parse().ok().filter(|&ms| digits && ms <= INTEGER_MAX)?;
    Some(Timestamp::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn key() -> Keypair {
        Keypair::from_seed(&[1; 32])
    }

    fn asked(path: &str) -> Asked<'_> {
        Asked { worker: Keypair::from_seed(&[2; 32]).node_id(), method: "GET", path }
    }

    fn header(path: &str) -> String {
        Auth::sign(&key(), &asked(path), AT).to_header()
    }

    fn check(header: &str, asked: &Asked<'_>, now: u64) -> Result<NodeId, InvalidAuth> {
        Auth::parse(header)?.verify(asked, Timestamp::from_millis(now)).map(|proof| proof.node())
    }

    #[test]
    fn it_is_the_text_of_the_contract_that_is_signed() {
        let worker = asked("").worker;
        let text = format!("lobstah/auth/2\n{worker}\nGET /v1/jobs/7\n1790000000000");
        let signature = hex::encode(key().sign_text(&text));
        assert_eq!(header("/v1/jobs/7"), format!("{}.1790000000000.{signature}", key().node_id()));
    }

    #[test]
    fn it_counts_for_a_minute_either_way() {
        let (header, asked, at) = (header("/a"), asked("/a"), AT.as_millis());
        for now in [at - AUTH_SKEW_MS, at, at + AUTH_SKEW_MS] {
            assert_eq!(check(&header, &asked, now), Ok(key().node_id()), "{now}");
        }
        for now in [0, at - AUTH_SKEW_MS - 1, at + AUTH_SKEW_MS + 1, u64::MAX] {
            assert_eq!(check(&header, &asked, now), Err(InvalidAuth::Stale), "{now}");
        }
    }

    #[test]
    fn it_counts_for_nobody_nothing_and_nowhere_else() {
        let (header, at) = (header("/a"), AT.as_millis());
        let refused = |asked: &Asked<'_>| check(&header, asked, at) == Err(InvalidAuth::BadSignature);
        assert!(refused(&asked("/b")));
        assert!(refused(&Asked { method: "DELETE", ..asked("/a") }));
        assert!(refused(&Asked { worker: key().node_id(), ..asked("/a") }));
        let moved = header.replacen("1790000000000", "1790000000001", 1);
        assert_eq!(check(&moved, &asked("/a"), at), Err(InvalidAuth::BadSignature));
        let of_another = header.replacen(&key().node_id().to_string(), &asked("").worker.to_string(), 1);
        assert_eq!(check(&of_another, &asked("/a"), at), Err(InvalidAuth::BadSignature));
    }

    #[test]
    fn rubbish_is_malformed() {
        let good = header("/a");
        assert!(good.len() <= AUTH_BYTES_MAX);
        let wrong = [
            String::new(),
            "..".into(),
            good.replacen("lob1", "lob2", 1),
            good.replacen(".1790000000000.", ".+1790000000000.", 1),
            good.replacen(".1790000000000.", "..", 1),
            good.replacen(".1790000000000.", ".9007199254740992.", 1),
            good[..good.len() - 1].into(),
            format!("{good}.00"),
            format!("{good}{}", "0".repeat(AUTH_BYTES_MAX)),
        ];
        for header in wrong {
            assert_eq!(Auth::parse(&header), Err(InvalidAuth::Malformed), "{header}");
        }
    }
}
