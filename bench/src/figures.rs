//! What was measured, what is made of it, and what was promised. Pure.

use serde::Serialize;
use std::collections::BTreeMap;

macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// All of them, in the order in which they are shown.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            /// As it is typed and shown.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

names! {
    /// What stands between the generator and the engine.
    Subject {
        /// Nothing: the floor, and what the harness itself can do.
        Direct = "direct",
        Nginx = "nginx",
        /// `lobstah up` before an engine of its own.
        Local = "local",
        /// A Lobstah worker, asked by a plain client: a receipt signed and kept.
        Worker = "worker",
        /// A Lobstah gateway that asks a Lobstah worker; both are counted.
        Remote = "remote",
    }
}

names! {
    /// What is done to it.
    Scenario {
        /// Started on an empty home, until the first 200; then its memory.
        Start = "start",
        /// Streams held open in which nothing comes.
        Idle = "idle",
        /// Whole answers, one after another on each connection.
        Whole = "whole",
        /// Streams at the pace of tokens.
        Paced = "paced",
        /// Streams as fast as they go.
        Burst = "burst",
    }
}

names! {
    /// One number.
    Metric {
        StartMs = "start_ms",
        RssMib = "rss_mib",
        StreamsHeld = "streams_held",
        KibPerStream = "kib_per_stream",
        RequestsPerS = "requests_per_s",
        CpuUsPerRequest = "cpu_us_per_request",
        LatencyP50Us = "latency_p50_us",
        LatencyP99Us = "latency_p99_us",
        ChunksPerS = "chunks_per_s",
        CpuMsPer1000Chunks = "cpu_ms_per_1000_chunks",
        FirstByteP50Us = "first_byte_p50_us",
        FirstByteP99Us = "first_byte_p99_us",
        ChunkP50Us = "chunk_p50_us",
        ChunkP99Us = "chunk_p99_us",
        /// CPU time used per time passed: near 1 where the subject, and not the harness, is the limit.
        CoreShare = "core_share",
    }
}

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    pub round: u32,
    pub scenario: Scenario,
    pub subject: Subject,
    pub figures: BTreeMap<Metric, f64>,
    /// Answers that were wrong or missing. With a single one the sample counts for nothing.
    pub failures: u64,
    pub first_failure: Option<String>,
}

/// All measurements of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures(pub Vec<Sample>);

impl Figures {
    /// The median over the rounds.
    pub fn median(&self, scenario: Scenario, subject: Subject, metric: Metric) -> Option<f64> {
        median(self.rounds(scenario, subject, metric).map(|(_, figure)| figure).collect())
    }

    /// The median over the rounds of `make(subject, base)`, both of the same round: what disturbs a
    /// round disturbs both.
    pub fn beside(
        &self,
        scenario: Scenario,
        (subject, base): (Subject, Subject),
        metric: Metric,
        make: impl Fn(f64, f64) -> f64,
    ) -> Option<f64> {
        let of = |round, figure| {
            let mut base = self.rounds(scenario, base, metric);
            base.find(|(other, _)| *other == round).map(|(_, base)| make(figure, base))
        };
        let rounds = self.rounds(scenario, subject, metric);
        median(rounds.filter_map(|(round, figure)| of(round, figure)).collect())
    }

    fn rounds(
        &self,
        scenario: Scenario,
        subject: Subject,
        metric: Metric,
    ) -> impl Iterator<Item = (u32, f64)> {
        let samples =
            self.0.iter().filter(move |s| (s.scenario, s.subject, s.failures) == (scenario, subject, 0));
        samples.filter_map(move |s| s.figures.get(&metric).map(|figure| (s.round, *figure)))
    }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let upper = figures.get(middle)?;
    Some(if figures.len() % 2 == 1 { *upper } else { f64::midpoint(figures[middle - 1], *upper) })
}

/// The number below which `share` of them lie. Sorts them.
pub fn percentile(figures: &mut [u32], share: f64) -> Option<f64> {
    figures.sort_unstable();
    let place = (figures.len() as f64 * share) as usize;
    figures.get(place.min(figures.len().checked_sub(1)?)).map(|figure| f64::from(*figure))
}

/// How a bar is set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    AtMost(f64),
    AtMostTimesNginx(f64),
    AtMostNginxPlus(f64),
    AtLeastTimesNginx(f64),
}

/// A promise about a subject.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bar {
    pub scenario: Scenario,
    pub subjects: &'static [Subject],
    pub metric: Metric,
    pub rule: Rule,
    /// As people say it.
    pub text: &'static str,
}

const OURS: &[Subject] = &[Subject::Local, Subject::Worker];

