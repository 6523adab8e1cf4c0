use super::*;
use crate::relays::DeafEar;

fn line() -> Arc<Line> {
    Arc::new(Line::once("ws://relay.example".parse().unwrap(), Arc::new(DeafEar)))
}

#[test]
fn a_relay_that_does_not_stay_is_left_alone_for_longer_each_time() {
    let line = line();
    let mut now = Instant::now();
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let open = line.open(now);
        line.lost("gone", now);
        drop(open);
        let until = line.paused_until().unwrap();
        pauses.push(until.duration_since(now));
        now = until;
    }
    assert!(pauses.windows(2).all(|pair| pair[1] >= pair[0]), "{pauses:?}");
    assert!(pauses[5] > Duration::from_secs(40) && pauses[5] < Duration::from_secs(80), "{pauses:?}");
    let _open = line.open(now);
    line.lost("gone", now + STEADY);
    assert_eq!(line.paused_until(), None);
}

#[test]
fn the_first_word_about_an_end_is_kept() {
    let line = line();
    let open = line.open(Instant::now());
    assert!(line.is_open());
    line.lost("it closed the connection", Instant::now());
    drop(open);
    assert_eq!(line.last_error().as_deref(), Some("it closed the connection"));
    drop(line.open(Instant::now()));
    assert!(line.last_error().unwrap().contains("no pings"));
    assert_eq!(*line.openings().borrow(), 2);
}
