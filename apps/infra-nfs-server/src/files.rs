//! Files and folders of a disk as NFS has them.

use std::fs::{self, File, FileTimes, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nfs3_server::nfs3_types::nfs3::{
    createverf3, fattr3, filename3, ftype3, nfspath3, nfsstat3, nfstime3, sattr3, set_atime, set_gid3, set_mode3,
    set_mtime, set_size3, set_uid3, specdata3, stable_how,
};
use nfs3_server::vfs::{DirEntryPlus, NextResult, NfsFileSystem, NfsReadFileSystem, ReadDirPlusIterator};

use crate::tree::{Handle, Tree, status};

/// Everybody may write to a new folder; what is asked for beside that is not known.
const FOLDER_MODE: u32 = 0o777;
const FILE_MODE: u32 = 0o666;

/// A tree as a file system of NFS.
pub struct Files {
    tree: Tree,
}

impl Files {
    pub fn new(tree: Tree) -> Self {
        Self { tree }
    }

    /// What is at a path that was just made.
    fn made(&self, folder: &Handle, name: &[u8], path: &Path) -> Result<(Handle, fattr3), nfsstat3> {
        let metadata = fs::symlink_metadata(path).map_err(told)?;
        // A name is on the disk when its folder is.
        path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all()).map_err(told)?;
        Ok((self.tree.seen(folder, name, &metadata), attributes(&metadata)))
    }

    /// Opens a file, and nothing else.
    fn file(&self, handle: &Handle, options: &OpenOptions) -> Result<File, nfsstat3> {
        let found = self.tree.find(handle)?;
        if !found.metadata.is_file() {
            return Err(nfsstat3::NFS3ERR_INVAL);
        }
        options.open(&found.path).map_err(told)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "errors are mapped by it")]
fn told(error: io::Error) -> nfsstat3 {
    status(&error)
}

fn time(seconds: i64, nanoseconds: i64) -> nfstime3 {
    nfstime3 {
        seconds: u32::try_from(seconds.max(0)).unwrap_or(u32::MAX),
        nseconds: u32::try_from(nanoseconds).unwrap_or_default(),
    }
}

