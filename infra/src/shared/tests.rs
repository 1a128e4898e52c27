use std::path::Path;

use engine::{Address, Change, Inventory, Log, Node, Operation};
use jiff::Timestamp;

use super::*;

const LEASE: Duration = Duration::from_secs(2);

fn place() -> Shared {
    Shared { blobs: Blobs::in_memory() }
}

fn owner(user: &str) -> Owner {
    let (user, host, command) = (user.to_owned(), "box".to_owned(), "infra apply".to_owned());
    Owner { user, host, process: 7, command, since: Timestamp::now() }
}

async fn lock(place: &Shared, owner: &Owner) -> Result<Lease, SharedError> {
    let terms = Terms { owner, lease: LEASE, wait: Duration::ZERO, dead: None };
    place.lock("test", &terms, |_| {}).await
}

/// Takes it without a wait from one that counts as dead.
async fn take(place: &Shared, owner: &Owner, dead: &Owner) -> Lease {
    let terms = Terms { owner, lease: LEASE, wait: Duration::ZERO, dead: Some(dead) };
    place.lock("test", &terms, |_| {}).await.unwrap_or_else(|error| panic!("{error}"))
}

fn locked(result: Result<Lease, SharedError>) -> String {
    match result {
        Err(SharedError::State(StateError::Locked { owner, .. })) => owner,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it is free"),
    }
}

/// What a run that makes a thing appends: its intent, then its end.
fn made(name: &str) -> [Vec<(Address, Change)>; 2] {
    let address = Address::new("thing", name);
    let node = Some(Box::new(Node::new(address.clone(), name, "things")));
    let outputs = serde_json::Value::Null;
    [
        vec![(address.clone(), Change::Began { operation: Operation::Create, node })],
        vec![(address, Change::Ended { operation: Operation::Create, outputs })],
    ]
}

async fn inventory(place: &Shared) -> Inventory {
    let lines = place.journal("test").await.unwrap();
    Journal::replay(Path::new("journal"), &lines).unwrap()
}

