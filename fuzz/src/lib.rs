//! What the fuzz targets share: a key, a moment, and statements that the fuzzer wrote.
//!
//! `./x test --all` runs each target for a minute. One alone, for as long as you like, from this folder:
//!
//! ```sh
//! python3 seeds.py && mkdir -p ../target/fuzz/corpus/order
//! cargo fuzz run -s none --target-dir ../target/fuzz order ../target/fuzz/corpus/order ../target/fuzz/seeds/order
//! ```
//!
//! Whoever changes a signed statement breaks its signature, so a fuzzer alone never comes past the check.
//! Targets therefore also sign what the fuzzer made of a body, and see what becomes of it then.

use protocol::{Body, Keypair, NodeId, Signed, Timestamp, Verified, canonical::CanonicalBytes};
use serde_json::Value;
use std::{fmt::Debug, sync::LazyLock};

/// The moment of the vectors: at it their statements count.
pub const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Signs what the fuzzer made.
pub static KEY: LazyLock<Keypair> = LazyLock::new(|| Keypair::from_seed(&[1; 32]));

/// The node of [`KEY`].
pub static ME: LazyLock<NodeId> = LazyLock::new(|| KEY.node_id());

/// The statement of this kind in `json` with its member `signer` naming [`ME`], signed. `None` if it is
/// of no use as one. What is of use must verify, and come back from what is written of it.
pub fn signed_anew<T: Body + Debug + PartialEq>(json: &[u8], signer: &str) -> Option<Verified<T>> {
    let mut statement: Value = serde_json::from_slice(json).ok()?;
    let object = statement.get_mut(T::NAME)?;
    object.as_object_mut()?.insert(signer.to_owned(), ME.to_string().into());
    let signed = Signed::<T>::parse(sign(T::NAME, T::DOMAIN, object)?.as_bytes()).ok()?;
    comes_back(&signed);
    Some(signed.verify().expect("whatever is signed by the key that it names verifies"))
}

/// `{"<name>":…,"signature":"…"}` with our signature over whatever the object says. `None` if it has no
/// canonical form.
pub fn sign(name: &str, domain: &str, object: &Value) -> Option<String> {
    let canonical = CanonicalBytes::of(object).ok()?;
    let signature = hex::encode(KEY.sign_text(&format!("{domain}{}", canonical.as_str())));
    Some(format!(r#"{{"{name}":{},"signature":"{signature}"}}"#, canonical.as_str()))
}

/// What was read is written so that it reads as the same.
pub fn comes_back<T: Body + Debug + PartialEq>(signed: &Signed<T>) {
    let again = Signed::parse(signed.to_json().as_bytes());
    assert_eq!(again.as_ref(), Ok(signed), "what was read once is read again");
}

/// What is understood of a body is all that its writer has to say of it: signed by us, it is the same.
pub fn is_signed_as_understood<T: Body + Clone + Debug + PartialEq>(statement: &Verified<T>) {
    let ours = Verified::sign(T::clone(statement), &KEY).expect("it is signed by the key that it names");
    let read = Signed::<T>::parse(ours.to_json().as_bytes()).and_then(Signed::verify);
    let read = read.expect("what we write we read");
    assert_eq!((&*read, &read), (&**statement, &ours));
}
