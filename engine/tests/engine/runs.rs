//! Whole runs against a world in memory.

use std::collections::BTreeMap;

use crate::world::{Fault, Shared, apply, at, destroy, graph, registry, run, thing};
use engine::{Action, Graph, Inventory, Journal, Need, Policy, Registry, State, Stop, StopHandle, output, plan};
use serde_json::json;

fn journal() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    (folder, path)
}

#[tokio::test]
async fn an_apply_makes_needs_first_and_a_second_one_has_nothing_to_do() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let wanted = graph(vec![thing("a", "1", &["b"]), thing("b", "1", &["c"]), thing("c", "1", &[])]);
    assert!(apply(&world, &journal, &wanted).await.is_success());
    assert_eq!(world.calls(), ["create thing/c", "create thing/b", "create thing/a"]);
    assert!(apply(&world, &journal, &wanted).await.is_success());
    assert_eq!(world.calls(), Vec::<String>::new());
    world.assert_announced();
}

#[tokio::test]
async fn a_destroy_deletes_dependents_first_and_empties_the_world() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    apply(&world, &journal, &graph(vec![thing("a", "1", &["b"]), thing("b", "1", &["c"]), thing("c", "1", &[])])).await;
    world.calls();
    let outcome = destroy(&world, &journal).await;
    assert_eq!(world.calls(), ["delete thing/a", "delete thing/b", "delete thing/c"]);
    assert_eq!(outcome.gone.len(), 3);
    assert!(Journal::read(&journal).unwrap().is_empty() && world.names().is_empty());
}

#[tokio::test]
async fn only_what_changed_is_updated_and_only_what_it_feeds() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let mut fed = thing("fed", "1", &["a"]);
    fed.inputs["id"] = output(&at("a"), "id");
    apply(&world, &journal, &graph(vec![thing("a", "1", &[]), thing("b", "1", &["a"]), fed.clone()])).await;
    world.calls();
    apply(&world, &journal, &graph(vec![thing("a", "2", &[]), thing("b", "1", &["a"]), fed])).await;
    assert_eq!(world.calls(), ["update thing/a", "update thing/fed"]);
    assert_eq!(world.0.lock().unwrap().things[&at("fed")]["id"], "thing/a#\"2\"");
}

#[tokio::test]
async fn an_update_that_turns_out_to_change_nothing_makes_no_call() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let mut fed = thing("fed", "1", &["a"]);
    fed.inputs["id"] = output(&at("a"), "id");
    let mut source = thing("a", "1", &[]);
    apply(&world, &journal, &graph(vec![source.clone(), fed.clone()])).await;
    world.calls();
    source.inputs["comment"] = json!("does not reach the output");
    apply(&world, &journal, &graph(vec![source, fed])).await;
    assert_eq!(world.calls(), ["update thing/a"]);
}

#[tokio::test]
async fn a_fixed_field_deletes_and_makes_anew() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    apply(&world, &journal, &graph(vec![thing("a", "1", &[])])).await;
    let mut changed = thing("a", "1", &[]);
    changed.inputs["fixed"] = json!(2);
    world.calls();
    apply(&world, &journal, &graph(vec![changed])).await;
    assert_eq!(world.calls(), ["delete thing/a", "create thing/a"]);
}

#[tokio::test]
async fn a_fixed_field_that_becomes_known_late_deletes_and_makes_anew() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let mut fed = thing("fed", "1", &["a"]);
    fed.inputs["fixed"] = output(&at("a"), "id");
    apply(&world, &journal, &graph(vec![thing("a", "1", &[]), fed.clone()])).await;
    world.calls();
    assert!(apply(&world, &journal, &graph(vec![thing("a", "2", &[]), fed])).await.is_success());
    assert_eq!(world.calls(), ["update thing/a", "delete thing/fed", "create thing/fed"]);
}

#[tokio::test]
async fn what_is_no_longer_wanted_is_deleted() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    apply(&world, &journal, &graph(vec![thing("a", "1", &[]), thing("b", "1", &["a"])])).await;
    world.calls();
    apply(&world, &journal, &graph(vec![thing("a", "1", &[])])).await;
    assert_eq!((world.calls(), world.names()), (vec!["delete thing/b".to_owned()], vec!["a".to_owned()]));
}

