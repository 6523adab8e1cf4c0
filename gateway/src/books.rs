//! The books of one exchange: a worker signs what it served, a gateway checks what it was served,
//! and both keep the receipt before the answer ends (SPEC sections 3 and 4).

mod served;
mod serving;

pub use served::{Refused, Served, keep_judged, keep_ordered};
pub use serving::{Claim, Made, Serving};

use crate::{
    fail_point::{self, FailPoint},
    meter::{Meter, Watch},
    tally::Tally,
    witness::Saw,
};
use protocol::{canonical::sha256, carriers, judge::Seen};

/// What an exchange does to the books.
pub enum Books<'a> {
    /// The engine is the owner's own: nobody owes anybody.
    None,
    /// We serve a requester.
    Serving(Serving<'a>),
    /// A worker serves us.
    Served(Served<'a>),
}

impl Books<'_> {
    /// How the stream is to be read on its way.
    pub fn watch(&self) -> Watch {
        match self {
            Books::None => Watch::default(),
            Books::Serving(serving) => Watch {
                strip_usage: !serving.usage_was_asked,
                count_deltas: true,
                output_max: serving.output_max(),
                ..Watch::default()
            },
            Books::Served(_) => Watch { take_receipt: true, ..Watch::default() },
        }
    }

    /// A worker's words went to the requester.
    pub fn sent(&self, what: FailPoint) {
        if let Books::Serving(_) = self {
            fail_point::reached(what);
        }
    }

    /// Does the books of a stream whose end is here. A worker's comment goes before the end; `sent` is
    /// what went out before it.
    pub async fn close_stream(&self, meter: &Meter, sent: &Tally) -> Option<Vec<u8>> {
        match self {
            Books::None => None,
            Books::Serving(serving) => {
                let made = serving.made(meter);
                let receipt = serving.sign_and_keep(made, sent).await?;
                Some(carriers::to_comment(receipt.signed()))
            }
            Books::Served(served) => {
                match &meter.receipt {
                    Some(carried) => {
                        served.check_and_keep(carried, meter.seen(), meter.bytes).await;
                    }
                    None => served.missing(meter.seen().map(Saw::Whole)),
                }
                None
            }
        }
    }

    /// Does the books of a whole answer; gives the header's value that goes with it.
    pub async fn close_whole(&self, body: &[u8], carried: Option<&str>) -> Option<String> {
        match self {
            Books::None => None,
            Books::Serving(serving) => {
                let usage = upstream_ollama::usage::of_answer(body);
                let made = Made { usage: usage.unwrap_or_default(), estimated: false, cut: false };
                let receipt = serving.sign_and_keep(made, &Tally::of(body)).await?;
                Some(carriers::to_header(receipt.signed()))
            }
            Books::Served(served) => {
                let (bytes, text_bytes) = (body.len() as u64, upstream_ollama::usage::text_bytes(body));
                let seen = Seen { bytes, sha256: sha256(body), text_bytes: Some(text_bytes) };
                let Some(carried) = carried else {
                    served.missing(Some(Saw::Whole(seen)));
                    return None;
                };
                let kept = served.check_and_keep(carried.as_bytes(), Some(seen), bytes).await;
                kept.then(|| carried.to_owned())
            }
        }
    }

    /// A stream stops before its end, and not because the engine broke: the requester left, or it took too
    /// long. What was made until then is owed for.
    pub async fn cut(&self, meter: &Meter, sent: &Tally) {
        match self {
            Books::Serving(serving) if meter.deltas > 0 => {
                serving.sign_and_keep(Made { cut: true, ..serving.made(meter) }, sent).await;
            }
            Books::Served(served) => served.missing(meter.seen().map(Saw::Part)),
            Books::Serving(_) | Books::None => {}
        }
    }

    /// The way to the worker broke, or it fell silent.
    pub fn cut_off(&self, meter: &Meter) {
        if let Books::Served(served) = self {
            served.missing(meter.seen().map(Saw::Part));
        }
    }

    /// The worker ended the stream with an error: nobody owes more than for what came.
    pub fn broke(&self, meter: &Meter) {
        if let Books::Served(served) = self {
            served.missing(meter.seen().map(Saw::Whole));
        }
    }
}
