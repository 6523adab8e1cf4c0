use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn running(lines: u64) -> Lifecycle {
    let mut batch = Lifecycle::new();
    batch.on(Event::Began { lines }, NOW).unwrap();
    batch
}

fn after(mut batch: Lifecycle, events: &[Event]) -> Lifecycle {
    for event in events {
        batch.on(event.clone(), NOW).unwrap();
    }
    batch
}

#[test]
fn a_batch_completes_when_its_last_line_is_answered_and_its_files_are_written() {
    let batch = after(running(2), &[Event::Leased, Event::Completed, Event::Released]);
    assert_eq!(batch.status, BatchStatus::InProgress);
    let batch = after(batch, &[Event::Failed(1)]);
    assert_eq!(batch.status, BatchStatus::Finalizing);
    let batch = after(batch, &[Event::Written]);
    assert_eq!(batch.status, BatchStatus::Completed);
    assert_eq!(batch.counts, Counts { total: 2, completed: 1, failed: 1 });
}

#[test]
fn a_cancelled_batch_waits_for_what_runs_and_takes_its_answer() {
    let mut batch = after(running(3), &[Event::Leased, Event::Cancel, Event::Cancel]);
    assert_eq!(batch.on(Event::Leased, NOW), Err(NotNow { status: BatchStatus::Cancelling }));
    assert_eq!(batch.on(Event::Written, NOW), Err(NotNow { status: BatchStatus::Cancelling }));
    let batch = after(batch, &[Event::Completed, Event::Released, Event::Written]);
    assert_eq!(batch.status, BatchStatus::Cancelled);
    assert_eq!(batch.counts, Counts { total: 3, completed: 1, failed: 2 });
}

#[test]
fn cancelling_what_was_not_begun_ends_at_once() {
    let batch = after(Lifecycle::new(), &[Event::Cancel]);
    assert!(batch.has_ended() && batch.times.cancelling.is_some() && batch.times.cancelled.is_some());
}

#[test]
fn a_batch_that_is_written_can_no_longer_be_cancelled() {
    let mut batch = after(running(1), &[Event::Completed]);
    assert_eq!(batch.on(Event::Cancel, NOW), Err(NotNow { status: BatchStatus::Finalizing }));
}

#[test]
fn an_expired_batch_hears_out_what_runs_and_leases_no_more() {
    let batch = after(running(3), &[Event::Leased, Event::Leased, Event::Expire]);
    assert_eq!((batch.status, batch.takes_leases()), (BatchStatus::InProgress, false));
    let batch = after(batch, &[Event::Completed, Event::Released, Event::Released]);
    assert_eq!(batch.status, BatchStatus::Finalizing);
    let batch = after(batch, &[Event::Written]);
    assert_eq!(batch.status, BatchStatus::Expired);
    assert_eq!(batch.counts, Counts { total: 3, completed: 1, failed: 2 });
}

#[test]
fn a_batch_whose_last_answer_was_there_when_its_time_was_over_is_complete() {
    let batch = after(running(1), &[Event::Leased, Event::Expire, Event::Completed, Event::Released]);
    assert_eq!(after(batch, &[Event::Written]).status, BatchStatus::Completed);
}

#[test]
fn a_batch_of_which_nothing_runs_expires_at_once() {
    let batch = after(running(1), &[Event::Expire]);
    assert_eq!(after(batch, &[Event::Written]).status, BatchStatus::Expired);
}

#[test]
fn a_batch_that_is_stopped_ends_when_nothing_runs() {
    let stop = Event::Stop { code: "max_credits_reached".into(), message: "spent".into() };
    let batch = after(running(3), &[Event::Leased, stop]);
    assert_eq!((batch.status, batch.takes_leases()), (BatchStatus::InProgress, false));
    let batch = after(batch, &[Event::Completed, Event::Released]);
    assert_eq!(batch.status, BatchStatus::Finalizing);
    assert_eq!(after(batch, &[Event::Written]).status, BatchStatus::Completed);
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => Just(Event::Refused),
        1 => (1..5u64).prop_map(|lines| Event::Began { lines }),
        4 => Just(Event::Leased),
        4 => Just(Event::Released),
        4 => Just(Event::Completed),
        2 => (0..3u64).prop_map(Event::Failed),
        1 => Just(Event::Expire),
        1 => Just(Event::Stop { code: "c".into(), message: "m".into() }),
        1 => Just(Event::Cancel),
        1 => Just(Event::Written),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_lines_add_up_and_an_end_is_an_end(events in prop::collection::vec(event(), 0..40)) {
        let mut batch = Lifecycle::new();
        for event in events {
            let before = batch.clone();
            match batch.on(event.clone(), NOW) {
                Err(NotNow { status }) => prop_assert_eq!((&batch, status), (&before, before.status)),
                Ok(()) if before.has_ended() => {
                    prop_assert!(matches!(event, Event::Released | Event::Cancel), "{:?}", event);
                    prop_assert_eq!(batch.status, before.status);
                }
                Ok(()) => {}
            }
            let Counts { total, completed, failed } = batch.counts;
            prop_assert!(completed >= before.counts.completed && failed >= before.counts.failed);
            prop_assert!(completed + failed <= total);
            let all_answered = matches!(batch.status, BatchStatus::Completed | BatchStatus::Expired);
            prop_assert!(!all_answered || completed + failed == total);
            prop_assert!(!(batch.takes_leases() && batch.is_ready()));
        }
    }
}
