//! What an announcement costs from a relay's text to the roster, beside the two signature checks that
//! nobody can save, and what finding the workers of a model costs among many.
//!
//! How much memory many take says `cargo run --release -p bench --example roster_memory`.

use criterion::{Criterion, criterion_group, criterion_main};
use discovery::{Roster, TakenIn, event::read};
use nostr_sdk::{Event, JsonUtil};
use protocol::{Announcement, Signed, keypair};
use std::{collections::HashSet, hint::black_box};

#[path = "samples/strangers.rs"]
mod strangers;

use strangers::{NOW, RULES};

/// Workers that are there before anything is measured, each having come through every check: some
/// twenty seconds.
const ANNOUNCED: u64 = 100_000;

/// Workers that come, in turn; then they are made to leave and come again.
const COMING: u64 = 2_048;

fn strangers(c: &mut Criterion) {
    // Room for those who come, so that nobody gives way: that is another price.
    let mut roster = strangers::roster(ANNOUNCED - COMING);
    take_in(c, &mut roster);
    serving(c, &roster);
}

/// The ratio of the last to the one before it is what reading costs beyond the signatures.
fn take_in(c: &mut Criterion, roster: &mut Roster<()>) {
    let coming: Vec<Event> =
        (ANNOUNCED..ANNOUNCED + COMING).map(|n| strangers::event(n, ANNOUNCED)).collect();
    let texts: Vec<String> = coming.iter().map(JsonUtil::as_json).collect();
    let statements: Vec<Signed<Announcement>> =
        coming.iter().map(|event| Signed::parse(event.content.as_bytes()).expect("its form")).collect();
    let nodes: HashSet<_> = statements.iter().map(|signed| signed.unverified().node).collect();
    let inner = |at: usize| {
        let (signed, of) = (&statements[at], statements[at].unverified());
        keypair::verify_bytes(&of.node, signed.canonical().as_bytes(), signed.signature())
    };
    let mut turn = 0;
    let mut next = || {
        turn = (turn + 1) % coming.len();
        turn
    };

    let mut group = c.benchmark_group("an announcement");
    group.bench_function("its Ed25519 signature alone", |b| b.iter(|| black_box(inner(next()))));
    group.bench_function("its event's BIP 340 signature alone", |b| {
        b.iter(|| black_box(coming[next()].verify_signature()));
    });
    group.bench_function("both signatures alone", |b| {
        b.iter(|| {
            let at = next();
            black_box(inner(at) && coming[at].verify_signature())
        });
    });
    group.bench_function("read and taken in", |b| {
        b.iter(|| {
            let at = next();
            if at == 0 {
                // All of them leave. Its share of a turn is in the figure.
                roster.set_ignored(nodes.clone());
                roster.set_ignored(HashSet::new());
            }
            let event = Event::from_json(black_box(&texts[at])).expect("an event");
            let checked = read(&event, NOW, RULES).expect("a good event");
            assert_eq!(roster.take_in(checked, NOW), TakenIn::New);
        });
    });
    group.finish();
}

fn serving(c: &mut Criterion, roster: &Roster<()>) {
    let rare = strangers::rare();
    let mut spread = 0;
    let mut group = c.benchmark_group("serving, 500 of 100,000 workers");
    for most in [16, 500] {
        group.bench_function(format!("{most} asked for"), |b| {
            b.iter(|| {
                spread += 1;
                roster.serving(black_box(&rare), most, spread, NOW)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, strangers);
criterion_main!(benches);
