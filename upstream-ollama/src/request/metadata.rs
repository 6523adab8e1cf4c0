//! What is attached to a job and is not for the engine.

use super::{
    BadBody,
    read::{not_an_object, place},
};
use crate::{edits::Edits, members};
use bytes::Bytes;

/// The JSON of a job's `metadata`, unless it has none or `null`, and the body without it. All else stays
/// byte for byte; a body without metadata is the same [`Bytes`].
pub fn without_metadata(body: &Bytes) -> Result<(Option<Bytes>, Bytes), BadBody> {
    let text = std::str::from_utf8(body).map_err(|error| BadBody::not_utf8(body, error.valid_up_to()))?;
    let mut places = [None];
    let mut problem = None;
    let walked = members::walk(text, |member| {
        if let Err(refusal) = place(text, member, &["metadata"], &mut places, "") {
            problem.get_or_insert(refusal);
        }
    });
    walked.map_err(|error| not_an_object(text, &error))?;
    if let Some(refusal) = problem {
        return Err(refusal);
    }
    let [Some(member)] = places else { return Ok((None, body.clone())) };
    let mut edits = Edits::default();
    edits.remove(member.cut_with_comma_before().unwrap_or_else(|| member.cut_with_comma_after(body)));
    let value = body.slice(member.value.range());
    Ok(((value != "null").then_some(value), edits.apply(body).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(body: &'static str) -> (Option<Bytes>, Bytes) {
        without_metadata(&Bytes::from_static(body.as_bytes())).unwrap()
    }

    #[test]
    fn metadata_is_taken_out_wherever_it_stands_and_all_else_stays() {
        let some = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        assert_eq!(
            taken(r#"{"metadata": {"a":"b"}, "t":0.20}"#),
            (some(r#"{"a":"b"}"#), r#"{"t":0.20}"#.into())
        );
        assert_eq!(taken(r#"{ "t":1 ,"metadata":{} }"#), (some("{}"), r#"{ "t":1 }"#.into()));
        assert_eq!(taken(r#"{"t":1,"metadata":null}"#), (None, r#"{"t":1}"#.into()));
        assert_eq!(taken(r#"{"m":{"metadata":1}}"#), (None, r#"{"m":{"metadata":1}}"#.into()));
    }

    #[test]
    fn metadata_that_others_would_read_otherwise_is_refused() {
        for body in [r#"{"metadata":{},"metadata":{}}"#, r#"{"Metadata":{}}"#, "[]", "{"] {
            assert!(without_metadata(&Bytes::from_static(body.as_bytes())).is_err(), "{body}");
        }
    }
}
