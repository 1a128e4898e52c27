//! A sandbox with one image, and ways to look at it.

use apiserver::streams::{LogOptions, PodStreams};
use apiserver::{Api, DeleteOptions, ListOptions, User, WriteOptions};
use futures::StreamExt;
use kinds::Resource;
use sandbox::{Options, Sandbox, Settings};
use serde_json::{Value, json};
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct World {
    pub folder: tempfile::TempDir,
    pub sandbox: Sandbox,
}

pub fn block_on(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime").block_on(test);
}

impl World {
    pub async fn start() -> Self {
        Self::start_as(None).await
    }

    /// A sandbox that is to be something beyond the usual.
    pub async fn start_with(settings: Settings) -> Self {
        Self::start_as(Some(settings)).await
    }

    async fn start_as(settings: Option<Settings>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(settings) = settings {
            settings.write(folder.path()).expect("settings that can be");
        }
        let sandbox = start_in(folder.path()).await;
        Self { folder, sandbox }
    }

    /// The same folder, with a sandbox that was started anew.
    pub async fn restart(self) -> Self {
        self.sandbox.stop().await;
        let sandbox = start_in(self.folder.path()).await;
        Self { folder: self.folder, sandbox }
    }

    pub fn api(&self) -> &Api {
        self.sandbox.api()
    }

    pub async fn create(&self, resource: &'static Resource, mut object: Value) -> Arc<Value> {
        object["apiVersion"] = resource.api_version().into();
        object["kind"] = resource.kind.into();
        let by = User::system("admin");
        let made = self.api().create(&by, resource, "default", object, &WriteOptions::default()).await;
        made.unwrap_or_else(|status| panic!("{} is refused: {status}", resource.kind))
    }

    pub async fn delete(&self, resource: &'static Resource, name: &str) {
        let by = User::system("admin");
        self.api().delete(&by, resource, ("default", name), &DeleteOptions::default()).await.expect("deleted");
    }

    pub fn get(&self, resource: &'static Resource, name: &str) -> Option<Arc<Value>> {
        self.api().get(resource, "default", name).ok()
    }

    /// Waits until the object is as wanted; panics with the object when it does not become so.
    pub async fn until(&self, resource: &'static Resource, name: &str, wanted: impl Fn(&Value) -> bool) -> Arc<Value> {
        let found = wait(|| self.get(resource, name).filter(|object| wanted(object))).await;
        found.unwrap_or_else(|| {
            let object = self.get(resource, name);
            panic!("{name} does not become as wanted: {object:#?}\nevents: {:#?}", self.events())
        })
    }

    pub async fn until_gone(&self, resource: &'static Resource, name: &str) {
        let gone = wait(|| self.get(resource, name).is_none().then_some(())).await;
        assert!(gone.is_some(), "{name} does not go: {:#?}", self.get(resource, name));
    }

    /// The pods with this label `app`.
    pub fn pods(&self, app: &str) -> Vec<Arc<Value>> {
        let all = self.api().list(kinds::PODS, Some("default"), &ListOptions::default()).expect("a list").items;
        all.into_iter().filter(|pod| pod["metadata"]["labels"]["app"] == app).collect()
    }

    /// Reason and message of all events.
    pub fn events(&self) -> Vec<(String, String)> {
        let all = self.api().list(kinds::EVENTS, None, &ListOptions::default()).expect("a list").items;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        all.iter().map(|event| (text(&event["reason"]), text(&event["message"]))).collect()
    }

    pub async fn until_event(&self, reason: &str, message: &str) {
        let seen = || {
            let found = |(known, told): &(String, String)| known == reason && told.contains(message);
            self.events().iter().any(found).then_some(())
        };
        assert!(wait(seen).await.is_some(), "no event {reason} with {message:?}: {:#?}", self.events());
    }

    pub fn streams(&self) -> &dyn PodStreams {
        self.sandbox.streams()
    }

    pub async fn log(&self, pod: &str, options: LogOptions) -> String {
        let object = self.get(kinds::PODS, pod).expect("the pod");
        let stream = self.streams().logs(&object, "c", options).await.expect("a log");
        let pieces = stream.collect::<Vec<_>>().await;
        String::from_utf8(pieces.into_iter().flat_map(|piece| piece.expect("readable")).collect()).expect("text")
    }

    /// Waits until the pod's log has this text; the pod may not have begun yet.
    pub async fn until_log(&self, pod: &str, wanted: &str) {
        let began = |pod: &Value| pod["status"]["containerStatuses"][0]["containerID"].is_string();
        self.until(kinds::PODS, pod, began).await;
        let said = wait_for(|| async { self.log(pod, LogOptions::default()).await.contains(wanted).then_some(()) });
        assert!(said.await.is_some(), "{pod} does not say {wanted:?}");
    }
}

/// Waits until a try succeeds.
pub async fn wait_for<T, F: Future<Output = Option<T>>>(mut attempt: impl FnMut() -> F) -> Option<T> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(found) = attempt().await {
            return Some(found);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

pub async fn wait<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return Some(found);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

/// A pod whose container `c` does these steps of the tool.
pub fn pod(name: &str, steps: &[&str]) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": { "restartPolicy": "Never", "containers": [container("c", steps)] },
    })
}

pub fn container(name: &str, steps: &[&str]) -> Value {
    json!({ "name": name, "image": "tool:1", "args": steps })
}

pub fn is_ready(pod: &Value) -> bool {
    kinds::pod::is_ready(pod)
}

pub fn phase(wanted: &str) -> impl Fn(&Value) -> bool {
    move |pod| pod["status"]["phase"] == wanted
}

/// The variable that makes this program a sandbox in the folder it names.
pub const SERVE: &str = "WHOLE_SANDBOX_FOLDER";

/// Is a sandbox until it is told to stop.
pub fn serve(folder: PathBuf) -> ExitCode {
    match sandbox::run(Options::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

/// A sandbox in a process of its own.
pub fn spawn_in(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("a program"));
    command.env(SERVE, folder).spawn().expect("a process")
}

pub async fn start_in(folder: &Path) -> Sandbox {
    add_image(&folder.join("images"));
    let mut options = Options::new(folder);
    options.stop_grace = Duration::from_secs(2);
    sandbox::start(options).await.expect("a sandbox")
}

fn add_image(images: &Path) {
    let root = images.join("aa/rootfs");
    if root.exists() {
        return;
    }
    fs::create_dir_all(&root).expect("a folder");
    fs::create_dir(root.join("tmp")).expect("a folder");
    fs::copy(tool(), root.join("tool")).expect("the tool");
    fs::write(images.join("aa/config.json"), r#"{"config":{"Entrypoint":["/tool"]}}"#).expect("written");
    fs::write(images.join("references.json"), r#"{"docker.io/library/tool:1":"aa"}"#).expect("written");
}

/// The static program of the pods, built once.
pub fn tool() -> PathBuf {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    TOOL.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tool");
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--package", "contract-tool", "--target", &target, "--target-dir"]);
        let done = cargo.arg(&folder).env("RUSTFLAGS", "-C target-feature=+crt-static").output().expect("cargo");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        folder.join(target).join("debug/contract-tool")
    })
    .clone()
}
