//! Disks for volumes: `pvc-UID` for each volume that was made for a claim, attached to a machine like those that others made and
//! a volume names.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use tokio::sync::Mutex;

use super::{Change, Cluster, changes};
use crate::gcp::world::World;
use crate::gcp::{compute, container};

/// The driver of Compute Engine's disks.
const DRIVER: &str = "pd.csi.storage.gke.io";

/// Follows the volumes of a cluster.
pub(super) async fn follow(cluster: Cluster) {
    let api: Api<PersistentVolume> = Api::all(cluster.client.clone());
    let events = watcher(api, watcher::Config::default()).default_backoff();
    let mut turns: BTreeMap<String, Arc<Mutex<()>>> = BTreeMap::new();
    let following = changes(&cluster, events, wanted, |change| {
        let (Change::Wanted(volume) | Change::Unwanted(volume)) = &change;
        // What is done for one volume is done in its order.
        let turn = Arc::clone(turns.entry(name(volume).to_owned()).or_default());
        let cluster = cluster.clone();
        async move {
            let tasks = cluster.gcp.tasks.clone();
            tasks.spawn(async move {
                let _turn = turn.lock().await;
                match change {
                    Change::Wanted(volume) => make(&cluster, volume).await,
                    Change::Unwanted(volume) => remove(&cluster, volume).await,
                }
            });
        }
    });
    Box::pin(following).await;
}

/// Whether a volume needs a disk: one that was made for a claim, or one that names a disk and is bound.
fn wanted(volume: &PersistentVolume) -> bool {
    let bound = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    let named = bound && handle(volume).is_some();
    (is_made(volume) || named) && volume.metadata.deletion_timestamp.is_none()
}

/// Whether a volume was made for a claim: those have the claim's identifier in their names.
fn is_made(volume: &PersistentVolume) -> bool {
    name(volume).starts_with("pvc-")
}

/// The path of the disk that a volume names.
fn handle(volume: &PersistentVolume) -> Option<&str> {
    let source = volume.spec.as_ref()?.csi.as_ref()?;
    (source.driver == DRIVER && source.volume_handle.starts_with("projects/")).then_some(source.volume_handle.as_str())
}

fn name(volume: &PersistentVolume) -> &str {
    volume.metadata.name.as_deref().unwrap_or_default()
}

/// The type of disk of a storage class, as GKE's classes say.
fn kind(class: &str) -> &'static str {
    match class {
        "standard" => "pd-standard",
        "premium-rwo" => "pd-ssd",
        _ => "pd-balanced",
    }
}

/// GiB of a quantity, rounded up; a disk has at least ten.
fn gibibytes(quantity: &str) -> u64 {
    let digits = quantity.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(quantity.len());
    let number: u64 = quantity[..digits].parse().unwrap_or(10);
    let bytes = match &quantity[digits..] {
        "Ti" => number << 40,
        "Gi" => number << 30,
        "Mi" => number << 20,
        "Ki" => number << 10,
        "T" => number * 1_000_000_000_000,
        "G" => number * 1_000_000_000,
        "M" => number * 1_000_000,
        "k" => number * 1000,
        _ => number,
    };
    bytes.div_ceil(1 << 30).max(10)
}

