//! One instance of a container: from its image to its exit.

use crate::environment::{arguments, environment, expand, service_variables};
use crate::images::{Fetched, Image, Login, PullPolicy, WantedImage, logins};
use crate::machine::{FoundImage, Happened, StartFailure, Termination};
use crate::pod::hook;
use crate::read::{list, name, namespace, text, uid};
use crate::security::{Refused, Security, security};
use crate::shared::{Instance, Shared};
use crate::volumes::Volumes;
use apiserver::ListOptions;
use jiff::Timestamp;
use runtime::{ContainerConfig, Exit, Mount, MountKind, StartContainerError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much of a termination message is told, in bytes.
const MESSAGE_BYTES: usize = 4096;
/// How much of a log stands for a termination message, in bytes and lines.
const LOG_BYTES: usize = 2048;
const LOG_LINES: usize = 80;

/// What an instance is started from.
pub struct Start {
    /// What all pods share.
    pub shared: Arc<Shared>,
    /// The pod.
    pub pod: Arc<Value>,
    /// The container's place in the machine.
    pub index: usize,
    /// The container.
    pub container: Value,
    /// The number of the instance.
    pub attempt: u32,
    /// The pod's address.
    pub address: Ipv4Addr,
    /// The pod's volumes.
    pub volumes: Volumes,
}

/// Starts an instance and stays until it has ended; `tell` hears of everything.
pub async fn run(start: Start, tell: impl Fn(Happened)) {
    let (index, shared, pod) = (start.index, &start.shared, &start.pod);
    let container = text(&start.container, "name").to_owned();
    let image = match start.image().await {
        Ok(image) => image,
        Err(failure) => {
            start.tell_failure(&failure);
            return tell(Happened::NotStarted { index, failure, image: None });
        }
    };
    let id = fresh_id();
    let since = Timestamp::now();
    if let Err(failure) = start.create(&image, &id).await {
        start.tell_failure(&failure);
        return tell(Happened::NotStarted { index, failure, image: Some(found(image)) });
    }
    shared.events.normal(pod, Some(&container), "Created", &format!("Created container: {container}"));
    shared.events.normal(pod, Some(&container), "Started", &format!("Started container {container}"));
    let instance =
        Instance { id: id.clone(), attempt: start.attempt, runs: true, stop_signal: signal(&image.stop_signal) };
    shared.remember(uid(pod), &container, instance.clone());
    let post_start = &start.container["lifecycle"]["postStart"];
    let has_hook = post_start.is_object();
    tell(Happened::Started { index, id: id.clone(), image: found(image), hook: has_hook });
    let hook = async {
        if has_hook {
            let failed = hook::run(shared, pod, &start.container, &id, start.address, post_start).await.err();
            if failed.is_some() {
                shared.events.warning(pod, Some(&container), "FailedPostStartHook", "PostStartHook failed");
            }
            tell(Happened::Hook { index, id: id.clone(), failed });
        }
    };
    let (exit, ()) = tokio::join!(shared.node.wait(&id), hook);
    shared.remember(uid(pod), &container, Instance { runs: false, ..instance });
    let termination = start.termination(exit, &id, since);
    // What it wrote to its root goes with it.
    let _ = shared.node.remove_container(&id).await;
    tell(Happened::Exited { index, termination });
}

fn found(image: Image) -> FoundImage {
    FoundImage { name: image.name, id: image.id }
}

impl Start {
    fn tell_failure(&self, failure: &StartFailure) {
        let container = text(&self.container, "name");
        let told = match failure {
            StartFailure::Image { reason, message } => {
                let (event, detail) = match *reason {
                    "ErrImagePull" => {
                        let image = text(&self.container, "image");
                        ("Failed", format!("Failed to pull image \"{image}\": {message}"))
                    }
                    "InvalidImageName" => ("InspectFailed", message.clone()),
                    _ => ("ErrImageNeverPull", message.clone()),
                };
                self.shared.events.warning(&self.pod, Some(container), event, &detail);
                reason
            }
            StartFailure::Config(message) | StartFailure::Create(message) | StartFailure::Run(message) => {
                message.as_str()
            }
        };
        self.shared.events.warning(&self.pod, Some(container), "Failed", &format!("Error: {told}"));
    }

    async fn image(&self) -> Result<Image, StartFailure> {
        let reference = text(&self.container, "image");
        let policy = match text(&self.container, "imagePullPolicy") {
            "Always" => PullPolicy::Always,
            "Never" => PullPolicy::Never,
            _ => PullPolicy::IfNotPresent,
        };
        let (events, container) = (&self.shared.events, Some(text(&self.container, "name")));
        let logins = self.logins();
        let wanted = WantedImage { reference, policy, logins: &logins };
        let begin = || events.normal(&self.pod, container, "Pulling", &format!("Pulling image \"{reference}\""));
        let found = self.shared.images.find(&wanted, &begin).await;
        let found = found.map_err(|error| StartFailure::Image { reason: error.reason, message: error.message })?;
        let message = match found.1 {
            None => format!("Container image \"{reference}\" already present on machine"),
            Some(Fetched { took, size_bytes }) => {
                let took = format!("{}.{:03}s", took.as_secs(), took.subsec_millis());
                format!(
                    "Successfully pulled image \"{reference}\" in {took} ({took} including waiting). Image size: {size_bytes} \
                     bytes."
                )
            }
        };
        events.normal(&self.pod, container, "Pulled", &message);
        Ok(found.0)
    }

    /// The logins at registries that the pod brings.
    fn logins(&self) -> Vec<(String, Login)> {
        let names = list(&self.pod["spec"]["imagePullSecrets"]).iter().map(|reference| text(reference, "name"));
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for secret_name in names {
            match self.shared.api.get(kinds::SECRETS, namespace(&self.pod), secret_name) {
                Ok(secret) => found.extend(logins(&secret)),
                Err(_) => missing.push(secret_name),
            }
        }
        if !missing.is_empty() {
            let message = format!(
                "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                missing.join(", ")
            );
            self.shared.events.warning(&self.pod, None, "FailedToRetrieveImagePullSecret", &message);
        }
        found
    }

    async fn create(&self, image: &Image, id: &str) -> Result<(), StartFailure> {
        let config = self.config(image, id).await?;
        match self.shared.node.start_container(config).await {
            Ok(_) => Ok(()),
            Err(StartContainerError::Program(why)) => Err(StartFailure::Run(why)),
            Err(error) => Err(StartFailure::Create(error.to_string())),
        }
    }

    fn services(&self) -> BTreeMap<String, String> {
        let mut all = Vec::new();
        if self.pod["spec"]["enableServiceLinks"] != false {
            let options = ListOptions::default();
            let own = self.shared.api.list(kinds::SERVICES, Some(namespace(&self.pod)), &options);
            all.extend(own.map(|list| list.items).unwrap_or_default());
        }
        let known = |service: &Arc<Value>| name(service) == "kubernetes" && namespace(service) == "default";
        if !all.iter().any(known) {
            all.extend(self.shared.api.get(kinds::SERVICES, "default", "kubernetes"));
        }
        service_variables(&all.iter().map(AsRef::as_ref).collect::<Vec<_>>())
    }

    async fn config(&self, image: &Image, id: &str) -> Result<ContainerConfig, StartFailure> {
        let (shared, pod, container) = (&self.shared, &self.pod, &self.container);
        let find =
            |resource: &'static kinds::Resource, wanted: &str| shared.api.get(resource, namespace(pod), wanted).ok();
        let facts = shared.facts(pod, Some(self.address));
        let own = environment(container, &self.services(), &find, &facts).map_err(StartFailure::Config)?;
        let who = security(pod, container, &image.user, |user| runtime::find_user(&image.root, user));
        let who = who.map_err(|refused| match refused {
            Refused::Config(why) => StartFailure::Config(why),
            Refused::Create(why) => StartFailure::Create(why),
        })?;
        let words = arguments(container, &image.entrypoint, &image.cmd, &own);
        if words.is_empty() {
            return Err(StartFailure::Create("no command specified".to_owned()));
        }
        let expanded = |text: &str| expand(text, |name| own.get(name).map(str::to_owned));
        let mut mounts = self.volumes.mounts(&shared.node, container, expanded).await.map_err(StartFailure::Config)?;
        mounts.push(self.termination_mount()?);
        let mut all = crate::environment::Environment::default();
        for (name, value) in &image.environment {
            all.set(name, value.as_str());
        }
        for (name, value) in own.into_pairs() {
            all.set(&name, value);
        }
        let directory = text(container, "workingDir");
        let directory = if directory.is_empty() { image.working_dir.as_str() } else { directory };
        let log = shared.log(uid(pod), text(container, "name"), self.attempt);
        make_log_folder(&log, self.attempt).map_err(|error| StartFailure::Create(error.to_string()))?;
        Ok(self.assemble(image, id, (words, all.into_pairs()), who, mounts, directory, log))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one value")]
    fn assemble(
        &self,
        image: &Image,
        id: &str,
        (arguments, environment): (Vec<String>, Vec<(String, String)>),
        who: Security,
        mounts: Vec<Mount>,
        directory: &str,
        log: PathBuf,
    ) -> ContainerConfig {
        let amount = |of: &str, resource: &str| {
            kinds::quantity::from_value(&self.container["resources"][of][resource]).ok().filter(|it| !it.is_zero())
        };
        let millis = |of: &str| amount(of, "cpu").and_then(|cpu| u64::try_from(cpu.millis()).ok());
        let memory = amount("limits", "memory").and_then(|memory| u64::try_from(memory.units()).ok());
        ContainerConfig {
            id: id.to_owned(),
            pod_id: uid(&self.pod).to_owned(),
            root: image.root.clone(),
            read_only_root: who.read_only_root,
            arguments,
            environment,
            working_directory: directory.to_owned(),
            user: who.user,
            group: who.group,
            groups: who.groups,
            privileges: who.privileges,
            mounts,
            cpu_limit_millis: millis("limits"),
            cpu_request_millis: millis("requests"),
            memory_limit_bytes: memory,
            oom_score_adjust: oom_score(&self.pod),
            log,
        }
    }

    fn termination_file(&self) -> PathBuf {
        let container = text(&self.container, "name");
        self.shared.pod_folder(uid(&self.pod)).join("termination").join(container)
    }

    fn termination_mount(&self) -> Result<Mount, StartFailure> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.termination_file();
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
            // The one of the instance before may belong to the container's user.
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, [])?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))
        });
        made.map_err(|error| StartFailure::Create(format!("{}: {error}", path.display())))?;
        let target = text(&self.container, "terminationMessagePath");
        let target = if target.is_empty() { "/dev/termination-log" } else { target };
        Ok(Mount { kind: MountKind::Bind { source: path }, target: target.to_owned(), read_only: false })
    }

    fn termination(&self, exit: Result<Exit, runtime::NodeError>, id: &str, since: Timestamp) -> Termination {
        let container_id = format!("{}{id}", crate::machine::CONTAINER_SCHEME);
        let Ok(exit) = exit else {
            return Termination {
                exit_code: 255,
                signal: None,
                reason: "Unknown".to_owned(),
                message: None,
                started_at: since,
                finished_at: Timestamp::now(),
                container_id,
            };
        };
        let reason = match (exit.oom_killed, exit.code) {
            (true, _) => "OOMKilled",
            (false, 0) => "Completed",
            (false, _) => "Error",
        };
        let (seconds, nanoseconds) = exit.finished_at;
        let finished = Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or(0));
        Termination {
            exit_code: exit.code,
            signal: None,
            reason: reason.to_owned(),
            message: self.message(exit.code),
            started_at: since,
            finished_at: finished.unwrap_or_else(|_| Timestamp::now()),
            container_id,
        }
    }

    /// What the program left as its last word.
    fn message(&self, exit_code: i32) -> Option<String> {
        let written = std::fs::read(self.termination_file()).unwrap_or_default();
        let written = &written[written.len().saturating_sub(MESSAGE_BYTES)..];
        if !written.is_empty() {
            return Some(String::from_utf8_lossy(written).into_owned());
        }
        if exit_code == 0 || text(&self.container, "terminationMessagePolicy") != "FallbackToLogsOnError" {
            return None;
        }
        let log = self.shared.log(uid(&self.pod), text(&self.container, "name"), self.attempt);
        Some(crate::logs::last_lines(&log, LOG_LINES, LOG_BYTES)).filter(|text| !text.is_empty())
    }
}

