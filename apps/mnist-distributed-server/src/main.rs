//! The server of the averaged network.

use std::process::ExitCode;

use clap::Parser;
use digit_server::{Arguments, Served, Summary};
use mnist_distributed::{Shared, newest};

/// What the page says of the network.
const INTRODUCTION: &str =
    "Several workers have learned from a part of the images each; the average of what they learned reads it.";

/// Serves the average of all workers' models. Each flag can also be given in the environment.
#[derive(Debug, Parser)]
#[command(version)]
struct Command {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    let Command { arguments } = Command::parse();
    let store = Shared::new(arguments.model.clone()).model();
    digit_server::run(&arguments, INTRODUCTION, store.manifest_path(), move || {
        let Some((version, network, aggregated)) = newest(&store)? else { return Ok(None) };
        let summary = Summary {
            dataset: aggregated.dataset.clone(),
            test_accuracy: aggregated.test_accuracy,
            train_seconds: aggregated.train_seconds,
        };
        let metrics = serde_json::to_value(&aggregated).expect("metrics are plain data");
        Ok(Some(Served::new(version, metrics, summary, move |pictures| network.predict(pictures))))
    })
}
