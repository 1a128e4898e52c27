//! What a run finds after one that was killed or that failed, and what must not be forgotten meanwhile.

use crate::world::{Fault, Shared, apply, at, destroy, graph, thing};
use engine::{Change, Journal, Need, Node, Operation, Remains, State, output};
use futures::executor::block_on;
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
        block_on(journal.append(vec![(at(name), change)])).unwrap();
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

fn fixed(name: &str, fixed: i64, needs: &[&str]) -> Node {
    let mut node = thing(name, "1", needs);
    node.inputs["fixed"] = json!(fixed);
    node
}

fn within(container: &str, mut node: Node) -> Node {
    node.within = Some(at(container));
    node
}

#[tokio::test]
async fn what_an_interrupted_create_may_have_made_for_good_is_deleted_before_it_is_made_otherwise() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    world.fault("create thing/a", Fault::LostReply);
    apply(&world, &journal, &graph(vec![fixed("a", 1, &[])])).await;
    world.calls();
    assert!(apply(&world, &journal, &graph(vec![fixed("a", 2, &[])])).await.is_success());
    assert_eq!(world.calls(), ["delete thing/a", "create thing/a"]);
}

#[tokio::test]
async fn what_was_leaving_an_unfinished_container_leaves_before_it_is_made_again() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let wanted = || graph(vec![thing("box", "2", &[]), within("box", thing("box/inner", "1", &["box"]))]);
    apply(&world, &path, &wanted()).await;
    killed_after(
        &path,
        vec![
            ("box/inner", began(Operation::Delete, &thing("box/inner", "1", &[]))),
            ("box", began(Operation::Update, &thing("box", "2", &[]))),
        ],
    );
    world.calls();
    assert!(apply(&world, &path, &wanted()).await.is_success());
    assert_eq!(world.calls(), ["create thing/box", "delete thing/box/inner", "create thing/box/inner"]);
}

#[tokio::test]
async fn what_lives_within_a_container_that_turns_out_to_be_replaced_is_made_again_in_the_same_run() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let mut container = thing("box", "1", &["a"]);
    container.inputs["fixed"] = output(&at("a"), "id");
    let inner = |name: &str| within("box", thing(name, "1", &["box"]));
    let first = vec![thing("a", "1", &[]), container.clone(), inner("box/kept"), inner("box/dropped")];
    apply(&world, &journal, &graph(first)).await;
    world.calls();
    let second = graph(vec![thing("a", "2", &[]), container, inner("box/kept")]);
    assert!(apply(&world, &journal, &second).await.is_success());
    assert_eq!(world.calls(), ["update thing/a", "delete thing/box", "create thing/box", "create thing/box/kept"]);
    assert_eq!(world.names(), ["a", "box", "box/kept"]);
}

#[tokio::test]
async fn what_moves_into_another_container_is_deleted_in_the_one_that_stays() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let wanted = |container: &str| {
        let inner = within(container, thing("inner", "1", &[container]));
        graph(vec![thing("left", "1", &[]), thing("right", "1", &[]), inner])
    };
    apply(&world, &journal, &wanted("left")).await;
    world.calls();
    assert!(apply(&world, &journal, &wanted("right")).await.is_success());
    assert_eq!(world.calls(), ["delete thing/inner", "create thing/inner"]);
    let only_left = graph(vec![thing("left", "1", &[])]);
    assert!(apply(&world, &journal, &only_left).await.is_success());
    assert!(
        Journal::read(&journal).unwrap().get(&at("inner")).is_none(),
        "it went with the container that it moved to"
    );
}

#[tokio::test]
async fn what_moves_out_of_a_container_that_goes_is_deleted_before_it_is_made_elsewhere() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let inner = |container: &str| within(container, thing("inner", "1", &[container]));
    apply(&world, &journal, &graph(vec![thing("left", "1", &[]), inner("left")])).await;
    world.calls();
    let wanted = graph(vec![thing("right", "1", &[]), inner("right")]);
    assert!(apply(&world, &journal, &wanted).await.is_success());
    let calls = world.calls();
    let place = |call: &str| calls.iter().position(|made| made == call).expect(call);
    assert!(place("delete thing/inner") < place("create thing/inner"), "{calls:?}");
    assert!(place("delete thing/inner") < place("delete thing/left"), "{calls:?}");
}