/// What is told of a file.
fn attributes(metadata: &Metadata) -> fattr3 {
    let kind = metadata.file_type();
    let type_ = match kind {
        _ if kind.is_dir() => ftype3::NF3DIR,
        _ if kind.is_symlink() => ftype3::NF3LNK,
        _ if kind.is_fifo() => ftype3::NF3FIFO,
        _ if kind.is_socket() => ftype3::NF3SOCK,
        _ if kind.is_block_device() => ftype3::NF3BLK,
        _ if kind.is_char_device() => ftype3::NF3CHR,
        _ => ftype3::NF3REG,
    };
    fattr3 {
        type_,
        mode: metadata.mode() & 0o7777,
        nlink: u32::try_from(metadata.nlink()).unwrap_or(u32::MAX),
        uid: metadata.uid(),
        gid: metadata.gid(),
        size: metadata.size(),
        used: metadata.blocks() * 512,
        rdev: specdata3::default(),
        fsid: 1,
        fileid: metadata.ino(),
        atime: time(metadata.atime(), metadata.atime_nsec()),
        mtime: time(metadata.mtime(), metadata.mtime_nsec()),
        ctime: time(metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// Changes what a client may change of a file.
fn change(path: &Path, metadata: &Metadata, wanted: &sattr3) -> io::Result<()> {
    let owner = |set: bool, id: u32| set.then_some(id);
    let user = if let set_uid3::Some(id) = wanted.uid { owner(true, id) } else { None };
    let group = if let set_gid3::Some(id) = wanted.gid { owner(true, id) } else { None };
    if user.is_some() || group.is_some() {
        std::os::unix::fs::lchown(path, user, group)?;
    }
    // What a link leads to is another file.
    if metadata.is_symlink() {
        return Ok(());
    }
    if let set_size3::Some(size) = wanted.size {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(size)?;
        file.sync_all()?;
    }
    if let set_mode3::Some(mode) = wanted.mode {
        fs::set_permissions(path, Permissions::from_mode(mode & 0o7777))?;
    }
    let accessed = match wanted.atime {
        set_atime::DONT_CHANGE => None,
        set_atime::SET_TO_SERVER_TIME => Some(SystemTime::now()),
        set_atime::SET_TO_CLIENT_TIME(time) => Some(SystemTime::from(time)),
    };
    let modified = match wanted.mtime {
        set_mtime::DONT_CHANGE => None,
        set_mtime::SET_TO_SERVER_TIME => Some(SystemTime::now()),
        set_mtime::SET_TO_CLIENT_TIME(time) => Some(SystemTime::from(time)),
    };
    if accessed.is_some() || modified.is_some() {
        let times = accessed.map_or(FileTimes::new(), |time| FileTimes::new().set_accessed(time));
        File::open(path)?.set_times(modified.map_or(times, |time| times.set_modified(time)))?;
    }
    Ok(())
}

/// The entries of a folder that are left to tell, the last first.
pub struct Entries {
    left: Vec<DirEntryPlus<Handle>>,
}

impl ReadDirPlusIterator<Handle> for Entries {
    async fn next(&mut self) -> NextResult<DirEntryPlus<Handle>> {
        self.left.pop().map_or(NextResult::Eof, NextResult::Ok)
    }
}

impl NfsReadFileSystem for Files {
    type Handle = Handle;

    fn root_dir(&self) -> Handle {
        self.tree.root()
    }

    async fn lookup(&self, folder: &Handle, name: &filename3<'_>) -> Result<Handle, nfsstat3> {
        self.tree.child(folder, name.as_ref()).map(|(handle, _)| handle)
    }

    async fn getattr(&self, handle: &Handle) -> Result<fattr3, nfsstat3> {
        self.tree.find(handle).map(|found| attributes(&found.metadata))
    }

    async fn read(&self, handle: &Handle, offset: u64, count: u32) -> Result<(Vec<u8>, bool), nfsstat3> {
        let file = self.file(handle, OpenOptions::new().read(true))?;
        let size = file.metadata().map_err(told)?.len();
        let length = size.saturating_sub(offset).min(u64::from(count));
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| nfsstat3::NFS3ERR_INVAL)?];
        let mut filled = 0;
        while filled < bytes.len() {
            let read = file.read_at(&mut bytes[filled..], offset + filled as u64).map_err(told)?;
            if read == 0 {
                break;
            }
            filled += read;
        }
        bytes.truncate(filled);
        let end = offset + filled as u64 >= size;
        Ok((bytes, end))
    }

    /// In the order of their numbers on the disk, which are also the cookies: what is deleted or made meanwhile moves no other.
    async fn readdirplus(&self, folder: &Handle, cookie: u64) -> Result<impl ReadDirPlusIterator<Handle>, nfsstat3> {
        let path = self.tree.find_folder(folder)?;
        let mut left = Vec::new();
        for entry in fs::read_dir(path).map_err(told)? {
            let entry = entry.map_err(told)?;
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.ino() <= cookie {
                continue;
            }
            let name = entry.file_name();
            left.push(DirEntryPlus {
                fileid: metadata.ino(),
                name: filename3::from(name.as_bytes().to_vec()),
                cookie: metadata.ino(),
                name_attributes: Some(attributes(&metadata)),
                name_handle: Some(self.tree.seen(folder, name.as_bytes(), &metadata)),
            });
        }
        left.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.cookie));
        Ok(Entries { left })
    }

    async fn readlink(&self, handle: &Handle) -> Result<nfspath3<'_>, nfsstat3> {
        let found = self.tree.find(handle)?;
        let target = fs::read_link(found.path).map_err(|_| nfsstat3::NFS3ERR_INVAL)?;
        Ok(nfspath3::from(target.as_os_str().as_bytes().to_vec()))
    }
}

impl NfsFileSystem for Files {
    async fn setattr(&self, handle: &Handle, wanted: sattr3) -> Result<fattr3, nfsstat3> {
        let found = self.tree.find(handle)?;
        change(&found.path, &found.metadata, &wanted).map_err(told)?;
        self.getattr(handle).await
    }

    async fn write(
        &self,
        handle: &Handle,
        offset: u64,
        data: &[u8],
        _stable: stable_how,
    ) -> Result<(fattr3, stable_how), nfsstat3> {
        let file = self.file(handle, OpenOptions::new().write(true))?;
        file.write_all_at(data, offset).map_err(told)?;
        // Always: a client that is told so repeats nothing after the server has started again.
        file.sync_data().map_err(told)?;
        Ok((attributes(&file.metadata().map_err(told)?), stable_how::FILE_SYNC))
    }

