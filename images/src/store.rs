use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::digest::{self, Digests};
use crate::oci::{Descriptor, Manifest};

mod usage;

pub use usage::{KeptImage, Pruned, Usage};

/// Blobs that no image refers to are removed when they are older than this.
const UNUSED_KEPT: Duration = Duration::from_hours(7 * 24);

/// A deployment's image that was not made anew for so long is no longer kept for it.
const REFERENCE_KEPT: Duration = Duration::from_hours(90 * 24);

/// What is wrong with the local store of images.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file of it cannot be written: no space, no permission.
    #[error("cannot write the image cache {}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of it cannot be read.
    #[error("cannot read {} in the image cache", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A blob is missing, or has not the content that its name says; what was left of it is removed.
    #[error("{digest} in the image cache is missing or damaged")]
    Damaged {
        /// The blob.
        digest: String,
    },
    /// Another process works with it.
    #[error("clean the image cache {}: another process uses it", .path.display())]
    InUse {
        /// The store's folder.
        path: PathBuf,
    },
}

/// The images of this machine: blobs by their content's digest, and what was made of what.
///
/// Files appear in one step, complete, so several processes may use one store at the same time. What is not referred to by an
/// image of a deployment, or was not made anew for months, goes away a week later, while nobody else uses the store.
pub struct Store {
    folder: PathBuf,
    digests: Digests,
    /// Shared while the store is open. Closing it, even by a crash, gives it up.
    in_use: File,
}

