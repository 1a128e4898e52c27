use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Error;

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path: path.clone(), source }
}

/// Where the file really is: symbolic links are followed, also one that leads to nothing yet.
pub(super) fn target(path: &Path) -> Result<PathBuf, Error> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_link(path) {
            Ok(leads_to) => Ok(path.parent().unwrap_or(Path::new("/")).join(leads_to)),
            Err(_) => Ok(path.to_owned()),
        },
        found => found.map_err(failed("find", path)),
    }
}

/// The file's text, if there is one.
pub(super) fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(Error::Broken { path: path.to_owned(), reason: "it is not text in UTF-8".to_owned() })
        }
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Makes the folder of a file, readable by its owner only.
pub(super) fn make_folder(path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    let Some(folder) = folder else { return Ok(()) };
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
    builder.create(folder).map_err(failed("make", folder))
}

/// Replaces the file's text in one step. Mode and owner stay; a new file can be read by its owner only.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let failed = failed("write", path);
    make_folder(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = NamedTempFile::new_in(folder).map_err(&failed)?;
    if let Ok(old) = fs::metadata(path) {
        let made = new.as_file().metadata().map_err(&failed)?;
        if (old.uid(), old.gid()) != (made.uid(), made.gid()) {
            chown(new.path(), Some(old.uid()), Some(old.gid())).map_err(&failed)?;
        }
        new.as_file().set_permissions(Permissions::from_mode(old.mode())).map_err(&failed)?;
    }
    new.write_all(text.as_bytes()).map_err(&failed)?;
    new.as_file().sync_all().map_err(&failed)?;
    new.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Removes the file.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(failed("remove", path))
}

/// Removes the file's folder when that is an empty `.kube`.
pub(super) fn remove_empty_folder(path: &Path) {
    if let Some(folder) = path.parent().filter(|folder| folder.ends_with(".kube")) {
        // It stays when something is in it.
        let _ = fs::remove_dir(folder);
    }
}
