//! Prints how much memory 100,000 live strangers take: `cargo run --release -p bench --example
//! roster_memory [HOW MANY]`. Each is signed, read and taken in like one from a relay.
#![allow(clippy::print_stdout, reason = "it is what this is for")]

use std::{env, fs};

#[path = "../benches/samples/strangers.rs"]
mod strangers;

/// The program's own: how much slack there is, is the allocator's doing.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COUNT: u64 = 100_000;

fn main() -> anyhow::Result<()> {
    let count = env::args().nth(1).map_or(Ok(COUNT), |text| text.parse())?;
    // One, so that keys and tables of the cryptography are there before.
    drop(strangers::roster(1));
    let before = resident_mib()?;
    let roster = strangers::roster(count);
    let after = resident_mib()?;
    println!("{} live strangers: {after:.1} MiB resident, {before:.1} MiB without them", roster.len());
    Ok(())
}

/// The second number of `statm` is resident pages; of 4 KiB, as everywhere but on a few machines.
fn resident_mib() -> anyhow::Result<f64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).unwrap_or_default().parse()?;
    Ok((pages * 4096) as f64 / f64::from(1 << 20))
}
