//! An image of the store, unpacked into a folder.

use std::io::Read;
use std::path::Path;

use ::unpack::Unpacking;

use crate::oci::{Descriptor, Manifest};
use crate::store::{Store, StoreError};

/// An image cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its files.
    #[error(transparent)]
    Files(#[from] ::unpack::UnpackError),
}

/// Unpacks an image to `FOLDER/HEX`, with its files in `rootfs` and its configuration as `config.json`; returns `HEX`, the digest of
/// its manifest. The image appears in one step, whole; one that is there already is left as it is.
pub(crate) fn unpack(
    store: &Store,
    manifest: &Manifest,
    descriptor: &Descriptor,
    folder: &Path,
) -> Result<String, UnpackError> {
    let hex = descriptor.digest.trim_start_matches("sha256:").to_owned();
    let Some(unpacking) = Unpacking::begin(folder, &hex)? else { return Ok(hex) };
    for layer in &manifest.layers {
        unpacking.layer(&layer.digest, &layer.media_type, store.open_blob(layer)?)?;
    }
    let mut config = Vec::new();
    let path = store.path(&manifest.config.digest);
    let read = store.open_blob(&manifest.config)?.read_to_end(&mut config);
    read.map_err(|source| StoreError::Read { path, source })?;
    unpacking.finish(&config)?;
    Ok(hex)
}