async fn names(place: &Shared) -> Vec<String> {
    place.blobs.list("deployments").await.unwrap().into_iter().map(|blob| blob.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_want_it_at_once_one_has_it() {
    let (place, owners) = (place(), ["a", "b", "c", "d", "e", "f"].map(owner));
    let all = futures::future::join_all(owners.iter().map(|owner| lock(&place, owner))).await;
    assert_eq!(all.iter().filter(|lease| lease.is_ok()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_told_who_holds_it_and_what_was_given_up_is_free() {
    let place = place();
    let lease = lock(&place, &owner("ada")).await.unwrap();
    let holder = locked(lock(&place, &owner("bob")).await);
    assert!(holder.starts_with("process 7 of ada@box holds it: `infra apply`, since "), "{holder}");
    drop(lease);
    assert_eq!(place.holder("test").await.unwrap(), None);
    drop(lock(&place, &owner("bob")).await.unwrap());
    assert_eq!(names(&place).await.len(), 1, "only the last claim is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_gives_signs_of_life_keeps_it_from_those_who_wait() {
    let place = place();
    let _lease = lock(&place, &owner("ada")).await.unwrap();
    let bob = owner("bob");
    let terms = Terms { owner: &bob, lease: LEASE, wait: LEASE * 2, dead: None };
    let mut told = String::new();
    let refused = place.lock("test", &terms, |owner| told = owner.to_owned()).await;
    assert!(locked(refused).contains("ada@box"));
    assert!(told.contains("ada@box"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_run_is_waited_for_as_long_as_its_lease_and_taken_for_dead() {
    let place = place();
    let silent = lock(&place, &owner("ada")).await.unwrap();
    silent.stop_heart();
    let bob = owner("bob");
    let terms = Terms { owner: &bob, lease: LEASE, wait: LEASE * 30, dead: None };
    let lease = place.lock("test", &terms, |_| {}).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(lease.was_taken_over());
    let lost = silent.guard().remaining().await.unwrap_err().to_string();
    assert!(lost.contains("this run was taken for dead") && lost.contains("bob@box"), "{lost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_overdue_by_the_clock_is_watched_even_by_those_who_do_not_wait() {
    let place = place();
    let old = Claim { renewed: Timestamp::UNIX_EPOCH, ..Claim::new(owner("ada"), LEASE) };
    let text = serde_json::to_string(&old).unwrap();
    assert!(place.blobs.create("deployments/test/lock/0000000009.json", text).await.unwrap());
    let lease = lock(&place, &owner("bob")).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(lease.was_taken_over());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_taken_for_dead_cannot_write_any_more_and_nothing_is_lost() {
    let place = place();
    let (ada, bob) = (owner("ada"), owner("bob"));
    let first = lock(&place, &ada).await.unwrap();
    first.stop_heart();
    let mut journal = place.open("test", &first).await.unwrap();
    let [began, ended] = made("a");
    journal.append(began).await.unwrap();
    let second = take(&place, &bob, &ada).await;
    let mut next = place.open("test", &second).await.unwrap();
    assert_eq!(next.inventory(), journal.inventory());
    // It does not know yet: its lease was renewed a moment ago.
    let error = journal.append(ended.clone()).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("this run was taken for dead") && cause.contains("bob@box"), "{cause}");
    next.append(ended).await.unwrap();
    assert_eq!(&inventory(&place).await, next.inventory());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_that_a_dead_run_would_use_next_is_never_free_again() {
    let place = place();
    let (ada, bob) = (owner("ada"), owner("bob"));
    let first = lock(&place, &ada).await.unwrap();
    first.stop_heart();
    let (mut late, _) = segments::open(&place.blobs, "test", &first).await.unwrap();
    let second = take(&place, &bob, &ada).await;
    let mut journal = place.open("test", &second).await.unwrap();
    for number in 0..40 {
        for change in made(&number.to_string()) {
            journal.append(change).await.unwrap();
        }
    }
    drop((journal, second));
    let third = lock(&place, &bob).await.unwrap();
    let journal = place.open("test", &third).await.unwrap();
    let segments = names(&place).await.into_iter().filter(|name| name.contains("/journal/")).count();
    assert_eq!(segments, 2, "all lines in one segment, and the empty one");
    assert!(late.append(b"late\n").await.is_err());
    assert_eq!(&inventory(&place).await, journal.inventory());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_was_killed_before_it_deleted_anything_changes_nothing() {
    let place = place();
    let lease = lock(&place, &owner("ada")).await.unwrap();
    let mut journal = place.open("test", &lease).await.unwrap();
    for change in made("a") {
        journal.append(change).await.unwrap();
    }
    let lines = place.journal("test").await.unwrap();
    assert!(place.blobs.create("deployments/test/journal/0000000003.jsonl", lines.clone()).await.unwrap());
    assert_eq!(place.journal("test").await.unwrap(), lines);
    let mut journal = place.open("test", &lease).await.unwrap();
    for change in made("b") {
        journal.append(change).await.unwrap();
    }
    assert_eq!(&inventory(&place).await, journal.inventory());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_and_a_lost_segment_are_said() {
    let place = place();
    let lease = lock(&place, &owner("ada")).await.unwrap();
    let mut journal = place.open("test", &lease).await.unwrap();
    for change in made("a").into_iter().chain(made("b")) {
        journal.append(change).await.unwrap();
    }
    let second = "deployments/test/journal/0000000002.jsonl";
    let mut lines = place.blobs.get(second).await.unwrap().unwrap().to_vec();
    place.blobs.delete(second).await.unwrap();
    let error = place.open("test", &lease).await.err().expect("a gap");
    assert!(matches!(error, SharedError::Journal(JournalError::Illegal { .. })), "{error}");
    lines[10] ^= 1;
    assert!(place.blobs.create(second, lines).await.unwrap());
    let error = place.open("test", &lease).await.err().expect("damage");
    assert!(matches!(error, SharedError::Journal(JournalError::Damaged { line: 2, .. })), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_leaves_nothing() {
    let place = place();
    let (ada, bob) = (owner("ada"), owner("bob"));
    let first = lock(&place, &ada).await.unwrap();
    first.stop_heart();
    let lease = take(&place, &bob, &ada).await;
    let mut journal = place.open("test", &lease).await.unwrap();
    place.settle("test", &bob).await.unwrap();
    for change in made("a") {
        journal.append(change).await.unwrap();
    }
    assert_eq!((place.names().await.unwrap(), place.home("test").await.unwrap()), (vec!["test".to_owned()], Some(bob)));
    place.remove("test", lease).await.unwrap();
    assert_eq!(names(&place).await, Vec::<String>::new());
}
