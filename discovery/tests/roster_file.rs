//! The file of strangers: what one process kept, another reads, and believes no more than a relay.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod strangers;

use discovery::{
    Roster, RosterFile,
    event::{announcement_event, deletion_event, from_tracker},
    roster::Limits,
};
use protocol::{Announcement, NodeId, Signed, Timestamp};
use std::{fs, os::unix::fs::PermissionsExt};
use strangers::{NOW, NOW_S, RULES, checked, event, nostr, saying, seconds, signed};

fn roster() -> Roster<()> {
    Roster::new(Limits::default(), 1)
}

fn file() -> (tempfile::TempDir, RosterFile) {
    let dir = tempfile::tempdir().unwrap();
    let file = RosterFile::at(dir.path().join("strangers.jsonl"));
    (dir, file)
}

fn save(file: &RosterFile, roster: &Roster<()>, now: Timestamp) -> usize {
    file.save(&roster.snapshot(usize::MAX, now), now).unwrap()
}

fn everyone(_: &NodeId, _: Timestamp) -> bool {
    true
}

/// What another process finds there.
fn found(file: &RosterFile, now: Timestamp) -> (Roster<()>, usize) {
    let loaded = file.load(now, RULES, everyone).unwrap();
    let (mut roster, skipped) = (roster(), loaded.skipped);
    roster.restore(loaded, now);
    (roster, skipped)
}

fn nodes(roster: &Roster<()>) -> Vec<NodeId> {
    let mut nodes: Vec<_> = roster.newest(usize::MAX, NOW).iter().map(|entry| entry.node).collect();
    nodes.sort();
    nodes
}

#[test]
fn a_restart_finds_what_was_kept_byte_for_byte() {
    let (_dir, file) = file();
    assert!(file.load(NOW, RULES, everyone).unwrap().strangers.is_empty());
    let mut before = roster();
    before.take_in(checked(&event(1)), NOW);
    let listed = Signed::parse(signed(2, saying(2)).to_json().as_bytes()).unwrap();
    before.take_in(from_tracker(listed, NOW, RULES).unwrap(), NOW);
    before.prove(&saying(2).node);
    assert_eq!(save(&file, &before, NOW), 2);
    assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);

    let (mut after, skipped) = found(&file, NOW);
    assert_eq!((nodes(&after), skipped), (nodes(&before), 0));
    for entry in after.newest(9, NOW) {
        assert_eq!(entry.signed_json(), before.get(&entry.node, NOW).unwrap().signed_json());
    }
    assert!(after.knows(&event(1).id));
    let asked = after.serving(&strangers::model("llama3.1:8b"), 1, 0, NOW);
    assert_eq!(asked[0].node, saying(2).node);
    // And who published it can still take it back.
    after.take_in(checked(&deletion_event(&[event(1).id], &nostr(1), NOW_S)), NOW);
    assert_eq!(nodes(&after), [saying(2).node]);
}

#[test]
fn what_is_in_the_file_is_checked_anew() {
    let (_dir, file) = file();
    let mut roster = roster();
    for seed in 1..=3 {
        roster.take_in(checked(&event(seed)), NOW);
    }
    save(&file, &roster, NOW);
    let text = fs::read_to_string(file.path()).unwrap();
    let forged = text.replace("node-2.example", "evil.example");
    fs::write(file.path(), format!("rubbish\n\n{forged}{{\"announcement\":{{}}")).unwrap();
    let (after, skipped) = found(&file, NOW);
    assert_eq!((after.len(), skipped), (2, 4));
    assert!(after.get(&saying(2).node, NOW).is_none());
    let (late, skipped) = found(&file, seconds(301));
    assert_eq!((late.len(), skipped), (0, 6));
    let known = file.load(NOW, RULES, |node, at| after.wants(node, at)).unwrap();
    assert!(known.strangers.is_empty());
}

#[test]
fn several_processes_keep_what_each_found_and_the_newest_of_each_node() {
    let (_dir, file) = file();
    let newer = |seed: u8, at: u64| {
        let announcement = Announcement { announced_at: seconds(at), ..saying(seed) };
        checked(&announcement_event(&signed(seed, announcement), &nostr(seed), NOW_S + at))
    };
    let (mut one, mut other) = (roster(), roster());
    one.take_in(newer(1, 0), NOW);
    one.take_in(newer(2, 5), NOW);
    one.prove(&saying(1).node);
    other.take_in(newer(1, 5), NOW);
    other.take_in(newer(3, 0), NOW);
    save(&file, &one, NOW);
    assert_eq!(save(&file, &other, NOW), 3);
    assert_eq!(save(&file, &one, NOW), 3);
    let loaded = file.load(NOW, RULES, everyone).unwrap();
    assert_eq!(loaded.strangers.iter().filter(|(_, proven)| *proven).count(), 1);
    let (after, _) = found(&file, NOW);
    assert_eq!(nodes(&after).len(), 3);
    assert_eq!(after.get(&saying(1).node, NOW).unwrap().announced_at, seconds(5));
    assert_eq!(after.get(&saying(2).node, NOW).unwrap().announced_at, seconds(5));
}

#[test]
fn what_was_taken_back_leaves_the_file_and_so_does_what_ended() {
    let (_dir, file) = file();
    let mut roster = roster();
    roster.take_in(checked(&event(1)), NOW);
    roster.take_in(checked(&event(2)), NOW);
    assert_eq!(save(&file, &roster, NOW), 2);
    roster.take_in(checked(&deletion_event(&[event(1).id], &nostr(1), NOW_S)), NOW);
    assert_eq!(save(&file, &roster, NOW), 1);
    assert_eq!(nodes(&found(&file, NOW).0), [saying(2).node]);
    assert_eq!(save(&file, &Roster::new(Limits::default(), 2), seconds(301)), 0);
    assert_eq!(fs::read_to_string(file.path()).unwrap(), "");
}

#[test]
fn processes_that_write_at_the_same_time_lose_nothing() {
    let (_dir, file) = file();
    std::thread::scope(|scope| {
        for seed in 1..=12 {
            let file = &file;
            scope.spawn(move || {
                let mut roster = roster();
                roster.take_in(checked(&event(seed)), NOW);
                save(file, &roster, NOW);
            });
        }
    });
    assert_eq!(found(&file, NOW).0.len(), 12);
}

#[test]
fn a_file_that_cannot_be_read_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let file = RosterFile::at(dir.path());
    let error = file.load(NOW, RULES, everyone).unwrap_err();
    assert!(error.to_string().contains("cannot be read or written"), "{error}");
}
