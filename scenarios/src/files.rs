//! Files that a scenario names: read as text, or found by a pattern.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::problems::Problems;
use crate::report::Problem;

/// A file that is larger is not read: a manifest is written by people or tools, not by accident.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Folders nested deeper are not looked into, so that a circle of links ends.
const MAX_DEPTH: usize = 16;
/// More files and folders are not looked through: somebody has named the wrong folder.
const MAX_ENTRIES: usize = 20_000;

/// Reads a text file; notes why where it cannot be read.
pub(crate) fn read_text(path: &Path, problems: &mut Problems) -> Option<String> {
    let bytes = match fs::metadata(path).map(|metadata| metadata.len()) {
        Ok(length) if length > MAX_BYTES => {
            let message = format!("this file is {} MB large; at most {} MB are read", length >> 20, MAX_BYTES >> 20);
            problems.add(Problem::of_file(path, message, None));
            return None;
        }
        _ => fs::read(path),
    };
    match bytes.map(String::from_utf8) {
        Ok(Ok(text)) => Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Ok(Err(error)) => {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].split(|byte| *byte == b'\n').count();
            let help = Some("save it as UTF-8 text".to_owned());
            problems.add(Problem::of_file(path, format!("line {line} is not UTF-8 text"), help));
            None
        }
        Err(error) => {
            problems.add(Problem::of_file(path, format!("this file cannot be read: {}", reason(&error)), None));
            None
        }
    }
}

/// The cause of an error of the file system, without the number that the operating system has for it.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Why a pattern leads to no file.
#[derive(Debug, PartialEq)]
pub(crate) enum NotFound {
    /// There is no such file or folder; perhaps there is one with nearly this name.
    Missing(Option<String>),
    /// There is nothing in the folder, or nothing that the pattern matches.
    Nothing(&'static str),
    /// There is far more in the folder than a scenario's manifests.
    TooMany,
    /// The pattern itself is wrong.
    Pattern(String),
}

/// The manifest files that a file's name, a folder's name or a pattern with `*` means, relative to `folder`, in the order of
/// their names. A folder means all manifests in it and in the folders below.
pub(crate) fn manifests(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, NotFound> {
    if pattern.contains(['*', '?', '[', '{']) {
        return matching(folder, pattern);
    }
    let path = folder.join(pattern);
    if path.is_dir() {
        let files = below(&path)?.into_iter().filter(|file| is_manifest(file)).collect::<Vec<_>>();
        return if files.is_empty() {
            Err(NotFound::Nothing("this folder holds no manifest (`.yaml`, `.yml` or `.json`)"))
        } else {
            Ok(files)
        };
    }
    if path.is_file() { Ok(vec![path]) } else { Err(NotFound::Missing(neighbour(folder, pattern))) }
}

/// The files that a pattern matches. `*` stays inside of one folder, `**` does not.
fn matching(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, NotFound> {
    let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build();
    let glob = glob.map_err(|error| NotFound::Pattern(error.kind().to_string()))?.compile_matcher();
    // The part before the first special character is a plain folder, which may lead out of the scenario's own.
    let plain: Vec<&str> = pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '{'])).collect();
    let base = plain.join("/");
    let root = if base.is_empty() && pattern.starts_with('/') { PathBuf::from("/") } else { folder.join(&base) };
    let found = below(&root)?.into_iter().filter(|file| {
        let relative = file.strip_prefix(&root).unwrap_or(file);
        is_manifest(file) && glob.is_match(Path::new(&base).join(relative))
    });
    let files: Vec<PathBuf> = found.collect();
    if files.is_empty() { Err(NotFound::Nothing("no manifest matches this pattern")) } else { Ok(files) }
}

/// Whether a file is taken for a manifest by its name.
pub(crate) fn is_manifest(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    !hidden
        && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

/// All files in a folder and below, in the order of their names. What cannot be listed holds nothing.
fn below(folder: &Path) -> Result<Vec<PathBuf>, NotFound> {
    let mut files = Vec::new();
    let mut seen = 0;
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = fs::read_dir(folder).into_iter().flatten();
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            seen += 1;
            if seen > MAX_ENTRIES {
                return Err(NotFound::TooMany);
            }
            if !path.is_dir() {
                files.push(path);
            } else if depth < MAX_DEPTH {
                folders.push((path, depth + 1));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// A file or folder beside the missing one that has nearly its name, written the way the missing one was.
pub(crate) fn neighbour(folder: &Path, missing: &str) -> Option<String> {
    let path = folder.join(missing);
    let name = path.file_name()?.to_str()?;
    let entries = fs::read_dir(path.parent()?).ok()?;
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    let nearest = crate::problems::nearest(name, names.iter().map(String::as_str))?;
    let before = missing.trim_end_matches('/').strip_suffix(name).unwrap_or_default();
    Some(format!("{before}{nearest}"))
}

/// A path for a person to read: without detours through `..`. Not for opening, because a link may lead elsewhere.
pub(crate) fn shown(path: &Path) -> String {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(parts.components().next_back(), Some(Component::Normal(_))) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.as_os_str().is_empty() { ".".to_owned() } else { parts.display().to_string() }
}
