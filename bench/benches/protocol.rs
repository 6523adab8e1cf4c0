//! What one receipt costs: its canonical form, signing, checking, and the way through a header.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use protocol::{Body, Receipt, Signed, Verified, canonical::CanonicalBytes, carriers};
use std::hint::black_box;

mod samples;

fn statements(c: &mut Criterion) {
    let worker = samples::worker();
    let receipt = samples::receipt(worker.node_id(), 1);
    let value = receipt.to_value();
    let kept = samples::signed(&worker, 1);
    let json = kept.to_json();

    let mut group = c.benchmark_group("receipt");
    group.bench_function("canonical", |b| b.iter(|| CanonicalBytes::of(black_box(&value))));
    group.bench_function("sign", |b| {
        b.iter_batched(|| receipt.clone(), |receipt| Verified::sign(receipt, &worker), BatchSize::SmallInput);
    });
    group.bench_function("parse", |b| b.iter(|| Signed::<Receipt>::parse(black_box(json.as_bytes()))));
    group.bench_function("verify", |b| {
        let received = || Signed::<Receipt>::parse(json.as_bytes()).expect("a receipt");
        b.iter_batched(received, |received| received.verify().expect("its signature"), BatchSize::SmallInput);
    });
    group.finish();
}

fn carried(c: &mut Criterion) {
    let receipt = samples::signed(&samples::worker(), 1);
    let header = carriers::to_header(receipt.signed());

    let mut group = c.benchmark_group("carrier");
    group.bench_function("to header", |b| b.iter(|| carriers::to_header(black_box(receipt.signed()))));
    group.bench_function("to comment", |b| b.iter(|| carriers::to_comment(black_box(receipt.signed()))));
    group.bench_function("from base64", |b| {
        b.iter(|| carriers::from_base64::<Receipt>(black_box(header.as_bytes())));
    });
    group.bench_function("there and back, signature checked", |b| {
        b.iter(|| {
            let text = carriers::to_header(black_box(receipt.signed()));
            carriers::from_base64::<Receipt>(text.as_bytes())
                .and_then(Signed::verify)
                .expect("the same receipt")
        });
    });
    group.finish();
}

criterion_group!(benches, statements, carried);
criterion_main!(benches);
