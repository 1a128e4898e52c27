use std::fs;
use std::path::PathBuf;

use datasets::{Examples, Images, Name, Split, find};
use digits::{Random, StoreError};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::shared::{Shared, checked, read_json, write_json};

/// How a data set was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Name of the data set.
    pub dataset: String,
    /// Seed of the order of the images.
    pub seed: u64,
    /// The parts, the first with number 0.
    pub parts: Vec<CutPart>,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutPart {
    /// Number of its images.
    pub images: usize,
    /// The SHA-256 of its images and their classes.
    pub sha256: String,
}

impl Cut {
    /// The cut of a shared folder into so many parts.
    pub(crate) fn read(shared: &Shared, workers: usize) -> Result<Self, Failure> {
        let unfit = |reason: String| Failure::Unfit { what: "the parts".to_owned(), reason };
        let cut: Self =
            read_json(&shared.cut_path())?.ok_or_else(|| unfit("the data set was not cut yet".to_owned()))?;
        if cut.parts.len() == workers {
            return Ok(cut);
        }
        Err(unfit(format!("the data set was cut into {} parts, and {workers} workers want one each", cut.parts.len())))
    }
}

/// The sizes of so many parts: they differ by one at most, and the larger ones are first.
pub fn sizes(images: usize, parts: usize) -> Vec<usize> {
    (0..parts).map(|part| images / parts + usize::from(part < images % parts)).collect()
}

/// Cuts the training images of a data set into parts, in an order that the seed gives. Cutting again gives the same.
///
/// Each image is in one part only. What was learned from parts that there are no more is removed.
pub fn cut(shared: &Shared, name: Name, folders: &[PathBuf], workers: usize, seed: u64) -> Result<Cut, Failure> {
    let located = find(name, folders).map_err(Failure::Dataset)?;
    let Examples { images, labels } = located.read(Split::Train).map_err(Failure::Dataset)?;
    let all = checked(images, labels)?;
    println!("data set {name} from {}: {} training images", located.folder().display(), all.len());
    if all.len() < workers {
        return Err(Failure::TooFew { images: all.len(), workers });
    }
    let path = shared.cut_path();
    let folder = path.parent().unwrap_or(&path).to_owned();
    fs::create_dir_all(&folder).map_err(|source| StoreError::Write { path: folder, source })?;
    let order = Random::new(seed).permutation(all.len());
    let mut rest = order.as_slice();
    let mut parts = Vec::new();
    for (number, size) in sizes(all.len(), workers).into_iter().enumerate() {
        let (indices, others) = rest.split_at(size);
        rest = others;
        let part = chosen(&all, indices);
        println!("part {number}: {} images", part.len());
        parts.push(CutPart { images: part.len(), sha256: shared.write_part(number, &part)? });
    }
    shared.forget_models(workers)?;
    let cut = Cut { dataset: name.to_string(), seed, parts };
    write_json(&path, &cut)?;
    Ok(cut)
}

/// Some of the examples.
fn chosen(all: &Examples, indices: &[usize]) -> Examples {
    let pixels = indices.iter().flat_map(|&index| all.images.image(index)).copied().collect();
    let labels = indices.iter().map(|&index| all.labels[index]).collect();
    let Images { rows, columns, .. } = all.images;
    Examples { images: Images { count: indices.len(), rows, columns, pixels }, labels }
}
