//! The server of the recurrent network.

use std::process::ExitCode;

use clap::Parser;
use digit_server::Arguments;
use mnist_rnn_model::Store;
use mnist_rnn_server::{INTRODUCTION, newest};

/// Serves the newest trained model. Each flag can also be given in the environment.
#[derive(Debug, Parser)]
#[command(version)]
struct Command {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    let Command { arguments } = Command::parse();
    let store = Store::new(arguments.model.clone());
    digit_server::run(&arguments, INTRODUCTION, store.manifest_path(), move || newest(&store))
}
