//! The figures as tables, with the bars beside them; the same as JSON, and as a row for RESULTS.md.

use crate::{
    figures::{BARS, Bar, Figures, Metric, Scenario, Subject},
    machine::Machine,
};
use serde::Serialize;

/// What was measured, where, and of what.
#[derive(Debug, Serialize)]
pub struct Report {
    pub date: String,
    pub lobstah: String,
    /// Of the checkout in which `compare` was run, if it was one.
    pub commit: Option<String>,
    pub nginx: Option<String>,
    pub machine: Machine,
    pub rounds: u32,
    pub seconds: u32,
    pub bars: Vec<Judged>,
    pub samples: Figures,
}

/// A bar, and whether one subject met it.
#[derive(Debug, Serialize)]
pub struct Judged {
    pub bar: Bar,
    pub subject: Subject,
    /// `None` where it was not measured.
    pub figure: Option<f64>,
    pub met: Option<bool>,
}

/// All bars for all subjects that they concern.
pub fn judge(figures: &Figures) -> Vec<Judged> {
    let each = BARS.iter().flat_map(|bar| bar.subjects.iter().map(move |subject| (bar, *subject)));
    let judged = each.map(|(bar, subject)| {
        let figure = bar.figure(figures, subject);
        Judged { bar: *bar, subject, figure, met: figure.map(|figure| bar.is_met_by(figure)) }
    });
    judged.collect()
}

