//! What a plan says beyond what the graph wants: drift, wishes, parts of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use engine::{
    Action, Address, Change, Event, Inventory, Journal, JournalError, MoveError, Node, Observation, Plan, PlanError,
    Record, Sink, Sinks, Wishes, plan, plan_with,
};

use futures::executor::block_on;

use crate::world::{Fault, Shared, apply, at, carry_out, destroy, graph, planned, registry, thing};

fn journal() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    (folder, path)
}

/// `create thing/a`, for each step that does something.
fn told(plan: &Plan) -> Vec<String> {
    let word = |action: &Action| serde_json::to_value(action).unwrap()["action"].as_str().unwrap().to_owned();
    let changes = plan.steps.iter().filter(|step| step.action.is_change());
    changes.map(|step| format!("{} {}", word(&step.action), step.node.address.name())).collect()
}

fn targets(names: &[&str]) -> BTreeSet<Address> {
    names.iter().map(|name| at(name)).collect()
}

fn within(container: &str, mut node: Node) -> Node {
    node.within = Some(at(container));
    node.needs.push(at(container).into());
    node
}

fn wait(name: &str, needs: &[&str]) -> Node {
    Node { lasting: false, ..thing(name, "1", needs) }
}

#[tokio::test]
async fn drift_is_told_apart_from_the_steps_even_where_a_step_deletes_it() {
    let ((_folder, path), world) = (journal(), Shared::default());
    apply(&world, &path, &graph(["gone", "changed", "unwanted", "same"].map(|name| thing(name, "1", &[])).into()))
        .await;
    world.0.lock().unwrap().things.remove(&at("gone"));
    world.0.lock().unwrap().drifted.extend([at("changed"), at("unwanted")]);
    let wanted = graph(["gone", "changed", "same"].map(|name| thing(name, "1", &[])).into());
    let plan = planned(&world, &path, &wanted, Wishes::default()).await;
    let drifted: Vec<(&str, &Observation)> =
        plan.drifted.iter().map(|drifted| (drifted.address.name(), &drifted.observation)).collect();
    let changed = Observation::Changed("color".into());
    assert_eq!(drifted, [("changed", &changed), ("gone", &Observation::Absent), ("unwanted", &changed)]);
    assert_eq!(told(&plan), ["update changed", "replace gone", "delete unwanted"]);
}

#[tokio::test]
async fn a_replacement_that_was_asked_for_is_made_with_what_lives_within() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let wanted =
        || graph(vec![thing("box", "1", &[]), within("box", thing("box/in", "1", &[])), thing("other", "1", &[])]);
    apply(&world, &path, &wanted()).await;
    world.calls();
    let wishes = Wishes { replace: targets(&["box"]), ..Wishes::default() };
    let plan = planned(&world, &path, &wanted(), wishes).await;
    assert!(
        matches!(&plan.step(&at("box")).unwrap().action, Action::Replace { because, .. } if because == "it was asked for")
    );
    assert!(carry_out(&world, &path, &plan, &Sinks::default()).await.is_success());
    assert_eq!(world.calls(), ["delete thing/box", "create thing/box", "create thing/box/in"]);
    assert!(planned(&world, &path, &wanted(), Wishes::default()).await.is_empty());
}

#[tokio::test]
async fn a_replacement_of_what_is_not_there_is_a_creation() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let wishes = Wishes { replace: targets(&["a"]), ..Wishes::default() };
    assert_eq!(told(&planned(&world, &path, &graph(vec![thing("a", "1", &[])]), wishes).await), ["create a"]);
}

#[tokio::test]
async fn a_target_comes_with_what_it_needs_and_with_its_waits_and_leaves_the_rest() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let wanted = graph(vec![
        thing("a", "1", &["b"]),
        thing("b", "1", &[]),
        thing("c", "1", &["a"]),
        wait("of a", &["a"]),
        wait("of both", &["a", "c"]),
    ]);
    let plan = planned(&world, &path, &wanted, Wishes::default()).await.narrowed(&targets(&["a"]));
    assert_eq!(told(&plan), ["create b", "create a", "create of a"]);
    assert!(carry_out(&world, &path, &plan, &Sinks::default()).await.is_success());
    let rest = planned(&world, &path, &wanted, Wishes::default()).await;
    assert_eq!(told(&rest), ["create c", "create of both"]);
}

#[tokio::test]
async fn a_target_that_is_deleted_comes_with_what_still_needs_it() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let all = graph(vec![thing("a", "1", &["b"]), thing("b", "1", &[]), thing("c", "1", &["b"]), thing("d", "1", &[])]);
    apply(&world, &path, &all).await;
    world.calls();
    let wanted = graph(vec![thing("c", "2", &["d"]), thing("d", "2", &[])]);
    let plan = planned(&world, &path, &wanted, Wishes::default()).await.narrowed(&targets(&["b"]));
    assert_eq!(told(&plan), ["update d", "update c", "delete a", "delete b"]);
    assert!(carry_out(&world, &path, &plan, &Sinks::default()).await.is_success());
    let calls = world.calls();
    assert_eq!(calls.last().map(String::as_str), Some("delete thing/b"), "{calls:?}");
}

