//! Floods: bounds hold, and who served us stays.

use super::*;
use std::time::Instant;

const DAY_S: u64 = 86_400;

/// An announcement for a day, of `models` models that nobody else has.
fn made_up(n: u64, models: usize) -> Announced {
    let names: Vec<String> = (0..models).map(|at| format!("made-up-{n}-{at}")).collect();
    let mut announced = said(node(n), 0, &names.iter().map(String::as_str).collect::<Vec<_>>());
    announced.announcement.ttl_seconds = DAY_S;
    published(announced, author(n), 0, None)
}

#[test]
fn a_flood_meets_its_bounds_and_drives_nobody_out_who_served_us() {
    let limits = Limits { entries: 500, signed_bytes: 300_000, offers: 1_500, proven: 50, deletions: 100 };
    let mut roster = roster(limits);
    for n in 0..100 {
        roster.take_in(heard(said(node(n), 0, &["llama3.1:8b"])), NOW);
    }
    for n in 0..60 {
        roster.prove(&node(n));
    }
    for n in 1_000..21_000 {
        let models = [1, 2, 3, 40][n as usize % 4];
        assert_eq!(roster.take_in(heard(made_up(n, models)), NOW), TakenIn::New);
        assert!(roster.store.len() <= 500 && roster.store.offers() <= 1_500);
        assert!(roster.store.signed_bytes() <= 300_000);
    }
    roster.store.assert_sound();
    assert!(roster.evicted() > 19_000);
    // The oldest ten proofs gave way to later ones.
    let serving = roster.serving(&model("llama3.1:8b"), 50, 0, NOW);
    let mut asked: Vec<_> = serving.iter().map(|entry| entry.node).collect();
    let mut served: Vec<_> = (10..60).map(node).collect();
    asked.sort();
    served.sort();
    assert_eq!(asked, served);
}

#[test]
fn long_announcements_give_way_before_short_ones() {
    let limits = Limits { signed_bytes: 1_000_000, offers: 5_000, ..Limits::default() };
    let mut roster = roster(limits);
    let short = 400;
    for n in 0..short {
        roster.take_in(heard(said(node(n), 0, &["llama3.1:8b"])), NOW);
    }
    for n in 1_000..4_000 {
        roster.take_in(heard(made_up(n, 100)), NOW);
    }
    roster.store.assert_sound();
    let left = roster.serving(&model("llama3.1:8b"), usize::MAX, 0, NOW).len() as u64;
    assert!(left > short * 3 / 4, "{left} of {short}");
}

#[test]
fn where_everyone_served_us_a_newcomer_finds_no_room_and_nobody_gives_way_to_what_is_gone() {
    let mut roster = roster(Limits { entries: 2, ..Limits::default() });
    roster.take_in(heard(said(node(1), 0, &["a"])), NOW);
    roster.take_in(heard(said(node(2), 0, &["a"])), NOW);
    roster.take_in(deletion(author(3), vec![], Some(9)), NOW);
    let gone = published(said(node(3), 0, &["a"]), author(3), 1, None);
    assert_eq!(roster.take_in(heard(gone), NOW), TakenIn::Gone);
    assert_eq!(roster.len(), 2);
    roster.prove(&node(1));
    roster.prove(&node(2));
    assert_eq!(roster.take_in(heard(said(node(4), 0, &["a"])), NOW), TakenIn::NoRoom);
    roster.store.assert_sound();
}

#[test]
fn more_deletions_than_are_remembered_are_forgotten() {
    let mut roster = roster(Limits { deletions: 10, ..Limits::default() });
    for n in 0..1_000 {
        let event = EventId::from_byte_array(key("event", n));
        assert_eq!(roster.take_in(deletion(author(n), vec![event], Some(9)), NOW), TakenIn::Noted);
    }
    let by = |n| heard(published(said(node(n), 0, &["a"]), author(n), 1, None));
    assert_eq!(roster.take_in(by(999), NOW), TakenIn::Gone);
    assert_eq!(roster.take_in(by(0), NOW), TakenIn::New);
}

#[test]
fn a_million_announcements_meet_the_bounds() {
    if std::env::var_os("LOBSTAH_TEST_ALL").is_none_or(|all| all != "1") {
        println!("skipped: takes minutes; set LOBSTAH_TEST_ALL=1");
        return;
    }
    let mut roster = roster(Limits::default());
    let served = Limits::default().proven as u64;
    for n in 0..served {
        roster.take_in(heard(said(node(n), 0, &["llama3.1:8b"])), NOW);
        roster.prove(&node(n));
    }
    let began = Instant::now();
    for n in 0..1_000_000 {
        roster.take_in(heard(made_up(served + n, 3)), NOW);
        assert!(roster.store.len() <= super::super::limits::ENTRIES_MAX);
    }
    println!("a million announcements in {:?}", began.elapsed());
    roster.store.assert_sound();
    assert_eq!(roster.len(), super::super::limits::ENTRIES_MAX);
    assert_eq!(roster.serving(&model("llama3.1:8b"), usize::MAX, 0, NOW).len() as u64, served);
    assert_eq!(roster.expire(seconds(DAY_S + 1)), super::super::limits::ENTRIES_MAX);
    roster.store.assert_sound();
}
