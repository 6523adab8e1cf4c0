//! From bytes to a [`RequestView`].

use super::{BadBody, Layout, Limit, RequestView, StreamOptions, key};
use crate::members::{self, Member, Span};
use protocol::ModelName;

/// The keys that we read, by their place in [`Members`].
const NAMES: [&str; 7] =
    ["model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "messages"];
const MODEL: usize = 0;
const STREAM: usize = 1;
const STREAM_OPTIONS: usize = 2;
const MAX_TOKENS: usize = 3;
const MAX_COMPLETION_TOKENS: usize = 4;
const N: usize = 5;
const MESSAGES: usize = 6;

pub(super) fn read(body: &[u8]) -> Result<RequestView, BadBody> {
    let text = std::str::from_utf8(body).map_err(|error| BadBody::not_utf8(body, error.valid_up_to()))?;
    let members = Members::find(text)?;
    let (model_span, model) = members.model()?;
    let stream = members.stream()?;
    let (stream_options, include_usage) = members.stream_options()?;
    let max_tokens = members.limit(MAX_TOKENS)?;
    let max_completion_tokens = members.limit(MAX_COMPLETION_TOKENS)?;
    let given = [max_tokens, max_completion_tokens].into_iter().flatten().filter_map(|limit| limit.value);
    Ok(RequestView {
        model,
        stream,
        include_usage,
        max_output: given.min(),
        n: members.n()?,
        layout: Layout {
            body_len: text.len(),
            end: text.trim_ascii_end().len() - 1,
            model: model_span,
            stream_options,
            max_tokens,
            max_completion_tokens,
            messages: members.places[MESSAGES].map(|member| member.value),
        },
    })
}

/// The members that we read, before their values are looked at.
struct Members<'t> {
    text: &'t str,
    places: [Option<Member>; NAMES.len()],
}

impl<'t> Members<'t> {
    fn find(text: &'t str) -> Result<Self, BadBody> {
        let mut places = [None; NAMES.len()];
        let mut problem = None;
        let walked = members::walk(text, |member| {
            if let Err(refusal) = place(text, member, &NAMES, &mut places, "") {
                problem.get_or_insert(refusal);
            }
        });
        walked.map_err(|error| not_an_object(text, &error))?;
        problem.map_or(Ok(Self { text, places }), Err)
    }

    /// A member's value as JSON text; None where it is absent.
    fn value(&self, index: usize) -> Option<(Member, &'t str)> {
        self.places[index].map(|member| (member, &self.text[member.value.range()]))
    }

    fn model(&self) -> Result<(Span, ModelName), BadBody> {
        let (member, value) = self.value(MODEL).ok_or(BadBody::MissingModel)?;
        if value == "null" {
            return Err(BadBody::MissingModel);
        }
        if !value.starts_with('"') {
            return Err(BadBody::invalid("model", "must be a string, the name of a model"));
        }
        let name = key::unescaped(value).and_then(|name| name.parse().ok());
        let name =
            name.ok_or_else(|| BadBody::invalid("model", protocol::model_name::NotAModelName.to_string()))?;
        Ok((member.value, name))
    }

    fn stream(&self) -> Result<bool, BadBody> {
        match self.value(STREAM).map(|(_, value)| value) {
            None | Some("null" | "false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(BadBody::invalid("stream", "must be true or false")),
        }
    }

    /// With whether it asks for the usage.
    fn stream_options(&self) -> Result<(StreamOptions, bool), BadBody> {
        match self.value(STREAM_OPTIONS) {
            None => Ok((StreamOptions::Absent, false)),
            Some((member, "null")) => Ok((StreamOptions::Null(member.value), false)),
            Some((member, value)) if value.starts_with('{') => {
                inside_stream_options(value, member.value.start)
            }
            Some(_) => Err(BadBody::invalid("stream_options", "must be an object")),
        }
    }

    fn limit(&self, index: usize) -> Result<Option<Limit>, BadBody> {
        let Some((member, value)) = self.value(index) else { return Ok(None) };
        Ok(Some(Limit { member, value: integer(NAMES[index], value, 0)? }))
    }

    fn n(&self) -> Result<Option<u64>, BadBody> {
        self.value(N).map_or(Ok(None), |(_, value)| integer("n", value, 1))
    }
}

/// Notes where a member stands, if it is one that we read. A second one, or another spelling, is
/// refused: the engine would choose otherwise than we do. `within` leads the name in the refusal.
pub(super) fn place<const K: usize>(
    text: &str,
    member: Member,
    names: &[&str; K],
    places: &mut [Option<Member>; K],
    within: &str,
) -> Result<(), BadBody> {
    let raw = &text[member.key.range()];
    let Some(found) = key::find(raw, names) else { return Ok(()) };
    let param = || format!("{within}{}", names[found.index]);
    if !found.exact {
        return Err(BadBody::invalid(&param(), format!("is spelled {raw}: write it in lower case")));
    }
    if places[found.index].replace(member).is_some() {
        return Err(BadBody::invalid(&param(), "stands twice: leave one out"));
    }
    Ok(())
}

fn inside_stream_options(text: &str, offset: usize) -> Result<(StreamOptions, bool), BadBody> {
    let mut places = [None];
    let mut empty = true;
    let mut problem = None;
    let walked = members::walk(text, |member| {
        empty = false;
        if let Err(refusal) = place(text, member, &["include_usage"], &mut places, "stream_options.") {
            problem.get_or_insert(refusal);
        }
    });
    walked.map_err(|error| not_an_object(text, &error))?;
    if let Some(refusal) = problem {
        return Err(refusal);
    }
    let asked = match places[0].map(|member| &text[member.value.range()]) {
        None | Some("null" | "false") => false,
        Some("true") => true,
        Some(_) => return Err(BadBody::invalid("stream_options.include_usage", "must be true or false")),
    };
    let include_usage = places[0].map(|member| member.value.shifted(offset));
    Ok((StreamOptions::Object { inside: offset + 1, empty, include_usage }, asked))
}

/// A whole number of at least `least`, or null. Digits only, as Go reads an integer: neither `1.0`
/// nor `1e2`.
fn integer(param: &str, value: &str, least: u64) -> Result<Option<u64>, BadBody> {
    if value == "null" {
        return Ok(None);
    }
    match value.parse::<u64>() {
        Ok(number) if number >= least => Ok(Some(number)),
        _ => Err(BadBody::invalid(param, format!("must be a whole number, at least {least}"))),
    }
}

pub(super) fn not_an_object(text: &str, error: &serde_json::Error) -> BadBody {
    if members::is_no_object(text, error) { BadBody::NotAnObject } else { BadBody::not_json(error) }
}
