//! Limits of processor time, memory and processes by control groups, of either version.

use std::cell::OnceCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{Availability, ContainerConfig};

/// How all groups of nodes are called, followed by the number of the node's keeper.
const PREFIX: &str = "infra-sandbox-";

/// What is to be limited, as version 2 calls it.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// So many processes and threads one container may have. The machine's others need some, too.
const PROCESSES: u32 = 8192;

/// The node's own groups.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Limits {
    cpu: Controller,
    memory: Controller,
    processes: Controller,
}

/// Where a controller's groups are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Controller {
    Version1(PathBuf),
    Version2(PathBuf),
    None(String),
}

impl Controller {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Version1(folder) | Self::Version2(folder) => Some(folder),
            Self::None(_) => None,
        }
    }

    fn availability(&self) -> Availability {
        match self {
            Self::Version1(_) => Availability::Yes("cgroup v1".to_owned()),
            Self::Version2(_) => Availability::Yes("cgroup v2".to_owned()),
            Self::None(reason) => Availability::No(reason.clone()),
        }
    }
}

impl Limits {
    /// Makes the node's groups, as far as this process may. Those of nodes that are gone are removed on the way.
    pub fn make(keeper: u32) -> Self {
        let mounts = Mounts::read().unwrap_or_default();
        // Nothing is tried in a hierarchy that is not needed.
        let unified = OnceCell::new();
        let controller = |name: &str| mounts.controller(name, keeper, &unified);
        Self { cpu: controller("cpu"), memory: controller("memory"), processes: controller("pids") }
    }

    /// What can be limited.
    pub fn availability(&self) -> [Availability; 3] {
        [&self.cpu, &self.memory, &self.processes].map(Controller::availability)
    }

    fn folders(&self) -> Vec<&Path> {
        let mut folders: Vec<&Path> =
            [&self.cpu, &self.memory, &self.processes].into_iter().filter_map(Controller::folder).collect();
        folders.dedup();
        folders
    }

