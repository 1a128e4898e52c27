//! The clusters that statements are held against, each started when the first statement needs it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::case::IMAGE;
use crate::cluster::Cluster;
use crate::tool;

/// What a statement is held against.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Target {
    /// The sandbox of this repository.
    Sandbox,
    /// A real cluster.
    Kind,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Sandbox { "sandbox" } else { "kind" })
    }
}

/// The variable that makes this program a sandbox in the folder it names.
pub const SERVE: &str = "CONTRACT_SANDBOX_FOLDER";

/// Is a sandbox until it is told to stop.
pub fn serve(folder: PathBuf) -> ExitCode {
    let mut options = sandbox::Options::new(folder);
    options.host_folders = vec!["/tmp".into()];
    match sandbox::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

/// The variable that is missing for a real cluster.
pub fn missing() -> Option<&'static str> {
    ["INFRA_TEST_KIND", "INFRA_TEST_KIND_IMAGE"].into_iter().find(|name| std::env::var_os(name).is_none())
}

/// The clusters that run.
#[derive(Default)]
pub struct Targets {
    started: Mutex<HashMap<Target, Result<Arc<Cluster>, String>>>,
    ends: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl Targets {
    /// The cluster; it is started when it does not run.
    pub fn get(&self, target: Target, runtime: &Runtime) -> Result<Arc<Cluster>, String> {
        let mut started = self.started.lock().unwrap();
        let start = || match target {
            Target::Kind => self.start_kind(runtime),
            Target::Sandbox => self.start_sandbox(runtime),
        };
        started.entry(target).or_insert_with(start).clone()
    }

    /// Ends what was started.
    pub fn stop(&self) {
        self.started.lock().unwrap().clear();
        let ends = std::mem::take(&mut *self.ends.lock().unwrap());
        for end in ends {
            end();
        }
    }

    fn start_sandbox(&self, runtime: &Runtime) -> Result<Arc<Cluster>, String> {
        let folder = tempfile::tempdir().unwrap();
        tool::write_for_sandbox(folder.path());
        let log = std::env::temp_dir().join("contract-sandbox.log");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(SERVE, folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .map_err(|error| error.to_string())?;
        let begin = Instant::now();
        let kubeconfig = loop {
            if let Ok(sandbox::State::Running(ready)) = sandbox::status(folder.path()) {
                break ready.kubeconfig;
            }
            let ended = child.try_wait().unwrap().is_some();
            if ended || begin.elapsed() > Duration::from_secs(20) {
                return Err(format!("no sandbox: {}", std::fs::read_to_string(&log).unwrap_or_default()));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        self.ends.lock().unwrap().push(Box::new(move || {
            drop(sandbox::stop(folder.path()));
            drop(child.wait());
        }));
        Ok(Arc::new(runtime.block_on(Cluster::open(kubeconfig, Duration::from_secs(25)))))
    }

    fn start_kind(&self, runtime: &Runtime) -> Result<Arc<Cluster>, String> {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let running = std::env::var("INFRA_TEST_KIND_NAME").ok();
        let name = running.clone().unwrap_or_else(|| format!("infra-contract-{}", std::process::id()));
        tool::build_in_docker();
        if running.is_none() {
            let image = std::env::var("INFRA_TEST_KIND_IMAGE").unwrap();
            self.ends.lock().unwrap().push(Box::new({
                let name = name.clone();
                move || drop(kind(&["delete", "cluster", "--name", &name]))
            }));
            kind(&[
                "create",
                "cluster",
                "--name",
                &name,
                "--image",
                &image,
                "--wait",
                "120s",
                "--kubeconfig",
                &shown(&kubeconfig),
            ])?;
        } else {
            std::fs::write(&kubeconfig, kind(&["get", "kubeconfig", "--name", &name])?).unwrap();
        }
        kind(&["load", "docker-image", IMAGE, "--name", &name])?;
        self.ends.lock().unwrap().push(Box::new(move || drop(folder)));
        Ok(Arc::new(runtime.block_on(Cluster::open(kubeconfig, Duration::from_secs(90)))))
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Runs kind and returns what it printed.
fn kind(arguments: &[&str]) -> Result<String, String> {
    let program = std::env::var_os("INFRA_TEST_KIND").expect("it was looked at before");
    let done = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(format!("kind {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr)))
}
