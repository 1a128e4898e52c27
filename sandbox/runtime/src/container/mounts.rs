//! Mounts that are made first and put in their places later, when the container's root is the only one there is.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, StatVfsMountFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount_remount, move_mount, open_tree,
};

/// A file system that is in no place yet.
pub fn new(kind: &str, options: &[(&str, String)], attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", kind)?;
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

/// Where a path leads to by all links on the way, whether that is there or not: images have links to folders that only
/// mounts will make.
pub fn resolve(path: &Path) -> PathBuf {
    const MOST_LINKS: u32 = 40;
    let parts = |path: &Path| path.components().rev().map(|part| part.as_os_str().to_owned()).collect::<Vec<_>>();
    let mut left = parts(path);
    let mut found = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = left.pop() {
        match Path::new(&part).components().next() {
            Some(Component::ParentDir) => drop(found.pop()),
            Some(Component::Normal(name)) => {
                found.push(name);
                if let Ok(link) = fs::read_link(&found)
                    && links < MOST_LINKS
                {
                    links += 1;
                    found.pop();
                    left.extend(parts(&link));
                }
            }
            Some(Component::RootDir) => found = PathBuf::from("/"),
            _ => {}
        }
    }
    found
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_to_what_is_not_there_yet() {
        let folder = fs::canonicalize(std::env::temp_dir()).expect("a folder");
        let folder = folder.join(format!("runtime-resolve-{}", std::process::id()));
        fs::create_dir_all(folder.join("var")).expect("a folder");
        std::os::unix::fs::symlink("../run", folder.join("var/run")).expect("a link");
        std::os::unix::fs::symlink("/nowhere/../else", folder.join("var/abroad")).expect("a link");
        std::os::unix::fs::symlink("ring", folder.join("var/ring")).expect("a link");
        assert_eq!(resolve(&folder.join("var/run/secrets")), folder.join("run/secrets"));
        assert_eq!(resolve(&folder.join("var/abroad/x")), Path::new("/else/x"));
        assert_eq!(resolve(&folder.join("var/ring/x")), folder.join("var/ring/x"));
        fs::remove_dir_all(folder).expect("removed");
    }
}
