//! `x-lobstah-order`: from a header's value to what a worker admits and charges.
#![no_main]

use fuzz::{KEY, comes_back, is_signed_as_understood, signed_anew};
use libfuzzer_sys::fuzz_target;
use protocol::{
    Order, Price, Signed, Usage, Verified, carriers, limits::ORDER_HEADER_BYTES_MAX, order::OrderRefused,
};

fuzz_target!(|data: &[u8]| {
    let _ = carriers::order_from_header(data).and_then(Signed::verify);
    if let Ok(order) = Signed::<Order>::parse(data) {
        comes_back(&order);
        travels(&order);
        let _ = order.verify();
    }
    if let Some(order) = signed_anew::<Order>(data, "requesterPubkey") {
        travels(order.signed());
        is_signed_as_understood(&order);
        counts_in_its_time(&order);
        costs_what_was_agreed(&order);
    }
});

/// A header brings it whole, or is too long.
fn travels(order: &Signed<Order>) {
    let header = carriers::to_header(order);
    match carriers::order_from_header(header.as_bytes()) {
        Ok(read) => assert_eq!(read, *order),
        Err(_) => assert!(header.len() > ORDER_HEADER_BYTES_MAX),
    }
}

fn counts_in_its_time(order: &Verified<Order>) {
    let at = |now| order.check(now, &order.worker, &order.body_sha256, &order.model);
    let too_late = order.answer_by.is_some_and(|by| by < order.created_at);
    assert_eq!(at(order.created_at), if too_late { Err(OrderRefused::TooLate) } else { Ok(()) });
    let elsewhere = order.check(order.created_at, &KEY.node_id(), &[0; 32], &order.model);
    let here = order.worker == KEY.node_id() && order.body_sha256 == [0; 32];
    assert_eq!(elsewhere.is_ok(), here && !too_late);
}

/// Whatever an engine makes within the bound, it costs no more than `maxCredits`.
fn costs_what_was_agreed(order: &Verified<Order>) {
    let price = order.price.unwrap_or(Price::COMMON);
    for (asked, input_bound) in [(None, u64::MAX), (Some(100), 0), (Some(0), 1)] {
        let Some(output_tokens) = order.output_bound(asked, price, input_bound) else { continue };
        assert!(output_tokens <= order.max_output_tokens.min(asked.unwrap_or(u64::MAX)));
        let usage = Usage { input_tokens: order.max_input_tokens.min(input_bound), output_tokens };
        assert!(price.charge(usage) <= order.max_credits);
        assert_eq!(order.charge(price, usage), price.charge(usage));
    }
    let endless = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX };
    assert!(order.charge(price, endless) <= order.max_credits);
}
