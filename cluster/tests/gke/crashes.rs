//! A process that dies at any call that changes something: the same command again gets there, and nothing is made twice.

use simulator::{Fault, FaultKind, Faults};

use crate::keep::{make_claimed, with_disk};
use crate::world::{World, failures};
use crate::{NOTHING, wanted};

/// What is made once, whatever happens in between.
const ONCE: [&str; 7] =
    ["networks", "subnetworks", "clusters", "nodePools", "repositories", "serviceAccounts", "filestoreInstances"];

/// More calls that change something than a run makes.
const MANY: u32 = 100;

/// What a run is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    All,
    Nothing,
    /// Nothing but the data.
    Data,
}

/// Kills a run at a call that changes something, counted from 0: as it is made, whether it arrived or not. Whatever the run still tries
/// before it is dead arrives nowhere. Says whether the run got that far.
async fn killed(world: &mut World, wish: Wish, kind: FaultKind, number: u32) -> bool {
    let rule = |kind, after, count| Fault { kind, method: String::new(), target: String::new(), after, count };
    let rules = vec![rule(kind, number, 1), rule(FaultKind::LostRequest, number + 1, u32::MAX)];
    world.running.set_faults(Faults { rules, ..Faults::default() });
    let (spec, watch) = ((wish == Wish::All).then(|| wanted(world)), world.running.watch());
    let run = async { if wish == Wish::Data { world.keep_data().await } else { world.run(spec.as_ref()).await } };
    let is_killed = tokio::select! {
        biased;
        () = watch.fault() => true,
        _ = run => false,
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
        let wish = if of_apply { Wish::All } else { Wish::Nothing };
        let is_killed = killed(&mut world, wish, kind, number).await;
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

/// Tells the story of every call of a destroy that keeps the data. What is said of the data holds all the way: nothing else is there
/// in the end, and no disk was ever deleted.
async fn every_call_of_a_keeping_destroy(kind: FaultKind) {
    for number in 0..MANY {
        let mut world = World::new().await;
        let spec = with_disk(&world);
        assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
        make_claimed(&world).await;
        let is_killed = killed(&mut world, Wish::Data, kind, number).await;
        let place = format!("{kind:?} at call {number}");
        assert_eq!(failures(&world.keep_data().await), NOTHING, "{place}");
        assert_eq!(world.left(), ["disks infra-demo-data", "disks pvc-1"], "{place}");
        assert_eq!(world.inventory().kept().count(), 2, "{place}");
        assert_eq!(failures(&world.run(None).await), NOTHING, "{place}");
        assert_eq!(world.left(), NOTHING, "{place}");
        if !is_killed {
            assert!(number > 5, "a run makes more calls than {number}");
            return;
        }
    }
    panic!("a run makes more than {MANY} calls");
}

#[tokio::test(start_paused = true)]
async fn a_destroy_that_keeps_data_and_dies_before_a_call_arrives_goes_on() {
    every_call_of_a_keeping_destroy(FaultKind::LostRequest).await;
}

#[tokio::test(start_paused = true)]
async fn a_destroy_that_keeps_data_and_dies_after_a_call_arrived_goes_on() {
    every_call_of_a_keeping_destroy(FaultKind::LostReply).await;
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_dies_before_a_call_arrives_goes_on() {
    every_call(true, FaultKind::LostRequest).await;
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_dies_after_a_call_arrived_goes_on() {
    every_call(true, FaultKind::LostReply).await;
}

#[tokio::test(start_paused = true)]
async fn a_destroy_that_dies_before_a_call_arrives_goes_on() {
    every_call(false, FaultKind::LostRequest).await;
}

#[tokio::test(start_paused = true)]
async fn a_destroy_that_dies_after_a_call_arrived_goes_on() {
    every_call(false, FaultKind::LostReply).await;
}
