//! Flags; each can also be given in the environment.

use std::path::PathBuf;

use clap::{Parser, value_parser};
use datasets::Name;

/// Trains a network that reads pictures of digits row by row.
#[expect(clippy::struct_field_names, reason = "the limit of the training images is the train limit")]
#[derive(Debug, Parser)]
#[command(version, args_override_self = true)]
pub struct Train {
    /// Data set to learn from.
    #[arg(long, env = "DATASET", default_value = "mnist")]
    pub dataset: Name,
    /// Folder with the data set's files, or with a folder of them that has the data set's name.
    #[arg(long, env = "DATA_FOLDER", default_value = "/data")]
    pub data: PathBuf,
    /// Folder that receives the model, its metrics and the checkpoint.
    #[arg(long, env = "OUTPUT_FOLDER", default_value = "/model")]
    pub output: PathBuf,
    /// Passes over the training images.
    #[arg(long, env = "EPOCHS", default_value_t = 4, value_parser = value_parser!(u32).range(1..=1000))]
    pub epochs: u32,
    /// Images in one step of the training.
    #[arg(long, env = "BATCH_SIZE", default_value_t = 50, value_parser = value_parser!(u32).range(1..=10_000))]
    pub batch_size: u32,
    /// Hidden units of the network.
    #[arg(long, env = "HIDDEN_SIZE", default_value_t = 64, value_parser = value_parser!(u32).range(1..=1024))]
    pub hidden_size: u32,
    /// Highest learning rate; it rises to it at first and then falls along a cosine.
    #[arg(long, env = "LEARNING_RATE", default_value_t = 0.008, value_parser = learning_rate)]
    pub learning_rate: f64,
    /// Seed of the weights and of the order of the images; the same seed gives the same model.
    #[arg(long, env = "SEED", default_value_t = 1)]
    pub seed: u64,
    /// Learns from this many images at most.
    #[arg(long, env = "TRAIN_LIMIT", value_name = "IMAGES", value_parser = value_parser!(u32).range(1..))]
    pub train_limit: Option<u32>,
    /// Takes the final test with this many images at most.
    #[arg(long, env = "TEST_LIMIT", value_name = "IMAGES", value_parser = value_parser!(u32).range(1..))]
    pub test_limit: Option<u32>,
}

fn learning_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 1.0 => Ok(rate),
        _ => Err("a learning rate is a number above 0 and at most 1".to_owned()),
    }
}
