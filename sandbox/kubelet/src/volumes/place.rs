//! Where a volume's files are: on the disk, or in memory that only the pods see at its path.

use runtime::Node;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A volume's folder, or file.
#[derive(Clone, Debug)]
pub struct Place {
    path: PathBuf,
    is_memory: bool,
}

/// A place as this process reaches it, for as long as this value is there.
pub struct View {
    path: PathBuf,
    _folder: Option<OwnedFd>,
}

impl View {
    /// Where the place's files are for this process.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Place {
    /// On the disk; it need not be there yet.
    pub fn on_disk(path: PathBuf) -> Self {
        Self { path, is_memory: false }
    }

    /// In memory, for as long as its path is not removed; the same for the same path.
    ///
    /// # Errors
    /// The node has stopped, or the machine has no memory for it.
    pub async fn in_memory(node: &Node, path: PathBuf, size_bytes: Option<u64>) -> Result<Self, String> {
        node.keep_memory(&path, size_bytes).await.map_err(|error| error.to_string())?;
        Ok(Self { path, is_memory: true })
    }

    /// As mounts name it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the way to its files. Nobody keeps it open for longer than needed: pods are many, and descriptors are not.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn view(&self, node: &Node) -> Result<View, String> {
        if !self.is_memory {
            return Ok(View { path: self.path.clone(), _folder: None });
        }
        let folder = node.keep_memory(&self.path, None).await.map_err(|error| error.to_string())?;
        Ok(View { path: path_of(&folder), _folder: Some(folder) })
    }

    /// A path in it as mounts name it, made as a folder when it is not there; never outside of it, whatever links are in it.
    ///
    /// # Errors
    /// In the kubelet's words.
    pub async fn below(&self, node: &Node, sub_path: &str, volume_name: &str) -> Result<PathBuf, String> {
        if sub_path.is_empty() {
            return Ok(self.path.clone());
        }
        let view = self.view(node).await?;
        let inside = inside(view.path(), sub_path)
            .ok_or_else(|| format!("failed to prepare subPath for volumeMount \"{volume_name}\" of container"))?;
        Ok(self.path.join(inside))
    }
}

/// Where a path in a volume leads to; it is made as a folder when it is not there. None for one that leads out of it.
fn inside(volume: &Path, sub_path: &str) -> Option<PathBuf> {
    if sub_path.starts_with('/') || sub_path.split('/').any(|part| part == "..") {
        return None;
    }
    let path = volume.join(sub_path);
    if !path.exists() {
        fs::create_dir_all(&path).ok()?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).ok()?;
    }
    let (found, whole) = (real(&path).ok()?, real(volume).ok()?);
    found.strip_prefix(whole).ok().map(Path::to_owned)
}

fn path_of(opened: &OwnedFd) -> PathBuf {
    Path::new("/proc/self/fd").join(opened.as_raw_fd().to_string())
}

/// Where a path leads to by all links on the way, also where other mounts count than this process's own.
fn real(path: &Path) -> io::Result<PathBuf> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    fs::read_link(path_of(&rustix::fs::open(path, flags, rustix::fs::Mode::empty())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_volume_is_made_and_links_are_followed_inside_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let volume = folder.path().join("volume");
        fs::create_dir_all(volume.join("deep")).expect("made");
        std::os::unix::fs::symlink("deep", volume.join("near")).expect("linked");
        std::os::unix::fs::symlink("/etc", volume.join("far")).expect("linked");
        assert_eq!(inside(&volume, "near"), Some("deep".into()));
        assert_eq!(inside(&volume, "new/one"), Some("new/one".into()));
        assert!(volume.join("new/one").is_dir());
        for outside in ["far", "/etc", "..", "deep/../.."] {
            assert_eq!(inside(&volume, outside), None, "{outside}");
        }
    }
}
