//! A copy of an image, for machines where no layer can be put over it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::path::Path;

/// Copies a folder with all below it: files, folders and links, with modes and, as far as allowed, owners.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if metadata.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if metadata.is_file() {
        fs::copy(from, to)?;
    } else {
        // Devices and the like: no image needs them, and nobody here may make them.
        return Ok(());
    }
    let _ = lchown(to, Some(metadata.uid()), Some(metadata.gid()));
    if !metadata.is_symlink() {
        // After the owner, since a change of that takes some bits away.
        fs::set_permissions(to, metadata.permissions())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_links_and_modes_are_copied() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("runtime-copy-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::create_dir_all(from.join("bin")).expect("a folder");
        fs::write(from.join("bin/tool"), "text").expect("a file");
        fs::set_permissions(from.join("bin/tool"), fs::Permissions::from_mode(0o4755)).expect("a mode");
        symlink("../nowhere", from.join("bin/link")).expect("a link");
        copy(&from, &to).expect("copied");
        assert_eq!(fs::metadata(to.join("bin/tool")).expect("there").mode() & 0o7777, 0o4755);
        assert_eq!(fs::read_link(to.join("bin/link")).expect("there"), Path::new("../nowhere"));
        fs::remove_dir_all(folder).expect("removed");
    }
}