#[tokio::test]
async fn what_vanished_is_made_again_and_what_drifted_is_put_right() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let wanted = graph(vec![thing("a", "1", &[]), thing("b", "1", &[])]);
    apply(&world, &journal, &wanted).await;
    world.calls();
    world.0.lock().unwrap().things.remove(&at("a"));
    world.0.lock().unwrap().drifted.insert(at("b"));
    apply(&world, &journal, &wanted).await;
    assert_eq!(world.calls(), ["delete thing/a", "update thing/b", "create thing/a"]);
}

#[tokio::test]
async fn what_lives_within_a_container_goes_with_it_without_a_call() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let mut inner = thing("box/inner", "1", &["box"]);
    inner.within = Some(at("box"));
    apply(&world, &journal, &graph(vec![thing("box", "1", &[]), inner.clone()])).await;
    world.calls();
    let mut replaced = thing("box", "1", &[]);
    replaced.inputs["fixed"] = json!(2);
    apply(&world, &journal, &graph(vec![replaced, inner])).await;
    assert_eq!(world.calls(), ["delete thing/box", "create thing/box", "create thing/box/inner"]);
    destroy(&world, &journal).await;
    assert_eq!(world.calls(), ["delete thing/box"]);
    assert!(Journal::read(&journal).unwrap().is_empty() && world.names().is_empty());
}

#[tokio::test]
async fn a_milestone_lets_dependents_start_while_the_rest_is_still_made() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let mut slow = thing("slow", "1", &[]);
    slow.inputs["milestone"] = json!("api");
    let mut eager = thing("eager", "1", &[]);
    eager.needs = vec![Need::milestone(at("slow"), "api")];
    world.fault("create thing/slow", Fault::Hang);
    let wanted = graph(vec![slow, eager]);
    let running = run_until_calls(&world, &journal, &wanted, 2, &[Stop::Drain, Stop::Abandon]).await;
    assert_eq!(world.calls(), ["create thing/slow", "create thing/eager"]);
    assert!(running.interrupted);
}

/// Runs an apply, waits until there were so many calls, then stops it as far as the levels say.
async fn run_until_calls(
    world: &Shared,
    journal: &std::path::Path,
    wanted: &Graph,
    count: usize,
    levels: &[Stop],
) -> engine::Outcome {
    let stop = StopHandle::default();
    let watcher = async {
        while world.0.lock().unwrap().calls.len() < count {
            tokio::task::yield_now().await;
        }
        for level in levels {
            assert_eq!(stop.press(), *level);
        }
    };
    tokio::join!(run(world, journal, wanted, Policy::StopAtFailure, &stop), watcher).0
}

#[tokio::test]
async fn an_abandoned_create_is_maybe_there_and_the_next_run_finishes_it() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let wanted = graph(vec![thing("a", "1", &[]), thing("b", "1", &["a"])]);
    world.fault("create thing/a", Fault::Hang);
    run_until_calls(&world, &journal, &wanted, 1, &[Stop::Drain, Stop::Abandon]).await;
    assert_eq!(Journal::read(&journal).unwrap().get(&at("a")).unwrap().state, State::MaybeThere);
    assert!(apply(&world, &journal, &wanted).await.is_success());
    assert_eq!(world.names(), ["a", "b"]);
}

#[tokio::test]
async fn the_first_interrupt_lets_what_runs_finish_and_starts_nothing_new() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let wanted = graph(vec![thing("a", "1", &[]), thing("b", "1", &["a"])]);
    world.fault("create thing/a", Fault::Slow);
    let outcome = run_until_calls(&world, &journal, &wanted, 1, &[Stop::Drain]).await;
    assert!(outcome.interrupted && outcome.not_tried == [at("b")]);
    assert_eq!(Journal::read(&journal).unwrap().get(&at("a")).unwrap().state, State::Present);
    assert_eq!(world.names(), ["a"]);
}

#[tokio::test]
async fn the_first_interrupt_gives_up_a_wait_and_the_next_run_waits_again() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let mut wait = thing("wait", "1", &[]);
    wait.lasting = false;
    let wanted = graph(vec![wait]);
    world.fault("create thing/wait", Fault::Hang);
    let outcome = run_until_calls(&world, &journal, &wanted, 1, &[Stop::Drain]).await;
    assert!(outcome.interrupted && outcome.failures.is_empty());
    world.calls();
    assert!(apply(&world, &journal, &wanted).await.is_success());
    assert_eq!(world.calls(), ["create thing/wait"]);
}

