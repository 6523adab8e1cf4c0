//! A batch in words: pure.

use super::pace::Pace;
use crate::{
    asynchronous::batches::{Lane, Report},
    commands::{counted, table},
};
use std::{path::Path, time::Duration};
use work::batches::{Batch, BatchStatus};

/// Problems of a file that are shown; the rest is counted.
const PROBLEMS_SHOWN: usize = 10;

/// `in_progress`, as OpenAI writes it.
fn status_name(status: BatchStatus) -> &'static str {
    match status {
        BatchStatus::Validating => "validating",
        BatchStatus::Failed => "failed",
        BatchStatus::InProgress => "in_progress",
        BatchStatus::Finalizing => "finalizing",
        BatchStatus::Completed => "completed",
        BatchStatus::Expired => "expired",
        BatchStatus::Cancelling => "cancelling",
        BatchStatus::Cancelled => "cancelled",
    }
}

/// What was cut is paid for and in no file, so it is shown apart.
fn credits(report: &Report) -> String {
    let spent = match report.max_credits {
        Some(max) => format!("{} of {max} credits", report.spent),
        None => counted(report.spent as usize, "credit"),
    };
    let unused = match report.workers.iter().map(|lane| lane.unused).sum::<u64>() {
        0 => String::new(),
        unused => format!(" ({unused} for cut or second answers)"),
    };
    let unheard = match report.unheard {
        0 => String::new(),
        unheard => format!(" (and up to {unheard} that workers may charge who were not heard in the end)"),
    };
    format!("{spent}{unused}{unheard}")
}

/// How it gets on, in one line.
pub(super) fn line(report: &Report, pace: &Pace) -> String {
    let (batch, counts) = (&report.batch, report.batch.request_counts);
    let over = counts.completed + counts.failed;
    let mut said = vec![
        status_name(batch.status).to_owned(),
        format!("{over}/{} lines", counts.total),
        counted(batch.usage.total_tokens as usize, "token"),
        credits(report),
    ];
    if counts.failed > 0 {
        said.insert(2, format!("{} failed", counts.failed));
    }
    if let Some((lines, tokens)) = pace.speed() {
        said.push(format!("{lines:.1} lines/s, {tokens:.0} tokens/s"));
    }
    if let Some(left) = pace.left(counts.total.saturating_sub(over)).filter(|left| !left.is_zero()) {
        said.push(format!("about {} left", humantime::format_duration(left)));
    }
    said.join(", ")
}

/// What one worker does.
pub(super) fn lane(lane: &Lane) -> String {
    let mut said = vec![
        counted(lane.answered as usize, "line"),
        format!("{} running", lane.in_flight),
        counted(lane.output_tokens as usize, "token"),
        counted(lane.credits as usize, "credit"),
    ];
    if lane.failed > 0 {
        said.push(format!("{} failed tries", lane.failed));
    }
    said.join(", ")
}

/// All that is known of a batch.
pub(super) fn status(report: &Report) -> String {
    let batch = &report.batch;
    let mut text = format!("{}  {}\n", batch.id, line(report, &Pace::default()));
    if batch.status == BatchStatus::InProgress
        && let Some(at) = batch.expires_at
    {
        text.push_str(&format!("what has no answer at {} becomes an error\n", time(at)));
    }
    text.push_str(&problems(batch));
    if !report.workers.is_empty() {
        let row = |lane: &Lane| {
            let numbers = [lane.answered, lane.in_flight, lane.failed, lane.output_tokens, lane.credits];
            let numbers = numbers.map(|number| number.to_string());
            [vec![lane.label.clone()], numbers.to_vec(), vec![lane.worker.clone()]].concat()
        };
        let rows: Vec<_> = report.workers.iter().map(row).collect();
        let header = ["worker", "answered", "running", "failed", "tokens", "credits", "key"];
        text.push_str(&format!("\n{}", table::render(&header, &rows)));
    }
    text
}

/// Several batches.
pub(super) fn list(batches: &[Batch]) -> String {
    if batches.is_empty() {
        return "no batches yet: lobstah batch run FILE.jsonl\n".to_owned();
    }
    let row = |batch: &Batch| {
        let counts = batch.request_counts;
        vec![
            batch.id.clone(),
            status_name(batch.status).to_owned(),
            counts.total.to_string(),
            counts.completed.to_string(),
            counts.failed.to_string(),
            time(batch.created_at),
            batch.model.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let rows: Vec<_> = batches.iter().map(row).collect();
    table::render(&["batch", "status", "lines", "answered", "failed", "created", "model"], &rows)
}

/// After it was asked to end.
pub(super) fn cancelled(batch: &Batch) -> String {
    format!("{} is {}; what is answered is kept\n", batch.id, status_name(batch.status))
}

/// How it ended, and where its answers are. `before`: how many lines earlier batches answered.
pub(super) fn ended(report: &Report, before: u64, output: &Path) -> String {
    let (batch, counts) = (&report.batch, report.batch.request_counts);
    if batch.status == BatchStatus::Failed {
        return format!("{} failed, and nothing of it was run:\n{}", batch.id, problems(batch));
    }
    let ended = batch.completed_at.or(batch.expired_at).or(batch.cancelled_at).unwrap_or(batch.created_at);
    let took = Duration::from_secs(ended.saturating_sub(batch.created_at));
    let mut text = format!(
        "{}: {} of {} answered, {}, {}, in {}\n",
        status_name(batch.status),
        counts.completed,
        counted(counts.total as usize, "line"),
        counted(batch.usage.total_tokens as usize, "token"),
        credits(report),
        humantime::format_duration(took),
    );
    let with = match before {
        0 => String::new(),
        before => format!(", with {before} of earlier runs"),
    };
    text.push_str(&format!("answers  {}{with}\n", output.display()));
    if batch.error_file_id.is_some() {
        text.push_str(&format!("errors   {}\n", super::outcome::errors_beside(output).display()));
    }
    text
}

/// What is wrong with its file, a line each.
fn problems(batch: &Batch) -> String {
    let Some(errors) = &batch.errors else { return String::new() };
    let mut text = String::new();
    for problem in errors.data.iter().take(PROBLEMS_SHOWN) {
        match problem.line {
            Some(line) => text.push_str(&format!("  line {line}: {}\n", problem.message)),
            None => text.push_str(&format!("  {}\n", problem.message)),
        }
    }
    match errors.data.len().saturating_sub(PROBLEMS_SHOWN) {
        0 => text,
        more => text + &format!("  and {more} more\n"),
    }
}

fn time(seconds: u64) -> String {
    let at = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(at).to_string()
}
