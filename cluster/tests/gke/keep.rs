//! What holds data stays when that is asked for: it is listed, found again, taken up again, and removed in the end.

use cluster::gke::{Disk, Spec, data, find};
use serde_json::json;

use crate::NOTHING;
use crate::world::{World, failures};

const DISKS: [&str; 2] = ["disks infra-demo-data", "disks pvc-1"];

/// A cluster with a disk that stands alone.
pub fn with_disk(world: &World) -> Spec {
    let mut spec = world.spec();
    let data = Disk { name: "data".to_owned(), size_gigabytes: 20, disk_type: None, zone: None, snapshot: false };
    spec.disks = vec![data];
    spec
}

/// What the driver in the cluster makes for a claim.
pub async fn make_claimed(world: &World) {
    let description =
        json!({ "kubernetes.io/created-for/pvc/name": "models", "kubernetes.io/created-for/pvc/namespace": "default" });
    let disk = json!({
        "name": "pvc-1", "sizeGb": "10", "description": description.to_string(),
        "labels": { "goog-k8s-cluster-name": "infra-demo" },
    });
    world.make("zones/us-central1-a/disks", disk).await;
}

async fn applied() -> World {
    let mut world = World::new().await;
    let spec = with_disk(&world);
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
    make_claimed(&world).await;
    world
}

#[tokio::test(start_paused = true)]
async fn disks_are_kept_with_their_prices_and_a_plain_destroy_removes_them() {
    let mut world = applied().await;
    assert_eq!(failures(&world.keep_data().await), NOTHING);
    assert_eq!(world.left(), DISKS);
    let kept = data(&world.gcp, world.inventory()).await.unwrap();
    let told: Vec<_> =
        kept.iter().map(|disk| (disk.name.as_str(), disk.dollars_per_month, disk.claim.as_deref())).collect();
    assert_eq!(told, [("infra-demo-data", Some(2.0), None), ("pvc-1", Some(0.4), Some("default/models"))]);
    assert_eq!(world.inventory().kept().count(), 2);
    assert_eq!(failures(&world.run(None).await), NOTHING);
    assert_eq!(world.left(), NOTHING);
    assert!(world.inventory().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_apply_takes_its_own_disk_up_again_and_leaves_that_of_a_claim_alone() {
    let mut world = applied().await;
    assert_eq!(failures(&world.keep_data().await), NOTHING);
    let spec = with_disk(&world);
    assert_eq!(failures(&world.run(Some(&spec)).await), NOTHING);
    assert_eq!(world.made("disks"), 2 + 4, "two disks, and those of two machines of each cluster");
    let kept: Vec<&str> = world.inventory().kept().map(|held| held.node.address.name()).collect();
    assert_eq!(kept, ["pvc-1"]);
    // A scenario that wants no disk any more has an ordinary one removed, and what was kept stays.
    let plain = world.spec();
    assert_eq!(failures(&world.run(Some(&plain)).await), NOTHING);
    assert!(world.left().contains(&"disks pvc-1".to_owned()) && !world.left().contains(&DISKS[0].to_owned()));
    assert_eq!(failures(&world.run(None).await), NOTHING);
    assert_eq!(world.left(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_found_by_its_marks_without_a_journal() {
    let mut world = applied().await;
    assert_eq!(failures(&world.keep_data().await), NOTHING);
    let found = find(&world.gcp, "demo", &world.kubeconfig()).await.unwrap();
    let told: Vec<_> = found.iter().map(|node| (node.address.to_string(), node.kept)).collect();
    let expected = ["gcp-disk/infra-demo-data", "gcp-disk/pvc-1"].map(|address| (address.to_owned(), true));
    assert_eq!(told, expected);
}
