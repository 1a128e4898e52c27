//! Processes that cannot be killed because their control group is frozen.
//!
//! With control groups of version 1 a frozen process does not die, not even of SIGKILL (Linux, `freezer-subsystem.rst`). A
//! container in which containers run is frozen in parts for moments, by its own runc; killed in such a moment, it never ends,
//! and the engine says that it "did not receive an exit event".

use std::io;
use std::path::{Path, PathBuf};

/// Where the groups of the freezer are.
const FREEZER: &str = "/sys/fs/cgroup/freezer";

/// What the engine says of a container that does not end.
pub(super) const NO_EXIT: &str = "did not receive an exit event";

/// The length of a container's whole id.
const ID_LENGTH: usize = 64;

/// Thaws all groups of a container, by its whole id; says whether there was a frozen one. Needs to be root on the engine's machine.
pub(super) fn thaw(container: &str) -> io::Result<bool> {
    // A name may be a part of somebody else's.
    if container.len() == ID_LENGTH { thaw_below(Path::new(FREEZER), container) } else { Ok(false) }
}

/// The container's group is `docker/ID` or `system.slice/docker-ID.scope`, at any depth.
fn thaw_below(folder: &Path, container: &str) -> io::Result<bool> {
    let is_its_own = |path: &Path| path.to_string_lossy().contains(container);
    let (mut found, mut next) = (false, vec![folder.to_owned()]);
    while let Some(folder) = next.pop() {
        let state = folder.join("freezer.state");
        if is_its_own(&folder) && std::fs::read_to_string(&state).is_ok_and(|state| state.trim() != "THAWED") {
            std::fs::write(&state, "THAWED")?;
            found = true;
        }
        next.extend(folders_in(&folder));
    }
    Ok(found)
}

/// None where it cannot be read: groups come and go.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_frozen_in_the_container_is_thawed() {
        let root = tempfile::tempdir().unwrap();
        let group = |path: &str, state: &str| {
            let folder = root.path().join(path);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("freezer.state"), state).unwrap();
        };
        group("docker/abc", "THAWED\n");
        group("docker/abc/kubelet/pod", "FROZEN\n");
        group("docker/def/kubelet/pod", "FROZEN\n");
        assert!(thaw_below(root.path(), "abc").unwrap());
        let state = |path: &str| std::fs::read_to_string(root.path().join(path).join("freezer.state")).unwrap();
        assert_eq!(state("docker/abc/kubelet/pod"), "THAWED");
        assert_eq!(state("docker/def/kubelet/pod"), "FROZEN\n", "somebody else's");
        assert!(!thaw_below(root.path(), "abc").unwrap());
    }

    #[test]
    fn where_there_is_no_freezer_nothing_is_frozen() {
        assert!(!thaw_below(Path::new("/nowhere"), "abc").unwrap());
    }
}
