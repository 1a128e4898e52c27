//! Trains a network that reads pictures of digits row by row, and puts it where the server finds it.
//!
//! Exit codes: 0 when the model is stored; 1 when something failed that another attempt may heal; 2 when flags or data
//! are wrong, so that another attempt cannot help; 143 when it was told to stop.

mod arguments;
mod checkpoint;
mod data;
mod report;
mod stop;
mod training;

use std::process::ExitCode;

use clap::Parser;

use arguments::Train;
use report::{Failure, Outcome};

/// What a shell reports for a program that SIGTERM ended.
const STOPPED: u8 = 128 + 15;
const FAILED: u8 = 1;
const WRONG_INPUT: u8 = 2;

fn main() -> ExitCode {
    match training::run(&Train::parse()) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Stopped) => ExitCode::from(STOPPED),
        Err(failure) => {
            eprintln!("error: {}", failure.report());
            ExitCode::from(if matches!(failure, Failure::Dataset(_)) { WRONG_INPUT } else { FAILED })
        }
    }
}
