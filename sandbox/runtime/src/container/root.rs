//! A container's root file system: the image, a layer to write to, and what every program expects to find.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountAttrFlags, MountFlags, UnmountFlags, mount, unmount};

use super::mounts;
use crate::config::{Mount, MountKind};
use crate::messages::{InitConfig, Layering};

/// Nobody in a container sees these, as with other runtimes.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/scsi",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];

/// Nobody in a container writes to these.
const READ_ONLY: [&str; 6] =
    ["/proc/bus", "/proc/dynamic_debug", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Where control groups are shown; a `/sys` without this place cannot get it.
const GROUPS: &str = "/sys/fs/cgroup";

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

fn no_programs() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC
}

/// Something to be put into its place when the root is there.
struct Prepared {
    mount: OwnedFd,
    target: PathBuf,
    is_folder: bool,
    read_only: bool,
}

fn said(what: impl AsRef<str>) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{}: {error}", what.as_ref())
}

/// Mounts an image with a layer over it. Paths may have any characters: they are told by number.
pub fn layer(lower: &Path, folder: &Path, root: &Path) -> io::Result<()> {
    let open = |path: &Path| open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let make = |name: &str| {
        let path = folder.join(name);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&path)?;
        Ok::<_, io::Error>(open(&path)?)
    };
    let (lower, upper, work) = (open(lower)?, make("upper")?, make("work")?);
    let path = |descriptor: &OwnedFd| format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let options = format!("lowerdir={},upperdir={},workdir={}", path(&lower), path(&upper), path(&work));
    // What a container writes to its root is not kept anyway, so nobody waits for the disk.
    for further in ["userxattr,volatile", "userxattr", "volatile"] {
        let options = CString::new(format!("{options},{further}"))?;
        match mount("overlay", root, "overlay", MountFlags::empty(), Some(&*options)) {
            Err(rustix::io::Errno::INVAL) if further != "volatile" => {}
            other => return Ok(other?),
        }
    }
    Ok(())
}

/// Makes the root file system of this process that of the container.
pub fn assemble(config: &InitConfig) -> Result<(), String> {
    let container = &config.container;
    let prepared = prepare(config)?;
    let devices = DEVICES
        .map(|name| mounts::copy(&Path::new("/dev").join(name), false).map(|mount| (name, mount)))
        .into_iter()
        .collect::<io::Result<Vec<_>>>()
        .map_err(said("cannot use the machine's devices"))?;
    let root = make_root(config).map_err(said(format!("cannot mount the root {}", container.root.display())))?;
    enter(root).map_err(said("cannot change to the root"))?;
    for each in prepared {
        if each.target.starts_with(GROUPS) && !Path::new(GROUPS).exists() {
            continue;
        }
        let place = mounts::resolve(&each.target);
        mounts::make_place(&place, each.is_folder)
            .and_then(|()| mounts::put(&each.mount, &place))
            .and_then(|()| if each.read_only { mounts::make_read_only(&place) } else { Ok(()) })
            .map_err(said(format!("cannot mount to {}", each.target.display())))?;
        if each.target == Path::new("/dev") {
            furnish_devices(&devices, config).map_err(said("cannot make /dev"))?;
        }
    }
    protect().map_err(said("cannot protect parts of /proc"))?;
    if !container.working_directory.is_empty() {
        // Somebody else's file in its way is found when the program's turn comes.
        let _ = mounts::make_place(&mounts::resolve(Path::new(&container.working_directory)), true);
    }
    if container.read_only_root {
        mounts::make_read_only(Path::new("/")).map_err(said("cannot make the root read-only"))?;
    }
    Ok(())
}

/// All that is to be mounted, in its order. Sources are those of the machine.
fn prepare(config: &InitConfig) -> Result<Vec<Prepared>, String> {
    let folder = |mount, target: &str, read_only| Prepared { mount, target: target.into(), is_folder: true, read_only };
    let cannot = |kind: &'static str| said(format!("cannot make a file system of the kind {kind}"));
    let mut all = Vec::new();
    all.push(folder(mounts::new("proc", &[], no_programs()).map_err(cannot("proc"))?, "/proc", false));
    let options = [("mode", "755".to_owned()), ("size", "65536k".to_owned())];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID;
    all.push(folder(mounts::new("tmpfs", &options, attributes).map_err(cannot("tmpfs"))?, "/dev", false));
    let attributes = no_programs() | MountAttrFlags::MOUNT_ATTR_RDONLY;
    // Where the machine's own is covered in parts, there is none: few programs look there.
    let system = mounts::new("sysfs", &[], attributes).or_else(|_| mounts::new("tmpfs", &[], attributes));
    all.push(folder(system.map_err(cannot("sysfs"))?, "/sys", false));
    prepare_groups(config, &mut all).map_err(said("cannot show the container its limits"))?;
    for name in ["hosts", "hostname", "resolv.conf"] {
        let mount =
            mounts::copy(&config.pod_folder.join(name), false).map_err(said(format!("cannot use the pod's {name}")))?;
        all.push(Prepared { mount, target: Path::new("/etc").join(name), is_folder: false, read_only: false });
    }
    let mut wanted: Vec<&Mount> = config.container.mounts.iter().collect();
    wanted.sort_by_key(|mount| Path::new(&mount.target).components().count());
    for mount in wanted {
        all.push(prepare_wanted(mount)?);
    }
    Ok(all)
}

