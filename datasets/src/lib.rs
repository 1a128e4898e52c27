//! Sets of small labelled images, by name, from IDX files in folders.
//!
//! A set is four files (images and labels, for training and for testing), each plain or gzipped. [`find`] looks for
//! them, [`Located::read`] reads and checks them. With the feature `download`, [`download`] fetches the original
//! files and keeps them only if their SHA-256 is the pinned one.

mod error;
mod find;
mod idx;
mod name;
mod origin;

#[cfg(feature = "download")]
mod download;

pub use error::Error;
pub use find::{Located, find};
pub use idx::{Examples, Images, read_images, read_labels};
pub use name::{Name, Part, Split, UnknownName};
pub use origin::{File, Origin};

#[cfg(feature = "download")]
pub use download::{DownloadError, download};
