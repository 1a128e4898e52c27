//! Which deployment a command is about.

use std::path::{Path, PathBuf};

use engine::{Deployment, Inventory};

use crate::arguments::Which;
use crate::record;
use crate::report::{Problem, of_report};
use crate::settings::{Settings, shown};

/// The file that makes a folder a scenario.
const SCENARIO_FILE: &str = "scenario.yaml";

/// The scenario file that was asked for, for commands that need one.
pub fn scenario_file(which: &Which) -> Result<PathBuf, Problem> {
    let path = which.scenario.clone().unwrap_or_else(|| ".".into());
    match file_at(&path) {
        Some(file) => Ok(file),
        None if which.scenario.is_none() => {
            Err(Problem::usage("find a scenario: the current folder has no scenario.yaml")
                .hint("name a scenario, for example `infra apply scenarios/mnist-rnn`"))
        }
        None if path.is_dir() => {
            Err(Problem::usage(format!("find a scenario: {} has no scenario.yaml", path.display())))
        }
        None => Err(Problem::usage(format!("find a scenario: {} does not exist", path.display()))),
    }
}

/// The deployment that was asked for, from its name, its scenario, or because there is only one.
pub async fn choose(which: &Which, settings: &Settings) -> Result<Deployment, Problem> {
    let file = which.scenario.as_deref().and_then(file_at);
    if let Some(name) = &which.name {
        check_name(name)?;
        return Ok(settings.state.deployment(name));
    }
    match (&which.scenario, file) {
        (_, Some(file)) => of_scenario(&file, settings).await,
        (Some(path), None) => of_missing_path(path, settings).await,
        (None, None) => match file_at(Path::new(".")) {
            Some(file) => of_scenario(&file, settings).await,
            None => the_only_one(settings).await,
        },
    }
}

/// Refuses to look into a deployment that has no cluster.
pub fn applied(deployment: &Deployment, inventory: &Inventory) -> Result<(), Problem> {
    if inventory.iter().any(|held| held.node.address.kind().ends_with("-cluster")) && deployment.kubeconfig().exists() {
        return Ok(());
    }
    Err(Problem::usage(format!("look into {}: it has no cluster yet", deployment.name()))
        .hint("run `infra apply` first"))
}

/// Refuses a name that could not be a label, a folder or part of a host name.
pub fn check_name(name: &str) -> Result<(), Problem> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let right = !name.is_empty()
        && name.len() <= 40
        && name.bytes().all(fits)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if right {
        return Ok(());
    }
    Err(Problem::usage(format!("use {name:?} as a deployment's name"))
        .hint("a name has at most 40 lower-case letters, digits and `-`, and begins and ends with a letter or digit"))
}

fn file_at(path: &Path) -> Option<PathBuf> {
    let inside = path.join(SCENARIO_FILE);
    if inside.is_file() { Some(inside) } else { path.is_file().then(|| path.to_owned()) }
}

async fn of_scenario(file: &Path, settings: &Settings) -> Result<Deployment, Problem> {
    // A scenario that has become wrong must not keep anybody from looking at, or removing, what it made.
    if let Some(deployment) = recorded_with(file, settings).await? {
        return Ok(deployment);
    }
    let scenario = scenarios::load(file).map_err(of_report)?;
    Ok(settings.state.deployment(&scenario.name))
}

async fn of_missing_path(path: &Path, settings: &Settings) -> Result<Deployment, Problem> {
    let as_name = path.to_str().unwrap_or_default();
    let mut found = recorded_with(&path.join(SCENARIO_FILE), settings).await?;
    if found.is_none() {
        found = recorded_with(path, settings).await?;
    }
    if found.is_none() {
        let all = settings.state.deployments().await?;
        found = all.into_iter().find(|deployment| deployment.name() == as_name);
    }
    match found {
        Some(deployment) => Ok(deployment),
        None => Err(Problem::usage(format!(
            "find {}: it is neither a scenario nor a deployment of this machine",
            path.display()
        ))
        .hint("`infra list` shows the deployments")),
    }
}

async fn the_only_one(settings: &Settings) -> Result<Deployment, Problem> {
    let mut all = settings.state.deployments().await?;
    match all.len() {
        1 => Ok(all.remove(0)),
        0 => Err(Problem::usage(
            "find a deployment: the current folder has no scenario.yaml, and nothing was applied from this machine",
        )),
        _ => {
            let names: Vec<&str> = all.iter().map(Deployment::name).collect();
            Err(Problem::usage(format!("choose between the deployments {}", names.join(", "))).hint("name one of them"))
        }
    }
}

/// The deployment whose last apply used this scenario file.
async fn recorded_with(file: &Path, settings: &Settings) -> Result<Option<Deployment>, Problem> {
    let Ok(wanted) = std::path::absolute(file) else { return Ok(None) };
    let same = |deployment: &Deployment| {
        record::scenario(settings, deployment.name()).is_some_and(|recorded| recorded == wanted)
    };
    let mut found: Vec<Deployment> = settings.state.deployments().await?.into_iter().filter(same).collect();
    if found.len() > 1 {
        let names: Vec<&str> = found.iter().map(Deployment::name).collect();
        return Err(Problem::usage(format!("choose between {}: all were made from {}", names.join(", "), shown(file)))
            .hint("say which with --name"));
    }
    Ok(found.pop())
}
