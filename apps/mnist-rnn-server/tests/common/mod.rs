//! What the tests share: a trained model, carried digits, and a plain HTTP client.
#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

mod request;

use std::path::{Path, PathBuf};

use datasets::{Examples, Name, Split, find};

pub use request::request;

/// The folder of a model that the trainer made with its default flags.
pub fn model_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model")
}

/// The first test digits that the project carries.
pub fn digits(count: usize) -> Examples {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    let located = find(Name::Mnist, &[folder]).expect("the project carries MNIST");
    let mut examples = located.read(Split::Test).expect("the files are whole");
    examples.truncate(count);
    examples
}
