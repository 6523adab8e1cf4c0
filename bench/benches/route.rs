//! What choosing an upstream costs, among the few of a home and the many of a grid.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gateway::{
    breaker::Admission,
    route::{self, Candidate},
};
use protocol::Tier;
use std::{hint::black_box, time::Duration};

/// Upstreams in all the states that there are, most of them well.
fn candidates(count: usize) -> Vec<Candidate> {
    let candidate = |n: usize| Candidate {
        preference: (n % 3).min(1),
        admission: if n % 11 == 10 { Admission::Tripped } else { Admission::Admitting },
        up: n % 13 != 12,
        in_flight: n % 5,
        limit: 4 + n % 4,
        busy: n % 17 == 16,
        tier: [None, Some(Tier::Interactive), Some(Tier::Batch)][n % 3],
        others: n % 7,
        concurrency: 4,
        lends: true,
        owes_us: n % 19 == 18,
        service: Duration::from_millis(500 + (n as u64 * 37) % 20_000),
    };
    (0..count).map(candidate).collect()
}

fn choose(c: &mut Criterion) {
    let mut group = c.benchmark_group("choose");
    for count in [10, 500] {
        let candidates = candidates(count);
        let mut spread = 0;
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count} candidates"), |b| {
            b.iter(|| {
                spread += 1;
                route::choose(black_box(&candidates), Some(Tier::Interactive), spread)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, choose);
criterion_main!(benches);
