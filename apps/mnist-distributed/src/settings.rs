use serde::{Deserialize, Serialize};

/// Everything that decides what a training computes, besides its part: equal settings give equal models.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Number of workers, which is the number of parts; at least 1.
    pub workers: usize,
    /// Passes over the images of a part; at least 1.
    pub epochs: usize,
    /// Images in one step of the training; at least 1.
    pub batch_size: usize,
    /// Learning rate of the first step; it falls to nothing along a line.
    pub learning_rate: f64,
    /// Seed of the weights, which are the same for all workers at first, and of the order of the images.
    pub seed: u64,
}