    async fn create(
        &self,
        folder: &Handle,
        name: &filename3<'_>,
        wanted: sattr3,
    ) -> Result<(Handle, fattr3), nfsstat3> {
        let path = self.tree.new_path(folder, name.as_ref())?;
        if let Ok(metadata) = fs::symlink_metadata(&path)
            && !metadata.is_file()
        {
            return Err(nfsstat3::NFS3ERR_EXIST);
        }
        OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(&path).map_err(told)?;
        let metadata = fs::symlink_metadata(&path).map_err(told)?;
        change(&path, &metadata, &wanted).map_err(told)?;
        self.made(folder, name.as_ref(), &path)
    }

    /// The verifier is kept in the times of the file, which the client sets afterwards: a request that is repeated finds it there.
    async fn create_exclusive(
        &self,
        folder: &Handle,
        name: &filename3<'_>,
        verifier: createverf3,
    ) -> Result<Handle, nfsstat3> {
        let path = self.tree.new_path(folder, name.as_ref())?;
        let half = |from: usize| {
            let bytes = [0, 1, 2, 3].map(|place| verifier.0[from + place]);
            // Positive, whatever it is: not every disk has times before 1970.
            UNIX_EPOCH + Duration::from_secs(u64::from(u32::from_be_bytes(bytes) & 0x7fff_ffff))
        };
        let (accessed, modified) = (half(0), half(4));
        match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path) {
            Ok(file) => {
                let times = FileTimes::new().set_accessed(accessed).set_modified(modified);
                file.set_times(times).and_then(|()| file.sync_all()).map_err(told)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let metadata = fs::symlink_metadata(&path).map_err(told)?;
                let same = metadata.accessed().ok() == Some(accessed) && metadata.modified().ok() == Some(modified);
                if !same {
                    return Err(nfsstat3::NFS3ERR_EXIST);
                }
            }
            Err(error) => return Err(status(&error)),
        }
        self.made(folder, name.as_ref(), &path).map(|(handle, _)| handle)
    }

    async fn mkdir(&self, folder: &Handle, name: &filename3<'_>) -> Result<(Handle, fattr3), nfsstat3> {
        let path = self.tree.new_path(folder, name.as_ref())?;
        fs::DirBuilder::new().mode(FOLDER_MODE).create(&path).map_err(told)?;
        fs::set_permissions(&path, Permissions::from_mode(FOLDER_MODE)).map_err(told)?;
        self.made(folder, name.as_ref(), &path)
    }

    /// A file or an empty folder.
    async fn remove(&self, folder: &Handle, name: &filename3<'_>) -> Result<(), nfsstat3> {
        let (handle, found) = self.tree.child(folder, name.as_ref())?;
        let removed = if found.metadata.is_dir() { fs::remove_dir(&found.path) } else { fs::remove_file(&found.path) };
        removed.map_err(told)?;
        if found.metadata.is_dir() || found.metadata.nlink() <= 1 {
            self.tree.forget(&handle);
        }
        Ok(())
    }

    async fn rename<'a>(
        &self,
        from_folder: &Handle,
        from: &filename3<'a>,
        to_folder: &Handle,
        to: &filename3<'a>,
    ) -> Result<(), nfsstat3> {
        let (_, found) = self.tree.child(from_folder, from.as_ref())?;
        let path = self.tree.new_path(to_folder, to.as_ref())?;
        fs::rename(&found.path, &path).map_err(told)?;
        self.made(to_folder, to.as_ref(), &path).map(|_| ())
    }

    async fn symlink<'a>(
        &self,
        folder: &Handle,
        name: &filename3<'a>,
        target: &nfspath3<'a>,
        _wanted: &sattr3,
    ) -> Result<(Handle, fattr3), nfsstat3> {
        let path = self.tree.new_path(folder, name.as_ref())?;
        symlink(std::ffi::OsStr::from_bytes(target.as_ref()), &path).map_err(told)?;
        self.made(folder, name.as_ref(), &path)
    }

    async fn commit(&self, handle: &Handle, _offset: u64, _count: u32) -> Result<(), nfsstat3> {
        self.file(handle, OpenOptions::new().write(true))?.sync_all().map_err(told)
    }
}