#[tokio::test]
async fn a_part_of_a_destroy_deletes_alone_what_would_go_with_its_container() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let inner = |name: &str, needs: &[&str]| within("box", thing(name, "1", needs));
    let all = graph(vec![thing("box", "1", &[]), inner("box/a", &["box/b"]), inner("box/b", &[]), inner("box/c", &[])]);
    apply(&world, &path, &all).await;
    world.calls();
    let registry = registry(&world, &path);
    let inventory = Journal::read(&path).unwrap();
    let everything = plan(&graph(Vec::new()), &inventory, &BTreeMap::new(), &registry).unwrap();
    let part = everything.clone().narrowed(&targets(&["box/b"]));
    assert_eq!(told(&part), ["delete box/a", "delete box/b"]);
    assert!(carry_out(&world, &path, &part, &Sinks::default()).await.is_success());
    assert_eq!(world.calls(), ["delete thing/box/a", "delete thing/box/b"]);
    assert_eq!(world.names(), ["box", "box/c"]);
    // The container takes everything along that is within it.
    assert_eq!(told(&everything.clone().narrowed(&targets(&["box"]))), told(&everything));
}

#[tokio::test]
async fn a_replaced_target_brings_back_what_lived_within_it() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let wanted =
        || graph(vec![thing("box", "1", &[]), within("box", thing("box/in", "1", &["far"])), thing("far", "1", &[])]);
    apply(&world, &path, &wanted()).await;
    let wishes = || Wishes { replace: targets(&["box"]), ..Wishes::default() };
    let plan = planned(&world, &path, &wanted(), wishes()).await.narrowed(&targets(&["box"]));
    assert_eq!(told(&plan), ["replace box", "create box/in"]);
}

#[tokio::test]
async fn what_is_removed_from_the_graph_is_deleted_after_what_needed_it() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let chain = [thing("a", "1", &["b"]), thing("b", "1", &["c"]), thing("c", "1", &[]), thing("kept", "1", &["c"])];
    apply(&world, &path, &graph(chain.into())).await;
    world.calls();
    // What is kept lets go of what it needed: only then may that be deleted.
    let wanted = graph(vec![thing("kept", "2", &[])]);
    assert!(apply(&world, &path, &wanted).await.is_success());
    let calls = world.calls();
    let place = |call: &str| calls.iter().position(|made| made == call).unwrap_or_else(|| panic!("{call}: {calls:?}"));
    assert!(place("delete thing/a") < place("delete thing/b") && place("delete thing/b") < place("delete thing/c"));
    assert!(place("update thing/kept") < place("delete thing/c"), "{calls:?}");
    assert_eq!((calls.len(), world.names()), (4, vec!["kept".to_owned()]));
}

#[tokio::test]
async fn what_somebody_else_made_is_in_the_way_and_is_adopted_where_that_is_wished() {
    let ((_folder, path), world) = (journal(), Shared::default());
    world.0.lock().unwrap().foreign.insert(at("a"));
    let wanted = graph(vec![thing("a", "1", &[]), thing("b", "1", &[])]);
    let refused = planned(&world, &path, &wanted, Wishes::default()).await;
    assert_eq!(told(&refused), ["create a", "create b"]);
    assert_eq!(refused.in_the_way.iter().map(|it| it.address.name()).collect::<Vec<_>>(), ["a"]);
    let adopting = planned(&world, &path, &wanted, Wishes { adopt: true, ..Wishes::default() }).await;
    assert_eq!((told(&adopting), adopting.in_the_way.len()), (vec!["adopt a".to_owned(), "create b".to_owned()], 0));
    assert!(carry_out(&world, &path, &adopting, &Sinks::default()).await.is_success());
    assert!(planned(&world, &path, &wanted, Wishes::default()).await.is_empty());
    destroy(&world, &path).await;
    assert_eq!(world.names(), Vec::<String>::new());
}

#[tokio::test]
async fn an_adoption_that_was_interrupted_is_asked_for_again() {
    let ((_folder, path), world) = (journal(), Shared::default());
    world.0.lock().unwrap().foreign.insert(at("a"));
    let wanted = graph(vec![thing("a", "1", &[])]);
    let adopting = || Wishes { adopt: true, ..Wishes::default() };
    world.fault("create thing/a", Fault::Clean);
    let plan = planned(&world, &path, &wanted, adopting()).await;
    assert!(!carry_out(&world, &path, &plan, &Sinks::default()).await.is_success());
    assert_eq!(planned(&world, &path, &wanted, Wishes::default()).await.in_the_way.len(), 1);
    let plan = planned(&world, &path, &wanted, adopting()).await;
    assert!(carry_out(&world, &path, &plan, &Sinks::default()).await.is_success());
    assert_eq!(world.names(), ["a"]);
}

