//! Asking the owner's Ollama, so that no prompt is cut in silence.
//!
//! Through `/v1` Ollama cuts what is longer than its context. What surely fits goes there as it came, and costs a look
//! at its length. The rest is put to Ollama's own API with as much context as it needs, up to `worker.max_context`,
//! and with the wish that it be refused rather than cut. Whatever the way, the engine's own count has the last word.
//!
//! What stands in Ollama's place and says nothing of contexts may be another server, which cuts nothing. It is asked
//! in Ollama's own way once; if it does not know that, all that it gets goes through `/v1` as it came.

use crate::{
    attempt::{self, Ask},
    clock,
    contexts::OwnApi,
    node::Node,
    outcome::{Outcome, Reason, Refusal, WholeAnswer, error_message},
    too_long::TooLong,
    upstream::{Identity, Upstream},
};
use protocol::ModelName;
use upstream_ollama::{
    context::{self, Plan, Prompt, Room},
    native::{self, Back, Question, Stamp, Untranslatable},
    usage,
};

/// What the engine answered.
pub struct Answered {
    pub outcome: Outcome,
    /// With so many tokens of context, where that is known.
    pub context: Option<u64>,
}

impl Answered {
    fn too_long(too_long: TooLong) -> Self {
        Self { outcome: Outcome::Next(Reason::TooLong(too_long)), context: None }
    }
}

/// Whether an endpoint's answers are texts.
fn makes_text(path: &str) -> bool {
    path != "/v1/embeddings"
}

/// How much context a model of the own engine has, and may have.
pub fn room(node: &Node, model: &ModelName) -> Room {
    let said = node.upstreams.local().with_model(model, |model| (model.context_length, model.num_ctx));
    let (trained, num_ctx) = said.unwrap_or_default();
    node.contexts.room(model, trained, num_ctx, node.config().worker.max_context)
}

/// Refuses a prompt that does not fit by any count. Spares an order, and a place in the queue.
pub fn refuse_too_long(node: &Node, model: &ModelName, path: &str, body: &[u8]) -> Result<(), TooLong> {
    let room = room(node, model);
    if !room.is_told() || !context::may_exceed(body.len(), room.most()) {
        return Ok(());
    }
    let prompt = Prompt::measure(path, body, None);
    if prompt.tokens_min() <= room.most() { Ok(()) } else { Err(here(node, model, &room, &prompt)) }
}

fn here(node: &Node, model: &ModelName, room: &Room, prompt: &Prompt) -> TooLong {
    let trained = node.upstreams.local().with_model(model, |model| model.context_length).flatten();
    TooLong::here(model, room, prompt, trained)
}

/// Asks any upstream: the own engine with care, others as they are.
pub async fn ask_upstream(node: &Node, upstream: &Upstream, ask: &Ask<'_>) -> Outcome {
    match upstream.identity {
        Identity::Local => self::ask(node, ask).await.outcome,
        _ => attempt::attempt(&node.connections, &upstream.destination, ask).await,
    }
}

/// Asks the engine.
pub async fn ask(node: &Node, ask: &Ask<'_>) -> Answered {
    let room = room(node, ask.model);
    if context::is_small(&room, ask.body.len(), ask.output_wanted, makes_text(ask.path)) {
        return plain(node, ask, &room).await;
    }
    // Boxed: few requests need its room.
    Box::pin(measured(node, ask, &room)).await
}

async fn measured(node: &Node, ask: &Ask<'_>, room: &Room) -> Answered {
    if !room.is_told() && node.contexts.own_api() == OwnApi::Missing {
        return plain(node, ask, room).await;
    }
    let prompt = Prompt::measure(ask.path, &ask.body, ask.output_wanted);
    let num_ctx = match context::plan(room, &prompt) {
        Plan::Plain => return plain(node, ask, room).await,
        Plan::TooLong if room.is_told() => {
            return Answered::too_long(here(node, ask.model, room, &prompt));
        }
        Plan::TooLong => room.most(),
        Plan::Native { num_ctx } => num_ctx,
    };
    // The count was a guess: if it was too low, once more with all there is.
    let all = (room.most() > num_ctx).then_some(room.most());
    for num_ctx in std::iter::once(num_ctx).chain(all) {
        let question = match translated(ask, num_ctx) {
            Ok(question) => question,
            Err(_) if !room.is_told() || context::may_be_plain(room, &prompt) => {
                return plain(node, ask, room).await;
            }
            Err(why) => {
                return Answered::too_long(here(node, ask.model, room, &prompt).on_the_plain_way(&why));
            }
        };
        if node.contexts.own_api() == OwnApi::Answers {
            node.contexts.asks(ask.model, num_ctx);
        }
        match natively(node, ask, question).await {
            Some(outcome) if lacks_own_api(node, room, &outcome) => {
                return without_own_api(node, ask, room, outcome).await;
            }
            Some(outcome) => {
                if matches!(outcome, Outcome::Whole(_) | Outcome::Stream(_)) {
                    node.contexts.saw_api(OwnApi::Answers);
                    node.contexts.asks(ask.model, num_ctx);
                }
                return Answered { outcome, context: Some(num_ctx) };
            }
            None => {
                node.contexts.saw_api(OwnApi::Answers);
                node.contexts.asks(ask.model, num_ctx);
            }
        }
    }
    Answered::too_long(here(node, ask.model, room, &prompt))
}

