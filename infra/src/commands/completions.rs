//! `infra completions`: what makes a shell complete commands, options, and the names of deployments.

use std::ffi::OsStr;
use std::io;

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::Shells;

use crate::arguments;
use crate::report::{Exit, Problem};
use crate::settings;

/// The variable in which the script says which shell asks. `main` answers before it reads anything else.
const VARIABLE: &str = "COMPLETE";

/// Runs the command: prints a script that asks this program at every press of the key.
pub fn run(command: &arguments::Completions) -> Result<Exit, Problem> {
    let program = std::env::current_exe()?;
    let shells = Shells::builtins();
    let shell = shells.completer(command.shell.name()).expect("every shell that can be named is a built-in one");
    shell.write_registration(VARIABLE, "infra", "infra", &program.to_string_lossy(), &mut io::stdout())?;
    Ok(Exit::Done)
}

/// The names of this machine's deployments.
pub fn deployments() -> Vec<CompletionCandidate> {
    let state = settings::state_folder();
    let deployments = state.and_then(|state| state.deployments().ok()).unwrap_or_default();
    deployments.iter().map(|deployment| CompletionCandidate::new(deployment.name())).collect()
}

/// What can stand for a deployment: its name, or the path of a scenario.
pub fn scenarios(current: &OsStr) -> Vec<CompletionCandidate> {
    let begun = current.to_string_lossy();
    let mut all = deployments();
    all.retain(|candidate| candidate.get_value().to_string_lossy().starts_with(&*begun));
    all.extend(PathCompleter::any().complete(current));
    all
}
