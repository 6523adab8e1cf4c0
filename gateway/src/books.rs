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
};
use protocol::carriers;

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
                if let Some(carried) = &meter.receipt {
                    let tally = meter.tally.as_deref();
                    served.check_and_keep(carried, tally, meter.text_bytes, meter.bytes).await;
                } else {
                    served.missing().await;
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
            Books::Served(served) => match carried {
                Some(carried) => {
                    let (tally, bytes) = (Tally::of(body), body.len() as u64);
                    let kept = served.check_and_keep(carried.as_bytes(), Some(&tally), bytes, bytes).await;
                    kept.then(|| carried.to_owned())
                }
                None => {
                    served.missing().await;
                    None
                }
            },
        }
    }

    /// The requester left in the middle of a stream: what was made until then is owed for.
    pub async fn left(&self, meter: &Meter, sent: &Tally) {
        if let Books::Serving(serving) = self
            && meter.deltas > 0
        {
            serving.sign_and_keep(Made { cut: true, ..serving.made(meter) }, sent).await;
        }
    }
}