    /// Makes a container's groups with its limits. What cannot be had is left out: `availability` says so.
    pub fn create(&self, container: &ContainerConfig) -> io::Result<()> {
        for folder in self.folders() {
            match fs::create_dir(folder.join(&container.id)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        let write = |controller: &Controller, settings: [(&str, Option<String>); 2]| {
            let Some(folder) = controller.folder() else { return Ok(()) };
            for (file, value) in settings {
                if let Some(value) = value {
                    fs::write(folder.join(&container.id).join(file), value)?;
                }
            }
            Ok(())
        };
        let quota = container.cpu_limit_millis.map(|millis| (millis * 100).max(1000));
        let shares = container.cpu_request_millis.map(|millis| (millis * 1024 / 1000).clamp(2, 262_144));
        let memory = container.memory_limit_bytes;
        write(
            &self.cpu,
            match &self.cpu {
                Controller::Version1(_) => [
                    ("cpu.cfs_quota_us", quota.map(|quota| quota.to_string())),
                    ("cpu.shares", shares.map(|shares| shares.to_string())),
                ],
                _ => [
                    ("cpu.max", quota.map(|quota| format!("{quota} 100000"))),
                    ("cpu.weight", shares.map(|shares| (1 + (shares - 2) * 9999 / 262_142).to_string())),
                ],
            },
        )?;
        write(
            &self.memory,
            match &self.memory {
                Controller::Version1(_) => {
                    [("memory.limit_in_bytes", memory.map(|bytes| bytes.to_string())), ("", None)]
                }
                _ => [
                    ("memory.max", memory.map(|bytes| bytes.to_string())),
                    // As the kubelet does it: a container dies as a whole.
                    ("memory.oom.group", memory.map(|_| "1".to_owned())),
                ],
            },
        )?;
        write(&self.processes, [("pids.max", Some(PROCESSES.to_string())), ("", None)])
    }

    /// A container's groups, each with the controller's name, or without for the one of version 2.
    pub fn groups(&self, container: &str) -> Vec<(String, PathBuf)> {
        let all = [("cpu", &self.cpu), ("memory", &self.memory), ("pids", &self.processes)];
        let mut groups: Vec<(String, PathBuf)> = all
            .into_iter()
            .filter_map(|(name, controller)| match controller {
                Controller::Version1(folder) => Some((name.to_owned(), folder.join(container))),
                Controller::Version2(folder) => Some((String::new(), folder.join(container))),
                Controller::None(_) => None,
            })
            .collect();
        groups.dedup();
        groups
    }

    /// Puts a process, and all that it starts, under a container's limits.
    pub fn join(&self, container: &str, pid: u32) -> io::Result<()> {
        for folder in self.folders() {
            fs::write(folder.join(container).join("cgroup.procs"), pid.to_string())?;
        }
        Ok(())
    }

    /// Whether a process of the container was killed because its memory limit was reached.
    pub fn was_killed_for_memory(&self, container: &str) -> bool {
        let file = match &self.memory {
            Controller::Version1(folder) => folder.join(container).join("memory.oom_control"),
            Controller::Version2(folder) => folder.join(container).join("memory.events"),
            Controller::None(_) => return false,
        };
        let text = fs::read_to_string(file).unwrap_or_default();
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|kills| kills.parse().ok());
        kills.is_some_and(|kills: u64| kills > 0)
    }

    /// Removes a container's groups, which have no processes any more.
    pub fn remove(&self, container: &str) {
        for folder in self.folders() {
            // Whatever stays is removed with the node.
            let _ = fs::remove_dir(folder.join(container));
        }
    }

    /// Removes all groups of the node, which have no processes any more.
    pub fn remove_all(&self) {
        for folder in self.folders() {
            remove_groups(folder);
        }
    }
}

fn remove_groups(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

/// Groups of nodes whose keeper is no more: somebody killed everything at once.
fn remove_forgotten(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let keeper = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if keeper.is_some_and(|keeper| !Path::new("/proc").join(keeper).exists()) {
            remove_groups(&entry.path());
        }
    }
}

/// Where control groups are mounted, and which of them this process is in.
#[derive(Debug, Default)]
struct Mounts {
    /// Root within the hierarchy, mount point, kind (`cgroup`, `cgroup2`), options.
    mounts: Vec<(String, PathBuf, String, String)>,
    /// Controllers (none for version 2) and path of this process's own group.
    own: Vec<(String, String)>,
}

impl Mounts {
    fn read() -> io::Result<Self> {
        let mut mounts = Self::parse(&fs::read_to_string("/proc/self/mountinfo")?);
        for line in fs::read_to_string("/proc/self/cgroup")?.lines() {
            if let Some((controllers, path)) = line.split_once(':').and_then(|(_, rest)| rest.split_once(':')) {
                mounts.own.push((controllers.to_owned(), path.to_owned()));
            }
        }
        Ok(mounts)
    }

    fn parse(mountinfo: &str) -> Self {
        let mut result = Self::default();
        for line in mountinfo.lines() {
            let Some((place, source)) = line.split_once(" - ") else { continue };
            let place: Vec<&str> = place.split(' ').collect();
            let source: Vec<&str> = source.split(' ').collect();
            if let ([_, _, _, root, point, ..], [kind @ ("cgroup" | "cgroup2"), _, options]) = (&*place, &*source) {
                result.mounts.push(((*root).into(), point.into(), (*kind).into(), (*options).into()));
            }
        }
        result
    }

    /// The folder of this process's own group. A group outside what is mounted is as good as the mount's root.
    fn own_folder(&self, root: &str, point: &Path, is_own: impl Fn(&str) -> bool) -> PathBuf {
        let own = self.own.iter().find(|(controllers, _)| is_own(controllers)).map_or("/", |(_, path)| path);
        let below = own.strip_prefix(root).unwrap_or_default().trim_start_matches('/');
        let folder = point.join(below);
        if folder.is_dir() { folder } else { point.to_owned() }
    }

