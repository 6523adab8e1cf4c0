//! What a requester thinks of a receipt that answers its order (SPEC section 4).
//!
//! Pure: order, receipt and what arrived in, a judgement out. That a receipt was never seen before is
//! the ledger's to know; its freshness does not matter, since it answers an order of ours.

use crate::{
    Answer, Credits, Order, Receipt, Requester, Signed, Verified,
    ack::Verdict,
    limits::{LOST_TOKENS_MAX, UNSEEN_TOKENS_MAX},
};

/// What arrived of the answer that a receipt accounts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Nobody knows any more, say after a restart: nothing is compared.
    Unknown,
    /// There was no answer that anybody owes for: the worker refused, or broke before its first word.
    Nothing,
    /// We left, or the way broke, before the end. The hash is then that of the first `responseBytes`
    /// of the bytes that came; where fewer came, it is not compared, and the tokens may be a few more than the text that came.
    Part(Seen),
    /// All of it.
    Whole(Seen),
}

/// An answer as it was counted on its way: of a stream, what came before the receipt's comment; of a
/// job, canonical(`result`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many bytes came.
    pub bytes: u64,
    /// Their SHA-256; see [`Received::Part`].
    pub sha256: [u8; 32],
    /// Bytes of text, reasoning and calls in them; `None` where they were not counted.
    pub text_bytes: Option<u64>,
}

/// What is to be done about a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Keep it, and acknowledge it.
    Ok,
    /// Keep it, and acknowledge it with a dispute.
    Dispute(Dispute),
    /// Neither: it says nothing about this order. Counted and logged (SPEC section 3).
    Refuse(Refusal),
}

impl Judgement {
    /// What to acknowledge with; `None` if there is nothing to acknowledge.
    pub fn verdict(self) -> Option<Verdict> {
        match self {
            Judgement::Ok => Some(Verdict::Ok),
            Judgement::Dispute(dispute) => Some(dispute.into()),
            Judgement::Refuse(_) => None,
        }
    }
}

/// Why a receipt does not answer this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A receipt of version 1.
    #[error("answers no order")]
    NoOrder,
    /// Its `orderSha256` is another's.
    #[error("answers another order")]
    AnotherOrder,
    /// Signed by somebody who was not asked.
    #[error("signed by another worker than the one that was asked")]
    AnotherWorker,
    /// Somebody else would owe.
    #[error("made out to another requester")]
    AnotherRequester,
}

/// What is wrong with a receipt that does answer this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dispute {
    /// `jobId` is not `orderId`.
    #[error("its jobId is not the orderId")]
    AnotherJob,
    /// Not the model that was ordered.
    #[error("another model ran than the one ordered")]
    AnotherModel,
    /// Not the digest that was quoted.
    #[error("the model that ran has another digest than the one quoted")]
    AnotherDigest,
    /// Completed after `answerBy`: nobody's debt.
    #[error("completed after answerBy")]
    TooLate,
    /// More than `maxInputTokens`.
    #[error("{tokens} input tokens, ordered were at most {max}")]
    InputOverOrder {
        /// As counted.
        tokens: u64,
        /// As ordered.
        max: u64,
    },
    /// More than `maxOutputTokens`.
    #[error("{tokens} output tokens, ordered were at most {max}")]
    OutputOverOrder {
        /// As counted.
        tokens: u64,
        /// As ordered.
        max: u64,
    },
    /// More than `maxCredits`.
    #[error("{credits} credits, ordered were at most {max}")]
    CreditsOverOrder {
        /// As charged.
        credits: Credits,
        /// As ordered.
        max: Credits,
    },
    /// More than the tokens cost at the price that was quoted.
    #[error("{credits} credits for what costs {due} at the price quoted")]
    CreditsOverPrice {
        /// As charged.
        credits: Credits,
        /// As they follow from tokens and price.
        due: Credits,
    },
    /// The answer changed on its way, or was never sent.
    #[error("another answer was received than the one accounted for")]
    AnotherAnswer,
    /// There was no answer.
    #[error("no answer came")]
    NoAnswer,
    /// More tokens than can stand for the text.
    #[error("{tokens} output tokens for {text_bytes} bytes of text")]
    TokensOverText {
        /// As counted.
        tokens: u64,
        /// As received.
        text_bytes: u64,
    },
}

