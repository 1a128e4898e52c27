//! What the environment says. Read here and nowhere else.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use engine::{Owner, StateFolder};
use jiff::Timestamp;
use providers::docker::{Docker, Settings as DockerSettings};
use providers::kubeconfig;

use crate::arguments::{Global, Provider, duration};
use crate::google::Google;
use crate::record::without_secrets;
use crate::report::{Exit, Problem};
use crate::shared::Shared;
use crate::state::{State, of_shared};

/// The variable with the provider of those who do not say one.
const USUAL_PROVIDER: &str = "INFRA_PROVIDER";

/// The variable with how long a silent run counts as alive.
const LEASE: &str = "INFRA_LEASE";

/// Long enough for a machine that is busy or a network that is down for a moment, and not longer than a person wants to wait.
const USUAL_LEASE: Duration = Duration::from_mins(1);

/// Folders and clients of this process.
pub struct Settings {
    /// The deployments' folders.
    pub state: State,
    /// What can be made again.
    pub cache: PathBuf,
    /// The kubeconfig file that the person's kubectl uses.
    pub kubeconfig: PathBuf,
    /// The folder with the logins at registries.
    pub docker_config: Option<PathBuf>,
    /// Docker, connected to when it is first needed.
    pub docker: Docker,
    /// Where clusters shall be made, if the person says so.
    pub provider: Option<Provider>,
    /// Where they are made when neither the person nor the scenario says so.
    pub usual_provider: Option<Provider>,
    /// This run, as a lock names it to others.
    pub owner: Owner,
    /// How long a lock of this run counts without a sign of life of it.
    pub lease: Duration,
    /// Google Cloud, spoken to when it is first needed.
    pub google: Google,
    /// Whether to print JSON.
    pub json: bool,
}

impl Settings {
    /// The folder of the image cache.
    pub fn images(&self) -> PathBuf {
        self.cache.join("images")
    }

    /// From the options and the environment.
    pub fn new(global: &Global) -> Result<Self, Problem> {
        let docker_config = env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(home()?.join(".docker")));
        Ok(Self {
            state: match global.state.as_deref().and_then(Path::to_str).filter(|place| place.contains("://")) {
                None => State::local(folder(global.state.clone(), "XDG_STATE_HOME", ".local/state")?),
                Some(place) => shared(place, &folder(None, "XDG_STATE_HOME", ".local/state")?)?,
            },
            cache: folder(global.cache.clone(), "XDG_CACHE_HOME", ".cache")?,
            kubeconfig: kubeconfig::user_file(|name| env::var_os(name))
                .ok_or_else(|| no_home("KUBECONFIG"))
                .and_then(|path| absolute(&path))?,
            docker_config,
            docker: Docker::new(DockerSettings::from_environment(|name| env::var_os(name))),
            provider: global.provider,
            usual_provider: usual_provider()?,
            owner: owner(),
            lease: lease()?,
            google: Google::new(global.project.clone(), global.location.clone()),
            json: global.json,
        })
    }
}

/// A place that a team shares, with a folder below `local` for what each machine keeps of it.
fn shared(place: &str, local: &Path) -> Result<State, Problem> {
    let variables =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let shared = Shared::new(place, variables).map_err(|error| of_shared(error.into()).exit(Exit::Usage))?;
    let folder = local.join("shared").join(place.replacen("://", "/", 1).replace("//", "/"));
    Ok(State::shared(folder, shared))
}

/// This run: who, where, what, since when.
fn owner() -> Owner {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()));
    Owner {
        user: user.unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw())),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        process: std::process::id(),
        command: without_secrets(env::args()),
        since: Timestamp::now(),
    }
}

/// How long a run that is not heard of counts as alive where only its lease can tell.
fn lease() -> Result<Duration, Problem> {
    let Some(text) = env::var(LEASE).ok().filter(|text| !text.is_empty()) else { return Ok(USUAL_LEASE) };
    let usable = |lease: Duration| {
        let is_usable = (Duration::from_secs(1)..=Duration::from_hours(1)).contains(&lease);
        is_usable.then_some(lease).ok_or_else(|| "it is not between 1s and 1h".to_owned())
    };
    duration(&text)
        .and_then(usable)
        .map_err(|error| Problem::usage(format!("use {text:?} of {LEASE} as the time of a lease: {error}")))
}

/// The deployments' folders as the environment alone says it; `None` where it does not.
pub fn state_folder() -> Option<StateFolder> {
    let chosen = env::var_os("INFRA_STATE").filter(|path| !path.is_empty()).map(PathBuf::from);
    Some(StateFolder::new(folder(chosen, "XDG_STATE_HOME", ".local/state").ok()?))
}

fn home() -> Option<PathBuf> {
    env::var_os("HOME").map(PathBuf::from)
}

/// The chosen folder, or else the program's own in the one that a variable names or that is below the home folder.
fn folder(chosen: Option<PathBuf>, variable: &str, below_home: &str) -> Result<PathBuf, Problem> {
    let base = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let default = || Some(base.or_else(|| Some(home()?.join(below_home)))?.join("infra"));
    chosen.or_else(default).ok_or_else(|| no_home(variable)).and_then(|path| absolute(&path))
}

fn usual_provider() -> Result<Option<Provider>, Problem> {
    let Some(name) = env::var_os(USUAL_PROVIDER).filter(|name| !name.is_empty()) else { return Ok(None) };
    let name = name.to_string_lossy();
    Provider::from_str(&name, false).map(Some).map_err(|_| {
        Problem::usage(format!("use the provider {name:?} of {USUAL_PROVIDER}: there is none of this name"))
            .hint("set it to one that `infra apply --help` names, or take it away")
    })
}

fn no_home(variable: &str) -> Problem {
    Problem::usage("find a folder to keep things in: HOME is not set").hint(format!("set HOME or {variable}"))
}

fn absolute(path: &Path) -> Result<PathBuf, Problem> {
    std::path::absolute(path).map_err(|error| Problem::usage(format!("use the path {}: {error}", path.display())))
}

/// A path as a person reads it: relative to the current folder where it lies below it.
pub fn shown(path: &Path) -> String {
    let current = env::current_dir().unwrap_or_default();
    path.strip_prefix(&current).unwrap_or(path).display().to_string()
}
