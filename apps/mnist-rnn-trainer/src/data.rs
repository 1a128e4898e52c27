//! The images: found, read and checked.

use datasets::{Examples, Located, Split, find};
use mnist_rnn_model::{SIDE, sha256};

use crate::arguments::Train;
use crate::report::Failure;

/// What a run learns from and is judged by.
#[derive(Debug)]
pub struct Data {
    pub train: Examples,
    pub test: Examples,
    /// Differs when the images that are learned from differ.
    pub fingerprint: String,
}

/// Reads both halves, cut to the limits.
pub fn load(arguments: &Train) -> Result<Data, Failure> {
    let located = find(arguments.dataset, std::slice::from_ref(&arguments.data)).map_err(Failure::Dataset)?;
    println!("data set {} from {}", located.name(), located.folder().display());
    // Unpacking is a good part of a second on a slow core, and the halves are independent.
    let (train, test) = std::thread::scope(|scope| {
        let test = scope.spawn(|| read(&located, Split::Test, arguments.test_limit));
        let train = read(&located, Split::Train, arguments.train_limit);
        (train, test.join().expect("reading does not panic"))
    });
    let (train, test) = (train?, test?);
    let fingerprint = sha256(&[&train.images.pixels, &train.labels]);
    Ok(Data { train, test, fingerprint })
}

fn read(located: &Located, split: Split, limit: Option<u32>) -> Result<Examples, Failure> {
    let mut examples = located.read(split).map_err(Failure::Dataset)?;
    let (rows, columns) = (examples.images.rows, examples.images.columns);
    if (rows, columns) != (SIDE, SIDE) {
        return Err(Failure::Size { dataset: located.name(), rows, columns });
    }
    if let Some(limit) = limit {
        examples.truncate(limit as usize);
    }
    Ok(examples)
}