async fn make(cluster: &Cluster, volume: PersistentVolume) {
    if !cluster.pause("volume.create", name(&volume)).await {
        return;
    }
    if let (false, Some(disk)) = (is_made(&volume), handle(&volume)) {
        cluster.change("persistentvolumes", |world| attach(cluster, world, disk));
        return;
    }
    let spec = volume.spec.clone().unwrap_or_default();
    let size =
        spec.capacity.as_ref().and_then(|capacity| capacity.get("storage")).map_or(10, |size| gibibytes(&size.0));
    let claim = spec.claim_ref.unwrap_or_default();
    let (space, named) = (claim.namespace.unwrap_or_default(), claim.name.unwrap_or_default());
    let class = spec.storage_class_name.unwrap_or_default();
    let description = json!({
        "kubernetes.io/created-for/pv/name": name(&volume),
        "kubernetes.io/created-for/pvc/name": named,
        "kubernetes.io/created-for/pvc/namespace": space,
        "storage.gke.io/created-by": DRIVER,
    });
    cluster.change(&format!("persistentvolumeclaims {space}/{named}"), |world| {
        let Some(key) = cluster.key(world) else { return };
        let Some(zone) = cluster.zones(world).into_iter().next() else { return };
        let (of, zone) = (&world.things[&key].body, format!("projects/{}/zones/{zone}", cluster.project));
        let mut labels = json!({"goog-gke-volume": "", "goog-k8s-cluster-name": of["name"], "goog-k8s-cluster-location": of["location"]});
        for (name, value) in of["resourceLabels"].as_object().into_iter().flatten() {
            labels[name] = value.clone();
        }
        let body = json!({"type": compute::link(&format!("{zone}/diskTypes/{}", kind(&class))), "sizeGb": size.to_string(),
            "labels": labels, "description": description.to_string()});
        let disk = format!("{zone}/disks/{}", name(&volume));
        cluster.make(world, &disk, "disks", body);
        attach(cluster, world, &disk);
    });
}

async fn remove(cluster: &Cluster, volume: PersistentVolume) {
    if !cluster.pause("volume.delete", name(&volume)).await {
        return;
    }
    let keeps =
        volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()) == Some("Retain");
    cluster.change("persistentvolumes", |world| {
        if let (false, Some(disk)) = (is_made(&volume), handle(&volume)) {
            detach(world, disk);
            return;
        }
        let end = format!("/disks/{}", name(&volume));
        let made = world.made_in.get(&cluster.id).into_iter().flatten().filter(|key| key.ends_with(&end));
        let made: Vec<String> = made.cloned().collect();
        for key in made {
            detach(world, key.trim_start_matches("compute/"));
            if keeps {
                // It is nobody's from now on: the cluster's deletion does not take it along.
                world.made_in.entry(cluster.id.clone()).or_default().remove(&key);
            } else {
                cluster.unmake(world, &key);
            }
        }
    });
}

/// Attaches a disk to a machine of the cluster in its zone.
fn attach(cluster: &Cluster, world: &mut World, disk: &str) {
    let zone = disk.split('/').nth(3).unwrap_or_default();
    let Some(key) = cluster.key(world) else { return };
    let machine = container::machines_of(world, &key).find(|(_, node)| node.zone == zone);
    let Some(machine) =
        machine.map(|(_, node)| format!("projects/{}/zones/{zone}/instances/{}", cluster.project, node.name))
    else {
        return;
    };
    let now = world.clock.timestamp(world.now);
    let (source, user) = (compute::link(disk), compute::link(&machine));
    world.change(&format!("compute/{machine}"), |body| {
        let disks = body["disks"].as_array_mut();
        let Some(disks) = disks.filter(|disks| !disks.iter().any(|known| known["source"] == source.as_str())) else { return };
        let device = disk.rsplit('/').next().unwrap_or_default();
        disks.push(json!({"kind": "compute#attachedDisk", "source": source, "deviceName": device, "index": disks.len(), "boot": false,
            "autoDelete": false, "mode": "READ_WRITE", "type": "PERSISTENT"}));
    });
    world.change(&format!("compute/{disk}"), |body| {
        body["users"] = json!([user]);
        body["lastAttachTimestamp"] = json!(now);
    });
}

/// Detaches a disk from the machine that has it.
fn detach(world: &mut World, disk: &str) {
    let key = format!("compute/{disk}");
    let user = world.things.get(&key).and_then(|thing| thing.body["users"][0].as_str()).and_then(compute::path_of_link);
    let Some(machine) = user.map(|path| format!("compute/{path}")) else { return };
    let source = compute::link(disk);
    world.change(&machine, |body| {
        if let Some(disks) = body["disks"].as_array_mut() {
            disks.retain(|known| known["source"] != source.as_str());
        }
    });
    container::detached(world, &json!([{ "source": source }]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_as_large_as_the_claim_and_never_smaller_than_ten() {
        assert_eq!(gibibytes("20Gi"), 20);
        assert_eq!(gibibytes("1Gi"), 10);
        assert_eq!(gibibytes("30G"), 28);
        assert_eq!(gibibytes("2Ti"), 2048);
    }
}