/// The container's own control groups, where programs look for how much they may use.
fn prepare_groups(config: &InitConfig, all: &mut Vec<Prepared>) -> io::Result<()> {
    let place = Path::new(GROUPS);
    if config.groups.iter().any(|(name, _)| !name.is_empty()) {
        let mount = mounts::new("tmpfs", &[("mode", "755".to_owned())], no_programs())?;
        all.push(Prepared { mount, target: place.to_owned(), is_folder: true, read_only: false });
    }
    for (name, source) in &config.groups {
        let mount = mounts::copy(source, false)?;
        all.push(Prepared { mount, target: place.join(name), is_folder: true, read_only: true });
    }
    Ok(())
}

fn prepare_wanted(wanted: &Mount) -> Result<Prepared, String> {
    let (mount, is_folder) = match &wanted.kind {
        MountKind::Bind { source } => {
            let metadata = fs::metadata(source).map_err(said(format!("cannot mount {}", source.display())))?;
            let mount = mounts::copy(source, true).map_err(said(format!("cannot mount {}", source.display())))?;
            (mount, metadata.is_dir())
        }
        MountKind::Tmpfs { size_bytes } => {
            let mut options = vec![("mode", "1777".to_owned())];
            options.extend(size_bytes.map(|bytes| ("size", bytes.to_string())));
            let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
            (mounts::new("tmpfs", &options, attributes).map_err(said("cannot make a file system in memory"))?, true)
        }
    };
    let target = Path::new("/").join(&wanted.target);
    Ok(Prepared { mount, target, is_folder, read_only: wanted.read_only })
}

/// The container's root, mounted where all are put together.
fn make_root(config: &InitConfig) -> io::Result<&Path> {
    let (image, place) = (&config.container.root, &*config.assembly);
    match config.layering {
        Layering::Folder => layer(image, &config.folder, place)?,
        Layering::Memory => {
            mount("tmpfs", &config.folder, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID, None)?;
            layer(image, &config.folder, place)?;
        }
        Layering::Copy => {
            let copy = config.folder.join("root");
            super::copy::copy(image, &copy)?;
            let mount = mounts::copy(&copy, false)?;
            mounts::put(&mount, place)?;
        }
    }
    Ok(place)
}

/// Changes to a new root; nothing of the old one is left.
fn enter(root: &Path) -> io::Result<()> {
    std::env::set_current_dir(root)?;
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")
}

fn furnish_devices(devices: &[(&str, OwnedFd)], config: &InitConfig) -> io::Result<()> {
    for (name, device) in devices {
        let place = Path::new("/dev").join(name);
        mounts::make_place(&place, false)?;
        mounts::put(device, &place)?;
    }
    let links =
        [("/proc/self/fd", "fd"), ("fd/0", "stdin"), ("fd/1", "stdout"), ("fd/2", "stderr"), ("pts/ptmx", "ptmx")];
    for (to, name) in links {
        symlink(to, Path::new("/dev").join(name))?;
    }
    let mut options = vec![("mode", "0620".to_owned()), ("ptmxmode", "0666".to_owned())];
    if config.many_users {
        options.push(("gid", "5".to_owned()));
    }
    let no_programs = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let terminals = mounts::new("devpts", &options, no_programs)?;
    let memory = mounts::new("tmpfs", &[("mode", "1777".to_owned()), ("size", "64m".to_owned())], self::no_programs())?;
    let queues = mounts::new("mqueue", &[], self::no_programs());
    for (name, mount) in [("pts", Some(terminals)), ("shm", Some(memory)), ("mqueue", queues.ok())] {
        let place = Path::new("/dev").join(name);
        if let Some(mount) = mount {
            mounts::make_place(&place, true)?;
            mounts::put(&mount, &place)?;
        }
    }
    Ok(())
}

/// Hides and fixes what belongs to the machine. This holds for privileged containers as well: the sandbox's root may be
/// the machine's, whose files these are.
fn protect() -> io::Result<()> {
    for path in MASKED.map(Path::new) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let empty = mounts::new("tmpfs", &[], no_programs() | MountAttrFlags::MOUNT_ATTR_RDONLY)?;
                mounts::put(&empty, path)?;
            }
            Ok(_) => mounts::put(&mounts::copy(Path::new("/dev/null"), false)?, path)?,
            Err(_) => {}
        }
    }
    for path in READ_ONLY.map(Path::new).into_iter().filter(|path| path.exists()) {
        mounts::put(&mounts::copy(path, true)?, path)?;
        mounts::make_read_only(path)?;
    }
    Ok(())
}
