//! How root file systems can be put together on this machine.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::config::Availability;
use crate::container::layer;
use crate::messages::Layering;

/// Tries the ways, the best first.
pub fn probe(folder: &Path) -> (Layering, Availability) {
    let place = folder.join("assembly");
    let on_disk = layer(&place, &folder.join("containers"), &place).and_then(|()| unmount_there(&place));
    let clean = || {
        let _ = super::files::remove(&folder.join("containers"));
        fs::create_dir_all(folder.join("containers"))
    };
    let _ = clean();
    let error = match on_disk {
        Ok(()) => return (Layering::Folder, Availability::Yes("overlay in the node's folder".to_owned())),
        Err(error) => error,
    };
    if in_memory(&place).is_ok() {
        return (Layering::Memory, Availability::Yes("overlay in memory".to_owned()));
    }
    let reason =
        format!("the kernel refuses overlay mounts in user namespaces ({error}); Linux 5.11 and newer allow them");
    (Layering::Copy, Availability::No(reason))
}

fn unmount_there(place: &Path) -> io::Result<()> {
    Ok(unmount(place, UnmountFlags::DETACH)?)
}

fn in_memory(place: &Path) -> io::Result<()> {
    let options = CString::new("size=1m")?;
    mount("tmpfs", place, "tmpfs", MountFlags::empty(), Some(&*options))?;
    let (lower, root) = (place.join("lower"), place.join("root"));
    let tried = fs::create_dir(&lower)
        .and_then(|()| fs::create_dir(&root))
        .and_then(|()| layer(&lower, place, &root))
        .and_then(|()| unmount_there(&root));
    unmount_there(place)?;
    tried
}
