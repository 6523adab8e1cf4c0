//! What `lobstah doctor` learns about a relay.

use super::support::{Listening, Played, clock, soon};
use discovery::{
    relay::GroupRelay,
    relays::{CheckStep, RelayCheck, StepFailed, check},
};
use nostr_sdk::Keys;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::task::TaskTracker;
use url::Url;

const LONG: Duration = Duration::from_secs(30);

async fn checked(url: &Url, patience: Duration) -> RelayCheck {
    soon("the check", check(url, &Keys::generate(), clock, patience)).await
}

fn last(check: &RelayCheck) -> (CheckStep, &StepFailed) {
    let last = check.steps.last().unwrap();
    (last.step, last.result.as_ref().unwrap_err())
}

#[tokio::test]
async fn a_good_relay_passes_every_step_and_keeps_nothing() {
    let tasks = TaskTracker::new();
    let relay = GroupRelay::start("127.0.0.1:0".parse().unwrap(), clock, &tasks).await.unwrap();
    let listening = Listening::to(&[relay.url()]).await;
    listening.until("the relay", |states| states[0].caught_up).await;
    for _ in 0..2 {
        let check = checked(relay.url(), LONG).await;
        assert!(check.is_good(), "{check:?}");
        let steps: Vec<CheckStep> = check.steps.iter().map(|step| step.step).collect();
        assert_eq!(steps, [CheckStep::Connect, CheckStep::Write, CheckStep::ReadBack, CheckStep::Delete]);
        let clock = check.clock.unwrap();
        assert!(clock.ahead_ms.unsigned_abs() <= clock.give_or_take_ms + 500, "{clock:?}");
    }
    // The deletion names events by id only, so no listener is bothered.
    assert!(listening.notebook.pages().events.is_empty());
    listening.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn the_first_step_that_fails_says_why() {
    let dead = Played::start().await;
    let dead_url = dead.url.clone();
    dead.die();
    let check = checked(&dead_url, LONG).await;
    assert!(matches!(last(&check), (CheckStep::Connect, StepFailed::NoConnection(_))), "{check:?}");
    assert!(!check.is_good() && check.clock.is_none());

    let refusing = Played::start().await;
    let playing = async {
        let mut visitor = refusing.visitor().await;
        let event = visitor.publishes().await;
        visitor.tell(json!(["OK", event.id, false, "invalid: created_at too late"])).await;
        visitor.leaves().await;
    };
    let (check, ()) = tokio::join!(checked(&refusing.url, LONG), playing);
    let (step, why) = last(&check);
    assert_eq!((step, why.to_string().as_str()), (CheckStep::Write, "refused: invalid: created_at too late"));
}

#[tokio::test]
async fn a_relay_that_takes_and_does_not_keep_is_found_out() {
    let relay = Played::start().await;
    let playing = async {
        let mut visitor = relay.visitor().await;
        let event = visitor.publishes().await;
        visitor.tell(json!(["OK", event.id, true, ""])).await;
        let id = visitor.asks().await;
        visitor.tell(json!(["EOSE", id])).await;
        visitor.leaves().await;
    };
    let (check, ()) = tokio::join!(checked(&relay.url, LONG), playing);
    assert!(matches!(last(&check), (CheckStep::ReadBack, StepFailed::NotKept)), "{check:?}");
}

#[tokio::test]
async fn a_mute_relay_takes_no_longer_than_patience() {
    let relay = Played::start().await;
    let playing = async { relay.visitor().await };
    let (check, _held) = tokio::join!(checked(&relay.url, Duration::from_secs(2)), playing);
    assert!(matches!(last(&check), (CheckStep::Write, StepFailed::TooSlow)), "{check:?}");
}

#[tokio::test]
async fn where_a_relay_wants_to_know_who_writes_it_is_told() {
    let relay = Played::start().await;
    let playing = async {
        let mut visitor = relay.visitor().await;
        visitor.tell(json!(["AUTH", "who are you"])).await;
        let event = visitor.publishes().await;
        visitor.tell(json!(["OK", event.id, false, "auth-required: say who you are"])).await;
        let answer = visitor.says().await;
        assert_eq!((&answer[0], &answer[1]["kind"]), (&json!("AUTH"), &json!(22242)));
        let challenge = answer[1]["tags"].as_array().unwrap().iter().find(|tag| tag[0] == "challenge");
        assert_eq!(challenge.map(|tag| &tag[1]), Some(&json!("who are you")));
        visitor.tell(json!(["OK", answer[1]["id"], true, ""])).await;
        let again = visitor.publishes().await;
        visitor.tell(json!(["OK", again.id, true, ""])).await;
        let id = visitor.asks().await;
        visitor.show(&id, &again).await;
        let deletion = visitor.publishes().await;
        let named: Vec<Value> = deletion.tags.iter().map(|tag| json!(tag.as_slice())).collect();
        assert!(named.contains(&json!(["e", again.id])), "{named:?}");
        visitor.tell(json!(["OK", deletion.id, true, ""])).await;
        visitor.leaves().await;
    };
    let (check, ()) = tokio::join!(checked(&relay.url, LONG), playing);
    assert!(check.is_good(), "{check:?}");
}
