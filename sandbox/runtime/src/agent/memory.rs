//! Folders in memory that the containers of a pod share. They are mounted here, so that the first process of each container
//! finds them where it looks for folders of the machine; the machine itself does not see them.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountAttrFlags, UnmountFlags, unmount};

use super::{Agent, failed, files};
use crate::container::mounts;
use crate::error::NodeError;

impl Agent {
    /// Mounts memory in a folder unless it is there already, and opens the folder for who cannot see it otherwise.
    pub(super) fn keep_memory(&self, path: &Path, size_bytes: Option<u64>) -> io::Result<OwnedFd> {
        if !self.memory.borrow().contains(path) {
            fs::create_dir_all(path)?;
            let mut options = vec![("mode", "1777".to_owned())];
            options.extend(size_bytes.map(|bytes| ("size", bytes.to_string())));
            let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
            mounts::put(&mounts::new("tmpfs", &options, attributes)?, path)?;
            self.memory.borrow_mut().insert(path.to_owned());
        }
        Ok(open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Removes a folder with all below it, memory included.
    pub(super) async fn remove_folder(&self, path: PathBuf) -> Result<(), NodeError> {
        for mounted in self.memory.borrow_mut().extract_if(|mounted| mounted.starts_with(&path)) {
            // What cannot be unmounted is told as what cannot be removed.
            let _ = unmount(&mounted, UnmountFlags::DETACH);
        }
        let what = format!("remove {}", path.display());
        files::aside(move || files::remove(&path)).await.map_err(failed(what))
    }
}