/// A column of a table, made of the median or set against another subject of the same round.
enum Column {
    Median(&'static str, Metric, usize),
    TimesNginx(&'static str, Metric),
    MinusDirect(&'static str, Metric),
    MinusNginx(&'static str, Metric),
}

struct Section {
    scenario: Scenario,
    title: &'static str,
    columns: &'static [Column],
}

const SECTIONS: [Section; 5] = [
    Section {
        scenario: Scenario::Whole,
        title: "Whole answers (2 KB asked, 600 B answered), 64 connections, closed loop",
        columns: &[
            Column::Median("requests/s", Metric::RequestsPerS, 0),
            Column::TimesNginx("× nginx", Metric::RequestsPerS),
            Column::Median("CPU µs/request", Metric::CpuUsPerRequest, 1),
            Column::TimesNginx("× nginx", Metric::CpuUsPerRequest),
            Column::Median("p50 µs", Metric::LatencyP50Us, 0),
            Column::Median("p99 µs", Metric::LatencyP99Us, 0),
            Column::Median("core", Metric::CoreShare, 2),
        ],
    },
    Section {
        scenario: Scenario::Paced,
        title: "Paced streams: 100 at once, 50 chunks each, 5 ms apart",
        columns: &[
            Column::Median("chunks/s", Metric::ChunksPerS, 0),
            Column::Median("CPU ms/1,000 chunks", Metric::CpuMsPer1000Chunks, 2),
            Column::TimesNginx("× nginx", Metric::CpuMsPer1000Chunks),
            Column::MinusDirect("added first byte p50 µs", Metric::FirstByteP50Us),
            Column::MinusNginx("− nginx", Metric::FirstByteP50Us),
            Column::MinusDirect("added per chunk p50 µs", Metric::ChunkP50Us),
            Column::MinusDirect("p99 µs", Metric::ChunkP99Us),
        ],
    },
    Section {
        scenario: Scenario::Burst,
        title: "Burst streams: 32 at once, 100 chunks each, no pause",
        columns: &[
            Column::Median("chunks/s", Metric::ChunksPerS, 0),
            Column::TimesNginx("× nginx", Metric::ChunksPerS),
            Column::Median("CPU ms/1,000 chunks", Metric::CpuMsPer1000Chunks, 2),
            Column::TimesNginx("× nginx", Metric::CpuMsPer1000Chunks),
            Column::Median("core", Metric::CoreShare, 2),
        ],
    },
    Section {
        scenario: Scenario::Idle,
        title: "Idle streams, held open by a fresh process",
        columns: &[
            Column::Median("streams", Metric::StreamsHeld, 0),
            Column::Median("KiB/stream", Metric::KibPerStream, 1),
        ],
    },
    Section {
        scenario: Scenario::Start,
        title: "A fresh process, on an empty home",
        columns: &[
            Column::Median("ms to the first 200", Metric::StartMs, 1),
            Column::Median("resident MiB", Metric::RssMib, 1),
        ],
    },
];

impl Column {
    fn head(&self) -> &'static str {
        match self {
            Column::Median(head, ..)
            | Column::TimesNginx(head, _)
            | Column::MinusDirect(head, _)
            | Column::MinusNginx(head, _) => head,
        }
    }

    fn cell(&self, figures: &Figures, scenario: Scenario, subject: Subject) -> String {
        let beside =
            |base, metric, make: fn(f64, f64) -> f64| figures.beside(scenario, (subject, base), metric, make);
        match *self {
            Column::Median(_, metric, digits) => number(figures.median(scenario, subject, metric), digits),
            Column::TimesNginx(_, metric) => number(beside(Subject::Nginx, metric, |a, b| a / b), 2),
            Column::MinusDirect(_, metric) => number(beside(Subject::Direct, metric, |a, b| a - b), 0),
            Column::MinusNginx(_, metric) => number(beside(Subject::Nginx, metric, |a, b| a - b), 0),
        }
    }
}

impl Report {
    /// The tables.
    pub fn text(&self) -> String {
        let sections = SECTIONS.iter().filter_map(|section| self.section(section));
        let mut text: String = sections.collect();
        text.push_str(&self.failures());
        text.push_str("For bench/RESULTS.md:\n\n");
        text.push_str(&self.row());
        text
    }

    fn section(&self, section: &Section) -> Option<String> {
        let Section { scenario, title, columns } = section;
        let measured = |subject: &Subject| self.was_tried(*scenario, *subject);
        let row = |subject: Subject| -> Vec<String> {
            let cells = columns.iter().map(|column| column.cell(&self.samples, *scenario, subject));
            std::iter::once(subject.name().to_owned()).chain(cells).collect()
        };
        let rows: Vec<_> = Subject::ALL.into_iter().filter(measured).map(row).collect();
        let head = std::iter::once("").chain(columns.iter().map(Column::head)).map(str::to_owned).collect();
        (!rows.is_empty()).then(|| format!("{title}\n{}{}\n", table(head, rows), self.judged(*scenario)))
    }

    fn was_tried(&self, scenario: Scenario, subject: Subject) -> bool {
        self.samples.0.iter().any(|sample| (sample.scenario, sample.subject) == (scenario, subject))
    }

    /// The bars of a scenario, with what they were held against.
    fn judged(&self, scenario: Scenario) -> String {
        let line = |judged: &Judged| {
            let verdict = match judged.met {
                None => "not measured",
                Some(true) => "met",
                Some(false) => "NOT MET",
            };
            let (subject, text) = (judged.subject.name(), judged.bar.text);
            format!("  {subject:<6}  {text:<32}{:>9}  {verdict}\n", number(judged.figure, 2))
        };
        let concerned =
            |judged: &&Judged| judged.bar.scenario == scenario && self.was_tried(scenario, judged.subject);
        self.bars.iter().filter(concerned).map(line).collect()
    }

    /// Windows that count for nothing, and why.
    fn failures(&self) -> String {
        let failed = self.samples.0.iter().filter(|sample| sample.failures > 0).map(|sample| {
            let why = sample.first_failure.as_deref().unwrap_or_default();
            let (scenario, subject) = (sample.scenario.name(), sample.subject.name());
            let round = sample.round + 1;
            format!("  round {round}, {scenario}, {subject}: {} failed; the first: {why}\n", sample.failures)
        });
        let failed: String = failed.collect();
        if failed.is_empty() { failed } else { format!("Not counted, for answers that failed:\n{failed}\n") }
    }

    /// One line of the table in RESULTS.md.
    fn row(&self) -> String {
        use {Metric as M, Scenario as S};
        let ratio = |scenario, metric| {
            let one = |subject| {
                self.samples.beside(scenario, (subject, Subject::Nginx), metric, |ours, nginx| ours / nginx)
            };
            format!("{} / {}", number(one(Subject::Local), 2), number(one(Subject::Worker), 2))
        };
        let added = |subject| {
            self.samples
                .beside(S::Paced, (subject, Subject::Nginx), M::FirstByteP50Us, |ours, nginx| ours - nginx)
        };
        let plain = |scenario, metric, digits| {
            let one = |subject| number(self.samples.median(scenario, subject, metric), digits);
            format!("{} / {}", one(Subject::Local), one(Subject::Worker))
        };
        let cells = [
            format!("{}, {} cores, {}", self.machine.cpu, self.machine.cores, self.machine.system),
            self.date.split('T').next().unwrap_or_default().to_owned(),
            self.commit.clone().unwrap_or_else(|| self.lobstah.clone()),
            number(self.samples.median(S::Whole, Subject::Nginx, M::CpuUsPerRequest), 1),
            ratio(S::Whole, M::CpuUsPerRequest),
            ratio(S::Paced, M::CpuMsPer1000Chunks),
            format!("{} / {}", number(added(Subject::Local), 0), number(added(Subject::Worker), 0)),
            ratio(S::Burst, M::ChunksPerS),
            plain(S::Idle, M::KibPerStream, 1),
            plain(S::Start, M::RssMib, 1),
            plain(S::Start, M::StartMs, 0),
        ];
        format!("| {} |\n", cells.join(" | "))
    }
}

/// With a comma between thousands; a dash for what is not known.
fn number(figure: Option<f64>, digits: usize) -> String {
    let Some(figure) = figure else { return "-".to_owned() };
    let text = format!("{figure:.digits$}");
    let whole = text.trim_start_matches('-').split('.').next().unwrap_or_default().len();
    let start = text.len() - text.trim_start_matches('-').len();
    let mut grouped = String::with_capacity(text.len() + whole / 3);
    for (at, letter) in text.char_indices() {
        let left = (start + whole).saturating_sub(at);
        if at > start && left > 0 && left.is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(letter);
    }
    grouped
}

/// Columns as wide as they need; all but the first to the right.
fn table(head: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let render = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("  {cell:<width$}"),
            _ => format!("  {cell:>width$}"),
        });
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    lines.iter().map(render).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_and_what_is_unknown_is_a_dash() {
        let of = |figure, digits| number(Some(figure), digits);
        assert_eq!(of(1_234_567.891, 1), "1,234,567.9");
        assert_eq!(
            (of(999.0, 0), of(-1_000.0, 0), of(-12.34, 1)),
            ("999".into(), "-1,000".into(), "-12.3".into())
        );
        assert_eq!(number(None, 2), "-");
    }

    #[test]
    fn a_table_is_aligned_whatever_letters_it_has() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        let text = table(row("", "CPU µs"), vec![row("nginx", "1.0")]);
        assert_eq!(text, "         CPU µs\n  nginx     1.0\n");
    }
}
