//! Writes files so that readers see all of the old ones or all of the new ones.

use super::contents::Files;
use jiff::Timestamp;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

const CURRENT: &str = "..data";
const NEXT: &str = "..data_tmp";

/// Writes a volume's files: into a fresh folder, to which the link `..data` then turns at once; the files' names are links
/// through it. Returns whether anything was written: files that are there already stay as they are.
pub fn write(folder: &Path, files: &Files) -> io::Result<bool> {
    let before = fs::read_link(folder.join(CURRENT)).ok();
    if before.as_ref().is_some_and(|before| is_same(&folder.join(before), files)) {
        return Ok(false);
    }
    remove_others(folder, before.as_deref())?;
    let name = version(Timestamp::now());
    let fresh = folder.join(&name);
    make_folder(&fresh)?;
    for (path, file) in files {
        let path = fresh.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut options = fs::OpenOptions::new();
        let mut out = options.write(true).create_new(true).mode(file.mode).open(&path)?;
        io::Write::write_all(&mut out, &file.bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))?;
    }
    let _ = fs::remove_file(folder.join(NEXT));
    symlink(&name, folder.join(NEXT))?;
    fs::rename(folder.join(NEXT), folder.join(CURRENT))?;
    link_names(folder, files)?;
    remove_others(folder, Some(Path::new(&name)))?;
    Ok(true)
}

/// The name of a folder with one version of the files: the moment, and digits that no other one of that moment has.
fn version(at: Timestamp) -> String {
    let digits = RandomState::new().hash_one(at) % 10_000_000_000;
    format!("{}.{digits}", at.strftime("..%Y_%m_%d_%H_%M_%S"))
}

/// Removes the versions that nobody is led to: old ones, and what was left half written.
fn remove_others(folder: &Path, current: Option<&Path>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_version = name.to_string_lossy().starts_with("..") && entry.file_type()?.is_dir();
        if is_version && current != Some(Path::new(&name)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// A folder that everybody may read.
pub fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn link_names(folder: &Path, files: &Files) -> io::Result<()> {
    let first = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let names = files.keys().map(|path| first(path)).collect::<std::collections::BTreeSet<_>>();
    for name in &names {
        if fs::symlink_metadata(folder.join(name)).is_err() {
            symlink(Path::new(CURRENT).join(name), folder.join(name))?;
        }
    }
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !names.contains(name.as_ref()) {
            fs::remove_file(folder.join(name.as_ref()))?;
        }
    }
    Ok(())
}

fn is_same(folder: &Path, files: &Files) -> bool {
    count(folder).is_ok_and(|count| count == files.len())
        && files.iter().all(|(path, file)| {
            let path = folder.join(path);
            fs::metadata(&path).is_ok_and(|about| about.permissions().mode() & 0o777 == file.mode)
                && fs::read(&path).is_ok_and(|bytes| bytes == file.bytes)
        })
}

fn count(folder: &Path) -> io::Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files += if entry.file_type()?.is_dir() { count(&entry.path())? } else { 1 };
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::super::contents::File;
    use super::*;

    fn files(all: &[(&str, &str)]) -> Files {
        let file = |text: &str| File { bytes: text.as_bytes().to_vec(), mode: 0o640 };
        all.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").file_name());
        let mut names = entries.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>();
        names.sort();
        names
    }

    #[test]
    fn files_change_all_at_once_and_old_ones_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        assert!(write(path, &files(&[("a", "1"), ("deep/b", "2")])).expect("written"));
        assert_eq!(fs::read_to_string(path.join("deep/b")).expect("there"), "2");
        assert!(!write(path, &files(&[("a", "1"), ("deep/b", "2")])).expect("compared"), "nothing changed");
        assert!(write(path, &files(&[("a", "3"), ("c", "4")])).expect("written"));
        assert_eq!(fs::read_to_string(path.join("a")).expect("there"), "3");
        let version = fs::read_link(path.join(CURRENT)).expect("a link").to_string_lossy().into_owned();
        assert_eq!(names(path), [&version, "..data", "a", "c"]);
        assert!(write(path, &files(&[])).expect("written"));
        assert_eq!(names(path).len(), 2, "only the empty version");
    }

    #[test]
    fn a_version_is_named_after_its_moment() {
        let name = version("2026-01-02T03:04:05Z".parse().expect("a moment"));
        let digits = name.strip_prefix("..2026_01_02_03_04_05.").expect("the moment");
        assert!(digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
    }

    #[test]
    fn modes_are_kept_whatever_the_mask_is() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &files(&[("a", "1")])).expect("written");
        let mode = fs::metadata(folder.path().join("a")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }
}
