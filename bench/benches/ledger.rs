//! What the books cost: keeping a receipt for good, and asking a ledger that has a million of them.
//!
//! Every post here ends in a flush of the disk under `target/`, so its figures are the disk's as much as
//! ours. The million is signed and posted once, kept in `target/bench-cache`, and used again.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use ledger::{Ledger, Origin, Reader};
use protocol::{Receipt, Requester, Verified};
use std::{
    cell::LazyCell,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

mod samples;

/// Receipts in the large ledger.
const MILLION: u64 = 1_000_000;

/// Receipts that a signing thread hands over at once.
const HANDFUL: u64 = 2_048;

fn cache() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder in target");
    let cache = target.join("bench-cache");
    fs::create_dir_all(&cache).expect("a folder for the ledgers");
    cache
}

fn posts(c: &mut Criterion) {
    let folder = tempfile::tempdir_in(cache()).expect("a folder");
    let worker = samples::worker();
    let ledger = Ledger::open(&folder.path().join("ledger.db"), worker.node_id()).expect("a ledger");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut next = 0;

    let mut group = c.benchmark_group("post, durable when it returns");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(1));
    for posters in [1, 64] {
        group.bench_function(format!("{posters} at once"), |b| {
            b.iter_custom(|posts| {
                let receipts = (next..next + posts).map(|n| samples::signed(&worker, n)).collect();
                next += posts;
                runtime.block_on(post_all(&ledger, receipts, posters))
            });
        });
    }
    group.finish();
    let written = ledger.written();
    eprintln!("{} receipts in {} commits\n", written.receipts, written.commits);
    ledger.close();
}

/// Shares the receipts among posters who each wait for one before they post the next.
async fn post_all(ledger: &Ledger, receipts: Vec<Verified<Receipt>>, posters: usize) -> Duration {
    let mut shares: Vec<Vec<_>> = (0..posters).map(|_| Vec::new()).collect();
    for (place, receipt) in receipts.into_iter().enumerate() {
        shares[place % posters].push(receipt);
    }
    let begun = Instant::now();
    let mut posting = JoinSet::new();
    for share in shares {
        let ledger = ledger.clone();
        posting.spawn(async move {
            for receipt in share {
                ledger.post(receipt, Origin::Served, samples::NOW).await.expect("kept");
            }
        });
    }
    posting.join_all().await;
    begun.elapsed()
}

fn questions(c: &mut Criterion) {
    // Made by the first benchmark that was not filtered out.
    let path = LazyCell::new(|| a_million_receipts().expect("a ledger of a million receipts"));
    let reader = LazyCell::new(|| Reader::open(&path).expect("a reader"));
    let first = samples::receipt(samples::worker().node_id(), 1);
    let unseen = protocol::receipt::Nonce([9; 16]);

    let mut group = c.benchmark_group("a million receipts");
    // `&*reader` outside of `iter`: making the ledger is not part of the first measurement.
    group.bench_function("totals", |b| {
        let reader = &*reader;
        b.iter(|| reader.totals().expect("totals"));
    });
    for (name, who) in
        [("account", first.requester), ("account of the worker", Requester::Node(first.worker))]
    {
        group.bench_function(name, |b| {
            let reader = &*reader;
            b.iter(|| reader.account(who).expect("an account"));
        });
    }
    group.bench_function("last 50", |b| {
        let reader = &*reader;
        b.iter(|| assert_eq!(reader.last(50).expect("entries").len(), 50));
    });
    for (name, nonce, seen) in [("seen before", first.nonce, true), ("never seen", unseen, false)] {
        group.bench_function(name, |b| {
            let reader = &*reader;
            b.iter(|| assert_eq!(reader.seen(first.worker, nonce).expect("an answer"), seen));
        });
    }
    group.bench_function("last 50, asked of the reading thread", |b| {
        let ledger = Ledger::open(&path, first.worker).expect("the ledger");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        b.iter(|| runtime.block_on(ledger.last(50)).expect("entries"));
        ledger.close();
    });
    group.finish();
}

/// The large ledger, made if it is not there.
fn a_million_receipts() -> io::Result<PathBuf> {
    let path = cache().join("ledger-1m.db");
    let count = || Reader::open(&path).ok().and_then(|reader| reader.count().ok());
    if count() != Some(MILLION) {
        let made = path.with_extension("part");
        for old in ["part", "part-wal", "part-shm", "db", "db-wal", "db-shm"] {
            match fs::remove_file(path.with_extension(old)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let begun = Instant::now();
        eprintln!("signing and posting {MILLION} receipts, once ...");
        fill(&made);
        fs::rename(made, &path)?;
        eprintln!("... done in {} s: {}", begun.elapsed().as_secs(), path.display());
    }
    Ok(path)
}

/// Signs on every core, posts in batches: each receipt enters the ledger as any other does.
fn fill(path: &Path) {
    let worker = samples::worker();
    let ledger = Ledger::open(path, worker.node_id()).expect("a ledger");
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    // Bounded, or the signers would fill the memory while the disk flushes.
    let (signed, received) = mpsc::sync_channel(2 * threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            let signed = signed.clone();
            let (next, worker) = (&next, &worker);
            scope.spawn(move || {
                loop {
                    let from = next.fetch_add(HANDFUL, Ordering::Relaxed);
                    let until = MILLION.min(from + HANDFUL);
                    let handful: Vec<_> = (from..until).map(|n| samples::signed(worker, n)).collect();
                    if handful.is_empty() || signed.send(handful).is_err() {
                        return;
                    }
                }
            });
        }
        drop(signed);
        for handful in received {
            for posted in ledger.post_many_blocking(handful, Origin::Served, samples::NOW) {
                posted.expect("kept");
            }
        }
    });
    ledger.close();
}

criterion_group!(benches, posts, questions);
criterion_main!(benches);
