//! A bar for the whole batch and a lane for each worker, on a terminal.

use super::{pace::Pace, show};
use crate::asynchronous::batches::{Lane, Report};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;

/// More workers than this are not drawn: those with the most lines are.
const LANES_MAX: usize = 12;

const LANE_WIDTH: usize = 20;

/// What is drawn. Gone from the terminal when it is dropped.
#[derive(Default)]
pub(super) struct Bars {
    all: MultiProgress,
    whole: Option<ProgressBar>,
    lanes: BTreeMap<String, ProgressBar>,
}

impl Bars {
    pub(super) fn show(&mut self, report: &Report, pace: &Pace) {
        let counts = report.batch.request_counts;
        let whole =
            self.whole.get_or_insert_with(|| self.all.add(ProgressBar::new(0).with_style(whole_style())));
        whole.set_length(counts.total);
        whole.set_position(counts.completed + counts.failed);
        whole.set_message(show::line(report, pace));
        let mut workers: Vec<&Lane> = report.workers.iter().collect();
        workers.sort_by_key(|lane| std::cmp::Reverse((lane.in_flight, lane.answered)));
        for lane in workers.into_iter().take(LANES_MAX) {
            let bar = self.lanes.entry(lane.worker.clone()).or_insert_with(|| {
                self.all.add(ProgressBar::new(0).with_style(lane_style()).with_prefix(prefix(lane)))
            });
            bar.set_length(counts.total);
            bar.set_position(lane.answered);
            bar.set_message(show::lane(lane));
        }
    }

    pub(super) fn say(&mut self, text: &str) {
        if let Some(whole) = &self.whole {
            whole.set_message(text.to_owned());
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // A terminal that cannot be cleared shows them a little longer.
        let _ = self.all.clear();
    }
}

fn prefix(lane: &Lane) -> String {
    let name: String = lane.label.chars().filter(|char| !char.is_control()).take(LANE_WIDTH).collect();
    format!("{name:<LANE_WIDTH$}")
}

/// Templates are ours, so they are good; a bad one would show in its place what indicatif shows by itself.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸ ")
}

fn whole_style() -> ProgressStyle {
    style("{bar:30.cyan} {percent:>3}%  {msg}")
}

fn lane_style() -> ProgressStyle {
    style("  {prefix} {bar:10.blue} {msg}")
}
