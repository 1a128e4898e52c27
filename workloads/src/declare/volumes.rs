//! Claims that are bound to a volume of their own, which comes with them.

use engine::{Address, output};
use providers::kubernetes::Identity;
use serde_json::{Value, json};

use super::{Declared, file_server, object_address};
use crate::manifest;
use crate::spec::{FileServer, SharedVolume, Spec};

/// The driver of disks of Compute Engine, and its word for a zone.
const DISK_DRIVER: &str = "pd.csi.storage.gke.io";
const DISK_ZONE: &str = "topology.gke.io/zone";

/// How files of Google's servers are mounted.
const CLOUD_OPTIONS: [&str; 2] = ["nfsvers=3", "hard"];

/// A volume that serves one claim.
struct Volume<'a> {
    namespace: &'a str,
    made_by: Vec<Address>,
    /// What the specification says besides what every volume has.
    source: Value,
    capacity: Value,
    note: &'static str,
}

/// Puts a volume before the claim that it serves.
pub(super) fn place(spec: &Spec, mut object: Declared) -> (Declared, Option<Declared>) {
    let Some(volume) = volume(spec, &object) else { return (object, None) };
    let name = object.identity.name.clone();
    let identity = Identity::new("v1", "PersistentVolume", None, &format!("infra.{}.{name}", volume.namespace));
    let mut manifest = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": identity.name},
        "spec": {
            "accessModes": object.manifest["spec"]["accessModes"],
            "capacity": {"storage": volume.capacity},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": volume.namespace, "name": name},
        },
    });
    for (field, value) in volume.source.as_object().into_iter().flatten() {
        manifest["spec"][field] = value.clone();
    }
    // What the volume leads to goes with its node of the graph, not with the claim.
    manifest["spec"]["persistentVolumeReclaimPolicy"] = "Retain".into();
    manifest["spec"]["storageClassName"] = "".into();
    manifest::label(&mut manifest, &spec.deployment);
    let placed = Declared {
        address: object_address(&identity),
        identity,
        manifest,
        place: object.place.clone(),
        step: None,
        deliveries: volume.made_by.into_iter().collect(),
        notes: Vec::new(),
    };
    object.manifest["spec"]["storageClassName"] = "".into();
    object.manifest["spec"]["volumeName"] = placed.identity.name.as_str().into();
    object.deliveries.insert(placed.address.clone());
    object.notes.push(volume.note.into());
    (object, Some(placed))
}

fn volume<'a>(spec: &'a Spec, object: &Declared) -> Option<Volume<'a>> {
    let Identity { kind, namespace, name } = &object.identity;
    if kind.kind != "PersistentVolumeClaim" {
        return None;
    }
    let is_claim = |of: &str, claim: &str| namespace.as_deref() == Some(of) && name == claim;
    if let Some(folder) = spec.volumes.iter().find(|volume| is_claim(&volume.namespace, &volume.claim)) {
        return Some(Volume {
            namespace: &folder.namespace,
            made_by: vec![folder.made_by.clone()],
            source: json!({"hostPath": {"path": folder.folder, "type": "Directory"}}),
            capacity: object.manifest["spec"]["resources"]["requests"]["storage"].clone(),
            note: "default storage class -> a folder of the node",
        });
    }
    if let Some(shared) = spec.shared.iter().find(|volume| is_claim(&volume.namespace, &volume.claim)) {
        return Some(shared_volume(shared));
    }
    let disk = spec.disks.iter().find(|volume| is_claim(&volume.namespace, &volume.claim))?;
    let zone = json!({"key": DISK_ZONE, "operator": "In", "values": [output(&disk.made_by, "zone")]});
    Some(Volume {
        namespace: &disk.namespace,
        made_by: vec![disk.made_by.clone()],
        source: json!({
            "csi": {"driver": DISK_DRIVER, "volumeHandle": output(&disk.made_by, "handle"), "fsType": "ext4"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}},
        }),
        capacity: format!("{}Gi", disk.size_gigabytes).into(),
        note: "storage class -> a disk of its own",
    })
}

/// The volume of a file server. By the address of its service: a node does not know the names that pods know.
fn shared_volume(shared: &SharedVolume) -> Volume<'_> {
    let (made_by, server, path, options, note) = match &shared.server {
        FileServer::InCluster { .. } => {
            let (service, ready) = file_server::addresses(shared);
            let server = output(&service, file_server::ADDRESS);
            let path = json!(file_server::FOLDER);
            (
                vec![service, ready],
                server,
                path,
                &file_server::OPTIONS[..],
                "default storage class -> an NFS server in the cluster",
            )
        }
        FileServer::InCloud { made_by } => {
            let (server, path) = (output(made_by, "address"), output(made_by, "path"));
            (vec![made_by.clone()], server, path, &CLOUD_OPTIONS[..], "storage class -> a Filestore instance")
        }
    };
    Volume {
        namespace: &shared.namespace,
        made_by,
        source: json!({"nfs": {"server": server, "path": path}, "mountOptions": options}),
        capacity: format!("{}Gi", shared.size_gigabytes).into(),
        note,
    }
}
