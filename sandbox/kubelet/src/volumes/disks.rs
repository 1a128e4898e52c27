//! Folders that stand in for disks and file servers outside of the cluster.

use crate::read::text;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// Folders that stand in for disks and file servers outside of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disks {
    /// The folder that holds a folder for each of them. Several sandboxes may share it, as clusters share a cloud's disks.
    pub folder: PathBuf,
    /// The CSI drivers whose volumes are such folders; `nfs` for volumes of file servers.
    pub drivers: Vec<String>,
}

impl Disks {
    /// The folder of a persistent volume, where it has one: the same for the same disk, whatever volume names it.
    pub fn folder_of(&self, volume: &Value) -> Option<PathBuf> {
        let (csi, nfs) = (&volume["spec"]["csi"], &volume["spec"]["nfs"]);
        let (driver, handle) = if csi.is_object() {
            (text(csi, "driver"), text(csi, "volumeHandle").to_owned())
        } else {
            ("nfs", format!("{}:{}", text(nfs, "server"), text(nfs, "path")))
        };
        if !self.drivers.iter().any(|known| known == driver) || (!csi.is_object() && !nfs.is_object()) {
            return None;
        }
        let hash = Sha256::digest(format!("{driver}\n{handle}"));
        let hash = u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]);
        // For a person who looks; the hash tells them apart.
        let plain = |each: &char| each.is_ascii_alphanumeric() || *each == '-';
        let name: String =
            handle.rsplit(['/', ':']).next().unwrap_or_default().chars().filter(plain).take(63).collect();
        Some(self.folder.join(format!("{name}-{hash:016x}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_disk_has_one_folder_whatever_volume_names_it() {
        let disks = Disks { folder: "/d".into(), drivers: vec!["pd.csi".to_owned(), "nfs".to_owned()] };
        let csi =
            |driver: &str, handle: &str| json!({ "spec": { "csi": { "driver": driver, "volumeHandle": handle } } });
        let one = disks.folder_of(&csi("pd.csi", "projects/p/zones/z/disks/data")).expect("a folder");
        assert!(one.display().to_string().starts_with("/d/data-"), "{}", one.display());
        assert_eq!(disks.folder_of(&csi("pd.csi", "projects/p/zones/z/disks/data")), Some(one.clone()));
        assert_ne!(disks.folder_of(&csi("pd.csi", "projects/p/zones/y/disks/data")), Some(one));
        let nfs = json!({ "spec": { "nfs": { "server": "10.0.0.2", "path": "/share" } } });
        assert!(disks.folder_of(&nfs).is_some_and(|folder| folder.display().to_string().starts_with("/d/share-")));
        for other in [csi("other.csi", "x"), json!({ "spec": { "hostPath": { "path": "/x" } } })] {
            assert_eq!(disks.folder_of(&other), None);
        }
        let without = Disks::default();
        assert_eq!(without.folder_of(&nfs), None);
    }
}
