use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use datasets::{Examples, Images, read_images, read_labels};
use digits::{SIDE, Store, StoreError, sha256, write_atomically};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// The folder in which the programs meet.
///
/// ```text
/// parts/parts.json                   how the data set was cut
/// parts/part-<n>-images-idx3-ubyte   the images of a part, in the format of the data set itself
/// parts/part-<n>-labels-idx1-ubyte   their classes
/// models/part-<n>/                   the model of a part
/// model/                             the average of all models
/// ```
///
/// Every file appears whole, and `parts.json` after those that it tells of.
#[derive(Debug, Clone)]
pub struct Shared(PathBuf);

impl Shared {
    /// The shared folder, which need not be there yet.
    pub const fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Where the average of all models is kept.
    pub fn model(&self) -> Store {
        Store::new(self.0.join("model"))
    }

    /// Where the model of a part is kept.
    pub fn part_model(&self, part: usize) -> Store {
        Store::new(self.0.join("models").join(format!("part-{part}")))
    }

    /// The file that tells how the data set was cut.
    pub(crate) fn cut_path(&self) -> PathBuf {
        self.0.join("parts/parts.json")
    }

    /// The files with the images of a part, and with their classes.
    pub(crate) fn part_paths(&self, part: usize) -> [PathBuf; 2] {
        ["images-idx3-ubyte", "labels-idx1-ubyte"].map(|name| self.0.join(format!("parts/part-{part}-{name}")))
    }

    /// Writes a part; returns what it is known by.
    pub(crate) fn write_part(&self, part: usize, examples: &Examples) -> Result<String, StoreError> {
        let sizes = [examples.len(), examples.images.rows, examples.images.columns];
        let [images, labels] = self.part_paths(part);
        write_atomically(&images, &idx(0x0803, &sizes, &examples.images.pixels))?;
        write_atomically(&labels, &idx(0x0801, &sizes[..1], &examples.labels))?;
        Ok(fingerprint(examples))
    }

    /// Reads a part and makes sure that it is the one that is known by this.
    pub(crate) fn read_part(&self, part: usize, known_by: &str) -> Result<Examples, Failure> {
        let [images, labels] = self.part_paths(part);
        let images = read_images(&images).map_err(Failure::Dataset)?;
        let examples = checked(images, read_labels(&labels).map_err(Failure::Dataset)?)?;
        if examples.len() != examples.images.count || fingerprint(&examples) != known_by {
            let reason = "its files are not those that were cut".to_owned();
            return Err(Failure::Unfit { what: format!("part {part}"), reason });
        }
        Ok(examples)
    }

    /// Removes the models of parts that there are no more.
    pub(crate) fn forget_models(&self, from_part: usize) -> Result<(), StoreError> {
        let folder = self.0.join("models");
        let failed = |source| StoreError::Write { path: folder.clone(), source };
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let part: Option<usize> = entry.file_name().to_str().and_then(|it| it.strip_prefix("part-")?.parse().ok());
            if part.is_some_and(|part| part >= from_part) {
                fs::remove_dir_all(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Images of the size that the network reads, with their classes.
pub fn checked(images: Images, labels: Vec<u8>) -> Result<Examples, Failure> {
    let (rows, columns) = (images.rows, images.columns);
    if (rows, columns) == (SIDE, SIDE) { Ok(Examples { images, labels }) } else { Err(Failure::Size { rows, columns }) }
}

/// Differs when the images or their classes differ.
fn fingerprint(examples: &Examples) -> String {
    sha256(&[&examples.images.pixels, &examples.labels])
}

/// A file in the format of the data set: its kind, its sizes, its bytes.
fn idx(kind: u32, sizes: &[usize], bytes: &[u8]) -> Vec<u8> {
    let sizes = sizes.iter().map(|&size| u32::try_from(size).expect("the data set's own sizes are of this kind"));
    let header = std::iter::once(kind).chain(sizes).flat_map(u32::to_be_bytes);
    header.chain(bytes.iter().copied()).collect()
}

/// Writes what a program tells another one.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    write_atomically(path, &serde_json::to_vec_pretty(value).expect("it is plain data"))
}

/// Reads what another program told; none where it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let bytes = match digits::read(path) {
        Err(StoreError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|error| StoreError::Corrupt { path: path.to_owned(), reason: error.to_string() })
}