/// The folder of a log; of the logs in it only the one before this one stays.
fn make_log_folder(log: &Path, attempt: u32) -> std::io::Result<()> {
    let Some(folder) = log.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder)?;
    if let Some(old) = attempt.checked_sub(2) {
        for name in [format!("{old}.log"), format!("{old}.log.1")] {
            let _ = std::fs::remove_file(folder.join(name));
        }
    }
    Ok(())
}

/// The number of a signal that an image names; SIGTERM unless it is known.
fn signal(name: &str) -> i32 {
    let numbers =
        [("HUP", 1), ("INT", 2), ("QUIT", 3), ("KILL", 9), ("USR1", 10), ("USR2", 12), ("TERM", 15), ("WINCH", 28)];
    let plain = name.strip_prefix("SIG").unwrap_or(name);
    let known = numbers.iter().find(|(known, _)| *known == plain).map(|(_, number)| *number);
    known.or_else(|| plain.parse().ok()).unwrap_or(15)
}

fn oom_score(pod: &Value) -> i32 {
    match text(&pod["status"], "qosClass") {
        "Guaranteed" => 0,
        "Burstable" => 500,
        _ => 1000,
    }
}

/// 64 digits that no other instance has.
fn fresh_id() -> String {
    let [a, b, c, d] = [0, 1, 2, 3].map(|part| RandomState::new().hash_one(part));
    format!("{a:016x}{b:016x}{c:016x}{d:016x}")
}
