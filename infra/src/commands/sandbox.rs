//! `infra sandbox`: the built-in Kubernetes of a deployment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::sandbox::Launcher;
use providers::kubernetes::{Client, Kind, Selection};
use sandbox::{Notice, Options, Ready, State};
use serde_json::{Value, json};

use crate::arguments::{SandboxCommand, Which};
use crate::launcher::{SelfLauncher, log_file};
use crate::report::{Exit, Problem};
use crate::settings::{Settings, shown};
use crate::view::style;
use crate::which::choose;

/// How long pods may take to end when a sandbox goes with its owner.
const SHORT_GRACE: Duration = Duration::from_secs(2);

/// Is a sandbox until it is told to stop, or until its input ends where that counts. Says one line when it takes requests.
pub fn be_one(folder: &Path, settings: Option<&Path>, with_input: bool) -> Result<Exit, Problem> {
    let mut options = Options::new(folder);
    options.settings = settings.map(sandbox::Settings::read_file).transpose()?;
    options.notice = Notice::new(|line| anstream::eprintln!("{line}"));
    if with_input {
        // Nobody will look at what its pods still write.
        options.stop_grace = SHORT_GRACE;
        std::thread::spawn(end_with_input);
    }
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

/// Tells this process to stop when its input ends.
fn end_with_input() {
    let mut input = std::io::stdin().lock();
    // What is said there does not matter, and an input that breaks has ended, too.
    let _ = std::io::copy(&mut input, &mut std::io::sink());
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
}

/// Runs the command.
pub async fn run(command: SandboxCommand, settings: &Settings) -> Result<Exit, Problem> {
    match command {
        SandboxCommand::Start(which) => {
            let folder = folder(&which, settings).await?;
            let started = SelfLauncher.start(&folder, None).await;
            started.map_err(|failure| Problem::usage(failure.causes().join(": ")).exit(Exit::Missing))?;
            print_state(&folder, settings).await
        }
        SandboxCommand::Stop(which) => {
            let folder = folder(&which, settings).await?;
            let stopping = folder.clone();
            let stopped = tokio::task::spawn_blocking(move || sandbox::stop(&stopping)).await;
            stopped.map_err(|error| Problem::usage(error.to_string()))??;
            print_state(&folder, settings).await
        }
        SandboxCommand::Status(which) => print_state(&folder(&which, settings).await?, settings).await,
        SandboxCommand::Logs(which) => {
            let file = log_file(&folder(&which, settings).await?);
            anstream::print!("{}", std::fs::read_to_string(&file)?);
            Ok(Exit::Done)
        }
        SandboxCommand::Run { folder, options, with_input } => be_one(&folder, options.as_deref(), with_input),
    }
}

/// The folder of a deployment's sandbox.
async fn folder(which: &Which, settings: &Settings) -> Result<PathBuf, Problem> {
    let deployment = choose(which, settings).await?;
    let folder = cluster::sandbox::folder(deployment.folder());
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Problem::usage(format!("find a sandbox: {} has none on this machine", deployment.name()))
        .hint("`infra apply SCENARIO --provider sandbox` makes one; `infra list` shows what there is"))
}

async fn print_state(folder: &Path, settings: &Settings) -> Result<Exit, Problem> {
    let state = sandbox::status(folder)?;
    let nodes = match &state {
        State::Running(ready) => nodes(ready).await?,
        State::Stopped | State::Busy { .. } => Vec::new(),
    };
    let node = nodes.first().cloned().unwrap_or_default();
    if settings.json {
        let (word, ready) = match &state {
            State::Stopped => ("stopped", None),
            State::Busy { .. } => ("busy", None),
            State::Running(ready) => ("running", Some(ready)),
        };
        println!("{}", json!({ "folder": folder, "state": word, "ready": ready, "node": node["status"] }));
        return Ok(Exit::Done);
    }
    match state {
        State::Stopped => anstream::println!("stopped; its objects and volumes are in {}", shown(folder)),
        State::Busy { pid } => anstream::println!("starting or stopping (process {pid})"),
        State::Running(ready) => {
            anstream::println!("{} at https://{} (process {})", style::good("running"), ready.address, ready.pid);
            let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
            let told = conditions.filter(|condition| condition["type"] == "Ready");
            for message in told.filter_map(|condition| condition["message"].as_str()) {
                anstream::println!("  {message}");
            }
            for node in &nodes {
                let amount = |name: &str| node["status"]["capacity"][name].as_str().unwrap_or("?").to_owned();
                let name = match (nodes.len(), node["metadata"]["name"].as_str()) {
                    (2.., Some(name)) => format!("{name}: "),
                    _ => String::new(),
                };
                let has = format!("{} CPUs, {} of memory, {} pods", amount("cpu"), amount("memory"), amount("pods"));
                anstream::println!("  {name}{has}");
            }
            anstream::println!("  kubectl --kubeconfig {}", shown(&ready.kubeconfig));
        }
    }
    Ok(Exit::Done)
}

/// The sandbox's nodes, as its API tells them.
async fn nodes(ready: &Ready) -> Result<Vec<Value>, Problem> {
    Ok(Client::new(&ready.kubeconfig).list(&Kind::new("v1", "Node"), &Selection::default()).await?)
}