    /// A group of version 2 with all controllers below which groups can be made, or why there is none.
    fn unified(&self, keeper: u32) -> Result<PathBuf, String> {
        let Some((root, point, ..)) = self.mounts.iter().find(|(.., kind, _)| kind == "cgroup2") else {
            return Err("no control groups are mounted at /sys/fs/cgroup".to_owned());
        };
        let own = self.own_folder(root, point, str::is_empty);
        let mut reason = "control groups are not delegated to this user; `systemd-run --user --scope -p Delegate=yes` \
                          starts a program that has them"
            .to_owned();
        // Groups with processes cannot have groups with controllers, so this process's own one hardly ever fits: the
        // nearest above it that does is taken, one with all controllers before one that limits memory only.
        for wanted in [&CONTROLLERS[..], &["memory"]] {
            for parent in own.ancestors().take_while(|parent| parent.starts_with(point)) {
                match make_unified(parent, keeper, wanted, &own) {
                    Ok(folder) => return Ok(folder),
                    Err(error) if error.kind() == io::ErrorKind::Other => reason = error.to_string(),
                    Err(_) => {}
                }
            }
        }
        Err(reason)
    }

    fn controller(&self, name: &str, keeper: u32, unified: &OnceCell<Result<PathBuf, String>>) -> Controller {
        let has = |options: &str| options.split(',').any(|option| option == name);
        if let Some((root, point, ..)) = self.mounts.iter().find(|(.., kind, options)| kind == "cgroup" && has(options))
        {
            let parent = self.own_folder(root, point, has);
            remove_forgotten(&parent);
            let folder = parent.join(format!("{PREFIX}{keeper}"));
            return match fs::create_dir(&folder) {
                Ok(()) => Controller::Version1(folder),
                Err(error) => Controller::None(format!(
                    "{} (cgroup v1) cannot be written to by this user: {error}; as root it can, or with a kernel started \
                     with cgroup_no_v1=all and a delegated group",
                    parent.display()
                )),
            };
        }
        match unified.get_or_init(|| self.unified(keeper)) {
            Ok(folder) if lists(&folder.join("cgroup.controllers"), name) => Controller::Version2(folder.clone()),
            Ok(folder) => Controller::None(format!("the {name} controller is not enabled for {}", folder.display())),
            Err(reason) => Controller::None(reason.clone()),
        }
    }
}

fn lists(file: &Path, name: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|word| word == name))
}

/// A new group that hands the wanted controllers to groups of its own, or nothing.
fn make_unified(parent: &Path, keeper: u32, wanted: &[&str], own: &Path) -> io::Result<PathBuf> {
    remove_forgotten(parent);
    let folder = parent.join(format!("{PREFIX}{keeper}"));
    fs::create_dir(&folder)?;
    for group in [parent, &folder] {
        for name in CONTROLLERS {
            if !lists(&group.join("cgroup.subtree_control"), name) {
                // Asked one by one: some is better than none.
                let _ = fs::write(group.join("cgroup.subtree_control"), format!("+{name}"));
            }
        }
    }
    let hands_down = |name: &&str| lists(&folder.join("cgroup.subtree_control"), name);
    let usable = match wanted.iter().find(|name| !hands_down(name)) {
        Some(name) => Err(io::Error::other(format!("{} does not hand the {name} controller down", parent.display()))),
        None => try_to_join(&folder, own),
    };
    match usable {
        Ok(()) => Ok(folder),
        Err(error) => {
            remove_groups(&folder);
            Err(error)
        }
    }
}

/// Who may make a group may still not be allowed to move processes there.
fn try_to_join(folder: &Path, own: &Path) -> io::Result<()> {
    let group = folder.join("try");
    let process = std::process::id().to_string();
    fs::create_dir(&group)?;
    fs::write(group.join("cgroup.procs"), &process)?;
    fs::write(own.join("cgroup.procs"), &process)?;
    fs::remove_dir(&group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_both_versions_are_found() {
        let text = "30 25 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
                    31 25 0:27 /a /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                    32 25 0:28 / /proc rw - proc proc rw\n";
        let mounts = Mounts::parse(text);
        assert_eq!(mounts.mounts.len(), 2);
        assert_eq!(mounts.mounts[0].1, Path::new("/sys/fs/cgroup/memory"));
        assert_eq!((&*mounts.mounts[1].0, &*mounts.mounts[1].2), ("/a", "cgroup2"));
    }

    #[test]
    fn a_machine_without_control_groups_says_so() {
        let mounts = Mounts::default();
        let unified = OnceCell::new();
        assert!(
            matches!(mounts.controller("cpu", 1, &unified), Controller::None(reason) if reason.contains("mounted"))
        );
    }
}
