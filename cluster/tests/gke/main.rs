//! Clusters on GKE, made and removed by the real engine on a simulated Google Cloud.

mod crashes;
mod faults;
mod keep;
mod kubernetes;
mod makespan;
mod preflight;
mod rates;
mod world;

use cluster::gke::{Disk, FileServer, FileTier, OtherZones, Place, Registry as Images, Spec, find};
use engine::{Class, Remains};
use providers::gcp::Credentials;
use serde_json::json;
use simulator::{Fault, FaultKind, Faults};

use world::{World, ZONE, failures, pool};

const NOTHING: [&str; 0] = [];

/// A cluster with a second pool, a repository, a disk and a file server.
fn wanted(world: &World) -> Spec {
    let mut spec = world.spec();
    spec.registry = Some(Images { location: "us-central1".to_owned() });
    spec.node_pools.push(pool("more", 1));
    spec.disks = vec![disk("data")];
    spec.file_servers = vec![file_server(1024)];
    spec
}

fn disk(name: &str) -> Disk {
    Disk { name: name.to_owned(), size_gigabytes: 20, disk_type: None, zone: None, snapshot: false }
}

fn file_server(capacity_gibibytes: u32) -> FileServer {
    FileServer { name: "files".to_owned(), tier: FileTier::BasicHdd, capacity_gibibytes, zone: None }
}

fn rule(kind: FaultKind, method: &str) -> Faults {
    Faults { rules: vec![Fault::first(kind, method)], ..Faults::default() }
}

#[tokio::test(start_paused = true)]
async fn everything_is_made_once_and_nothing_is_left_afterwards() {
    let mut world = World::with(Faults::default(), preflight::fresh).await;
    let mut spec = world.spec();
    spec.private_nodes = true;
    spec.registry = Some(Images { location: "us-central1".to_owned() });
    spec.addresses = vec!["web".to_owned()];
    spec.disks = vec![disk("data")];
    spec.file_servers = vec![file_server(1024)];
    spec.node_pools.push(pool("more", 1));
    let made = world.run(Some(&spec)).await;
    assert_eq!(failures(&made), NOTHING);
    for kind in ["networks", "subnetworks", "routers", "addresses", "clusters", "repositories", "serviceAccounts"] {
        assert_eq!(world.made(kind), 1, "{kind}");
    }
    for made in ["disks infra-demo-data", "filestoreInstances infra-demo-files"] {
        assert!(world.left().contains(&made.to_owned()), "{made}");
    }
    assert!(world.kubeconfig().is_file());
    let again = world.run(Some(&spec)).await;
    assert_eq!((failures(&again), again.changed), (Vec::new(), 0), "a second run has nothing to do");

    let removed = world.run(None).await;
    assert_eq!(failures(&removed), NOTHING);
    assert_eq!(world.left(), NOTHING);
    assert!(removed.gone.iter().any(|gone| gone.name == "infra-demo-files"), "{:?}", removed.gone);
    assert!(!world.kubeconfig().exists());
}