impl Store {
    /// Opens the store in a folder and makes it where it is missing.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let fail = |source| StoreError::Write { path: folder.to_owned(), source };
        for part in ["blobs/sha256", "references", "temporary"] {
            fs::create_dir_all(folder.join(part)).map_err(fail)?;
        }
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join("lock")).map_err(fail)?;
        let store =
            Self { folder: folder.to_owned(), digests: Digests::open(folder.join("digests.json")), in_use: lock };
        match store.in_use.try_lock() {
            Ok(()) => store.remove_unused(UNUSED_KEPT)?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
        store.in_use.lock_shared().map_err(fail)?;
        Ok(store)
    }

    /// Digests of files outside of the store, remembered in it.
    pub fn digests(&self) -> &Digests {
        &self.digests
    }

    /// Where a blob lies, or would lie.
    pub fn path(&self, digest: &str) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
    }

    /// Whether a blob is there with the right content. One that is damaged is removed, so that it is made anew.
    pub fn has(&self, blob: &Descriptor) -> bool {
        let path = self.path(&blob.digest);
        let Ok(found) = fs::metadata(&path) else { return false };
        let sound = found.len() == blob.size && self.digests.of_file(&path).is_ok_and(|digest| digest == blob.digest);
        if !sound {
            // Whoever makes it anew replaces it anyway.
            let _ = fs::remove_file(&path);
        }
        sound
    }

    /// The blob of a digest, if it is there with the right content.
    pub fn find(&self, media_type: &str, digest: &str) -> Option<Descriptor> {
        let size = fs::metadata(self.path(digest)).ok()?.len();
        let blob = Descriptor { media_type: media_type.to_owned(), digest: digest.to_owned(), size };
        self.has(&blob).then_some(blob)
    }

    /// Opens a blob for reading, after a look at its content.
    pub fn open_blob(&self, blob: &Descriptor) -> Result<File, StoreError> {
        if !self.has(blob) {
            return Err(StoreError::Damaged { digest: blob.digest.clone() });
        }
        let path = self.path(&blob.digest);
        File::open(&path).map_err(|source| StoreError::Read { path, source })
    }

    /// Starts a new blob.
    pub fn writer(&self) -> Result<BlobWriter<'_>, StoreError> {
        let file = self.temporary()?;
        Ok(BlobWriter {
            store: self,
            file: io::BufWriter::with_capacity(256 * 1024, file),
            hash: Sha256::new(),
            size: 0,
        })
    }

    /// Puts a small blob.
    pub fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, StoreError> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|source| self.write_error(source))?;
        writer.commit(media_type)
    }

    /// Reads a manifest and makes sure that everything it refers to is there and sound.
    pub fn manifest(&self, digest: &str) -> Result<(Manifest, Descriptor), StoreError> {
        let damaged = || StoreError::Damaged { digest: digest.to_owned() };
        let bytes = fs::read(self.path(digest)).map_err(|_| damaged())?;
        let sound = digest::of_bytes(&bytes) == digest;
        let manifest: Manifest = serde_json::from_slice(&bytes).ok().filter(|_| sound).ok_or_else(damaged)?;
        if let Some(missing) = manifest.blobs().find(|blob| !self.has(blob)) {
            return Err(StoreError::Damaged { digest: missing.digest.clone() });
        }
        let size = bytes.len() as u64;
        Ok((manifest, Descriptor { media_type: crate::oci::MANIFEST.to_owned(), digest: digest.to_owned(), size }))
    }

    /// What was remembered under a key, if it can be read.
    pub fn recall<T: DeserializeOwned>(&self, area: &str, key: &str) -> Option<T> {
        let bytes = fs::read(self.folder.join(area).join(file_name(key))).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Remembers something under a key.
    pub fn remember<T: Serialize>(&self, area: &str, key: &str, value: &T) -> Result<(), StoreError> {
        let path = self.folder.join(area).join(file_name(key));
        let write = || -> io::Result<()> {
            fs::create_dir_all(path.parent().expect("it lies in the area"))?;
            let mut file = NamedTempFile::new_in(self.folder.join("temporary"))?;
            file.write_all(&serde_json::to_vec(value)?)?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|source| StoreError::Write { path: path.clone(), source })
    }

    /// Forgets what was remembered under a key; says whether it is gone.
    pub fn forget(&self, area: &str, key: &str) -> Result<(), StoreError> {
        let path = self.folder.join(area).join(file_name(key));
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Write { path, source }),
            _ => Ok(()),
        }
    }

    fn temporary(&self) -> Result<NamedTempFile, StoreError> {
        NamedTempFile::new_in(self.folder.join("temporary")).map_err(|source| self.write_error(source))
    }

    /// An error of writing into the store.
    pub(crate) fn write_error(&self, source: io::Error) -> StoreError {
        StoreError::Write { path: self.folder.clone(), source }
    }

    /// Removes blobs that no deployment's image refers to, and what was remembered, when older than `age`.
    fn remove_unused(&self, age: Duration) -> Result<(), StoreError> {
        for path in self.unused(age)? {
            fs::remove_file(&path).map_err(|source| StoreError::Write { path, source })?;
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.digests.save();
    }
}

/// Whether a file was last written longer ago than this.
fn is_older(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|found| found.modified()).unwrap_or(SystemTime::now());
    modified.elapsed().is_ok_and(|since| since > age)
}

/// Keys may hold slashes and colons; a file's name may not.
fn file_name(key: &str) -> String {
    key.replace(['/', ':'], "_") + ".json"
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let list = || fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    match list() {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Read { path: folder.to_owned(), source })
        }
        listed => Ok(listed.unwrap_or_default()),
    }
}

/// A blob that is being written. Dropped without a commit it leaves nothing.
pub struct BlobWriter<'a> {
    store: &'a Store,
    file: io::BufWriter<NamedTempFile>,
    hash: Sha256,
    size: u64,
}

