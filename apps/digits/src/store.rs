//! The folder in which trained models are kept.
//!
//! ```text
//! manifest.json                    names the newest version and the SHA-256 of its weights
//! versions/<version>/weights.bpk   the weights
//! versions/<version>/metrics.json  how well it does and how it was made
//! ```
//!
//! A version is complete before the manifest names it, and the manifest is replaced in one step. So a reader sees a
//! whole model or none, whenever the writer is killed. The version before the newest stays for a reader that has just
//! read the old manifest.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

const MANIFEST: &str = "manifest.json";
const WEIGHTS: &str = "weights.bpk";
const METRICS: &str = "metrics.json";
const FORMAT: u32 = 1;

/// What names the newest version.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    version: String,
    weights_sha256: String,
}

/// Why a model was not stored or not loaded.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be written.
    #[error("write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("read {}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The weights cannot be turned into a network or back.
    #[error("use the weights of version {version}")]
    Model {
        /// The version.
        version: String,
        /// What is wrong with them.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// A model that came out of the store: its weights, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept<M> {
    /// Its version, unlike that of every other model.
    pub version: String,
    /// The weights.
    pub weights: Vec<u8>,
    /// How it was made and how well it does.
    pub metrics: M,
}

/// A folder of models.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store in this folder, which need not be there yet.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The file that changes when there is a newer model: the one thing to watch.
    pub fn manifest_path(&self) -> PathBuf {
        self.folder.join(MANIFEST)
    }

    /// Puts a model in and makes it the newest. Returns its version.
    pub fn publish(&self, weights: &[u8], metrics: &impl Serialize) -> Result<String, StoreError> {
        let metrics = serde_json::to_vec_pretty(metrics).expect("metrics are plain data");
        let weights_sha256 = sha256(&[weights]);
        // Of both files, so that the same weights with other metrics are another version.
        let version = sha256(&[weights, &metrics])[..16].to_owned();
        let folder = self.folder.join("versions").join(&version);
        fs::create_dir_all(&folder).map_err(|source| StoreError::Write { path: folder.clone(), source })?;
        write_atomically(&folder.join(WEIGHTS), weights)?;
        write_atomically(&folder.join(METRICS), &metrics)?;
        let previous = self.manifest()?.map(|manifest| manifest.version);
        let manifest = Manifest { format: FORMAT, version: version.clone(), weights_sha256 };
        let manifest = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
        write_atomically(&self.manifest_path(), &manifest)?;
        self.remove_all_but(&[Some(version.as_str()), previous.as_deref()])?;
        Ok(version)
    }

    /// The newest model, or none if nothing was published yet.
    pub fn newest<M: DeserializeOwned>(&self) -> Result<Option<Kept<M>>, StoreError> {
        let Some(manifest) = self.manifest()? else { return Ok(None) };
        let Manifest { version, weights_sha256, .. } = manifest;
        let folder = self.folder.join("versions").join(&version);
        let path = folder.join(METRICS);
        let metrics = parse(&path, &read(&path)?)?;
        let path = folder.join(WEIGHTS);
        let weights = read(&path)?;
        if sha256(&[&weights]) != weights_sha256 {
            let reason = "its SHA-256 is not the one in the manifest".to_owned();
            return Err(StoreError::Corrupt { path, reason });
        }
        Ok(Some(Kept { version, weights, metrics }))
    }

    fn manifest(&self) -> Result<Option<Manifest>, StoreError> {
        let path = self.manifest_path();
        let bytes = match read(&path) {
            Err(StoreError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let manifest: Manifest = parse(&path, &bytes)?;
        if manifest.format == FORMAT {
            return Ok(Some(manifest));
        }
        let reason = format!("it has format {}, and this program reads format {FORMAT}", manifest.format);
        Err(StoreError::Corrupt { path, reason })
    }

    fn remove_all_but(&self, kept: &[Option<&str>]) -> Result<(), StoreError> {
        let folder = self.folder.join("versions");
        let failed = |source| StoreError::Write { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !kept.contains(&entry.file_name().to_str()) {
                fs::remove_dir_all(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Writes a file beside its place, makes sure it is on disk, and moves it there in one step.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let write = || {
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        // A temporary file is private; the server may be another user.
        #[cfg(unix)]
        file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| StoreError::Write { path: path.to_owned(), source })
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(|source| StoreError::Read { path: path.to_owned(), source })
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes)
        .map_err(|error| StoreError::Corrupt { path: path.to_owned(), reason: error.to_string() })
}

/// The SHA-256 of these bytes, one after the other, in lower-case hexadecimal digits.
pub fn sha256(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    let mut text = String::with_capacity(64);
    for byte in digest.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
