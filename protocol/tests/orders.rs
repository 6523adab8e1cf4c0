//! Orders: the vectors of an implementation that shares no code with this one, and what must hold for
//! all of them. That the copies of the vectors are not behind is seen to in `vectors.rs`.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use common::{NOW, cases, plain, requester, text, vector, worker};
use proptest::prelude::*;
use protocol::{
    Body, Credits, NodeId, Order, Price, Rejected, Signed, Timestamp, Usage, Verified,
    auth::Auth,
    canonical::sha256,
    carriers,
    limits::{CLOCK_SKEW_MS, ORDER_HEADER_BYTES_MAX},
    order::{OrderRefused, max_input_tokens},
};
use serde_json::{Value, json};

/// What a worker does with an order that comes with a request.
fn admit(case: &Value) -> Result<Verified<Order>, OrderRefused> {
    let order = carriers::order_from_header(text(case, "header").as_bytes())?.verify()?;
    let me: NodeId = text(case, "worker").parse().unwrap();
    let model = text(case, "model").parse().unwrap();
    let now = Timestamp::from_millis(case["now"].as_u64().unwrap());
    order.check(now, &me, &sha256(text(case, "body").as_bytes()), &model)?;
    Ok(order)
}

#[test]
fn orders_are_admitted_exactly_when_theirs_are() {
    for case in cases(&vector("orders.json")) {
        let name = text(case, "name");
        let outcome = admit(case);
        match (&outcome, text(case, "why")) {
            (Ok(order), "ok" | "ok to read; buys nothing") => {
                assert_eq!(order.signed().canonical().as_str(), text(case, "canonical"), "{name}");
                assert_eq!(hex::encode(order.signed().sha256()), text(case, "orderSha256"), "{name}");
                let json: Value = serde_json::from_str(&order.to_json()).unwrap();
                assert_eq!(json, case["signed"], "{name}");
            }
            (Err(OrderRefused::Expired), "expired") => {}
            (Err(OrderRefused::Future), "from the future (more than 5 min)") => {}
            (Err(OrderRefused::AnotherWorker), "another worker") => {}
            (Err(OrderRefused::AnotherBody), "another body") => {}
            (Err(OrderRefused::AnotherModel), "another model") => {}
            (Err(OrderRefused::Rejected(Rejected::BadSignature)), "bad signature") => {}
            (Err(OrderRefused::Rejected(Rejected::Malformed(_))), "malformed" | "life over 10 min") => {}
            (Err(OrderRefused::Rejected(Rejected::UnsupportedVersion)), "unsupported version") => {}
            (_, why) => panic!("{name}: {outcome:?}, and they say {why}"),
        }
        assert_eq!(outcome.is_ok(), case["valid"].as_bool().unwrap(), "{name}");
    }
}

#[test]
fn an_order_without_credits_buys_nothing() {
    let orders = vector("orders.json");
    let poor = cases(&orders).iter().find(|case| case["name"] == "no credits").unwrap();
    let order = admit(poor).unwrap();
    assert_eq!(order.output_bound(None, Price::COMMON, 10), None);
}

fn changed(field: &str, value: Value) -> Result<Order, Rejected> {
    let mut object = plain().to_value();
    object[field] = value;
    Order::from_value(&object)
}

#[test]
fn a_field_of_the_wrong_form_makes_an_order_malformed() {
    let digits = "ab".repeat(32);
    for (field, value) in [
        ("orderId", json!("9b2f6f0a31c74d0e8f4b6f0a54c1b002")),
        ("requesterPubkey", json!("anonymous")),
        ("workerPubkey", json!(digits)),
        ("model", json!("")),
        ("bodySha256", json!(digits.to_uppercase())),
        ("bodySha256", json!(digits[1..])),
        ("maxInputTokens", json!(1u64 << 53)),
        ("maxOutputTokens", json!(-1)),
        ("maxCredits", json!(0.5)),
        ("createdAt", json!(null)),
        ("expiresAt", json!(NOW - 1)),
        ("expiresAt", json!(NOW + 600_001)),
        ("answerBy", json!(NOW + 7 * 86_400_000 + 1)),
        ("answerBy", json!(null)),
        ("modelDigest", json!(format!("sha256:{digits}"))),
        ("price", json!({"input": 1})),
        ("price", json!({"input": 1, "output": 0.5})),
        ("price", json!(null)),
    ] {
        let outcome = changed(field, value.clone());
        assert!(matches!(outcome, Err(Rejected::Malformed(_))), "{field}: {value}: {outcome:?}");
    }
    assert_eq!(changed("version", json!(1)), Err(Rejected::UnsupportedVersion));
    assert!(changed("expiresAt", json!(NOW + 600_000)).is_ok());
    assert!(changed("answerBy", json!(NOW + 7 * 86_400_000)).is_ok());
}

#[test]
fn an_order_is_admitted_within_its_life_and_before_it_must_be_answered() {
    let order = Order { answer_by: Some(Timestamp::from_millis(NOW + 1000)), ..plain() };
    let order = Verified::sign(order, &requester()).unwrap();
    let check = |now: u64, model: &str| {
        order.check(Timestamp::from_millis(now), &worker().node_id(), &sha256(b"{}"), &model.parse().unwrap())
    };
    assert_eq!(check(NOW - CLOCK_SKEW_MS, "llama3.1:8b"), Ok(()));
    assert_eq!(check(NOW - CLOCK_SKEW_MS - 1, "llama3.1:8b"), Err(OrderRefused::Future));
    assert_eq!(check(NOW + 1000, "llama3.1:8b"), Ok(()));
    assert_eq!(check(NOW + 1001, "llama3.1:8b"), Err(OrderRefused::TooLate));
    assert_eq!(check(NOW + 300_001, "llama3.1:8b"), Err(OrderRefused::Expired));
    assert_eq!(check(NOW, "llama3.1"), Err(OrderRefused::AnotherModel));
}

