//! Which is measured when: each round starts every subject afresh, and puts each load to each of them in
//! turn, so that what changes on the machine meanwhile meets all alike.

use crate::{
    args::Selection,
    figures::{Figures, Metric, Sample, Scenario, Subject, percentile},
    load::{self, Plan, Window},
    process::{Process, cpu_ns, rss_kib},
    question::Wish,
    subject::{Running, Surroundings},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;

/// Each load runs so long before it counts.
const WARM: Duration = Duration::from_secs(1);

/// Memory is looked at after this long without change.
const SETTLE: Duration = Duration::from_secs(1);

/// Streams that are held open, where the limit on open files allows it.
const IDLE_STREAMS: u32 = 1_000;

/// An idle stream's second chunk comes long after the measurement.
const IDLE: Wish = Wish::stream(2, Duration::from_secs(120));

/// Everything that a run needs.
pub struct Run<'r> {
    pub around: &'r Surroundings,
    /// What `direct` costs is the engine's own.
    pub engine: &'r [Process],
    pub selection: &'r Selection,
    pub rounds: u32,
    pub measured: Duration,
    pub files_max: u64,
}

impl Run<'_> {
    /// Measures all rounds.
    pub async fn measure(&self) -> Figures {
        let mut figures = Figures::default();
        for round in 0..self.rounds {
            let mut running = self.start_all(round, &mut figures).await;
            for scenario in [Scenario::Whole, Scenario::Paced, Scenario::Burst] {
                if !self.selection.scenarios.contains(&scenario) {
                    continue;
                }
                for one in &running {
                    self.note(self.load(round, scenario, one).await, &mut figures);
                }
                // Whoever was first is last: nobody always follows the same neighbour's warm caches.
                running.reverse();
            }
        }
        figures
    }

    /// Starts the subjects one after another, each measured while it is fresh.
    async fn start_all(&self, round: u32, figures: &mut Figures) -> Vec<Running> {
        let mut subjects = self.selection.subjects.clone();
        subjects.rotate_left(round as usize % self.selection.subjects.len());
        let mut running = Vec::new();
        for subject in subjects {
            match self.start(round, subject, figures).await {
                Ok(one) => running.push(one),
                Err(error) => {
                    let failure = format!("{error:#}");
                    self.note(sample(round, Scenario::Start, subject, Err(failure)), figures);
                }
            }
        }
        running
    }

    async fn start(&self, round: u32, subject: Subject, figures: &mut Figures) -> anyhow::Result<Running> {
        let one = Running::start(subject, self.around).await?;
        let wanted = |scenario| subject != Subject::Direct && self.selection.scenarios.contains(&scenario);
        if wanted(Scenario::Start) {
            self.note(fresh(round, &one).await, figures);
        }
        one.ready().await?;
        if wanted(Scenario::Idle) {
            self.note(self.idle(round, &one).await, figures);
        }
        Ok(one)
    }

    async fn idle(&self, round: u32, one: &Running) -> Sample {
        // A proxy has two connections for each.
        let room = self.files_max.saturating_sub(200) / 2;
        let count = IDLE_STREAMS.min(room.try_into().unwrap_or(IDLE_STREAMS));
        let before = rss_kib(&one.processes);
        let held = match load::hold(one.address, IDLE, count).await {
            Ok(held) => held,
            Err(failed) => return sample(round, Scenario::Idle, one.subject, Err(failed.to_string())),
        };
        sleep(SETTLE).await;
        let after = rss_kib(&one.processes);
        drop(held);
        sleep(SETTLE).await;
        let mut figures = BTreeMap::from([(Metric::StreamsHeld, f64::from(count))]);
        if let (Some(before), Some(after)) = (before, after) {
            let grown = after.saturating_sub(before) as f64;
            figures.insert(Metric::KibPerStream, grown / f64::from(count.max(1)));
        }
        sample(round, Scenario::Idle, one.subject, Ok(figures))
    }

    async fn load(&self, round: u32, scenario: Scenario, one: &Running) -> Sample {
        let plan = plan(scenario, one);
        let counted = if one.subject == Subject::Direct { self.engine } else { &one.processes };
        let (window, before, after) = load::run(&plan, WARM, self.measured, || cpu_ns(counted)).await;
        let cpu_ns = before.zip(after).map(|(before, after)| after.saturating_sub(before) as f64);
        judged(round, scenario, one.subject, window, cpu_ns)
    }

    /// Keeps a sample, and shows that something happens.
    fn note(&self, sample: Sample, figures: &mut Figures) {
        let Sample { round, scenario, subject, .. } = sample;
        let shown: Vec<String> =
            sample.figures.iter().map(|(metric, figure)| format!("{} {figure:.1}", metric.name())).collect();
        let failed = sample.first_failure.as_ref().map(|what| format!("FAILED: {what}")).unwrap_or_default();
        let (scenario, subject) = (scenario.name(), subject.name());
        eprintln!(
            "round {}/{}  {scenario:<6} {subject:<7} {} {failed}",
            round + 1,
            self.rounds,
            shown.join("  ")
        );
        figures.0.push(sample);
    }
}

