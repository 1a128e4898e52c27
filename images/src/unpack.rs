//! The file system of an image, unpacked into a folder.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tar::{Archive, Entry};

use crate::oci::{self, Descriptor, Manifest};
use crate::store::{Store, StoreError};

/// What the name of a file begins with that stands for a removal, as the OCI image format has it.
const WHITEOUT: &str = ".wh.";
/// The file that stands for the removal of everything that lower layers have in its folder.
const OPAQUE: &str = ".wh..wh..opq";

/// An image cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read or written.
    #[error("unpack an image into {}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layer in a form that is not known here.
    #[error("unpack the layer {digest}: its media type {media_type} is not known")]
    MediaType {
        /// The layer.
        digest: String,
        /// What it is said to be.
        media_type: String,
    },
}

/// Unpacks an image to `FOLDER/HEX`, with its files in `rootfs` and its configuration as `config.json`; returns `HEX`, the digest of
/// its manifest. The image appears in one step, whole; one that is there already is left as it is.
///
/// Files keep their modes, and their owners where this process may give files away.
pub(crate) fn unpack(
    store: &Store,
    manifest: &Manifest,
    descriptor: &Descriptor,
    folder: &Path,
) -> Result<String, UnpackError> {
    let hex = descriptor.digest.trim_start_matches("sha256:").to_owned();
    let place = folder.join(&hex);
    if place.is_dir() {
        return Ok(hex);
    }
    let failed = |source| UnpackError::File { path: place.clone(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let fresh = tempfile::Builder::new().prefix(".unpacking-").tempdir_in(folder).map_err(failed)?;
    let root = fresh.path().join("rootfs");
    fs::create_dir(&root).map_err(failed)?;
    for layer in &manifest.layers {
        let blob = store.open_blob(layer)?;
        let content: Box<dyn Read> = match layer.media_type.as_str() {
            oci::LAYER | "application/vnd.docker.image.rootfs.diff.tar" => Box::new(io::BufReader::new(blob)),
            oci::LAYER_GZIP | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Box::new(GzDecoder::new(blob)),
            other => {
                return Err(UnpackError::MediaType { digest: layer.digest.clone(), media_type: other.to_owned() });
            }
        };
        unpack_layer(content, &root).map_err(failed)?;
    }
    let mut config = store.open_blob(&manifest.config)?;
    let mut text = Vec::new();
    config.read_to_end(&mut text).and_then(|_| fs::write(fresh.path().join("config.json"), text)).map_err(failed)?;
    world_may_enter(fresh.path()).map_err(failed)?;
    fs::rename(fresh.keep(), &place).map_err(failed)?;
    Ok(hex)
}

/// A temporary folder is its owner's alone; the users of containers must get into this one.
fn world_may_enter(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for path in [folder, &folder.join("rootfs")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn unpack_layer(content: Box<dyn Read>, root: &Path) -> io::Result<()> {
    let mut archive = Archive::new(content);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(rustix::process::geteuid().is_root());
    archive.set_overwrite(true);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !whiteout(&entry, root)? {
            // Entries that lead out of the root are passed over by `unpack_in`.
            entry.unpack_in(root)?;
        }
    }
    Ok(())
}

/// Carries a removal out, if the entry stands for one.
fn whiteout(entry: &Entry<'_, Box<dyn Read>>, root: &Path) -> io::Result<bool> {
    let path = entry.path()?.into_owned();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(removed) = name.strip_prefix(WHITEOUT) else { return Ok(false) };
    let Some(parent) = inside(root, path.parent().unwrap_or(Path::new(""))) else { return Ok(true) };
    if name == OPAQUE {
        for child in fs::read_dir(&parent).into_iter().flatten() {
            remove(&child?.path())?;
        }
    } else if !matches!(removed, "" | "." | "..") {
        remove(&parent.join(removed))?;
    }
    Ok(true)
}

/// The folder below the root, if it is there and no link leads out of it.
fn inside(root: &Path, below: &Path) -> Option<PathBuf> {
    let (root, found) = (root.canonicalize().ok()?, root.join(below.strip_prefix("/").unwrap_or(below)));
    found.canonicalize().ok().filter(|found| found.starts_with(&root))
}

/// Removes a file or a whole folder, which need not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tar::{Builder, EntryType, Header};

    use super::*;

    fn layer(files: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = Header::new_gnu();
            header.set_mode(0o640);
            header.set_size(text.len() as u64);
            header.set_uid(rustix::process::geteuid().as_raw().into());
            header.set_gid(rustix::process::getegid().as_raw().into());
            header.set_entry_type(EntryType::Regular);
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            archive.append(&header, text.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn unpacked(layers: &[Vec<u8>]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let config = store.put(oci::CONFIG, br#"{"config":{"User":"7"}}"#).unwrap();
        let layers = layers.iter().map(|bytes| store.put(oci::LAYER, bytes).unwrap()).collect();
        let manifest = Manifest::new(config, layers);
        let descriptor = store.put(oci::MANIFEST, &serde_json::to_vec(&manifest).unwrap()).unwrap();
        let images = folder.path().join("images");
        let hex = unpack(&store, &manifest, &descriptor, &images).unwrap();
        assert_eq!(unpack(&store, &manifest, &descriptor, &images).unwrap(), hex, "twice is once");
        let place = images.join(hex);
        (folder, place)
    }

    #[test]
    fn layers_lie_on_top_of_each_other_and_whiteouts_remove_what_lies_below() {
        let (_folder, place) = unpacked(&[
            layer(&[("a/kept", "1"), ("a/gone", "1"), ("b/old", "1"), ("changed", "1")]),
            layer(&[("a/.wh.gone", ""), ("b/.wh..wh..opq", ""), ("b/new", "2"), ("changed", "2")]),
        ]);
        let root = place.join("rootfs");
        let text = |path: &str| fs::read_to_string(root.join(path)).ok();
        assert_eq!([text("a/kept"), text("changed"), text("b/new")].map(Option::unwrap), ["1", "2", "2"]);
        assert_eq!([text("a/gone"), text("b/old"), text("a/.wh.gone")], [None, None, None]);
        assert_eq!(fs::metadata(root.join("changed")).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(place.join("config.json").is_file());
    }

    #[test]
    fn nothing_is_written_or_removed_outside_the_root() {
        let (folder, _) = unpacked(&[layer(&[("../../../escaped", "1"), ("../../.wh.store", "")])]);
        assert!(!folder.path().join("escaped").exists());
        assert!(folder.path().join("store").is_dir());
    }
}
