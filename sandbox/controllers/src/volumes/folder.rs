//! Volumes that are folders of this machine.

use crate::meta::{name, namespace, text, uid};
use futures::future::{BoxFuture, FutureExt};
use serde_json::{Value, json};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The provisioner of storage classes whose volumes are folders.
pub const PROVISIONER: &str = "infra.sandbox/folder";
/// Says who made a volume.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// Removes a folder with all that is in it.
pub type RemoveFolder = Arc<dyn Fn(PathBuf) -> BoxFuture<'static, io::Result<()>> + Send + Sync>;

/// Where folders are made and how they are removed.
#[derive(Clone)]
pub struct Folders {
    /// The folder that holds one folder for each volume.
    pub root: PathBuf,
    /// Removes one of them.
    pub remove: RemoveFolder,
}

impl Folders {
    /// Below this folder; removed by this process itself.
    pub fn below(root: PathBuf) -> Self {
        Self { root, remove: Arc::new(|folder| tokio::fs::remove_dir_all(folder).boxed()) }
    }

    /// Makes the folder of a volume. Everybody may write to it: who does is not known yet.
    pub async fn make(&self, volume: &str) -> io::Result<PathBuf> {
        let folder = self.root.join(volume);
        tokio::fs::create_dir_all(&folder).await?;
        tokio::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).await?;
        Ok(folder)
    }

    /// Removes the folder of a volume, if it is one of these folders.
    pub async fn remove(&self, volume: &Value) -> io::Result<()> {
        let folder = Path::new(text(volume, "/spec/hostPath/path"));
        if folder.parent() != Some(&self.root) || !folder.exists() {
            return Ok(());
        }
        (self.remove)(folder.to_owned()).await
    }
}

/// The name of the volume that is made for a claim.
pub fn volume_name(claim: &Value) -> String {
    format!("pvc-{}", uid(claim))
}

/// The volume of a claim, whose content is in this folder.
pub fn volume(claim: &Value, class: &Value, folder: &Path) -> Value {
    let reclaim = match text(class, "/reclaimPolicy") {
        "" => "Delete",
        policy => policy,
    };
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name(claim),
            "annotations": {PROVISIONED_BY: PROVISIONER},
            "finalizers": [super::VOLUME_PROTECTION],
        },
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": name(claim),
                "namespace": namespace(claim),
                "resourceVersion": text(claim, "/metadata/resourceVersion"),
                "uid": uid(claim),
            },
            "hostPath": {"path": folder, "type": "DirectoryOrCreate"},
            "persistentVolumeReclaimPolicy": reclaim,
            "storageClassName": name(class),
            "volumeMode": "Filesystem",
        },
    })
}
