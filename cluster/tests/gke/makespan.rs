//! How much longer an apply takes than the cloud alone.

use std::collections::BTreeMap;

use cluster::gke::{Disk, Spec, declare};
use engine::{Address, Graph, Node};
use simulator::Finished;

use crate::world::{World, failures};
use crate::{NOTHING, wanted};

/// An apply takes at most so much of the time of its longest chain of operations.
const MOST: f64 = 1.02;

/// How long the operations of a node took, one after another: those that changed what has its name.
fn seconds(node: &Node, finished: &[Finished]) -> f64 {
    let collection = match node.address.kind() {
        "gcp-service" => "services",
        "gcp-network" => "networks",
        "gcp-subnetwork" => "subnetworks",
        "gcp-router" => "routers",
        "gcp-disk" => "disks",
        "gcp-address" => "addresses",
        "artifact-repository" => "repositories",
        "gke-cluster" => "clusters",
        "gke-node-pool" => "nodePools",
        _ => return 0.0,
    };
    let end = format!("/{collection}/{}", node.address.name());
    let mine = finished.iter().filter(|operation| operation.target.ends_with(&end));
    mine.map(|operation| operation.ended_seconds - operation.began_seconds).sum()
}

/// The longest chain of operations, each of which needs the one before.
fn longest_chain(spec: &Spec, finished: &[Finished]) -> f64 {
    let mut graph = Graph::default();
    declare(spec, &mut graph).expect("a graph");
    let mut ends: BTreeMap<&Address, f64> = BTreeMap::new();
    for node in graph.in_order().expect("an order") {
        // What needs only a milestone does not wait for the end.
        let whole = node.needs.iter().filter(|need| need.milestone.is_none());
        let begin = whole.map(|need| ends[&need.address]).fold(0.0, f64::max);
        ends.insert(&node.address, begin + seconds(node, finished));
    }
    ends.into_values().fold(0.0, f64::max)
}

/// Applies, and compares the time that it took with the longest chain of its operations.
async fn compare(mut world: World, spec: &Spec) {
    let before = world.running.clock().now();
    assert_eq!(failures(&world.run(Some(spec)).await), NOTHING);
    let took = world.running.clock().now().saturating_sub(before).as_secs_f64();
    let chain = longest_chain(spec, &world.running.ledger().finished);
    println!("{took:.1} s, of which the longest chain {chain:.1} s: {:.4}", took / chain);
    assert!(chain > 300.0, "a cluster alone takes five minutes: {chain}");
    assert!(took >= chain, "{took} s are less than the chain's {chain} s");
    assert!(took <= MOST * chain, "{took} s are too much for a chain of {chain} s");
}

#[tokio::test(start_paused = true)]
async fn an_apply_takes_as_long_as_its_longest_chain_of_operations() {
    let world = World::new().await;
    let spec = wanted(&world);
    compare(world, &spec).await;
}

#[tokio::test(start_paused = true)]
async fn what_stands_beside_the_cluster_makes_an_apply_no_longer() {
    let world = World::new().await;
    let mut spec = wanted(&world);
    spec.private_nodes = true;
    spec.addresses = vec!["web".to_owned()];
    let data = Disk { name: "data".to_owned(), size_gigabytes: 20, disk_type: None, zone: None, snapshot: false };
    spec.disks = vec![data];
    compare(world, &spec).await;
}
