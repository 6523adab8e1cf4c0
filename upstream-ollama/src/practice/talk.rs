//! Saying an answer: at its pace, and into whatever trouble was ordered.

use super::{
    answer::{Answer, Call, Piece},
    behaviour::{Pace, Trouble, UsageStyle},
    context::TooLong,
    exchange::Exchange,
    names,
    question::Question,
};
use std::{sync::Arc, time::Duration};

/// An answer while it is said.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) model: String,
    pub(super) answer: Answer,
    /// Tokens said so far.
    pub(super) tokens: u64,
    pub(super) usage: UsageStyle,
    pieces_said: u64,
    pace: Pace,
    trouble: Trouble,
    exchange: Arc<Exchange>,
}

/// What comes next.
pub(super) enum Turn {
    Say(Piece),
    End,
    /// Report an error, and end.
    Fail,
    /// Close the connection without another word.
    Cut,
}

/// Why there is no talk.
pub(super) enum Unable {
    NoSuchModel(String),
    /// It makes embeddings only.
    NoChat(String),
    /// The name asks for this status.
    Failing(u16),
    /// The prompt is longer than the context, and was not to be cut.
    TooLong,
}

impl Talk {
    pub(super) fn begin(exchange: Arc<Exchange>, question: &Question) -> Result<Talk, Unable> {
        let engine = &exchange.engine;
        let (model, knobs) = names::find(&engine.models, &question.model)
            .ok_or_else(|| Unable::NoSuchModel(question.model.clone()))?;
        if model.as_str().contains("embed") {
            return Err(Unable::NoChat(question.model.clone()));
        }
        let trouble = exchange.trouble(&knobs.trouble);
        if let Trouble::Fail { status, .. } = trouble {
            return Err(Unable::Failing(status));
        }
        let context = engine.load(model, question.context.num_ctx);
        let cut = question.context.truncate || !engine.contexts.refuses;
        let read = question.prompt.clone().fitted(context, cut).map_err(|TooLong| Unable::TooLong)?;
        let behaviour = &exchange.behaviour;
        Ok(Talk {
            model: question.model.clone(),
            answer: Answer::to(question, &read, context, knobs.tokens.or(behaviour.answer_tokens)),
            tokens: 0,
            usage: behaviour.usage,
            pieces_said: 0,
            pace: knobs.pace(behaviour.pace.unwrap_or(engine.pace)),
            trouble,
            exchange,
        })
    }

    /// After anything but [`Turn::Say`] the talk is over.
    pub(super) async fn next(&mut self) -> Turn {
        let exchange = self.exchange.clone();
        let turn = tokio::select! {
            turn = self.turn() => turn,
            // Not finished: it is the engine that went away.
            () = exchange.engine.stop.cancelled() => return Turn::Cut,
        };
        if !matches!(turn, Turn::Say(_)) {
            exchange.finish();
        }
        turn
    }

    async fn turn(&mut self) -> Turn {
        let said = self.pieces_said;
        pause(if said == 0 { self.pace.first_token } else { self.pace.per_token }).await;
        match self.trouble {
            Trouble::HangAfter(tokens) if tokens == said => self.exchange.hang().await,
            Trouble::CutAfter(tokens) if tokens == said => return Turn::Cut,
            Trouble::ErrorAfter(tokens) if tokens == said => return Turn::Fail,
            _ => (),
        }
        let Some(piece) = self.answer.pieces.next() else { return Turn::End };
        self.pieces_said += 1;
        self.tokens += piece.tokens();
        self.exchange.made_token();
        Turn::Say(piece)
    }

    /// All of it at once, for an answer that is not streamed.
    pub(super) async fn whole(&mut self) -> Result<Whole, Turn> {
        let mut whole = Whole::default();
        loop {
            match self.next().await {
                Turn::Say(Piece::Text(text)) => whole.text.push_str(&text),
                Turn::Say(Piece::Call(call)) => whole.calls.push(call),
                Turn::End => return Ok(whole),
                trouble => return Err(trouble),
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
