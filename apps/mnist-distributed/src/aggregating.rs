use std::path::PathBuf;

use burn::tensor::Device;
use datasets::{Examples, Name, Split, find};
use digits::{Kept, Store, StoreError, sha256};
use serde::{Deserialize, Serialize};

use crate::cutting::Cut;
use crate::failure::Failure;
use crate::network::Network;
use crate::settings::Settings;
use crate::shared::{Shared, checked};
use crate::training::Learned;

/// How the average of all models was made, and how well it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aggregated {
    /// Name of the data set.
    pub dataset: String,
    /// Number of workers.
    pub workers: usize,
    /// What the trainings were made with.
    pub settings: Settings,
    /// Number of images that were learned from, over all parts.
    pub train_images: usize,
    /// Number of images of the test.
    pub test_images: usize,
    /// Part of the test images that the average recognises, 0 to 1.
    pub test_accuracy: f64,
    /// Time spent on learning, in seconds: that of the slowest worker.
    pub train_seconds: f64,
    /// The SHA-256 of the weights: equal for equal settings, on the same kind of processor.
    pub weights_sha256: String,
    /// Each part in turn.
    pub parts: Vec<Judged>,
}

/// The model of one part, on the same test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Number of images that it learned from.
    pub images: usize,
    /// Part of the test images that it recognises, 0 to 1.
    pub test_accuracy: f64,
}

/// Averages the models of all parts, measures each and the average on the test images, and keeps the average.
///
/// Every model must be of these settings and of the parts that there are: one that an earlier run left is refused.
pub fn aggregate(shared: &Shared, name: Name, folders: &[PathBuf], settings: Settings) -> Result<Aggregated, Failure> {
    let cut = Cut::read(shared, settings.workers)?;
    let models =
        (0..settings.workers).map(|part| model(shared, part, settings, &cut)).collect::<Result<Vec<_>, _>>()?;
    let Examples { images, labels } =
        find(name, folders).and_then(|it| it.read(Split::Test)).map_err(Failure::Dataset)?;
    let test = checked(images, labels)?;
    let judged = models
        .iter()
        .map(|(network, learned)| Judged { images: learned.images, test_accuracy: network.accuracy(&test) });
    let parts: Vec<Judged> = judged.collect();
    let weighted: Vec<(Network, usize)> =
        models.iter().map(|(network, learned)| (network.clone(), learned.images)).collect();
    let mean = Network::mean(&weighted, &Device::flex());
    let weights = mean.to_bytes()?;
    let aggregated = Aggregated {
        dataset: cut.dataset,
        workers: settings.workers,
        settings,
        train_images: parts.iter().map(|part| part.images).sum(),
        test_images: test.len(),
        test_accuracy: mean.accuracy(&test),
        train_seconds: models.iter().map(|(_, learned)| learned.train_seconds).fold(0.0, f64::max),
        weights_sha256: sha256(&[&weights]),
        parts,
    };
    let version = shared.model().publish(&weights, &aggregated)?;
    print!("{}", aggregated.table());
    println!("model {version} is the average");
    Ok(aggregated)
}

/// The model of a part, if it is the one that is wanted.
fn model(shared: &Shared, part: usize, settings: Settings, cut: &Cut) -> Result<(Network, Learned), Failure> {
    let unfit = |reason: &str| Failure::Unfit { what: format!("the model of part {part}"), reason: reason.to_owned() };
    let kept = shared.part_model(part).newest::<Learned>()?.ok_or_else(|| unfit("it was not trained yet"))?;
    let Kept { version, weights, metrics: learned } = kept;
    if learned.settings != settings {
        return Err(unfit("it was trained with other settings"));
    }
    if learned.part_sha256 != cut.parts[part].sha256 {
        return Err(unfit("it was trained on another part"));
    }
    Ok((Network::from_bytes(weights, &version, &Device::flex())?, learned))
}

impl Aggregated {
    /// What a person reads: each part, and the average.
    pub fn table(&self) -> String {
        let line = |name: &str, images: usize, accuracy: f64| format!("{name:<10} {images:>8} {accuracy:>16.4}\n");
        let parts = self.parts.iter().enumerate();
        let parts = parts.map(|(number, part)| line(&format!("part {number}"), part.images, part.test_accuracy));
        format!("{:<10} {:>8} {:>16}\n", "model", "images", "test accuracy")
            + &parts.collect::<String>()
            + &line("average", self.train_images, self.test_accuracy)
    }
}

/// The newest average of a store, with how it was made; none where there is none yet.
pub fn newest(store: &Store) -> Result<Option<(String, Network, Aggregated)>, StoreError> {
    let Some(Kept { version, weights, metrics }) = store.newest()? else { return Ok(None) };
    let network = Network::from_bytes(weights, &version, &Device::flex())?;
    Ok(Some((version, network, metrics)))
}
