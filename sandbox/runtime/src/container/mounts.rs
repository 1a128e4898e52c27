//! Mounts that are made first and put in their places later, when the container's root is the only one there is.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{CWD, StatVfsMountFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount_remount, move_mount, open_tree,
};

/// A file system that is in no place yet.
pub fn new(kind: &str, options: &[(&str, String)], attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, value)?;
    }
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// A file or folder of the present root, to be seen in another place, too.
pub fn copy(source: &Path, with_mounts_below: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if with_mounts_below {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(open_tree(CWD, source, flags)?)
}

/// Puts a mount into its place.
pub fn put(mount: &OwnedFd, target: &Path) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    Ok(move_mount(mount, "", CWD, target, flags)?)
}

/// Has a mount refuse writes. What else it refuses must be said again.
pub fn make_read_only(target: &Path) -> io::Result<()> {
    let now = rustix::fs::statvfs(target)?.f_flag;
    let kept = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (is, keep) in kept {
        if now.contains(is) {
            flags |= keep;
        }
    }
    Ok(mount_remount(target, flags, "")?)
}

/// Makes a folder, or an empty file, where something is to be mounted, unless it is there.
pub fn make_place(target: &Path, is_folder: bool) -> io::Result<()> {
    let make_folder = |folder: &Path| fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
    if target.exists() {
        return Ok(());
    }
    if is_folder {
        return make_folder(target);
    }
    if let Some(parent) = target.parent() {
        make_folder(parent)?;
    }
    fs::OpenOptions::new().create(true).append(true).open(target).map(drop)
}
