//! A whole input file: its lines in order, and what is wrong with it.

use super::{
    line::{self, GoodLine},
    problem::{Problem, quoted},
    split::{Piece, Place, Splitter},
};
use crate::{
    endpoint::Endpoint,
    limits::{LINE_BYTES_MAX, LINES_MAX, MODELS_A_BATCH_MAX, PROBLEMS_LISTED_MAX},
    opening::Opening,
};
use protocol::ModelName;
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Some editors put these bytes before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedLine {
    /// Counted from 1, empty lines included.
    pub number: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// How long it is, without its line feed.
    pub length: u64,
    /// The tool's name for it; no other line of the file has the same.
    pub custom_id: String,
    /// What it asks for.
    pub endpoint: Endpoint,
    /// Of which model.
    pub model: ModelName,
    /// See [`Opening`].
    pub opening: Opening,
}

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Lines that are not empty, good or bad.
    pub lines: u64,
    /// The model, where all lines ask for the same.
    pub model: Option<ModelName>,
    /// What is wrong, in the order of the file, the first [`PROBLEMS_LISTED_MAX`].
    pub problems: Vec<Problem>,
}

/// Checks a file as its bytes come.
#[derive(Debug)]
pub struct Checker {
    endpoint: Option<Endpoint>,
    splitter: Splitter,
    facts: Facts,
}

#[derive(Debug, Default)]
struct Facts {
    lines: u64,
    /// Half a SHA-256 each: nobody makes two texts with the same.
    custom_ids: HashSet<u128>,
    models: HashSet<ModelName>,
    problems: Vec<Problem>,
}

impl Checker {
    /// For a batch of this endpoint; before there is one, a line may be for any.
    pub fn new(endpoint: Option<Endpoint>) -> Self {
        Self { endpoint, splitter: Splitter::default(), facts: Facts::default() }
    }

    /// Takes the next bytes, and gives the good lines that end in them. Lines after the 50,000th are
    /// neither read nor given.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(CheckedLine)) {
        let (endpoint, facts) = (self.endpoint, &mut self.facts);
        self.splitter.push(chunk, |place, piece| facts.take(endpoint, place, piece, &mut each));
    }

    /// The file has ended.
    pub fn finish(mut self, mut each: impl FnMut(CheckedLine)) -> Report {
        let (endpoint, facts) = (self.endpoint, &mut self.facts);
        self.splitter.finish(|place, piece| facts.take(endpoint, place, piece, &mut each));
        if self.facts.lines == 0 {
            self.facts.note(Problem::of_file("empty_file", "the file has no lines, put one request in each"));
        }
        let mut models = self.facts.models.into_iter();
        let model = models.next().filter(|_| models.next().is_none());
        Report { lines: self.facts.lines, model, problems: self.facts.problems }
    }

    /// Whether nothing was wrong so far.
    pub fn is_good(&self) -> bool {
        self.facts.problems.is_empty()
    }
}

impl Facts {
    fn take(
        &mut self,
        endpoint: Option<Endpoint>,
        place: Place,
        piece: Piece<'_>,
        each: &mut impl FnMut(CheckedLine),
    ) {
        let Some((place, piece)) = without_mark(place, piece) else { return };
        self.lines += 1;
        if self.lines > LINES_MAX {
            if self.lines == LINES_MAX + 1 {
                let message = format!("a batch has at most {LINES_MAX} lines, split the file");
                self.note(Problem::of_file("too_many_lines", message).on_line(place.number));
            }
            return;
        }
        let good = match piece {
            Piece::Whole(bytes) => line::read(bytes, endpoint),
            Piece::TooLong => {
                let message = format!("a line has at most {} MiB", LINE_BYTES_MAX >> 20);
                Err(Problem::of_file("line_too_long", message))
            }
        };
        match good.and_then(|good| self.admit(good)) {
            Ok(good) => each(CheckedLine {
                number: place.number,
                offset: place.offset,
                length: place.length,
                custom_id: good.custom_id,
                endpoint: good.endpoint,
                model: good.model,
                opening: good.opening,
            }),
            Err(problem) => self.note(problem.on_line(place.number)),
        }
    }

    /// What a line must be beside the others.
    fn admit(&mut self, good: GoodLine) -> Result<GoodLine, Problem> {
        let digest: [u8; 32] = Sha256::digest(&good.custom_id).into();
        let half = digest.iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte));
        if !self.custom_ids.insert(half) {
            let message =
                format!("{} stands in an earlier line too, give each its own", quoted(&good.custom_id));
            return Err(Problem::of_field("duplicate_custom_id", "custom_id", message));
        }
        if !self.models.contains(&good.model) {
            if self.models.len() == MODELS_A_BATCH_MAX {
                let message = format!("a batch asks for at most {MODELS_A_BATCH_MAX} models, split the file");
                return Err(Problem::of_field("too_many_models", "body.model", message));
            }
            self.models.insert(good.model.clone());
        }
        Ok(good)
    }

    fn note(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_LISTED_MAX {
            self.problems.push(problem);
        }
    }
}

/// The line without a byte order mark; `None` if it is empty then.
fn without_mark<'a>(place: Place, piece: Piece<'a>) -> Option<(Place, Piece<'a>)> {
    let Piece::Whole(bytes) = piece else { return Some((place, piece)) };
    let mark =
        if place.number == 1 && bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let bytes = bytes.get(mark..).unwrap_or_default();
    let (offset, length) = (place.offset + mark as u64, place.length - mark as u64);
    let empty = bytes.iter().all(u8::is_ascii_whitespace);
    (!empty).then_some((Place { offset, length, ..place }, Piece::Whole(bytes)))
}
