//! What the environment says. Read here and nowhere else.

use std::env;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use engine::StateFolder;
use providers::docker::{Docker, Settings as DockerSettings};
use providers::kubeconfig;

use crate::arguments::{Global, Provider};
use crate::report::Problem;

/// The variable with the provider of those who do not say one.
const USUAL_PROVIDER: &str = "INFRA_PROVIDER";

/// Folders and clients of this process.
pub struct Settings {
    /// The deployments' folders.
    pub state: StateFolder,
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
        let home = env::var_os("HOME").map(PathBuf::from);
        let folder = |chosen: &Option<PathBuf>, variable: &str, below_home: &str| {
            let base = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
            let default = || Some(base.or_else(|| Some(home.as_ref()?.join(below_home)))?.join("infra"));
            chosen.clone().or_else(default).ok_or_else(|| no_home(variable)).and_then(|path| absolute(&path))
        };
        let docker_config =
            env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".docker")));
        Ok(Self {
            state: StateFolder::new(folder(&global.state, "XDG_STATE_HOME", ".local/state")?),
            cache: folder(&global.cache, "XDG_CACHE_HOME", ".cache")?,
            kubeconfig: kubeconfig::user_file(|name| env::var_os(name))
                .ok_or_else(|| no_home("KUBECONFIG"))
                .and_then(|path| absolute(&path))?,
            docker_config,
            docker: Docker::new(DockerSettings::from_environment(|name| env::var_os(name))),
            provider: global.provider,
            usual_provider: usual_provider()?,
            json: global.json,
        })
    }
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
