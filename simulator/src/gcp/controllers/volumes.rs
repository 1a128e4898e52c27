//! Disks for volumes: `pvc-UID` for each volume that was made for a claim.

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use super::{Change, Cluster, changes};
use crate::gcp::compute;

/// Follows the volumes of a cluster.
pub(super) async fn follow(cluster: Cluster) {
    let api: Api<PersistentVolume> = Api::all(cluster.client.clone());
    let events = watcher(api, watcher::Config::default()).default_backoff();
    let following = changes(&cluster, events, wanted, |change| {
        let cluster = cluster.clone();
        async move {
            let tasks = cluster.gcp.tasks.clone();
            match change {
                Change::Wanted(volume) => tasks.spawn(async move { make(&cluster, volume).await }),
                Change::Unwanted(volume) => tasks.spawn(async move { remove(&cluster, volume).await }),
            };
        }
    });
    Box::pin(following).await;
}

/// Whether a volume was made for a claim: those have the claim's identifier in their names.
fn wanted(volume: &PersistentVolume) -> bool {
    name(volume).starts_with("pvc-") && volume.metadata.deletion_timestamp.is_none()
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
        "storage.gke.io/created-by": "pd.csi.storage.gke.io",
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
        cluster.make(world, &format!("{zone}/disks/{}", name(&volume)), "disks", body);
    });
}

async fn remove(cluster: &Cluster, volume: PersistentVolume) {
    let keeps =
        volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()) == Some("Retain");
    if keeps || !cluster.pause("volume.delete", name(&volume)).await {
        return;
    }
    cluster.change("persistentvolumes", |world| {
        let end = format!("/disks/{}", name(&volume));
        let made: Vec<String> =
            world.made_in.get(&cluster.id).into_iter().flatten().filter(|key| key.ends_with(&end)).cloned().collect();
        for key in made {
            cluster.unmake(world, &key);
        }
    });
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
