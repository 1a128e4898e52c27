//! The sandbox's folder: who has it, and how to reach them.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";
const READY: &str = "ready";
const ADDRESS: &str = "address";
const KUBECONFIG: &str = "kubeconfig";
const AUTHORITY: &str = "ca.crt";

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// Another sandbox runs in it.
    #[error("another sandbox (process {pid}) uses {folder}; stop it, or give this one a folder of its own", folder = folder.display())]
    Taken {
        /// The folder.
        folder: PathBuf,
        /// The other process.
        pid: u32,
    },
    /// A file cannot be read or written.
    #[error("use {path}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Where a running sandbox is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Its process.
    pub pid: u32,
    /// Where its API listens.
    pub address: SocketAddr,
    /// A kubeconfig of its administrator.
    pub kubeconfig: PathBuf,
    /// When it took its first request, RFC 3339.
    pub since: String,
    /// Which [`crate::Settings::generation`] its nodes are of.
    #[serde(default)]
    pub generation: u64,
}

/// What is known of a folder's sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// None runs.
    Stopped,
    /// One has begun to start, or to stop.
    Busy {
        /// Its process.
        pid: u32,
    },
    /// One takes requests.
    Running(Ready),
}

/// A folder that is ours for as long as this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder, made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| FolderError::File { path, source }
        };
        make(path)?;
        let path = path.canonicalize().map_err(failed(path))?;
        let name = path.join(LOCK);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options.open(&name).map_err(failed(&name))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FolderError::Taken { pid: read_pid(&name).unwrap_or_default(), folder: path });
            }
            Err(TryLockError::Error(source)) => return Err(failed(&name)(source)),
        }
        lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id())).map_err(failed(&name))?;
        // What a killed one left behind is not true any more.
        let _ = fs::remove_file(path.join(READY));
        Ok(Self { path, _lock: lock })
    }

    /// The folder, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The API's address of the last time.
    pub(crate) fn last_address(&self) -> Option<SocketAddr> {
        fs::read_to_string(self.path.join(ADDRESS)).ok()?.trim().parse().ok()
    }

    /// Writes how to reach the sandbox, with the certificate of its authority.
    pub(crate) fn announce(
        &self,
        address: SocketAddr,
        (kubeconfig, authority): (&str, &str),
        generation: u64,
    ) -> Result<Ready, FolderError> {
        let ready = Ready {
            pid: std::process::id(),
            address,
            kubeconfig: self.path.join(KUBECONFIG),
            since: jiff::Timestamp::now().to_string(),
            generation,
        };
        self.write(KUBECONFIG, kubeconfig)?;
        self.write(AUTHORITY, authority)?;
        self.write(ADDRESS, &address.to_string())?;
        self.tell(&ready)?;
        Ok(ready)
    }

    /// Writes that the sandbox is ready in this way.
    pub(crate) fn tell(&self, ready: &Ready) -> Result<(), FolderError> {
        self.write(READY, &serde_json::to_string(ready).unwrap_or_default())
    }

    /// From now on nobody is to be reached here.
    pub(crate) fn withdraw(&self) {
        let _ = fs::remove_file(self.path.join(READY));
    }

    fn write(&self, name: &str, text: &str) -> Result<(), FolderError> {
        write_private(&self.path.join(name), text)
    }
}

/// Makes a sandbox's folder, if it is not there, for this user only.
pub(crate) fn make(path: &Path) -> Result<(), FolderError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| FolderError::File { path: path.to_owned(), source })
}

/// Writes a file whole or not at all, for this user only.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), FolderError> {
    let fresh = path.with_added_extension("new");
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&fresh, path)
    };
    write().map_err(|source| FolderError::File { path: path.to_owned(), source })
}

/// What is known of a folder's sandbox; any process may ask.
pub(crate) fn state(folder: &Path) -> Result<State, FolderError> {
    let name = folder.join(LOCK);
    let lock = match File::open(&name) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Stopped),
        Err(source) => return Err(FolderError::File { path: name, source }),
    };
    match lock.try_lock_shared() {
        Ok(()) => return Ok(State::Stopped),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(source)) => return Err(FolderError::File { path: name, source }),
    }
    let ready = fs::read(folder.join(READY)).ok().and_then(|text| serde_json::from_slice::<Ready>(&text).ok());
    Ok(match ready {
        Some(ready) => State::Running(ready),
        None => State::Busy { pid: read_pid(&name).unwrap_or_default() },
    })
}

fn read_pid(lock: &Path) -> Option<u32> {
    fs::read_to_string(lock).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_is_one_sandboxs_and_tells_others_whose() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(state(folder.path()).expect("readable"), State::Stopped);
        let own = Folder::open(folder.path()).expect("free");
        let pid = std::process::id();
        assert_eq!(state(folder.path()).expect("readable"), State::Busy { pid });
        assert!(matches!(Folder::open(folder.path()), Err(FolderError::Taken { pid: other, .. }) if other == pid));
        let ready = own.announce(([127, 0, 0, 1], 7).into(), ("secret", "public"), 0).expect("written");
        assert_eq!(state(folder.path()).expect("readable"), State::Running(ready.clone()));
        let mode = fs::metadata(&ready.kubeconfig).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "its credentials are nobody else's");
        drop(own);
        assert_eq!(state(folder.path()).expect("readable"), State::Stopped, "whatever it left behind");
        assert_eq!(Folder::open(folder.path()).expect("free").last_address(), Some(ready.address));
    }
}
