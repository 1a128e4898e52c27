//! `infra schema`: the JSON schema of the scenario file.

use std::io::{self, Write};

use crate::report::{Exit, Problem};

/// Runs the command.
pub fn run() -> Result<Exit, Problem> {
    io::stdout().write_all(scenarios::SCHEMA.as_bytes())?;
    Ok(Exit::Done)
}
