use std::fmt;

use digits::CLASSES;
use serde_json::Value;

/// How a model says which digits it sees in pictures: the probability of each digit, for each picture.
type Predict = dyn Fn(&[&[u8]]) -> Vec<[f32; CLASSES]> + Send + Sync;

/// A model that can be served.
pub struct Served {
    /// Its version, unlike that of every other model.
    pub version: String,
    /// Everything that is known of it, for `GET /model`.
    pub metrics: Value,
    /// What is counted of it.
    pub summary: Summary,
    predict: Box<Predict>,
}

/// What is counted of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Name of the data set.
    pub dataset: String,
    /// Part of the test images that were recognised, 0 to 1.
    pub test_accuracy: f64,
    /// Time spent on learning, in seconds.
    pub train_seconds: f64,
}

impl Served {
    /// A model that predicts with a function: [`digits::PIXELS`] bytes a picture, 0 is the background.
    pub fn new(
        version: String,
        metrics: Value,
        summary: Summary,
        predict: impl Fn(&[&[u8]]) -> Vec<[f32; CLASSES]> + Send + Sync + 'static,
    ) -> Self {
        Self { version, metrics, summary, predict: Box::new(predict) }
    }

    /// The probability of each digit for each picture.
    pub fn predict(&self, pictures: &[&[u8]]) -> Vec<[f32; CLASSES]> {
        (self.predict)(pictures)
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Served").field("version", &self.version).finish_non_exhaustive()
    }
}
