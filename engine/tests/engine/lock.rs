//! One run at a time: who holds a deployment, for how long, and who may take it over.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use engine::{Claim, Deployment, DeploymentLock, Owner, Patience, StateError, StateFolder};
use jiff::Timestamp;

const LEASE: Duration = Duration::from_secs(1);
const LONG: Patience = Patience { run: Duration::MAX, child: Duration::MAX };

fn deployment(folder: &Path) -> Deployment {
    let deployment = StateFolder::new(folder).deployment("test");
    deployment.make().unwrap();
    deployment
}

fn owner(host: &str) -> Owner {
    let (user, command, since) = ("ada".to_owned(), "infra apply".to_owned(), Timestamp::now());
    Owner { user, host: host.to_owned(), process: std::process::id(), command, since }
}

fn lock(deployment: &Deployment, patience: Patience) -> Result<DeploymentLock, StateError> {
    deployment.lock(&owner("here"), LEASE, patience, |_| {})
}

fn claim(deployment: &Deployment) -> Claim {
    serde_json::from_str(&fs::read_to_string(deployment.folder().join("lock")).unwrap()).unwrap()
}

fn leave(deployment: &Deployment, claim: &Claim) {
    fs::write(deployment.folder().join("lock"), serde_json::to_string(claim).unwrap()).unwrap();
}

#[test]
fn a_second_run_is_told_who_holds_it_where_and_since_when() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path());
    let held = lock(&deployment, Patience::NONE).unwrap();
    let Err(StateError::Locked { owner, .. }) = lock(&deployment, Patience::NONE) else { panic!("two hold it") };
    let claim = claim(&deployment);
    let expected = format!(
        "process {} of ada@here holds it: `infra apply`, since {}, last heard of at {}",
        std::process::id(),
        claim.owner.since,
        claim.renewed
    );
    assert_eq!(owner, expected);
    drop(held);
    lock(&deployment, Patience::NONE).unwrap();
}

#[test]
fn who_waits_is_told_for_whom_and_gets_it_when_it_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path());
    let mut held = Some(lock(&deployment, Patience::NONE).unwrap());
    let mut told = Vec::new();
    let waiting = |owner: &str| {
        told.push(owner.to_owned());
        held = None;
    };
    deployment.lock(&owner("here"), LEASE, LONG, waiting).unwrap();
    assert!(told.len() == 1 && told[0].contains("ada@here holds it"), "{told:?}");
}

#[test]
fn a_wait_that_is_over_ends_with_who_still_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path());
    let _held = lock(&deployment, Patience::NONE).unwrap();
    let short = Patience { run: Duration::from_millis(1), child: Duration::ZERO };
    assert!(matches!(lock(&deployment, short), Err(StateError::Locked { .. })));
}

#[test]
fn a_holder_gives_signs_of_life_and_says_when_it_gives_up() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path());
    let held = lock(&deployment, Patience::NONE).unwrap();
    let first = claim(&deployment);
    while claim(&deployment).renewed == first.renewed {
        std::thread::sleep(LEASE / 10);
    }
    assert!(!claim(&deployment).released);
    drop(held);
    assert_eq!((claim(&deployment).released, claim(&deployment).owner), (true, first.owner));
}

#[test]
fn a_killed_run_of_this_machine_frees_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path());
    leave(&deployment, &Claim::new(owner("here"), Duration::from_hours(1)));
    lock(&deployment, Patience::NONE).unwrap();
}

#[test]
fn a_run_of_another_machine_that_is_silent_for_its_lease_is_taken_for_dead() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path());
    leave(&deployment, &Claim::new(owner("elsewhere"), LEASE));
    let mut told = Vec::new();
    deployment.lock(&owner("here"), LEASE, Patience::NONE, |owner| told.push(owner.to_owned())).unwrap();
    assert!(told.len() == 1 && told[0].ends_with("if nothing more is heard for 1 s, it is dead"), "{told:?}");
    assert_eq!(claim(&deployment).owner.host, "here");
}

#[test]
fn a_run_of_another_machine_that_gives_a_sign_of_life_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path());
    // As on a shared folder whose locks do not reach other machines.
    let elsewhere = Claim::new(owner("elsewhere"), LEASE);
    leave(&deployment, &elsewhere);
    let alive = |_: &str| leave(&deployment, &Claim { renewed: Timestamp::MAX, ..elsewhere.clone() });
    let refused = deployment.lock(&owner("here"), LEASE, Patience::NONE, alive);
    assert!(matches!(refused, Err(StateError::Locked { .. })), "{refused:?}");
    assert_eq!(claim(&deployment).owner, elsewhere.owner);
}

#[test]
fn what_a_run_of_another_machine_gave_up_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path());
    leave(&deployment, &Claim::new(owner("elsewhere"), Duration::from_hours(1)).released());
    lock(&deployment, Patience::NONE).unwrap();
}

#[test]
fn a_lock_of_an_older_version_without_a_lease_is_taken_when_its_file_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(folder.path());
    let old = r#"{"process":1,"command":"infra apply","since":"2026-01-01T00:00:00Z"}"#;
    fs::write(deployment.folder().join("lock"), old).unwrap();
    lock(&deployment, Patience::NONE).unwrap();
}

#[test]
fn only_its_owner_can_read_what_a_deployment_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(&folder.path().join("state"));
    let _held = lock(&deployment, Patience::NONE).unwrap();
    engine::Journal::open(&deployment.journal()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&deployment.folder().join("lock")), mode(&deployment.journal())), (0o600, 0o600));
    assert_eq!(mode(deployment.folder()), 0o700);
}