/// Judges a receipt by the order that we gave and by what arrived.
pub fn judge(receipt: &Verified<Receipt>, order: &Signed<Order>, received: &Received) -> Judgement {
    let answer = match answer(receipt, order) {
        Ok(answer) => answer,
        Err(refusal) => return Judgement::Refuse(refusal),
    };
    let order = order.unverified();
    let found = against_order(receipt, answer, order)
        .and_then(|()| against_limits(receipt, answer, order))
        .and_then(|()| against_received(receipt, answer, received));
    found.map_or_else(Judgement::Dispute, |()| Judgement::Ok)
}

fn answer<'r>(receipt: &'r Receipt, order: &Signed<Order>) -> Result<&'r Answer, Refusal> {
    let answer = receipt.answers.as_ref().ok_or(Refusal::NoOrder)?;
    if answer.order_sha256 != order.sha256() {
        return Err(Refusal::AnotherOrder);
    }
    if receipt.worker != order.unverified().worker {
        return Err(Refusal::AnotherWorker);
    }
    if receipt.requester != Requester::Node(order.unverified().requester) {
        return Err(Refusal::AnotherRequester);
    }
    Ok(answer)
}

fn against_order(receipt: &Receipt, answer: &Answer, order: &Order) -> Result<(), Dispute> {
    if receipt.job_id != order.order_id {
        return Err(Dispute::AnotherJob);
    }
    if !receipt.model.same_model(&order.model) {
        return Err(Dispute::AnotherModel);
    }
    // A worker that does not know the digest says none.
    let digests = order.model_digest.zip(answer.model_digest);
    if digests.is_some_and(|(quoted, ran)| quoted != ran) {
        return Err(Dispute::AnotherDigest);
    }
    if order.answer_by.is_some_and(|by| receipt.completed_at > by) {
        return Err(Dispute::TooLate);
    }
    Ok(())
}

fn against_limits(receipt: &Receipt, answer: &Answer, order: &Order) -> Result<(), Dispute> {
    let (usage, credits) = (receipt.usage, answer.credits);
    if usage.input_tokens > order.max_input_tokens {
        return Err(Dispute::InputOverOrder { tokens: usage.input_tokens, max: order.max_input_tokens });
    }
    if usage.output_tokens > order.max_output_tokens {
        return Err(Dispute::OutputOverOrder { tokens: usage.output_tokens, max: order.max_output_tokens });
    }
    if credits > order.max_credits {
        return Err(Dispute::CreditsOverOrder { credits, max: order.max_credits });
    }
    // Less than the price is the worker's gift. Without a quote only `maxCredits` was agreed on.
    match order.price.map(|price| price.charge(usage)) {
        Some(due) if credits > due => Err(Dispute::CreditsOverPrice { credits, due }),
        _ => Ok(()),
    }
}

fn against_received(receipt: &Receipt, answer: &Answer, received: &Received) -> Result<(), Dispute> {
    let tokens = receipt.usage.output_tokens;
    let can_be = |seen: &Seen, unseen: u64| match seen.text_bytes {
        Some(text_bytes) if tokens > text_bytes.saturating_add(unseen) => {
            Err(Dispute::TokensOverText { tokens, text_bytes })
        }
        _ => Ok(()),
    };
    let seen = match (received, answer.response_bytes) {
        (Received::Unknown, _) => return Ok(()),
        (Received::Nothing, _) => return Err(Dispute::NoAnswer),
        (Received::Whole(seen), Some(sent)) if sent != seen.bytes => return Err(Dispute::AnotherAnswer),
        (Received::Whole(seen), _) => seen,
        (Received::Part(seen), Some(sent)) if sent <= seen.bytes => seen,
        // More was sent than came: what was on its way when we left, or the way broke, is not much.
        (Received::Part(seen), _) => return can_be(seen, LOST_TOKENS_MAX),
    };
    if seen.sha256 != answer.response_sha256 {
        return Err(Dispute::AnotherAnswer);
    }
    can_be(seen, UNSEEN_TOKENS_MAX)
}
