//! What one chunk of a stream costs on its way: found whole, looked at, sent on.
//!
//! Elements are chunks, so that the time per iteration divided by [`CHUNKS`] is the time per chunk.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gateway::{
    meter::{Meter, Watch},
    sse::Splitter,
};
use protocol::carriers;

mod samples;

/// Tokens of the stream.
const CHUNKS: usize = 500;

/// What a full TCP segment on Ethernet holds: a stream that is cut anywhere.
const SEGMENT: usize = 1_448;

const WORDS: [&str; 8] =
    [" The", " lobster", " said:", " \\\"usage", "\\n\\n", " 🦞", " counts", " {\\\"x\\\": 1}"];

const USAGE: &str = "data: {\"id\":\"chatcmpl-417\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\
    \"model\":\"llama3.1:8b\",\"system_fingerprint\":\"fp_ollama\",\"choices\":[],\
    \"usage\":{\"prompt_tokens\":412,\"completion_tokens\":500,\"total_tokens\":912}}\n\n";

fn chunk(n: usize) -> String {
    let word = WORDS[n % WORDS.len()];
    format!(
        "data: {{\"id\":\"chatcmpl-417\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\
         \"model\":\"llama3.1:8b\",\"system_fingerprint\":\"fp_ollama\",\"choices\":[{{\"index\":0,\
         \"delta\":{{\"role\":\"assistant\",\"content\":\"{word}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

/// The events of a stream, each as it is written by an engine.
fn events(tail: &[&str]) -> Vec<Bytes> {
    let tail = tail.iter().map(|event| (*event).to_owned());
    let done = std::iter::once("data: [DONE]\n\n".to_owned());
    (0..CHUNKS).map(chunk).chain(tail).chain(done).map(Bytes::from).collect()
}

/// The same bytes, cut without regard to events.
fn segments(events: &[Bytes]) -> Vec<Bytes> {
    events.concat().chunks(SEGMENT).map(Bytes::copy_from_slice).collect()
}

/// The path of a stream through a node, without its sockets. Gives the bytes that went on.
fn pass(chunks: Vec<Bytes>, watch: Watch) -> usize {
    let mut splitter = Splitter::default();
    let mut meter = Meter::new(watch);
    let mut forwarded = 0;
    for chunk in chunks {
        let run = splitter.push(chunk).expect("no event is too long");
        if run.is_empty() {
            continue;
        }
        let passed = meter.pass(run);
        forwarded += passed.forward.len();
        if passed.end.is_some() {
            break;
        }
    }
    forwarded
}

fn streams(c: &mut Criterion) {
    let receipt = carriers::to_comment(samples::signed(&samples::worker(), 1).signed());
    let receipt = String::from_utf8(receipt).expect("a comment is text");
    let bare = events(&[]);
    let counted = events(&[USAGE]);
    let receipted = events(&[USAGE, &receipt]);
    let keep = Watch::default();
    let strip = Watch { strip_usage: true, take_receipt: false, ..Watch::default() };
    let take = Watch { strip_usage: false, take_receipt: true, ..Watch::default() };

    let mut group = c.benchmark_group("stream of 500 chunks");
    for (name, chunks, watch) in [
        ("no usage", bare, keep),
        ("usage read", counted.clone(), keep),
        ("usage read and taken out", counted, strip),
        ("receipt taken out", receipted.clone(), take),
        ("receipt taken out, cut anywhere", segments(&receipted), take),
    ] {
        let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        group.throughput(Throughput::ElementsAndBytes { elements: CHUNKS as u64, bytes });
        group.bench_function(name, |b| {
            b.iter_batched(|| chunks.clone(), |chunks| pass(chunks, watch), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, streams);
criterion_main!(benches);