#[tokio::test]
async fn what_was_leaving_a_container_that_is_replaced_leaves_before_it_is_made_in_another() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let wanted = |number: i64, container: &str| {
        let inner = within(container, thing("inner", "1", &[container]));
        graph(vec![fixed("left", number, &[]), thing("right", "1", &[]), inner])
    };
    apply(&world, &path, &wanted(1, "left")).await;
    killed_after(&path, vec![("inner", began(Operation::Delete, &thing("inner", "1", &[])))]);
    world.calls();
    assert!(apply(&world, &path, &wanted(2, "right")).await.is_success());
    let calls = world.calls();
    assert_eq!(calls.first().map(String::as_str), Some("delete thing/inner"));
    assert!(calls.contains(&"create thing/inner".to_owned()) && calls.contains(&"create thing/left".to_owned()));
}

#[tokio::test]
async fn what_needs_something_that_moves_is_deleted_before_that_and_not_with_their_container() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let inner = |container: &str| within(container, thing("inner", "1", &[container]));
    let user = within("left", thing("user", "1", &["left", "inner"]));
    apply(&world, &journal, &graph(vec![thing("left", "1", &[]), inner("left"), user])).await;
    world.calls();
    assert!(apply(&world, &journal, &graph(vec![thing("right", "1", &[]), inner("right")])).await.is_success());
    let calls = world.calls();
    let deleted: Vec<&String> = calls.iter().filter(|call| call.starts_with("delete")).collect();
    assert_eq!(deleted, ["delete thing/user", "delete thing/inner", "delete thing/left"]);
}

#[tokio::test]
async fn what_is_no_longer_needed_is_deleted_after_the_change_of_what_needed_it() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    apply(&world, &journal, &graph(vec![thing("old", "1", &[]), thing("user", "1", &["old"])])).await;
    world.calls();
    world.fault("update thing/user", Fault::Clean);
    apply(&world, &journal, &graph(vec![thing("user", "2", &[])])).await;
    assert_eq!(world.calls(), ["update thing/user"], "it may still be in use");
    assert!(apply(&world, &journal, &graph(vec![thing("user", "2", &[])])).await.is_success());
    assert_eq!(world.calls(), ["create thing/user", "delete thing/old"]);
}

#[tokio::test]
async fn what_goes_with_its_container_is_gone_before_what_it_needed_is_deleted() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let inner = within("box", thing("box/inner", "1", &["box", "image"]));
    apply(&world, &journal, &graph(vec![thing("box", "1", &[]), thing("image", "1", &[]), inner])).await;
    world.calls();
    assert!(destroy(&world, &journal).await.is_success());
    assert_eq!(world.calls(), ["delete thing/box", "delete thing/image"]);
}

#[tokio::test]
async fn what_needs_something_that_needs_its_container_is_deleted_before_both() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let inner = within("box", thing("box/inner", "1", &["box", "context"]));
    apply(&world, &journal, &graph(vec![thing("box", "1", &[]), thing("context", "1", &["box"]), inner])).await;
    world.calls();
    assert!(destroy(&world, &journal).await.is_success());
    assert_eq!(world.calls(), ["delete thing/box/inner", "delete thing/context", "delete thing/box"]);
}

#[tokio::test]
async fn held_resources_that_need_each_other_in_a_circle_are_destroyed_all_the_same() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let entries = [("a", "b"), ("b", "c"), ("c", "a")];
    for (name, need) in entries {
        killed_after(&path, vec![(name, began(Operation::Create, &thing(name, "1", &[need])))]);
    }
    assert!(destroy(&world, &path).await.is_success());
    assert_eq!(world.calls().len(), 3);
    assert!(Journal::read(&path).unwrap().is_empty());
}

#[tokio::test]
async fn a_new_need_of_what_is_kept_counts_from_when_it_is_there() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    apply(&world, &journal, &graph(vec![thing("kept", "1", &[])])).await;
    let wanted = graph(vec![thing("kept", "1", &["new"]), thing("new", "1", &[])]);
    let needs = || Journal::read(&journal).unwrap().get(&at("kept")).unwrap().node.needs.clone();
    world.fault("create thing/new", Fault::Clean);
    let outcome = apply(&world, &journal, &wanted).await;
    assert_eq!((needs(), outcome.not_tried), (Vec::new(), Vec::new()));
    assert!(apply(&world, &journal, &wanted).await.is_success());
    assert_eq!(needs(), [at("new").into()]);
}
