//! Who works on a deployment: one run at a time.

use std::fs::File;

use crate::place::Place;
use crate::tiny;

/// A deployment that this process holds, as a run of somebody else would.
fn held() -> (Place, File) {
    let place = tiny();
    let claim = r#"{"user":"ada","host":"box","process":7,"command":"infra apply","since":"2026-01-01T00:00:00Z",
        "renewed":"2026-01-01T00:05:00Z","lease_seconds":60,"released":false}"#;
    place.write("state/deployments/tiny/lock", claim);
    let lock = File::open(place.path("state/deployments/tiny/lock")).unwrap();
    lock.lock().unwrap();
    (place, lock)
}

#[test]
fn a_deployment_that_another_process_holds_is_left_alone() {
    let (place, _lock) = held();
    insta::assert_snapshot!(place.run(&["apply", "tiny", "--yes"]));
}

#[test]
fn a_run_that_waits_says_for_whom_and_how_it_ended() {
    let (place, _lock) = held();
    insta::assert_snapshot!(place.run(&["apply", "tiny", "--yes", "--wait=10ms"]));
}

#[test]
fn a_duration_that_is_none_is_refused_with_an_example() {
    let (place, _lock) = held();
    insta::assert_snapshot!(place.run(&["destroy", "--name", "tiny", "--wait=soon"]));
}

/// A shared folder in which a run of another machine holds a deployment.
fn shared() -> (Place, String) {
    let place = tiny();
    let claim = r#"{"user":"ada","host":"box","process":7,"command":"infra apply","since":"2026-01-01T00:00:00Z",
        "renewed":"2026-01-01T00:05:00Z","lease_seconds":1,"released":false}"#;
    place.write("team/deployments/tiny/lock/0000000004.json", claim);
    let state = format!("file://{}", place.path("team").display());
    (place, state)
}

#[test]
fn an_address_that_is_none_is_refused() {
    let place = tiny();
    let addresses = ["ftp://team/infra", "s3://", "s3://key:secret@bucket", "file://team"];
    insta::assert_snapshot!(addresses.map(|address| place.run(&["list", "--state", address])).join("\n"));
}

#[test]
fn a_silent_run_of_another_machine_is_taken_for_dead_and_an_apply_that_fails_leaves_nothing_behind() {
    let (place, state) = shared();
    insta::assert_snapshot!(place.run(&["apply", "tiny", "--yes", "--state", &state]));
    assert!(!place.path("team/deployments").exists());
}

#[test]
fn unlocking_asks_whether_the_run_is_dead() {
    let (place, state) = shared();
    insta::assert_snapshot!(place.run(&["unlock", "tiny", "--state", &state]));
    assert!(place.path("team/deployments/tiny/lock/0000000004.json").exists());
}

#[test]
fn what_is_unlocked_is_free() {
    let (place, state) = shared();
    let unlock = ["unlock", "tiny", "--yes", "--state", &state];
    insta::assert_snapshot!([place.run(&unlock), place.run(&unlock)].join("\n"));
}

#[test]
fn unlocking_does_not_free_what_a_process_of_this_machine_holds() {
    let (place, _lock) = held();
    insta::assert_snapshot!(place.run(&["unlock", "tiny", "--yes"]));
}

#[test]
fn a_shared_journal_that_is_damaged_is_named_with_its_line() {
    let (place, state) = shared();
    place.write("team/deployments/tiny/journal/0000000001.jsonl", "{\"v\":1,\"n\":1}\n");
    insta::assert_snapshot!(place.run(&["plan", "tiny", "--state", &state]));
}
