//! `infra sandbox`: the built-in Kubernetes of a deployment.

use std::path::{Path, PathBuf};

use cluster::sandbox::Launcher;
use sandbox::{Options, State};
use serde_json::json;

use crate::arguments::{SandboxCommand, Which};
use crate::launcher::{SelfLauncher, log_file};
use crate::report::{Exit, Problem};
use crate::settings::{Settings, shown};
use crate::view::style;
use crate::which::choose;

/// Is a sandbox until it is told to stop. Says one line when it takes requests.
pub fn be_one(folder: &Path) -> Result<Exit, Problem> {
    let mut options = Options::new(folder);
    options.ready = Some(Box::new(|ready| {
        // Nobody may be left to hear it.
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), "{}", json!(ready));
    }));
    sandbox::run(options).map_err(|error| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        Problem::usage(text).exit(Exit::Missing)
    })?;
    Ok(Exit::Done)
}

/// Runs the command.
pub async fn run(command: SandboxCommand, settings: &Settings) -> Result<Exit, Problem> {
    match command {
        SandboxCommand::Start(which) => {
            let folder = folder(&which, settings)?;
            let started = SelfLauncher.start(&folder).await;
            started.map_err(|failure| Problem::usage(failure.causes().join(": ")).exit(Exit::Missing))?;
            print_state(&folder, settings)
        }
        SandboxCommand::Stop(which) => {
            let folder = folder(&which, settings)?;
            let stopping = folder.clone();
            let stopped = tokio::task::spawn_blocking(move || sandbox::stop(&stopping)).await;
            stopped.map_err(|error| Problem::usage(error.to_string()))??;
            print_state(&folder, settings)
        }
        SandboxCommand::Status(which) => print_state(&folder(&which, settings)?, settings),
        SandboxCommand::Logs(which) => {
            let file = log_file(&folder(&which, settings)?);
            anstream::print!("{}", std::fs::read_to_string(&file)?);
            Ok(Exit::Done)
        }
        SandboxCommand::Run { folder } => be_one(&folder),
    }
}

/// The folder of a deployment's sandbox.
fn folder(which: &Which, settings: &Settings) -> Result<PathBuf, Problem> {
    let deployment = choose(which, settings)?;
    let folder = cluster::sandbox::folder(deployment.folder());
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Problem::usage(format!("find a sandbox: {} has none on this machine", deployment.name()))
        .hint("`infra apply SCENARIO --provider sandbox` makes one; `infra list` shows what there is"))
}

fn print_state(folder: &Path, settings: &Settings) -> Result<Exit, Problem> {
    let state = sandbox::status(folder)?;
    if settings.json {
        let (word, ready) = match &state {
            State::Stopped => ("stopped", None),
            State::Busy { .. } => ("busy", None),
            State::Running(ready) => ("running", Some(ready)),
        };
        println!("{}", json!({ "folder": folder, "state": word, "ready": ready }));
        return Ok(Exit::Done);
    }
    match state {
        State::Stopped => anstream::println!("stopped; its objects and volumes are in {}", shown(folder)),
        State::Busy { pid } => anstream::println!("starting or stopping (process {pid})"),
        State::Running(ready) => {
            anstream::println!("{} at https://{} (process {})", style::good("running"), ready.address, ready.pid);
            anstream::println!("  kubectl --kubeconfig {}", shown(&ready.kubeconfig));
        }
    }
    Ok(Exit::Done)
}