#[tokio::test]
async fn an_interrupt_before_the_run_starts_keeps_it_from_starting_anything() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    let stop = StopHandle::default();
    stop.press();
    let outcome = run(&world, &journal, &graph(vec![thing("a", "1", &[])]), Policy::StopAtFailure, &stop).await;
    assert!(outcome.interrupted && outcome.not_tried == [at("a")] && world.calls().is_empty());
}

#[tokio::test]
async fn a_failure_stops_an_apply_and_says_what_was_not_tried() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    world.fault("create thing/a", Fault::Clean);
    let wanted = graph(vec![thing("a", "1", &[]), thing("b", "1", &["a"]), thing("c", "1", &["b"])]);
    let outcome = apply(&world, &journal, &wanted).await;
    assert_eq!(outcome.failures.len(), 1);
    assert_eq!(outcome.not_tried, [at("b"), at("c")]);
    assert!(Journal::read(&journal).unwrap().get(&at("a")).is_none(), "it failed cleanly");
    assert!(apply(&world, &journal, &wanted).await.is_success());
}

#[tokio::test]
async fn a_create_whose_reply_is_lost_is_destroyed_all_the_same() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    world.fault("create thing/a", Fault::LostReply);
    assert!(!apply(&world, &journal, &graph(vec![thing("a", "1", &[])])).await.is_success());
    assert_eq!(world.names(), ["a"]);
    assert!(destroy(&world, &journal).await.is_success());
    assert!(world.names().is_empty());
}

#[tokio::test]
async fn a_delete_that_fails_blocks_only_what_it_must_and_is_tried_again() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    apply(&world, &journal, &graph(vec![thing("a", "1", &["b"]), thing("b", "1", &[]), thing("c", "1", &[])])).await;
    world.fault("delete thing/a", Fault::Clean);
    let outcome = destroy(&world, &journal).await;
    assert_eq!((outcome.failures.len(), outcome.not_tried), (1, vec![at("b")]));
    assert_eq!(world.names(), ["a", "b"]);
    assert_eq!(Journal::read(&journal).unwrap().get(&at("a")).unwrap().state, State::Stuck);
    assert!(destroy(&world, &journal).await.is_success());
    assert!(world.names().is_empty());
}

#[test]
fn the_plan_is_the_same_for_the_same_inputs_and_ignores_the_order_of_declaration() {
    let world = Shared::default();
    let behaviour = registry(&world, std::path::Path::new("unused"));
    let nodes = [thing("a", "1", &["b"]), thing("b", "1", &[]), thing("c", "1", &["b"])];
    let forward = graph(nodes.to_vec());
    let backward = graph(nodes.iter().rev().cloned().collect());
    let decided = |graph: &Graph| {
        serde_json::to_string(&plan(graph, &Inventory::default(), &BTreeMap::default(), &behaviour).unwrap()).unwrap()
    };
    assert_eq!(decided(&forward), decided(&backward));
}

#[test]
fn a_kind_that_nobody_handles_is_refused_before_anything_is_done() {
    let error =
        plan(&graph(vec![thing("a", "1", &[])]), &Inventory::default(), &BTreeMap::default(), &Registry::default())
            .unwrap_err();
    assert_eq!(error.to_string(), "handle thing/a: this program knows no such kind of resource");
}

#[test]
fn circles_and_missing_needs_are_named() {
    let circle = graph(vec![thing("a", "1", &["b"]), thing("b", "1", &["a"])]);
    assert_eq!(circle.in_order().unwrap_err().to_string(), "these need each other in a circle: thing/a, thing/b");
    let missing = graph(vec![thing("a", "1", &["b"])]);
    assert_eq!(missing.in_order().unwrap_err().to_string(), "thing/a needs thing/b, which is not declared");
}

#[tokio::test]
async fn the_plan_shows_which_field_changes_and_hides_nothing_behind_an_unknown_value() {
    let ((_folder, journal), world) = (journal(), Shared::default());
    apply(&world, &journal, &graph(vec![thing("a", "1", &[])])).await;
    let behaviour = registry(&world, &journal);
    let decided =
        plan(&graph(vec![thing("a", "2", &[])]), &Journal::read(&journal).unwrap(), &BTreeMap::default(), &behaviour)
            .unwrap();
    let Action::Update { changes, .. } = &decided.steps[0].action else { panic!("{:?}", decided.steps[0].action) };
    assert_eq!(
        (changes[0].path.as_str(), &changes[0].old, &changes[0].new),
        ("value", &Some(json!("1")), &Some(json!("2")))
    );
}
