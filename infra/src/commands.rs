//! A file per command, always in the same order: resolve what is meant, check it, change the world, print.

pub mod apply;
pub mod check;
pub mod completions;
pub mod destroy;
pub mod doctor;
pub mod events;
pub mod images;
pub mod list;
pub mod logs;
pub mod man;
pub mod open;
pub mod plan;
pub mod preflight;
pub mod recover;
pub mod report;
pub mod sandbox;
pub mod schema;
#[cfg(feature = "gcp")]
pub mod simulator;
pub mod status;
pub mod token;
pub mod unlock;

use std::io::{self, IsTerminal, Write};

use crate::report::Problem;

/// Asks on the terminal; without one, nobody can be asked and `--yes` is needed.
pub fn confirm(question: &str) -> Result<bool, Problem> {
    if !io::stdin().is_terminal() {
        return Err(Problem::usage("ask before changing something: standard input is not a terminal").hint("say --yes"));
    }
    anstream::eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
