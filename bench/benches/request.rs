//! What reading and changing a request's body costs: a chat of 2 KB, and one with a 5 MB picture.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use upstream_ollama::{Changes, RequestView};

/// A streamed chat whose body is about `bytes` long.
fn body(bytes: usize, content: impl Fn(usize) -> String) -> Bytes {
    let head = "{\"model\":\"llama3.1\",\"messages\":[\
        {\"role\":\"developer\",\"content\":\"You are a careful lobster. Answer in one sentence.\"},\
        {\"role\":\"user\",\"content\":";
    let tail = "}],\"temperature\":0.2,\"max_completion_tokens\":512,\"stream\":true,\
        \"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"tide\",\"parameters\":{\"type\":\"object\",\
        \"properties\":{\"beach\":{\"type\":\"string\"}},\"required\":[\"beach\"]}}}]}";
    let room = bytes.saturating_sub(head.len() + tail.len());
    format!("{head}{}{tail}", content(room)).into()
}

fn prose(bytes: usize) -> String {
    let sentence = "Lobsters moult in summer, \\\"shedders\\\" sell for less.\\n";
    format!("\"{}\"", sentence.repeat(bytes / sentence.len()))
}

fn picture(bytes: usize) -> String {
    let data = "iVBORw0KGgoAAAANSUhEUgAAB9AAAAfQCAYAAACa".repeat(bytes / 40);
    format!("[{{\"type\":\"image_url\",\"image_url\":{{\"url\":\"data:image/png;base64,{data}\"}}}}]")
}

fn bodies(c: &mut Criterion) {
    // What a gateway changes for a friend's worker: nothing but the name.
    let rename = Changes { model: "llama3.1:8b".parse().ok(), ..Changes::default() };
    // What a worker changes for its engine.
    let all = Changes {
        ask_usage: true,
        max_tokens_name: true,
        developer_as_system: true,
        max_tokens_cap: Some(256),
        ..rename.clone()
    };
    for (name, body) in [("body of 2 KB", body(2_000, prose)), ("body of 5 MB", body(5_000_000, picture))] {
        let view = RequestView::read(&body).expect("a request");
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("read", |b| b.iter(|| RequestView::read(black_box(&body))));
        for (name, changes) in
            [("apply nothing", &Changes::default()), ("apply a name", &rename), ("apply all", &all)]
        {
            group.bench_function(name, |b| b.iter(|| view.apply(black_box(&body), changes)));
        }
        group.finish();
    }
}

criterion_group!(benches, bodies);
criterion_main!(benches);
