//! What a run finds after one that was killed or that failed, and what must not be forgotten meanwhile.

use crate::world::{Fault, Shared, apply, at, destroy, graph, thing};
use engine::{Change, Journal, Need, Node, Operation, Remains, State};
use serde_json::json;

fn journal() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    (folder, path)
}

/// Writes down what an earlier run did until it was killed.
fn killed_after(path: &std::path::Path, changes: Vec<(&str, Change)>) {
    let mut journal = Journal::open(path).unwrap();
    for (name, change) in changes {
        journal.append(vec![(at(name), change)]).unwrap();
    }
}

fn began(operation: Operation, node: &Node) -> Change {
    let node = (operation != Operation::Delete).then(|| Box::new(node.clone()));
    Change::Began { operation, node }
}

fn ended(operation: Operation) -> Change {
    Change::Ended { operation, outputs: json!({}) }
}

fn failed_cleanly(operation: Operation) -> Change {
    Change::Failed { operation, remains: Remains::Nothing, error: "refused".to_owned() }
}

#[tokio::test]
async fn an_update_that_fails_cleanly_does_not_make_the_resource_forgotten() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    apply(&world, &journal, &graph(vec![thing("a", "1", &[])])).await;
    world.fault("update thing/a", Fault::Clean);
    assert!(!apply(&world, &journal, &graph(vec![thing("a", "2", &[])])).await.is_success());
    assert_eq!(Journal::read(&journal).unwrap().get(&at("a")).unwrap().state, State::MaybeThere);
    assert!(destroy(&world, &journal).await.is_success());
    assert_eq!(world.names(), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_create_that_fails_cleanly_does_not_make_the_first_one_forgotten() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let wanted = graph(vec![thing("a", "1", &[])]);
    world.fault("create thing/a", Fault::LostReply);
    apply(&world, &journal, &wanted).await;
    world.fault("create thing/a", Fault::Clean);
    apply(&world, &journal, &wanted).await;
    assert!(destroy(&world, &journal).await.is_success());
    assert_eq!(world.names(), Vec::<String>::new());
}

#[test]
fn a_wait_that_fails_cleanly_is_forgotten() {
    let (_folder, path) = journal();
    let mut wait = thing("wait", "1", &[]);
    wait.lasting = false;
    let create = || began(Operation::Create, &wait);
    killed_after(&path, vec![("wait", create()), ("wait", create()), ("wait", failed_cleanly(Operation::Create))]);
    assert!(Journal::read(&path).unwrap().get(&at("wait")).is_none());
}

#[test]
fn until_an_update_has_ended_the_resource_needs_what_it_needed_before_too() {
    let (_folder, path) = journal();
    let (old, new) = (thing("a", "1", &["b"]), thing("a", "2", &["c"]));
    let needs = || Journal::read(&path).unwrap().get(&at("a")).unwrap().node.needs.clone();
    let update = || began(Operation::Update, &new);
    killed_after(&path, vec![("a", began(Operation::Create, &old)), ("a", ended(Operation::Create)), ("a", update())]);
    let both: Vec<Need> = vec![at("c").into(), at("b").into()];
    assert_eq!(needs(), both);
    killed_after(&path, vec![("a", failed_cleanly(Operation::Update)), ("a", update())]);
    assert_eq!(needs(), both);
    killed_after(&path, vec![("a", ended(Operation::Update))]);
    assert_eq!(needs(), [at("c").into()]);
}
