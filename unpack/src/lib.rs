//! The file system of an image, unpacked from its layers into a folder, as the sandbox runs it.
//!
//! An image lies in `FOLDER/HEX`: its files in `rootfs`, its configuration as `config.json`. [`Unpacking`] makes that of the
//! layers, lowest first, by the rules of the OCI image format.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tar::{Archive, Entry};
use tempfile::TempDir;

/// What the name of a file begins with that stands for a removal, as the OCI image format has it.
const WHITEOUT: &str = ".wh.";
/// The file that stands for the removal of everything that lower layers have in its folder.
const OPAQUE: &str = ".wh..wh..opq";

/// An image cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
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

/// An image that is being unpacked. Dropped before its end it leaves nothing.
#[derive(Debug)]
pub struct Unpacking {
    fresh: TempDir,
    place: PathBuf,
}

impl Unpacking {
    /// Begins to unpack an image to `FOLDER/HEX`; `None` when it is there already. The folder is made where it is missing.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub fn begin(folder: &Path, hex: &str) -> Result<Option<Self>, UnpackError> {
        let place = folder.join(hex);
        if place.is_dir() {
            return Ok(None);
        }
        let failed = |source| UnpackError::File { path: place.clone(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let fresh = tempfile::Builder::new().prefix(".unpacking-").tempdir_in(folder).map_err(failed)?;
        fs::create_dir(fresh.path().join("rootfs")).map_err(failed)?;
        Ok(Some(Self { fresh, place }))
    }

    /// Lays the next layer on top. Files keep their modes, and their owners where this process may give files away.
    ///
    /// # Errors
    /// The layer is no tar archive, or is compressed in a way that is not known, or a file cannot be written.
    pub fn layer(&self, digest: &str, media_type: &str, blob: impl Read + 'static) -> Result<(), UnpackError> {
        let content: Box<dyn Read> = match media_type {
            "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => {
                Box::new(io::BufReader::new(blob))
            }
            "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
                Box::new(GzDecoder::new(blob))
            }
            other => return Err(UnpackError::MediaType { digest: digest.to_owned(), media_type: other.to_owned() }),
        };
        unpack_layer(content, &self.fresh.path().join("rootfs")).map_err(|source| self.failed(source))
    }

    /// Ends it with the image's configuration: the image appears in one step, whole.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn finish(self, config: &[u8]) -> Result<(), UnpackError> {
        let path = self.fresh.path();
        let written = fs::write(path.join("config.json"), config).and_then(|()| world_may_enter(path));
        match written.and_then(|()| fs::rename(path, &self.place)) {
            // Somebody else was faster; what is there has the same content.
            Err(_) if self.place.join("config.json").is_file() => Ok(()),
            Err(source) => Err(self.failed(source)),
            Ok(()) => {
                // It is not temporary any more, and has another name.
                let _ = self.fresh.keep();
                Ok(())
            }
        }
    }

    fn failed(&self, source: io::Error) -> UnpackError {
        UnpackError::File { path: self.place.clone(), source }
    }
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
///
/// # Errors
/// It cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
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
        fs::write(folder.path().join("beside"), "1").unwrap();
        let images = folder.path().join("images");
        let unpacking = Unpacking::begin(&images, "aa").unwrap().expect("it is not there yet");
        for bytes in layers {
            unpacking
                .layer("sha256:1", "application/vnd.oci.image.layer.v1.tar", io::Cursor::new(bytes.clone()))
                .unwrap();
        }
        unpacking.finish(br#"{"config":{"User":"7"}}"#).unwrap();
        assert!(Unpacking::begin(&images, "aa").unwrap().is_none(), "twice is once");
        assert_eq!(fs::read_dir(&images).unwrap().count(), 1, "nothing is left beside it");
        (folder, images.join("aa"))
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
        let (folder, _) = unpacked(&[layer(&[("../../../escaped", "1"), ("../../.wh.beside", "")])]);
        assert!(!folder.path().join("escaped").exists());
        assert!(folder.path().join("beside").is_file());
    }

    #[test]
    fn what_is_given_up_or_not_known_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let unpacking = Unpacking::begin(folder.path(), "aa").unwrap().expect("it is not there yet");
        let told = unpacking.layer("sha256:1", "text/plain", io::empty()).unwrap_err().to_string();
        assert_eq!(told, "unpack the layer sha256:1: its media type text/plain is not known");
        drop(unpacking);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn of_two_that_unpack_the_same_image_both_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = [0, 1].map(|_| Unpacking::begin(folder.path(), "aa").unwrap().expect("it is not there yet"));
        one.finish(b"{}").unwrap();
        other.finish(b"{}").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
