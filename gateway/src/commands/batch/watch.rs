//! Waiting for a batch, and showing meanwhile how it gets on.

use super::{
    bars::Bars,
    node::{NoNode, RunningNode},
    pace::Pace,
    show,
};
use crate::asynchronous::batches::Report;
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};
use work::batches::BatchStatus;

/// How often the node is asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A node that is started again goes on with its batches: so long it is waited for.
const AWAY_MAX: Duration = Duration::from_secs(60);

/// The batch when it is over; `None` if whoever waits does not want to any more (Ctrl-C).
pub(super) async fn until_over(node: &RunningNode, id: &str) -> anyhow::Result<Option<Report>> {
    tokio::select! {
        report = watch(node, id) => report.map(Some),
        _ = tokio::signal::ctrl_c() => Ok(None),
    }
}

async fn watch(node: &RunningNode, id: &str) -> anyhow::Result<Report> {
    let mut view = View::new();
    let mut pace = Pace::default();
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Instant::now();
    loop {
        tick.tick().await;
        let report = match node.progress(id).await {
            Ok(report) => report,
            Err(error) if error.is::<NoNode>() && seen.elapsed() < AWAY_MAX => {
                view.node_is_away();
                continue;
            }
            Err(error) => return Err(error),
        };
        seen = Instant::now();
        let counts = report.batch.request_counts;
        pace.look(seen, counts.completed + counts.failed, report.batch.usage.output_tokens);
        view.show(&report, &pace);
        if is_over(report.batch.status) {
            return Ok(report);
        }
    }
}

fn is_over(status: BatchStatus) -> bool {
    use BatchStatus::{Cancelled, Completed, Expired, Failed};
    matches!(status, Completed | Failed | Expired | Cancelled)
}

/// Bars on a terminal, else a line from time to time. Both on standard error.
enum View {
    Bars(Bars),
    Lines { last: Option<(Instant, BatchStatus)>, away: bool },
}

impl View {
    fn new() -> Self {
        if std::io::stderr().is_terminal() {
            View::Bars(Bars::default())
        } else {
            View::Lines { last: None, away: false }
        }
    }

    fn show(&mut self, report: &Report, pace: &Pace) {
        match self {
            View::Bars(bars) => bars.show(report, pace),
            View::Lines { last, away } => {
                *away = false;
                let status = report.batch.status;
                let due = last.is_none_or(|(at, said)| said != status || at.elapsed() >= LINE_EVERY);
                if due {
                    eprintln!("{}", show::line(report, pace));
                    *last = Some((Instant::now(), status));
                }
            }
        }
    }

    fn node_is_away(&mut self) {
        const AWAY: &str = "the node is not there; its batches go on when it is started again: lobstah up";
        match self {
            View::Bars(bars) => bars.say(AWAY),
            View::Lines { away, .. } => {
                if !std::mem::replace(away, true) {
                    eprintln!("{AWAY}");
                }
            }
        }
    }
}