async fn fresh(round: u32, one: &Running) -> Sample {
    let started = one.started_within.map(|took| (Metric::StartMs, took.as_secs_f64() * 1e3));
    // Long enough to ask the engine what it has and to finish what a start leaves behind.
    sleep(SETTLE).await;
    let memory = rss_kib(&one.processes).map(|kib| (Metric::RssMib, kib as f64 / 1024.0));
    sample(round, Scenario::Start, one.subject, Ok(started.into_iter().chain(memory).collect()))
}

fn plan(scenario: Scenario, one: &Running) -> Plan {
    let (wish, connections, spread) = match scenario {
        Scenario::Paced => (Wish::stream(50, Duration::from_millis(5)), 100, Duration::from_millis(250)),
        Scenario::Burst => (Wish::stream(100, Duration::ZERO), 32, Duration::ZERO),
        _ => (Wish::WHOLE, 64, Duration::ZERO),
    };
    let times_chunks = scenario == Scenario::Paced;
    Plan { address: one.address, wish, expected: one.expected, connections, spread, times_chunks }
}

fn judged(
    round: u32,
    scenario: Scenario,
    subject: Subject,
    mut window: Window,
    cpu_ns: Option<f64>,
) -> Sample {
    let seconds = window.elapsed.as_secs_f64();
    let streamed = scenario != Scenario::Whole;
    let count = if streamed { window.chunks } else { window.requests };
    if count == 0 {
        let why = window.first_failure.unwrap_or_else(|| "no answer within the window".into());
        return sample(round, scenario, subject, Err(why));
    }
    let count = count as f64;
    let [latency, chunk] = [&mut window.latency_us, &mut window.chunk_us]
        .map(|times| [percentile(times, 0.50), percentile(times, 0.99)]);
    // Microseconds for one are milliseconds for a thousand.
    let cpu_us = cpu_ns.map(|ns| ns / 1e3 / count);
    let share = (Metric::CoreShare, cpu_ns.map(|ns| ns / 1e9 / seconds));
    let figures = if streamed {
        vec![
            (Metric::ChunksPerS, Some(count / seconds)),
            (Metric::CpuMsPer1000Chunks, cpu_us),
            (Metric::FirstByteP50Us, latency[0]),
            (Metric::FirstByteP99Us, latency[1]),
            (Metric::ChunkP50Us, chunk[0]),
            (Metric::ChunkP99Us, chunk[1]),
            share,
        ]
    } else {
        vec![
            (Metric::RequestsPerS, Some(count / seconds)),
            (Metric::CpuUsPerRequest, cpu_us),
            (Metric::LatencyP50Us, latency[0]),
            (Metric::LatencyP99Us, latency[1]),
            share,
        ]
    };
    let known = figures.into_iter().filter_map(|(metric, figure)| Some((metric, figure?)));
    let mut sample = sample(round, scenario, subject, Ok(known.collect()));
    sample.failures = window.failures;
    sample.first_failure = window.first_failure;
    sample
}

fn sample(
    round: u32,
    scenario: Scenario,
    subject: Subject,
    outcome: Result<BTreeMap<Metric, f64>, String>,
) -> Sample {
    let (figures, first_failure) = match outcome {
        Ok(figures) => (figures, None),
        Err(failure) => (BTreeMap::new(), Some(failure)),
    };
    let failures = u64::from(first_failure.is_some());
    Sample { round, scenario, subject, figures, failures, first_failure }
}
