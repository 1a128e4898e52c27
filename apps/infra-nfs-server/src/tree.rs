//! What clients call files by, and where those are now.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use nfs3_server::nfs3_types::nfs3::nfsstat3;
use nfs3_server::vfs::FileHandle;

/// What a file is called by for as long as it exists: its number on the disk, and when it was made, since numbers are given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    bytes: [u8; 16],
}

impl Handle {
    fn of(metadata: &Metadata) -> Self {
        let born = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let born = born.map_or(0, |born| u64::try_from(born.as_nanos()).unwrap_or(u64::MAX));
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&metadata.ino().to_be_bytes());
        bytes[8..].copy_from_slice(&born.to_be_bytes());
        Self { bytes }
    }
}

impl FileHandle for Handle {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self { bytes: bytes.try_into().ok()? })
    }
}

/// A file as it is now.
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// What the disk says of it.
    pub metadata: Metadata,
}

/// A folder with everything below it.
pub struct Tree {
    root: Handle,
    folder: PathBuf,
    /// Where each file that was seen was last: the folder that it is in, and its name there. A folder that moves takes all that is
    /// below it along.
    places: Mutex<HashMap<Handle, (Handle, OsString)>>,
}

impl Tree {
    /// The tree below a folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(folder)?;
        if !metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(Self { root: Handle::of(&metadata), folder: folder.to_owned(), places: Mutex::default() })
    }

    /// The folder itself.
    pub fn root(&self) -> Handle {
        self.root
    }

    /// Where a file is now; stale when it is gone.
    pub fn find(&self, handle: &Handle) -> Result<Found, nfsstat3> {
        if let Some(found) = self.look(handle) {
            return Ok(found);
        }
        // In an earlier life it was seen, or somebody else moved it.
        self.walk();
        self.look(handle).ok_or(nfsstat3::NFS3ERR_STALE)
    }

    /// The same of a folder.
    pub fn find_folder(&self, handle: &Handle) -> Result<PathBuf, nfsstat3> {
        let found = self.find(handle)?;
        if found.metadata.is_dir() { Ok(found.path) } else { Err(nfsstat3::NFS3ERR_NOTDIR) }
    }

    /// What has a name in a folder.
    pub fn child(&self, folder: &Handle, name: &[u8]) -> Result<(Handle, Found), nfsstat3> {
        let path = self.find_folder(folder)?;
        match name {
            b"." => return Ok((*folder, self.find(folder)?)),
            b".." => {
                let above = self.place(folder).map_or(self.root, |(above, _)| above);
                return Ok((above, self.find(&above)?));
            }
            _ => {}
        }
        let path = path.join(checked(name)?);
        let metadata = fs::symlink_metadata(&path).map_err(|error| status(&error))?;
        Ok((self.seen(folder, name, &metadata), Found { path, metadata }))
    }

    /// The path that a new file of this name has.
    pub fn new_path(&self, folder: &Handle, name: &[u8]) -> Result<PathBuf, nfsstat3> {
        Ok(self.find_folder(folder)?.join(checked(name)?))
    }

    /// Takes note of where a file is; gives its handle.
    pub fn seen(&self, folder: &Handle, name: &[u8], metadata: &Metadata) -> Handle {
        let handle = Handle::of(metadata);
        if handle != self.root {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.insert(handle, (*folder, OsStr::from_bytes(name).to_owned()));
        }
        handle
    }

    /// Forgets a file that is gone.
    pub fn forget(&self, handle: &Handle) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).remove(handle);
    }

    fn place(&self, handle: &Handle) -> Option<(Handle, OsString)> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).get(handle).cloned()
    }

    /// A file where it was seen last, if it is there.
    fn look(&self, handle: &Handle) -> Option<Found> {
        let path = self.path(handle)?;
        let metadata = fs::symlink_metadata(&path).ok()?;
        (Handle::of(&metadata) == *handle).then_some(Found { path, metadata })
    }

    fn path(&self, handle: &Handle) -> Option<PathBuf> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut names, mut at) = (Vec::new(), *handle);
        while at != self.root {
            let (above, name) = places.get(&at)?;
            names.push(name);
            // No folder is below itself: more than there are places is a circle.
            if names.len() > places.len() {
                return None;
            }
            at = *above;
        }
        Some(names.into_iter().rev().fold(self.folder.clone(), |path, name| path.join(name)))
    }

    /// Sees everything.
    fn walk(&self) {
        let mut open = vec![(self.root, self.folder.clone())];
        while let Some((folder, path)) = open.pop() {
            for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                let handle = self.seen(&folder, entry.file_name().as_bytes(), &metadata);
                if metadata.is_dir() {
                    open.push((handle, entry.path()));
                }
            }
        }
    }
}

/// A name that leads nowhere else.
fn checked(name: &[u8]) -> Result<&OsStr, nfsstat3> {
    if name.len() > 255 {
        return Err(nfsstat3::NFS3ERR_NAMETOOLONG);
    }
    let fits = !name.is_empty() && name != b"." && name != b".." && !name.iter().any(|byte| matches!(byte, b'/' | 0));
    if fits { Ok(OsStr::from_bytes(name)) } else { Err(nfsstat3::NFS3ERR_INVAL) }
}

/// What the disk's refusal is in NFS.
pub fn status(error: &io::Error) -> nfsstat3 {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => nfsstat3::NFS3ERR_NOENT,
        ErrorKind::PermissionDenied => nfsstat3::NFS3ERR_ACCES,
        ErrorKind::AlreadyExists => nfsstat3::NFS3ERR_EXIST,
        ErrorKind::NotADirectory => nfsstat3::NFS3ERR_NOTDIR,
        ErrorKind::IsADirectory => nfsstat3::NFS3ERR_ISDIR,
        ErrorKind::DirectoryNotEmpty => nfsstat3::NFS3ERR_NOTEMPTY,
        ErrorKind::StorageFull => nfsstat3::NFS3ERR_NOSPC,
        ErrorKind::QuotaExceeded => nfsstat3::NFS3ERR_DQUOT,
        ErrorKind::ReadOnlyFilesystem => nfsstat3::NFS3ERR_ROFS,
        ErrorKind::FileTooLarge => nfsstat3::NFS3ERR_FBIG,
        ErrorKind::TooManyLinks => nfsstat3::NFS3ERR_MLINK,
        ErrorKind::CrossesDevices => nfsstat3::NFS3ERR_XDEV,
        ErrorKind::InvalidInput => nfsstat3::NFS3ERR_INVAL,
        _ => nfsstat3::NFS3ERR_IO,
    }
}
