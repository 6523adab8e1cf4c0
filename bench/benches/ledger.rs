//! What the books cost: keeping a receipt for good, an exchange from order to acknowledgement, and asking
//! a ledger that has a million receipts.
//!
//! Every post here ends in a flush of the disk under `target/`, so its figures are the disk's as much as
//! ours. The million is signed and posted once, kept in `target/bench-cache`, and used again.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use ledger::{Ledger, Line, Origin, Reader};
use protocol::{Ack, Answer, Credits, Keypair, Order, Receipt, Requester, Timestamp, Verified, ack::Verdict};
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

/// An exchange as both sides sign it, made before the clock runs.
struct Exchange {
    order: Verified<Order>,
    receipt: Verified<Receipt>,
    ack: Verified<Ack>,
}

fn exchange(worker: &Keypair, requester: &Keypair, n: u64) -> Exchange {
    let plain = samples::receipt(worker.node_id(), n);
    let credits = Credits::saturating(plain.usage.total());
    let order = Order {
        order_id: plain.job_id.clone(),
        requester: requester.node_id(),
        worker: worker.node_id(),
        model: plain.model.clone(),
        body_sha256: [1; 32],
        max_input_tokens: 4_096,
        max_output_tokens: 8_192,
        max_credits: credits,
        created_at: samples::NOW,
        expires_at: Timestamp::from_millis(samples::NOW.as_millis() + 60_000),
        answer_by: None,
        model_digest: None,
        price: None,
    };
    let order = Verified::sign(order, requester).expect("the requester's order");
    let answers = Answer {
        order_sha256: order.signed().sha256(),
        response_sha256: [2; 32],
        response_bytes: Some(4_000),
        credits,
        model_digest: Some([3; 32]),
        cut: false,
        estimated: false,
        context: None,
    };
    let receipt =
        Receipt { requester: Requester::Node(requester.node_id()), answers: Some(answers), ..plain };
    let receipt = Verified::sign(receipt, worker).expect("the worker's receipt");
    let (order_sha256, receipt_sha256) = (order.signed().sha256(), receipt.signed().sha256());
    let ack = Ack { order_sha256, receipt_sha256, verdict: Verdict::Ok, at: samples::NOW };
    let ack = ack.sign(requester).expect("the requester's acknowledgement");
    Exchange { order, receipt, ack }
}

/// The books of one side of exchanges that go on at once, all signatures made before.
fn exchanges(c: &mut Criterion) {
    let folder = tempfile::tempdir_in(cache()).expect("a folder");
    let (worker, requester) = (samples::worker(), Keypair::from_seed(&[8; 32]));
    let open =
        |name, key: &Keypair| Ledger::open(&folder.path().join(name), key.node_id()).expect("a ledger");
    let (ours, theirs) = (open("worker.db", &worker), open("gateway.db", &requester));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut next = 0;
    let mut make = |count| -> Vec<_> {
        let made = (next..next + count).map(|n| exchange(&worker, &requester, n)).collect();
        next += count;
        made
    };

    let mut group = c.benchmark_group("the books of one exchange");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(1));
    for at_once in [1, 64] {
        group.bench_function(format!("worker: admit, claim, ack; {at_once} at once"), |b| {
            b.iter_custom(|count| runtime.block_on(share(make(count), at_once, &ours, serve)));
        });
        group.bench_function(format!("gateway: place, receive, delivered; {at_once} at once"), |b| {
            b.iter_custom(|count| runtime.block_on(share(make(count), at_once, &theirs, ask)));
        });
    }
    group.finish();
    for ledger in [ours, theirs] {
        eprintln!("{:?}", ledger.written());
        ledger.close();
    }
}

async fn serve(ledger: Ledger, exchanges: Vec<Exchange>) {
    let line = Line::Friend { limit: Credits::MAX };
    for Exchange { order, receipt, ack } in exchanges {
        let held = ledger.admit(&order, line, samples::NOW).await.expect("admitted");
        ledger.claim(held, receipt, samples::NOW).await.expect("kept");
        let taken = ledger.take_acks(vec![ack.signed().clone()], samples::NOW).await;
        assert!(taken[0].is_ok());
    }
}

async fn ask(ledger: Ledger, exchanges: Vec<Exchange>) {
    for (n, Exchange { order, receipt, ack }) in exchanges.into_iter().enumerate() {
        ledger.place(&order, samples::NOW).await.expect("remembered");
        ledger.post_received(receipt, ack, samples::NOW).await.expect("kept");
        // They go in batches, whoever's they are.
        if n % 16 == 15 {
            for batch in ledger.due(samples::NOW, 1).await.expect("an answer") {
                ledger.delivered(batch.worker, batch.ids, samples::NOW).await.expect("noted");
            }
        }
    }
}

/// Shares the exchanges among tasks, each of which does one after the other.
async fn share<F: Future<Output = ()> + Send + 'static>(
    exchanges: Vec<Exchange>,
    tasks: usize,
    ledger: &Ledger,
    each: impl Fn(Ledger, Vec<Exchange>) -> F,
) -> Duration {
    let mut shares: Vec<Vec<_>> = (0..tasks).map(|_| Vec::new()).collect();
    for (place, exchange) in exchanges.into_iter().enumerate() {
        shares[place % tasks].push(exchange);
    }
    let begun = Instant::now();
    let mut trading = JoinSet::new();
    for share in shares {
        trading.spawn(each(ledger.clone(), share));
    }
    trading.join_all().await;
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

criterion_group!(benches, posts, exchanges, questions);
criterion_main!(benches);
