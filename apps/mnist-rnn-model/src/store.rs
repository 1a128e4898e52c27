//! The folder in which trained models are kept, for this network.

use std::path::PathBuf;

use burn::tensor::Device;
use digits::{Kept, StoreError};
use serde::{Deserialize, Serialize};

use crate::{Classifier, ModelError};

/// How a model was made and how well it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Name of the data set.
    pub dataset: String,
    /// Number of hidden units of the network.
    pub hidden_size: usize,
    /// Images in one step of the training.
    pub batch_size: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Seed of the weights and of the order of the images.
    pub seed: u64,
    /// Number of images that were learned from.
    pub train_images: usize,
    /// Number of images of the final test.
    pub test_images: usize,
    /// Part of the test images that were recognised, 0 to 1.
    pub test_accuracy: f64,
    /// Time spent on learning, tests not included, in seconds; over all pods that took part.
    pub train_seconds: f64,
    /// When the model was finished, in seconds since 1970.
    pub finished_at_unix_seconds: u64,
    /// Each epoch in turn.
    pub epochs: Vec<EpochMetrics>,
}

/// One pass over the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Mean loss over the images, as they were learned.
    pub loss: f64,
    /// Time spent on learning, in seconds.
    pub train_seconds: f64,
    /// Part of the test images that were recognised, 0 to 1.
    pub test_accuracy: f64,
    /// Number of images of that test.
    pub test_images: usize,
}

/// A model that came out of the store.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its version, unlike that of every other model.
    pub version: String,
    /// The network.
    pub classifier: Classifier,
    /// How it was made.
    pub metrics: Metrics,
}

/// A folder of models.
#[derive(Debug, Clone)]
pub struct Store(digits::Store);

impl Store {
    /// The store in this folder, which need not be there yet.
    pub const fn new(folder: PathBuf) -> Self {
        Self(digits::Store::new(folder))
    }

    /// The file that changes when there is a newer model: the one thing to watch.
    pub fn manifest_path(&self) -> PathBuf {
        self.0.manifest_path()
    }

    /// Puts a model in and makes it the newest. Returns its version.
    pub fn publish(&self, classifier: &Classifier, metrics: &Metrics) -> Result<String, StoreError> {
        let weights = classifier.to_bytes().map_err(|source| of_model("new", source))?;
        self.0.publish(&weights, metrics)
    }

    /// The newest model, or none if nothing was published yet.
    pub fn newest(&self) -> Result<Option<Stored>, StoreError> {
        let Some(Kept::<Metrics> { version, weights, metrics }) = self.0.newest()? else { return Ok(None) };
        match Classifier::from_bytes(weights, metrics.hidden_size, &Device::flex()) {
            Ok(classifier) => Ok(Some(Stored { version, classifier, metrics })),
            Err(source) => Err(of_model(&version, source)),
        }
    }
}

fn of_model(version: &str, source: ModelError) -> StoreError {
    StoreError::Model { version: version.to_owned(), source: Box::new(source) }
}
