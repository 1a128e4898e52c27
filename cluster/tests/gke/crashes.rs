//! A process that dies at any call that changes something: the same command again gets there, and nothing is made twice.

use std::time::Duration;

use simulator::{Fault, FaultKind, Faults};

use crate::world::{World, failures};
use crate::{NOTHING, wanted};

/// What is made once, whatever happens in between.
const ONCE: [&str; 7] =
    ["networks", "subnetworks", "clusters", "nodePools", "repositories", "serviceAccounts", "filestoreInstances"];

/// More calls that change something than a run makes.
const MANY: u32 = 100;

/// Kills a run at a call that changes something, counted from 0: as it is made, whether it arrived or not. Whatever the run still tries
/// before it is dead arrives nowhere. Says whether the run got that far.
async fn killed(world: &mut World, is_wanted: bool, kind: FaultKind, number: u32) -> bool {
    let rule = |kind, after, count| Fault { kind, method: String::new(), target: String::new(), after, count };
    let rules = vec![rule(kind, number, 1), rule(FaultKind::LostRequest, number + 1, u32::MAX)];
    world.running.set_faults(Faults { rules, ..Faults::default() });
    let (spec, watch) = (is_wanted.then(|| wanted(world)), world.running.watch());
    let reached = async {
        while !watch.ledger().calls.iter().any(|call| call.fault.is_some()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let is_killed = tokio::select! {
        biased;
        () = reached => true,
        _ = world.run(spec.as_ref()) => false,
    };
    world.running.set_faults(Faults::default());
    world.restart();
    is_killed
}

/// Tells the story of every call of an apply, or of a destroy.
async fn every_call(of_apply: bool, kind: FaultKind) {
    for number in 0..MANY {
        let mut world = World::new().await;
        let spec = wanted(&world);
        if !of_apply {
            assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
        }
        let is_killed = killed(&mut world, of_apply, kind, number).await;
        let place = format!("{kind:?} at call {number}");
        if of_apply {
            assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING, "{place}");
            for kind in ONCE {
                let expected = if kind == "nodePools" { 2 } else { 1 };
                assert_eq!(world.made(kind), expected, "{place}: {kind}");
            }
        }
        assert_eq!(failures(&world.run(None).await), NOTHING, "{place}");
        assert_eq!(world.left(), NOTHING, "{place}");
        if !is_killed {
            assert!(number > 5, "a run makes more calls than {number}");
            return;
        }
    }
    panic!("a run makes more than {MANY} calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apply_that_dies_before_a_call_arrives_goes_on() {
    every_call(true, FaultKind::LostRequest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apply_that_dies_after_a_call_arrived_goes_on() {
    every_call(true, FaultKind::LostReply).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroy_that_dies_before_a_call_arrives_goes_on() {
    every_call(false, FaultKind::LostRequest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroy_that_dies_after_a_call_arrived_goes_on() {
    every_call(false, FaultKind::LostReply).await;
}
