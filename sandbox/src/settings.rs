//! What a sandbox is asked to be beyond the usual: a file in its folder, so that it is the same after a restart.

use crate::folder::{FolderError, write_private};
use crate::loopback::LoopbackNetwork;
use kubelet::{Disks, InvalidNodes, NodeShape, RegistryMirror};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file's name.
const FILE: &str = "options.json";

/// What a sandbox is asked to be beyond the usual. The default is the usual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Its nodes, which may be none at all; without, it is one that has all that the machine has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<NodeShape>>,
    /// How often the nodes were changed: a running sandbox tells by this number which of them it has.
    pub generation: u64,
    /// Where bearer tokens are reviewed that are none of its own: the address of a webhook that answers a `TokenReview`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_review: Option<String>,
    /// The registries that images are fetched from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registries: Vec<RegistryMirror>,
    /// The storage classes that it begins with, all of them of folders; the first is the default. Without any it is `standard`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub storage_classes: Vec<String>,
    /// Folders that stand in for disks and file servers outside of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disks: Option<Disks>,
    /// The version that its API says, as `v1.35.5-gke.1201000`, whatever it can; without, its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// A network of this machine's loopback addresses, as `127.20.0.0/16`: each Service of type `LoadBalancer` gets an address of its
    /// own there. Without it all of them share 127.0.0.1 as far as their ports allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancers: Option<String>,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Their file, or the folder's.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// They are not what settings are.
    #[error("read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Nodes that cannot be.
    #[error("take the nodes of the sandbox")]
    Nodes(#[from] InvalidNodes),
    /// No network of loopback addresses.
    #[error(
        "use {0:?} for load balancers: it is not a network of loopback addresses like 127.20.0.0/16, of length 8 to 30"
    )]
    LoadBalancers(String),
}

impl Settings {
    /// The settings in a file.
    pub fn read_file(path: &Path) -> Result<Self, SettingsError> {
        let text = fs::read(path).map_err(|source| FolderError::File { path: path.to_owned(), source })?;
        let read: Self =
            serde_json::from_slice(&text).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        read.check()?;
        Ok(read)
    }

    /// The settings of the sandbox of a folder; the usual where there are none.
    pub fn read(folder: &Path) -> Result<Self, SettingsError> {
        match Self::read_file(&folder.join(FILE)) {
            Err(SettingsError::Folder(FolderError::File { source, .. }))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(Self::default())
            }
            other => other,
        }
    }

    /// Makes these the settings of the sandbox of a folder from its next start on. The folder is made if it is not there.
    pub fn write(&self, folder: &Path) -> Result<(), SettingsError> {
        self.check()?;
        crate::folder::make(folder)?;
        write_private(&folder.join(FILE), &serde_json::to_string_pretty(self).unwrap_or_default())?;
        Ok(())
    }

    /// The nodes to be had.
    pub(crate) fn wanted_nodes(&self) -> Vec<NodeShape> {
        self.nodes.clone().unwrap_or_else(|| vec![NodeShape::whole_machine()])
    }

    /// The storage classes to begin with.
    pub(crate) fn classes(&self) -> Vec<String> {
        if self.storage_classes.is_empty() { vec!["standard".to_owned()] } else { self.storage_classes.clone() }
    }

    /// The network of load balancers.
    pub(crate) fn network(&self) -> Option<LoopbackNetwork> {
        self.load_balancers.as_deref().and_then(LoopbackNetwork::parse)
    }

    fn check(&self) -> Result<(), SettingsError> {
        NodeShape::check(&self.wanted_nodes())?;
        match &self.load_balancers {
            Some(network) if LoopbackNetwork::parse(network).is_none() => {
                Err(SettingsError::LoadBalancers(network.clone()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_kept_in_the_folder_and_are_the_usual_without_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("below");
        assert_eq!(Settings::read(&folder).expect("none"), Settings::default());
        let settings = Settings {
            nodes: Some(NodeShape::machines(2)),
            generation: 3,
            load_balancers: Some("127.20.0.0/16".to_owned()),
            ..Settings::default()
        };
        settings.write(&folder).expect("written");
        assert_eq!(Settings::read(&folder).expect("read"), settings);
        fs::write(folder.join(FILE), r#"{"nods":[]}"#).expect("written");
        assert!(matches!(Settings::read(&folder), Err(SettingsError::Read { .. })));
    }

    #[test]
    fn settings_that_cannot_be_are_refused_before_they_are_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let twice = vec![NodeShape::whole_machine(), NodeShape::whole_machine()];
        let nodes = Settings { nodes: Some(twice), ..Settings::default() };
        assert!(matches!(nodes.write(folder.path()), Err(SettingsError::Nodes(InvalidNodes::Twice(_)))));
        for wrong in ["10.0.0.0/8", "127.0.0.0", "127.0.0.0/31", "126.0.0.0/7"] {
            let network = Settings { load_balancers: Some(wrong.to_owned()), ..Settings::default() };
            assert!(matches!(network.write(folder.path()), Err(SettingsError::LoadBalancers(_))), "{wrong}");
        }
        assert!(!folder.path().join(FILE).exists());
    }
}