#[tokio::test]
async fn drift_that_an_interrupted_run_did_not_put_back_is_seen_and_put_back_by_the_next() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let wanted = graph(vec![thing("a", "1", &[])]);
    apply(&world, &path, &wanted).await;
    world.0.lock().unwrap().drifted.insert(at("a"));
    world.fault("update thing/a", Fault::Clean);
    assert!(!apply(&world, &path, &wanted).await.is_success());
    let plan = planned(&world, &path, &wanted, Wishes::default()).await;
    assert_eq!(told(&plan), ["update a"]);
    assert!(carry_out(&world, &path, &plan, &Sinks::default()).await.is_success());
    assert!(world.0.lock().unwrap().drifted.is_empty());
    assert!(planned(&world, &path, &wanted, Wishes::default()).await.is_empty());
}

fn named(address: &str, name: &str, needs: &[&str]) -> Node {
    let mut node = thing(address, "1", needs);
    node.inputs["name"] = name.into();
    node
}

fn moving(from: &str, to: &str) -> Wishes {
    Wishes { moved: vec![(at(from), at(to))], ..Wishes::default() }
}

#[tokio::test]
async fn what_is_moved_is_held_under_its_new_address_without_a_call() {
    let ((_folder, path), world) = (journal(), Shared::default());
    apply(
        &world,
        &path,
        &graph(vec![named("old", "x", &["base"]), thing("base", "1", &[]), thing("user", "1", &["old"])]),
    )
    .await;
    world.calls();
    let wanted = graph(vec![named("new", "x", &["base"]), thing("base", "1", &[]), thing("user", "1", &["new"])]);
    let plan = planned(&world, &path, &wanted, moving("old", "new")).await;
    assert_eq!((told(&plan), plan.is_empty(), plan.moved.len()), (Vec::new(), false, 1));
    assert!(carry_out(&world, &path, &plan, &Sinks::default()).await.is_success());
    assert_eq!(world.calls(), Vec::<String>::new());
    let inventory = Journal::read(&path).unwrap();
    assert!(inventory.get(&at("old")).is_none());
    assert_eq!(inventory.get(&at("user")).unwrap().node.needs, [at("new").into()]);
    assert_eq!(inventory.get(&at("new")).unwrap().node.address, at("new"));
    // A move that was made stays in the scenario as long as it likes.
    world.0.lock().unwrap().things.insert(at("new"), serde_json::Value::Null);
    assert!(planned(&world, &path, &wanted, moving("old", "new")).await.is_empty());
}

#[tokio::test]
async fn a_container_that_is_moved_keeps_what_lives_within_it() {
    let ((_folder, path), world) = (journal(), Shared::default());
    apply(&world, &path, &graph(vec![named("box", "x", &[]), within("box", thing("in", "1", &[]))])).await;
    let wanted = graph(vec![named("crate", "x", &[]), within("crate", thing("in", "1", &[]))]);
    let plan = planned(&world, &path, &wanted, moving("box", "crate")).await;
    assert_eq!(told(&plan), [] as [&str; 0]);
    carry_out(&world, &path, &plan, &Sinks::default()).await;
    let registry = registry(&world, &path);
    let inventory = Journal::read(&path).unwrap();
    let everything =
        plan_with(&graph(Vec::new()), &inventory, &BTreeMap::new(), &registry, &Wishes::default()).unwrap();
    assert_eq!(told(&everything), ["goes_with in", "delete crate"]);
}

#[tokio::test]
async fn what_would_be_another_thing_is_not_moved() {
    let ((_folder, path), world) = (journal(), Shared::default());
    apply(&world, &path, &graph(vec![named("old", "x", &[])])).await;
    let registry = registry(&world, &path);
    let inventory: Inventory = Journal::read(&path).unwrap();
    let refused = |wanted: Vec<Node>| {
        plan_with(&graph(wanted), &inventory, &BTreeMap::new(), &registry, &moving("old", "new")).unwrap_err()
    };
    let (from, to) = (at("old"), at("new"));
    let cases = [
        (vec![named("new", "y", &[])], MoveError::Another { from: from.clone(), to: to.clone() }),
        (
            vec![named("new", "x", &[]), named("old", "x", &[])],
            MoveError::StillWanted { from: from.clone(), to: to.clone() },
        ),
        (vec![], MoveError::NotWanted { from, to }),
    ];
    for (wanted, error) in cases {
        assert_eq!(refused(wanted), PlanError::Move(error));
    }
}

