//! Where the files of a set are.

use std::path::{Path, PathBuf};

use crate::{Error, Examples, Name, Part, Split, read_images, read_labels};

/// A set whose four files are there. They are not opened yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    name: Name,
    folder: PathBuf,
    files: [[PathBuf; 2]; 2],
}

impl Located {
    /// The set.
    pub const fn name(&self) -> Name {
        self.name
    }

    /// The folder that holds the four files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One of the four files.
    pub fn path(&self, split: Split, part: Part) -> &Path {
        &self.files[split as usize][part as usize]
    }

    /// All four files, training first, images before labels.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().flatten().map(PathBuf::as_path)
    }

    /// Reads one half, every image with its label.
    pub fn read(&self, split: Split) -> Result<Examples, Error> {
        let (images_path, labels_path) = (self.path(split, Part::Images), self.path(split, Part::Labels));
        let images = read_images(images_path)?;
        let labels = read_labels(labels_path)?;
        if images.count != labels.len() {
            return Err(Error::Count {
                images_path: images_path.to_owned(),
                images: images.count,
                labels_path: labels_path.to_owned(),
                labels: labels.len(),
            });
        }
        Ok(Examples { images, labels })
    }
}

/// Finds the four files of a set in the first folder that holds them all.
///
/// Each folder is looked at for a folder with the set's name in it, and then for the files themselves; the latter not
/// if the folder is named after another set, because all sets name their files alike. A gzipped file is taken before a
/// plain one.
pub fn find(name: Name, folders: &[PathBuf]) -> Result<Located, Error> {
    let mut looked_in = Vec::new();
    let mut first_missing = Vec::new();
    for folder in folders.iter().flat_map(|folder| candidates(name, folder)) {
        match look(name, &folder) {
            Ok(located) => return Ok(located),
            Err(missing) if missing.len() < 4 && first_missing.is_empty() => first_missing = missing,
            Err(_) => {}
        }
        looked_in.push(folder);
    }
    Err(Error::NotFound { name, looked_in, missing: first_missing })
}

fn candidates(name: Name, folder: &Path) -> Vec<PathBuf> {
    let anothers = Name::ALL
        .into_iter()
        .any(|other| other != name && folder.file_name().is_some_and(|last| last == other.as_str()));
    let mut candidates = vec![folder.join(name.as_str())];
    if !anothers {
        candidates.push(folder.to_owned());
    }
    candidates
}

/// The files of the set in one folder, or the paths of those that are not there.
fn look(name: Name, folder: &Path) -> Result<Located, Vec<PathBuf>> {
    let mut missing = Vec::new();
    let files = Split::ALL.map(|split| {
        Part::ALL.map(|part| {
            let plain = folder.join(part.file_name(split));
            let packed = plain.with_extension("gz");
            if packed.is_file() {
                return packed;
            }
            if !plain.is_file() {
                missing.push(plain.clone());
            }
            plain
        })
    });
    if missing.is_empty() { Ok(Located { name, folder: folder.to_owned(), files }) } else { Err(missing) }
}