#[test]
fn a_refusal_names_the_field() {
    let fields: Vec<String> =
        plain().to_value().as_object().unwrap().keys().cloned().chain(["answerBy".into()]).collect();
    for refused in [
        OrderRefused::AnotherWorker,
        OrderRefused::AnotherBody,
        OrderRefused::AnotherModel,
        OrderRefused::Expired,
        OrderRefused::Future,
        OrderRefused::TooLate,
        Rejected::UnsupportedVersion.into(),
    ] {
        assert!(fields.iter().any(|field| field == refused.param()), "{refused}");
    }
    assert_eq!(OrderRefused::from(Rejected::BadSignature).param(), "signature");
    assert_eq!(OrderRefused::from(Rejected::Malformed("x".into())).param(), "order");
}

#[test]
fn an_order_too_long_to_keep_is_refused_unread() {
    let mut object = plain().to_value();
    object["zFuture"] = json!("x".repeat(ORDER_HEADER_BYTES_MAX));
    let long = carriers::to_header(Verified::sign(plain(), &requester()).unwrap().signed());
    assert!(carriers::order_from_header(long.as_bytes()).is_ok());
    let json = json!({"order": object, "signature": "00".repeat(64)}).to_string();
    let signed = Signed::<Order>::parse(json.as_bytes()).unwrap();
    let outcome = carriers::order_from_header(carriers::to_header(&signed).as_bytes());
    assert!(matches!(outcome, Err(Rejected::Malformed(_))), "{outcome:?}");
}

#[test]
fn a_prompt_is_ordered_by_the_bytes_of_its_request() {
    let bounds = [0, 1, 3, 4, u64::MAX].map(max_input_tokens);
    assert_eq!(bounds, [256, 257, 257, 258, u64::MAX / 3 + 256]);
}

prop_compose! {
    fn any_order()(
        limits in [0u64..1 << 53, 0..1 << 53, 0..1 << 53],
        times in (0u64..1 << 52, 0u64..=600_000, proptest::option::of(0u64..=7 * 86_400_000)),
        quote in proptest::option::of((any::<[u8; 32]>(), 0u64..1 << 53, 0u64..1 << 53)),
        body_sha256 in any::<[u8; 32]>(),
        model in "[a-z0-9é🦞]{1,40}(:[a-z0-9]{1,8})?",
    ) -> Order {
        let (created_at, life, answer_within) = times;
        let at = |ms| Timestamp::from_millis(created_at + ms);
        Order {
            model: model.parse().unwrap(),
            body_sha256,
            max_input_tokens: limits[0],
            max_output_tokens: limits[1],
            max_credits: Credits::new(limits[2]).unwrap(),
            created_at: at(0),
            expires_at: at(life),
            answer_by: answer_within.map(at),
            model_digest: quote.map(|(digest, ..)| digest),
            price: quote.map(|(_, input, output)| Price { input, output }),
            ..plain()
        }
    }
}

proptest! {
    #[test]
    fn an_order_arrives_as_it_was_signed(order in any_order()) {
        let ours = Verified::sign(order, &requester()).unwrap();
        let carried = carriers::order_from_header(carriers::to_header(ours.signed()).as_bytes()).unwrap();
        prop_assert_eq!(carried.sha256(), ours.signed().sha256());
        prop_assert_eq!(carried.verify().unwrap(), ours);
    }

    #[test]
    fn no_answer_within_its_bound_costs_more_than_was_ordered(
        order in any_order(), asked in proptest::option::of(0u64..1 << 53), input_bound in 0u64..1 << 53,
        price in (0u64..1 << 53, 0u64..1 << 53), shift in 0u32..53, made in 0.0..=1.0,
    ) {
        let price = Price { input: price.0 >> shift, output: price.1 >> shift };
        let input_bound = input_bound >> shift;
        let input_tokens = order.max_input_tokens.min(input_bound);
        let cost = |output_tokens| price.charge(Usage { input_tokens, output_tokens });
        match order.output_bound(asked, price, input_bound) {
            Some(bound) => {
                prop_assert!((1..=order.max_output_tokens.min(asked.unwrap_or(u64::MAX))).contains(&bound));
                for output in [bound, (bound as f64 * made) as u64] {
                    prop_assert!(order.max_credits == Credits::MAX || cost(output) <= order.max_credits);
                }
            }
            None => prop_assert!(
                asked == Some(0) || order.max_output_tokens == 0 || order.max_credits == Credits::MAX
                    || cost(1) > order.max_credits
            ),
        }
        let far_more = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX };
        prop_assert!(order.charge(price, far_more) <= order.max_credits);
    }

    #[test]
    fn rubbish_is_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = carriers::order_from_header(&bytes);
        let _ = Signed::<Order>::parse(&bytes);
        let _ = Auth::parse(&String::from_utf8_lossy(&bytes));
    }
}