/// Keeps what it is told.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Event>>>);

impl Sink for Kept {
    fn take(&self, record: &Record) {
        self.0.lock().unwrap().push(record.event.clone());
    }
}

#[tokio::test]
async fn what_waited_for_a_failed_step_is_told_once_as_not_tried_and_why() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let wanted = graph(vec![thing("a", "1", &[]), thing("b", "1", &["a"]), thing("c", "1", &["b"])]);
    world.fault("create thing/a", Fault::Clean);
    let plan = planned(&world, &path, &wanted, Wishes::default()).await;
    let kept = Kept::default();
    let outcome = carry_out(&world, &path, &plan, &Sinks::new(vec![Box::new(kept.clone())])).await;
    let events = kept.0.lock().unwrap();
    let told: Vec<(&str, Option<&str>)> = events
        .iter()
        .filter_map(|event| match event {
            Event::StepNotTried { address, because, .. } => Some((address.name(), because.as_ref().map(Address::name))),
            _ => None,
        })
        .collect();
    assert_eq!(told, [("b", Some("a")), ("c", Some("a"))]);
    assert_eq!(outcome.not_tried, [at("b"), at("c")]);
}

#[test]
fn a_move_that_is_cut_off_at_any_byte_was_made_or_was_not() {
    let (_folder, path) = journal();
    let node = || Box::new(thing("old", "1", &[]));
    let moved = || Change::Moved { from: at("old") };
    let mut written = Journal::open(&path).unwrap();
    block_on(written.append(vec![(at("old"), Change::Found { node: node(), outputs: serde_json::Value::Null })]))
        .unwrap();
    let before = std::fs::read(&path).unwrap().len();
    block_on(written.append(vec![(at("new"), moved())])).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for length in before..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let mut again = Journal::open(&path).unwrap();
        assert!(again.inventory().get(&at("old")).is_some() && again.inventory().get(&at("new")).is_none());
        block_on(again.append(vec![(at("new"), moved())])).unwrap();
        let inventory = Journal::read(&path).unwrap();
        assert!(inventory.get(&at("old")).is_none() && inventory.get(&at("new")).is_some());
    }
}

#[test]
fn only_what_is_held_is_moved_and_only_to_where_nothing_is() {
    let (_folder, path) = journal();
    let mut journal = Journal::open(&path).unwrap();
    let found = |name: &str| {
        (at(name), Change::Found { node: Box::new(thing(name, "1", &[])), outputs: serde_json::Value::Null })
    };
    let moved = |from: &str, to: &str| vec![(at(to), Change::Moved { from: at(from) })];
    block_on(journal.append(vec![found("a"), found("b")])).unwrap();
    for change in [moved("a", "b"), moved("nothing", "c"), moved("a", "a")] {
        let mut journal = Journal::open(&path).unwrap();
        let error = block_on(journal.append(change)).unwrap_err();
        assert!(matches!(error, JournalError::Illegal { .. }), "{error}");
    }
}

#[tokio::test]
async fn what_holds_data_outlives_a_destroy_and_what_no_longer_wants_it() {
    let ((_folder, path), world) = (journal(), Shared::default());
    let wanted = || graph(vec![thing("disk", "1", &[]), thing("cluster", "1", &["disk"])]);
    apply(&world, &path, &wanted()).await;
    let plan = planned(&world, &path, &graph(Vec::new()), Wishes::default()).await.leaving(&targets(&["disk"]));
    assert_eq!(told(&plan), ["delete cluster"]);
    assert!(carry_out(&world, &path, &plan, &Sinks::default()).await.is_success());
    let mut written = Journal::open(&path).unwrap();
    let held = written.inventory().get(&at("disk")).unwrap().clone();
    let node = Box::new(Node { kept: true, ..held.node });
    block_on(written.append(vec![(at("disk"), Change::Found { node, outputs: held.outputs })])).unwrap();
    let kept: Vec<Address> = written.inventory().kept().map(|held| held.node.address.clone()).collect();
    assert_eq!((kept, written.inventory().iter().count()), (vec![at("disk")], 1));
    drop(written);
    // Somebody else's graph has no use for it.
    let plan = planned(&world, &path, &graph(vec![thing("other", "1", &[])]), Wishes::default()).await;
    assert_eq!(told(&plan), ["create other", "delete disk"]);
    assert_eq!(told(&plan.leaving(&targets(&["disk"]))), ["create other"]);
    // Its own graph takes it up again, without a call.
    apply(&world, &path, &wanted()).await;
    let inventory = Journal::read(&path).unwrap();
    assert_eq!((inventory.kept().count(), inventory.iter().count()), (0, 2));
    destroy(&world, &path).await;
    assert!(world.0.lock().unwrap().things.is_empty());
}
