//! The programs of the Jobs: cut the data set, train on a part, average the models.
//!
//! Exit codes: 0 when the result is in the shared folder; 1 when something failed that another attempt may heal; 2 when flags or data
//! are wrong, so that another attempt cannot help; 143 when it was told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, value_parser};
use datasets::Name;
use mnist_distributed::{Failure, Outcome, Settings, Shared, Stop, aggregate, cut, train};

/// What a shell reports for a program that SIGTERM ended.
const STOPPED: u8 = 128 + 15;
const FAILED: u8 = 1;
const WRONG_INPUT: u8 = 2;

/// Learns digits with several workers at once. Each flag can also be given in the environment.
#[derive(Debug, Parser)]
#[command(version)]
struct Command {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Cuts the training images into as many parts as there are workers.
    Split {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        data: Data,
    },
    /// Learns from one part.
    Train {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        learning: Training,
        /// Number of the part, counted from 0; an Indexed Job says it.
        #[arg(long, env = "JOB_COMPLETION_INDEX")]
        part: u32,
    },
    /// Averages the models of all parts and measures each and the average on the test images.
    Aggregate {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        learning: Training,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Debug, Args)]
struct Place {
    /// Folder in which the programs meet.
    #[arg(long, env = "SHARED_FOLDER", default_value = "/shared")]
    shared: PathBuf,
    /// Number of workers, which is the number of parts.
    #[arg(long, env = "WORKER_NUMBER", default_value_t = 3, value_parser = value_parser!(u32).range(1..=1000))]
    workers: u32,
    /// Seed of the weights and of the order of the images; the same seed gives the same model.
    #[arg(long, env = "SEED", default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Args)]
struct Data {
    /// Data set.
    #[arg(long, env = "DATASET", default_value = "mnist")]
    dataset: Name,
    /// Folder with the data set's files, or with a folder of them that has the data set's name.
    #[arg(long, env = "DATA_FOLDER", default_value = "/data")]
    data: PathBuf,
}

#[derive(Debug, Args)]
struct Training {
    /// Passes over the images of a part.
    #[arg(long, env = "EPOCH", default_value_t = 2, value_parser = value_parser!(u32).range(1..=1000))]
    epochs: u32,
    /// Images in one step of the training.
    #[arg(long, env = "BATCH", default_value_t = 100, value_parser = value_parser!(u32).range(1..=10_000))]
    batch_size: u32,
    /// Learning rate of the first step; it falls to nothing along a line.
    #[arg(long, env = "LEARNING_RATE", default_value_t = 0.1, value_parser = learning_rate)]
    learning_rate: f64,
}

impl Data {
    fn folders(&self) -> [PathBuf; 1] {
        [self.data.clone()]
    }
}

impl Place {
    fn settings(&self, learning: &Training) -> Settings {
        Settings {
            workers: self.workers as usize,
            epochs: learning.epochs as usize,
            batch_size: learning.batch_size as usize,
            learning_rate: learning.learning_rate,
            seed: self.seed,
        }
    }
}

fn learning_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 1.0 => Ok(rate),
        _ => Err("a learning rate is a number above 0 and at most 1".to_owned()),
    }
}

fn main() -> ExitCode {
    match run(&Command::parse().role) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Stopped) => ExitCode::from(STOPPED),
        Err(failure) => {
            eprintln!("error: {}", failure.report());
            ExitCode::from(if failure.is_lasting() { WRONG_INPUT } else { FAILED })
        }
    }
}

fn run(role: &Role) -> Result<Outcome, Failure> {
    let shared = |place: &Place| Shared::new(place.shared.clone());
    match role {
        Role::Split { place, data } => {
            let made = cut(&shared(place), data.dataset, &data.folders(), place.workers as usize, place.seed)?;
            println!("{} parts are in {}", made.parts.len(), place.shared.display());
        }
        Role::Train { place, learning, part } => {
            return train(&shared(place), *part as usize, place.settings(learning), &Stop::listen()?);
        }
        Role::Aggregate { place, learning, data } => {
            aggregate(&shared(place), data.dataset, &data.folders(), place.settings(learning))?;
        }
    }
    Ok(Outcome::Done)
}