#[tokio::test(start_paused = true)]
async fn a_pool_changes_its_size_in_place_and_is_replaced_where_its_machines_change() {
    let mut world = World::new().await;
    let mut spec = world.spec();
    spec.node_pools.push(pool("more", 1));
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
    spec.node_pools[1] = pool("more", 2);
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
    let found = world.gcp.node_pool(ZONE, "infra-demo", "more").await.unwrap().unwrap();
    assert_eq!((found.initial_node_count, world.made("nodePools")), (2, 2));
    spec.node_pools[1].machine_type = "e2-standard-4".to_owned();
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
    assert_eq!((world.made("clusters"), world.made("nodePools")), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_zone_without_machines_is_left_for_another_where_the_scenario_allows() {
    let mut world = World::with(rule(FaultKind::Stockout, "clusters.create"), |_| ()).await;
    let mut spec = world.spec();
    spec.place = Place::Zone { zone: ZONE.to_owned(), others: OtherZones::Any };
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
    let left = world.left();
    assert_eq!(left.iter().filter(|name| name.starts_with("clusters ")).count(), 1, "{left:?}");
    let (clusters, _) = world.gcp.clusters().await.unwrap();
    assert_ne!(clusters[0].location, ZONE);
    assert_eq!(failures(&world.run(None).await), NOTHING);
    assert_eq!(world.left(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn a_zone_without_machines_fails_with_the_zones_that_could_be_tried() {
    let mut world = World::with(rule(FaultKind::Stockout, "clusters.create"), |_| ()).await;
    let spec = world.spec();
    let outcome = world.run(Some(&spec)).await;
    let (_, failure) = &outcome.failures[0];
    assert_eq!((failure.class, failure.remains), (Class::Blocked, Remains::Something));
    let hint = failure.hint.clone().unwrap_or_default();
    assert!(hint.contains("zones: any") && hint.contains("us-central1-b"), "{hint}");
    // What is broken is removed and made anew.
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
    assert_eq!(failures(&world.run(None).await), NOTHING);
    assert_eq!(world.left(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_nothing_twice() {
    let lost = |method: &str| Fault::first(FaultKind::LostReply, method);
    let rules =
        ["clusters.create", "networks.insert", "serviceAccounts.create", "repositories.create"].map(lost).into();
    let mut world = World::with(Faults { rules, ..Faults::default() }, |_| ()).await;
    let mut spec = world.spec();
    spec.registry = Some(Images { location: "us-central1".to_owned() });
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
    for kind in ["clusters", "networks", "serviceAccounts", "repositories"] {
        assert_eq!(world.made(kind), 1, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_made_is_refused_and_left_alone() {
    let mut world = World::new().await;
    world.make("global/networks", json!({ "name": "infra-demo", "autoCreateSubnetworks": false })).await;
    let spec = world.spec();
    let outcome = world.run(Some(&spec)).await;
    let foreign = outcome.failures.iter().find(|(address, _)| address.kind() == "gcp-network").expect("a refusal");
    assert_eq!((foreign.1.class, foreign.1.remains), (Class::Foreign, Remains::Nothing));
    assert_eq!(failures(&world.run(None).await), NOTHING);
    assert_eq!(world.left(), ["networks infra-demo"]);
}

#[tokio::test(start_paused = true)]
async fn what_controllers_left_goes_and_what_is_of_others_stays() {
    let mut world = World::new().await;
    let spec = world.spec();
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
    let network = format!("projects/{}/global/networks/infra-demo", world::PROJECT);
    let balancer = format!("a{}", "1".repeat(31));
    let firewall = json!({
        "name": format!("k8s-fw-{balancer}"), "network": network, "sourceRanges": ["0.0.0.0/0"],
        "allowed": [{ "IPProtocol": "tcp", "ports": ["80"] }],
    });
    world.make("global/firewalls", firewall).await;
    world.make("regions/us-central1/targetPools", json!({ "name": balancer })).await;
    let target = format!("projects/{}/regions/us-central1/targetPools/{balancer}", world::PROJECT);
    let rule =
        |name: &str, target: &str| json!({ "name": name, "target": target, "portRange": "80-80", "IPProtocol": "TCP" });
    world.make("regions/us-central1/forwardingRules", rule(&balancer, &target)).await;
    world.make("regions/us-central1/targetPools", json!({ "name": "by-hand" })).await;
    let disk = json!({
        "name": "pvc-1", "sizeGb": "10", "labels": { "goog-k8s-cluster-name": "infra-demo" },
    });
    world.make("zones/us-central1-a/disks", disk).await;
    let removed = world.run(None).await;
    assert_eq!(failures(&removed), NOTHING);
    assert_eq!(world.left(), ["targetPools by-hand"]);
    let names: Vec<&str> = removed.gone.iter().map(|gone| gone.name.as_str()).collect();
    assert!(names.contains(&"pvc-1") && names.contains(&balancer.as_str()), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_journal_everything_is_found_by_its_marks() {
    let mut world = World::new().await;
    let mut spec = world.spec();
    spec.private_nodes = true;
    spec.addresses = vec!["web".to_owned()];
    spec.file_servers = vec![file_server(1024)];
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
    let found = find(&world.gcp, "demo", &world.kubeconfig()).await.unwrap();
    let mut kinds: Vec<&str> = found.iter().map(|node| node.address.kind()).collect();
    kinds.sort_unstable();
    let expected = [
        "gcp-address",
        "gcp-filestore",
        "gcp-network",
        "gcp-router",
        "gcp-service-account",
        "gcp-subnetwork",
        "gke-cluster",
        "gke-drain",
        "gke-node-pool",
        "gke-remains",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(find(&world.gcp, "other", &world.kubeconfig()).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_file_server_grows_in_place_and_one_that_is_broken_is_made_anew() {
    let mut world = World::with(rule(FaultKind::FailedOperation, "instances.create"), |_| ()).await;
    let mut spec = world.spec();
    spec.file_servers = vec![file_server(1024)];
    let outcome = world.run(Some(&spec)).await;
    let broken = outcome.failures.iter().find(|(address, _)| address.kind() == "gcp-filestore").expect("a failure");
    assert_eq!(broken.1.remains, Remains::Something);
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
    assert_eq!(world.made("filestoreInstances"), 2);
    spec.file_servers = vec![file_server(2048)];
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
    let found = world.gcp.file_server(ZONE, "infra-demo-files").await.unwrap().expect("it is there");
    assert_eq!((found.capacity_gibibytes, world.made("filestoreInstances")), (2048, 2));
    assert_eq!(failures(&world.run(None).await), NOTHING);
    assert_eq!(world.left(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn a_file_server_beyond_its_quota_is_refused_with_the_quota() {
    let small = |project: &mut simulator::Project| {
        project.quotas.insert("StandardStorageGbPerRegion".to_owned(), 500.0);
    };
    let mut world = World::with(Faults::default(), small).await;
    let mut spec = world.spec();
    spec.file_servers = vec![file_server(1024)];
    let said = failures(&world.run(Some(&spec)).await);
    assert!(said.iter().any(|line| line.contains("StandardStorageGbPerRegion")), "{said:?}");
    assert_eq!(failures(&world.run(None).await), NOTHING);
    assert_eq!(world.left(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_expire_are_renewed() {
    let mut world = World::with(rule(FaultKind::ExpiredToken, "clusters.create"), |_| ()).await;
    let login = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
    });
    world.gcp = world::client(&world.running, Credentials::Json(login));
    let spec = world.spec();
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
}
