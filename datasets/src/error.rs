//! What can be wrong with a set on disk.

use std::io;
use std::path::PathBuf;

use crate::{Name, UnknownName};

/// Why a set was not found or not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name stands for no set.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// No folder holds all four files.
    #[error("find the data set {name}: {}", describe_missing(looked_in, missing))]
    NotFound {
        /// The set that was looked for.
        name: Name,
        /// Every folder that was looked into.
        looked_in: Vec<PathBuf>,
        /// The files that lack in the folder that holds some of them; empty if none holds any.
        missing: Vec<PathBuf>,
    },
    /// The operating system refused.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The file starts like gzip and is not, or is damaged.
    #[error("unpack {}: the gzip data is damaged; fetch the file again", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// Where the decoder stopped.
        #[source]
        source: io::Error,
    },
    /// The file is of another kind.
    #[error(
        "read {}: it starts with {found:#010x}, and an IDX file of {what} starts with {expected:#010x}",
        path.display()
    )]
    Magic {
        /// The file.
        path: PathBuf,
        /// What was to be read.
        what: &'static str,
        /// The first four bytes such a file has.
        expected: u32,
        /// The first four bytes it has.
        found: u32,
    },
    /// The file ends before what it announces.
    #[error("read {}: it holds {found} of {expected} bytes; the file is cut off", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// The length its header announces, in bytes, unpacked.
        expected: u64,
        /// The length it has, in bytes, unpacked.
        found: u64,
    },
    /// The file goes on after what it announces.
    #[error("read {}: more follows after the {expected} bytes that its header announces", path.display())]
    Trailing {
        /// The file.
        path: PathBuf,
        /// The length its header announces, in bytes, unpacked.
        expected: u64,
    },
    /// The header announces nothing at all.
    #[error("read {}: its header announces {count} images of {rows} x {columns} pixels", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Announced number of images or labels.
        count: usize,
        /// Announced rows of an image, in pixels.
        rows: usize,
        /// Announced columns of an image, in pixels.
        columns: usize,
    },
    /// The header announces more than any of these sets holds.
    #[error("read {}: its header announces {announced} bytes, more than the {limit} that are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The length its header announces, in bytes.
        announced: u128,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// A label stands for no class.
    #[error("read {}: label {index} is {found}, and labels go from 0 to 9", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// Which label, counted from 0.
        index: usize,
        /// Its value.
        found: u8,
    },
    /// Images and labels do not belong together.
    #[error("pair {images} images of {} with {labels} labels of {}", images_path.display(), labels_path.display())]
    Count {
        /// The file of images.
        images_path: PathBuf,
        /// Number of images.
        images: usize,
        /// The file of labels.
        labels_path: PathBuf,
        /// Number of labels.
        labels: usize,
    },
}

fn describe_missing(looked_in: &[PathBuf], missing: &[PathBuf]) -> String {
    let list = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    if missing.is_empty() {
        format!("none of its files is in {}", list(looked_in))
    } else {
        format!("{} missing, plain or as .gz", list(missing))
    }
}
