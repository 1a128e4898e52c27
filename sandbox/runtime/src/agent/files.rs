//! Files that belong to containers' users: given to them, and removed.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

/// Does something with many files while the agent goes on answering.
pub async fn aside(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Removes a file or folder whoever owns it; one that is not there is no error.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Changes the owner, the group and the mode of a file or folder and all below it. Links are not followed.
pub fn give(path: &Path, user: Option<u32>, group: Option<u32>, mode: Option<u32>) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if user.is_some_and(|user| user != metadata.uid()) || group.is_some_and(|group| group != metadata.gid()) {
        lchown(path, user, group)?;
    }
    if metadata.is_symlink() {
        return Ok(());
    }
    if let Some(added) = mode {
        let folder_bits = if metadata.is_dir() { (added & 0o444) >> 2 | 0o2000 } else { 0 };
        let wanted = metadata.mode() & 0o7777 | added | folder_bits;
        if wanted != metadata.mode() & 0o7777 || user.is_some() || group.is_some() {
            fs::set_permissions(path, fs::Permissions::from_mode(wanted))?;
        }
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user, group, mode)?;
        }
    }
    Ok(())
}
