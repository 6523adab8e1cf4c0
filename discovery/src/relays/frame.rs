//! One text frame of a relay: what it says, if it says anything (NIP-01).

use super::{FRAME_BYTES_MAX, ear::Garbage};
use crate::{
    event::{ANNOUNCEMENT_KIND, DELETION_KIND},
    public_receipts::RECEIPT_KIND,
};
use nostr_sdk::{Event, EventId, JsonUtil, RelayMessage, SubscriptionId};

/// Most characters of a relay's own words that are kept.
const WORDS_MAX: usize = 200;

/// What a relay says. What it says in words is bounded and printable.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    /// An event of a kind that is ours. Nothing of it is checked.
    Event(Box<Event>),
    /// No more stored events.
    End(SubscriptionId),
    /// The relay ended a subscription.
    Closed { id: SubscriptionId, why: String },
    /// Its answer to an event that we sent.
    Answer { id: EventId, taken: bool, why: String },
    /// It wants to know who we are (NIP-42).
    Challenge(String),
    /// A notice.
    Notice(String),
    /// Something else of the protocol, which we never ask for.
    Other,
}

/// Reads one frame.
pub(crate) fn read(text: &str) -> Result<Frame, Garbage> {
    if text.len() > FRAME_BYTES_MAX {
        return Err(Garbage::TooLong { bytes: text.len() });
    }
    Ok(match RelayMessage::from_json(text).map_err(|_| Garbage::Malformed)? {
        RelayMessage::Event { event, .. } => {
            if ![ANNOUNCEMENT_KIND, DELETION_KIND, RECEIPT_KIND].contains(&event.kind) {
                return Err(Garbage::Unasked { kind: event.kind.as_u16() });
            }
            Frame::Event(Box::new(event.into_owned()))
        }
        RelayMessage::EndOfStoredEvents(id) => Frame::End(id.into_owned()),
        RelayMessage::Closed { subscription_id, message } => {
            Frame::Closed { id: subscription_id.into_owned(), why: words(&message) }
        }
        RelayMessage::Ok { event_id, status, message } => {
            Frame::Answer { id: event_id, taken: status, why: words(&message) }
        }
        RelayMessage::Auth { challenge } => Frame::Challenge(challenge.into_owned()),
        RelayMessage::Notice(message) => Frame::Notice(words(&message)),
        _ => Frame::Other,
    })
}

/// Another's words, fit to be shown: bounded, on one line, without control characters.
pub(crate) fn words(text: &str) -> String {
    let plain = text.chars().take(WORDS_MAX).map(|c| if c.is_control() { ' ' } else { c });
    plain.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_nobody_asked_for_is_garbage() {
        let note = r#"["EVENT","s",{"id":"70b10f70c1318967eddf12527799411b1a9780ad9c43858f5e5fcd45486a13a5","pubkey":"379e863e8357163b5bce5d2688dc4f1dcc2d505222fb8d74db600f30535dfdfe","created_at":1612809991,"kind":1,"tags":[],"content":"test","sig":"273a9cd5d11455590f4359500bccb7a89428262b96b3ea87a756b770964472f8c3e87f5d5e64d8d2e859a71462a3f477b554565c4f2f326cb01dd7620db71502"}]"#;
        assert_eq!(read(note), Err(Garbage::Unasked { kind: 1 }));
        for nonsense in ["", "x", "[]", "{}", r#"["EVENT"]"#, r#"["EVENT","s",{}]"#, r#"["OK"]"#, "[1,2]"] {
            assert_eq!(read(nonsense), Err(Garbage::Malformed), "{nonsense}");
        }
        let long = format!(r#"["NOTICE","{}"]"#, "x".repeat(FRAME_BYTES_MAX));
        assert_eq!(read(&long), Err(Garbage::TooLong { bytes: long.len() }));
    }

    #[test]
    fn a_relays_words_are_short_and_printable() {
        let text = format!(r#"["NOTICE","a\u001b[31m\n{}"]"#, "y".repeat(1000));
        let Ok(Frame::Notice(words)) = read(&text) else { panic!("not read") };
        assert!(words.starts_with("a [31m y"), "{words}");
        assert!(words.chars().count() <= WORDS_MAX);
        assert_eq!(
            read(r#"["CLOSED","lobstah","rate-limited: slow down"]"#),
            Ok(Frame::Closed { id: SubscriptionId::new("lobstah"), why: "rate-limited: slow down".into() })
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"(\[|"|EVENT|OK|,|\{|\}|\]|[a-z0-9:]|\\u00|null){0,60}"#) {
            let _ = read(&text);
        }
    }
}