/// The bars that Lobstah set itself (the issue "A node that works", bench).
pub const BARS: [Bar; 8] = [
    Bar {
        scenario: Scenario::Whole,
        subjects: &[Subject::Local],
        metric: Metric::CpuUsPerRequest,
        rule: Rule::AtMostTimesNginx(3.0),
        text: "CPU/request ≤ 3.0 × nginx",
    },
    Bar {
        scenario: Scenario::Whole,
        subjects: &[Subject::Worker],
        metric: Metric::CpuUsPerRequest,
        rule: Rule::AtMostTimesNginx(5.5),
        text: "CPU/request ≤ 5.5 × nginx",
    },
    Bar {
        scenario: Scenario::Paced,
        subjects: OURS,
        metric: Metric::CpuMsPer1000Chunks,
        rule: Rule::AtMostTimesNginx(1.4),
        text: "CPU/chunk ≤ 1.4 × nginx",
    },
    Bar {
        scenario: Scenario::Paced,
        subjects: OURS,
        metric: Metric::FirstByteP50Us,
        rule: Rule::AtMostNginxPlus(150.0),
        text: "first byte p50 ≤ nginx + 150 µs",
    },
    Bar {
        scenario: Scenario::Burst,
        subjects: OURS,
        metric: Metric::ChunksPerS,
        rule: Rule::AtLeastTimesNginx(0.9),
        text: "chunks/s ≥ 0.9 × nginx",
    },
    Bar {
        scenario: Scenario::Idle,
        subjects: OURS,
        metric: Metric::KibPerStream,
        rule: Rule::AtMost(48.0),
        text: "≤ 48 KiB/stream",
    },
    Bar {
        scenario: Scenario::Start,
        subjects: OURS,
        metric: Metric::RssMib,
        rule: Rule::AtMost(25.0),
        text: "fresh ≤ 25 MiB",
    },
    Bar {
        scenario: Scenario::Start,
        subjects: OURS,
        metric: Metric::StartMs,
        rule: Rule::AtMost(150.0),
        text: "serves within 150 ms",
    },
];

impl Bar {
    /// What the bar is held against; `None` if it does not concern the subject or was not measured.
    pub fn figure(&self, figures: &Figures, subject: Subject) -> Option<f64> {
        let beside_nginx = |make: fn(f64, f64) -> f64| {
            figures.beside(self.scenario, (subject, Subject::Nginx), self.metric, make)
        };
        let concerned = self.subjects.contains(&subject);
        concerned.then(|| match self.rule {
            Rule::AtMost(_) => figures.median(self.scenario, subject, self.metric),
            Rule::AtMostTimesNginx(_) | Rule::AtLeastTimesNginx(_) => {
                beside_nginx(|ours, nginx| ours / nginx)
            }
            Rule::AtMostNginxPlus(_) => beside_nginx(|ours, nginx| ours - nginx),
        })?
    }

    /// Whether such a figure meets it.
    pub fn is_met_by(&self, figure: f64) -> bool {
        match self.rule {
            Rule::AtMost(most) | Rule::AtMostTimesNginx(most) | Rule::AtMostNginxPlus(most) => figure <= most,
            Rule::AtLeastTimesNginx(least) => figure >= least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(round: u32, subject: Subject, cpu: f64, failures: u64) -> Sample {
        let figures = BTreeMap::from([(Metric::CpuUsPerRequest, cpu)]);
        Sample { round, scenario: Scenario::Whole, subject, figures, failures, first_failure: None }
    }

    #[test]
    fn a_ratio_is_taken_within_a_round_and_a_failure_voids_its_sample() {
        let figures = Figures(vec![
            sample(0, Subject::Nginx, 10.0, 0),
            sample(0, Subject::Local, 30.0, 0),
            // A round twice as slow for both.
            sample(1, Subject::Nginx, 20.0, 0),
            sample(1, Subject::Local, 58.0, 0),
            sample(2, Subject::Nginx, 10.0, 0),
            sample(2, Subject::Local, 900.0, 1),
        ]);
        let pair = (Subject::Local, Subject::Nginx);
        let ratio = figures.beside(Scenario::Whole, pair, Metric::CpuUsPerRequest, |a, b| a / b);
        assert_eq!(ratio, Some(2.95));
        assert_eq!(figures.median(Scenario::Whole, Subject::Local, Metric::CpuUsPerRequest), Some(44.0));
        assert_eq!(BARS[0].figure(&figures, Subject::Local), Some(2.95));
        assert!(BARS[0].is_met_by(2.95) && !BARS[0].is_met_by(3.01));
        assert_eq!(BARS[0].figure(&figures, Subject::Worker), None, "not concerned");
        assert_eq!(BARS[1].figure(&figures, Subject::Worker), None, "not measured");
    }

    #[test]
    fn medians_and_percentiles_of_few_and_none() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(percentile(&mut [], 0.5), None);
        let mut hundred: Vec<u32> = (0..100).rev().collect();
        assert_eq!(percentile(&mut hundred, 0.5), Some(50.0));
        assert_eq!(percentile(&mut hundred, 1.0), Some(99.0));
    }
}