/// Whether it looks as if nobody understood the question. A model that is not there looks the same.
fn lacks_own_api(node: &Node, room: &Room, outcome: &Outcome) -> bool {
    let strange = match outcome {
        Outcome::Next(Reason::Status(status, _)) => matches!(status, 404 | 405 | 501),
        Outcome::Next(Reason::Broken(_)) => true,
        Outcome::Verdict(refusal) => matches!(refusal.status, 404 | 405 | 415),
        _ => false,
    };
    strange && !room.is_told() && node.contexts.own_api() == OwnApi::Unknown
}

/// Asks through `/v1` after all; if that is no better, what was said first counts.
async fn without_own_api(node: &Node, ask: &Ask<'_>, room: &Room, first: Outcome) -> Answered {
    let answered = plain(node, ask, room).await;
    match answered.outcome {
        Outcome::Whole(_) | Outcome::Stream(_) => {
            node.contexts.saw_api(OwnApi::Missing);
            answered
        }
        _ => Answered { outcome: first, context: None },
    }
}

/// Through `/v1`, byte for byte.
async fn plain(node: &Node, ask: &Ask<'_>, room: &Room) -> Answered {
    let outcome = attempt::attempt(&node.connections, &node.upstreams.local().destination, ask).await;
    let context = room.in_use();
    if let Outcome::Whole(_) | Outcome::Stream(_) = outcome {
        node.contexts.answered_plain(ask.model);
    }
    let was_cut = match (&outcome, context) {
        // What has no more bytes than Ollama's least has tokens needs no second look. An answer of embeddings counts
        // several texts together.
        (Outcome::Whole(answer), Some(context))
            if makes_text(ask.path) && ask.body.len() as u64 > context::OLLAMA_DEFAULT =>
        {
            usage::of_answer(&answer.body).is_some_and(|usage| usage.input_tokens >= context)
        }
        _ => false,
    };
    if was_cut || says_too_long(&outcome) {
        let prompt = Prompt::measure(ask.path, &ask.body, ask.output_wanted);
        return Answered::too_long(here(node, ask.model, room, &prompt));
    }
    Answered { outcome, context }
}

fn translated(ask: &Ask<'_>, num_ctx: u64) -> Result<Question, Untranslatable> {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let stamp = Stamp { id, created: clock::now().as_millis() / 1000 };
    native::translate(ask.path, &ask.body, num_ctx, stamp)
}

/// By Ollama's own API; `None` if the prompt is too long for the context.
async fn natively(node: &Node, ask: &Ask<'_>, question: Question) -> Option<Outcome> {
    let Question { path, body, back } = question;
    let local = &node.upstreams.local().destination;
    let native = Ask { path, body, native: Some(&back), ..ask.clone() };
    let outcome = attempt::attempt(&node.connections, local, &native).await;
    if says_too_long(&outcome) {
        return None;
    }
    put_back(outcome, &back)
}

/// The same as `/v1` would have answered; `None` if the engine cut the prompt all the same.
fn put_back(outcome: Outcome, back: &Back) -> Option<Outcome> {
    Some(match outcome {
        Outcome::Whole(answer) => match back.whole(&answer.body) {
            Ok(whole) if whole.was_cut => return None,
            Ok(whole) => Outcome::Whole(WholeAnswer { body: whole.body, ..answer }),
            Err(error) => Outcome::Next(Reason::Broken(error.to_string())),
        },
        Outcome::Verdict(refusal) => {
            let said = error_message(&refusal.body);
            let body = said.map_or(refusal.body, |message| native::refusal(refusal.status, &message));
            Outcome::Verdict(Refusal { body, ..refusal })
        }
        other => other,
    })
}

/// Whether the engine refuses because of the prompt's length, in whichever way it words that.
fn says_too_long(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Next(Reason::TooLong(_)) => true,
        Outcome::Verdict(refusal) => {
            error_message(&refusal.body).is_some_and(|message| native::says_too_long(&message))
        }
        Outcome::Next(Reason::Status(_, message) | Reason::Broken(message)) => native::says_too_long(message),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn refused(status: u16, body: &'static str) -> Outcome {
        let body = Bytes::from_static(body.as_bytes());
        Outcome::Verdict(Refusal { status, content_type: String::new(), body })
    }

    #[test]
    fn however_an_engine_says_that_a_prompt_is_too_long_it_is_understood() {
        const SAID: &str = r#"{"error":"the input length exceeds the context length"}"#;
        let words = "the input length exceeds the context length".to_owned();
        for outcome in [
            refused(400, SAID),
            refused(413, SAID),
            Outcome::Next(Reason::Status(500, words.clone())),
            Outcome::Next(Reason::Broken(format!("the stream broke before its first token: {words}"))),
        ] {
            assert!(says_too_long(&outcome));
        }
        assert!(!says_too_long(&refused(400, r#"{"error":"no such option"}"#)));
        assert!(!says_too_long(&Outcome::Next(Reason::TimedOut)));
    }

    #[test]
    fn a_refusal_is_worded_as_v1_words_it() {
        let body = Bytes::from_static(br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#);
        let stamp = Stamp { id: "1".into(), created: 0 };
        let back = native::translate("/v1/chat/completions", &body, 10, stamp).unwrap().back;
        let refusal = refused(400, r#"{"error":"invalid option"}"#);
        let Some(Outcome::Verdict(refusal)) = put_back(refusal, &back) else { panic!() };
        assert_eq!(error_message(&refusal.body).as_deref(), Some("invalid option"));
        assert!(refusal.body.starts_with(b"{\"error\":{"));
    }
}