impl BlobWriter<'_> {
    /// Writes all that a reader gives; an error of the reader is told apart by `unreadable`.
    pub fn copy_from<E: From<StoreError>>(
        &mut self,
        reader: &mut impl Read,
        unreadable: impl Fn(io::Error) -> E,
    ) -> Result<(), E> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match reader.read(&mut buffer).map_err(&unreadable)? {
                0 => return Ok(()),
                length => self.write_all(&buffer[..length]).map_err(|source| self.store.write_error(source))?,
            }
        }
    }

    /// Puts the blob into the store if its digest is among the wanted ones.
    pub fn commit_wanted(self, media_type: &str, wanted: &BTreeSet<String>) -> Result<Option<Descriptor>, StoreError> {
        let digest = digest::written(&self.hash.clone().finalize());
        if wanted.contains(&digest) { self.commit(media_type).map(Some) } else { Ok(None) }
    }

    /// Puts the blob into the store under its digest; one that is already there is replaced by the same content.
    pub fn commit(self, media_type: &str) -> Result<Descriptor, StoreError> {
        let blob = Descriptor {
            media_type: media_type.to_owned(),
            digest: digest::written(&self.hash.finalize()),
            size: self.size,
        };
        let path = self.store.path(&blob.digest);
        let persist = || -> io::Result<()> {
            let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.persist(&path)?;
            Ok(())
        };
        persist().map_err(|source| StoreError::Write { path: path.clone(), source })?;
        self.store.digests.know(&path, &blob.digest);
        Ok(blob)
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.hash.update(&bytes[..length]);
        self.size += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci;

    #[test]
    fn a_damaged_blob_is_noticed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let blob = store.put(oci::LAYER, b"content").unwrap();
        assert!(store.has(&blob));
        fs::write(store.path(&blob.digest), "c0ntent").unwrap();
        assert!(!store.has(&blob), "another content of the same length");
        assert!(!store.path(&blob.digest).exists());
        assert!(matches!(store.open_blob(&blob), Err(StoreError::Damaged { digest }) if digest == blob.digest));
        assert_eq!(store.put(oci::LAYER, b"content").unwrap(), blob);
        assert!(store.has(&blob));
    }

    #[test]
    fn a_blob_that_is_not_committed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut writer = store.writer().unwrap();
        writer.write_all(b"content").unwrap();
        drop(writer);
        assert_eq!(files(&folder.path().join("temporary")).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(files(&folder.path().join("blobs/sha256")).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn many_may_write_the_same_blob_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let content = vec![7; 1_000_000];
        let write = || {
            let store = Store::open(folder.path()).unwrap();
            let blob = store.put(oci::LAYER, &content).unwrap();
            assert!(store.has(&blob));
        };
        std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(write))));
        assert_eq!(files(&folder.path().join("blobs/sha256")).unwrap().len(), 1);
    }

    #[test]
    fn only_what_no_image_refers_to_is_removed_and_only_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let layer = store.put(oci::LAYER, b"used").unwrap();
        let unused = store.put(oci::LAYER, b"unused").unwrap();
        let image = crate::assemble::image(&store, std::collections::BTreeMap::new(), vec![layer.clone()]).unwrap();
        store.remember("references", "one/web", &image.digest).unwrap();
        store.remove_unused(Duration::from_hours(1)).unwrap();
        assert!(store.has(&unused));
        store.remove_unused(Duration::ZERO).unwrap();
        assert!(store.has(&layer) && store.manifest(&image.digest).is_ok());
        assert!(!store.has(&unused));
        store.forget("references", "one/web").unwrap();
        store.remove_unused(Duration::ZERO).unwrap();
        assert!(matches!(store.manifest(&image.digest), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_changed_file_is_read_again_and_an_unchanged_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, "one").unwrap();
        let first = Store::open(&folder.path().join("cache")).unwrap().digests().of_file(&file).unwrap();
        assert_eq!(first, digest::of_bytes(b"one"));
        fs::write(&file, "two").unwrap();
        let store = Store::open(&folder.path().join("cache")).unwrap();
        assert_eq!(store.digests().of_file(&file).unwrap(), digest::of_bytes(b"two"));
        assert!(store.digests().of_file(&folder.path().join("none")).is_err());
        let many = store.digests().of_files(&vec![file; 100]);
        assert!(many.into_iter().all(|digest| digest.unwrap() == digest::of_bytes(b"two")));
    }
}
