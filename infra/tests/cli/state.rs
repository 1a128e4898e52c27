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
