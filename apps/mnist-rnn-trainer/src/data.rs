//! The images: found, fetched if asked for, read and checked.

use std::path::Path;

use datasets::{Examples, Located, Name, Split, find};
use mnist_rnn_model::{SIDE, sha256};

use crate::arguments::{Download, Train};
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
    let located = locate(arguments)?;
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

fn locate(arguments: &Train) -> Result<Located, Failure> {
    let folders = [arguments.data.clone()];
    let found = find(arguments.dataset, &folders);
    if found.is_ok() || !arguments.download {
        return found.map_err(Failure::Dataset);
    }
    fetch_into(arguments.dataset, &arguments.data, arguments.mirror.as_deref(), None)?;
    find(arguments.dataset, &folders).map_err(Failure::Dataset)
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

/// Fetches a data set and does nothing with it.
pub fn fetch(arguments: &Download) -> Result<(), Failure> {
    fetch_into(arguments.dataset, &arguments.data, arguments.mirror.as_deref(), arguments.only)
}

fn fetch_into(name: Name, data: &Path, mirror: Option<&str>, only: Option<Split>) -> Result<(), Failure> {
    let mut origin = name.origin();
    if let Some(mirror) = mirror {
        origin.mirrors = vec![if mirror.ends_with('/') { mirror.to_owned() } else { format!("{mirror}/") }];
    }
    origin.files.retain(|file| only.is_none_or(|split| file.split == split));
    let folder = data.join(name.as_str());
    println!("fetching {name} from {}", origin.mirrors.join(" or "));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::System { doing: "start the network runtime", source })?;
    let paths = runtime.block_on(datasets::download(&origin, &folder)).map_err(Failure::Download)?;
    for path in paths {
        println!("fetched {}", path.display());
    }
    Ok(())
}
