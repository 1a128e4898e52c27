use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::{Context, Failure};
use futures::future::join_all;
use providers::docker::{Container, Docker, Exec};
use providers::kind::{ADMIN_CONF, Api, Configuration, Create, Kind};
use providers::kubeconfig::{self, Entry};
use providers::program;
use providers::wait::{Probe, WaitError, until};
use tokio::time::timeout;

use super::cluster::{API, Inputs, NODES, remove_file};
use super::{SHARED, nodes};
use crate::{failure, ports};

/// How long kind may take until the API server answers: the node image may have to be pulled first.
const BOOT_LIMIT: Duration = Duration::from_mins(30);
/// How long the API server may take to answer after kind has finished.
const AFTER_KIND_LIMIT: Duration = Duration::from_mins(1);
/// Pause between two looks. Short beside the 10 seconds that a control plane needs, long beside what a look costs.
const PAUSE: Duration = Duration::from_millis(250);

/// Makes one cluster.
pub(super) struct Boot<'a> {
    pub(super) docker: &'a Docker,
    pub(super) context: &'a Context,
    pub(super) inputs: &'a Inputs,
    pub(super) lock: Option<Arc<File>>,
}

impl Boot<'_> {
    /// Runs kind to its end, and announces meanwhile how far the cluster is; returns the API server's address.
    ///
    /// Nothing of the cluster may be there before. When kind fails, what it made is removed.
    pub(super) async fn run(&self) -> Result<String, Failure> {
        self.check_ports().await?;
        let files = self.files().map_err(Failure::nothing_remains)?;
        let (configuration, kubeconfig) = (files.path().join("kind.yaml"), files.path().join("kubeconfig"));
        let docker_host = self.docker.host().await.map_err(failure::docker)?;
        let kind = Kind::new(self.inputs.kind.as_deref()).stdin(self.lock.clone());
        let create = kind.create(
            Create {
                name: &self.inputs.name,
                node_image: self.inputs.node_image.as_deref(),
                network: &self.inputs.network,
                docker_host,
                configuration: &configuration,
                kubeconfig: &kubeconfig,
            },
            |stage| self.context.progress(stage),
            |line| self.context.output(line),
        );
        let announce = |milestone: &str| self.context.milestone(milestone);
        let watch = self.watch(BOOT_LIMIT, &announce);
        tokio::pin!(create, watch);
        let mut watched = None;
        let created = loop {
            tokio::select! {
                created = &mut create => break created,
                server = &mut watch, if watched.is_none() => watched = Some(server),
            }
        };
        if let Err(error) = created {
            return Err(self.clean_up(error).await);
        }
        let watched = match watched {
            Some(watched) => Ok(watched),
            None => timeout(AFTER_KIND_LIMIT, watch).await,
        };
        match watched {
            Ok(Ok((server, _))) => Ok(server),
            Ok(Err(reason)) => Err(format!("reach the cluster {} that kind made: {reason}", self.inputs.name).into()),
            Err(_) => {
                Err(format!("reach the cluster {} that kind made: its API server does not answer", self.inputs.name)
                    .into())
            }
        }
    }

    /// Waits until images may be delivered, then until objects may be applied, and announces both.
    pub(super) async fn watch(
        &self,
        limit: Duration,
        announce: &(dyn Fn(&str) + Sync),
    ) -> Result<(String, Api), String> {
        let containers = until("the nodes", limit, PAUSE, || self.nodes_run()).await.map_err(said)?;
        let runtimes =
            containers.iter().map(|container| until(&container.name, limit, PAUSE, || self.runtime_answers(container)));
        for answered in join_all(runtimes).await {
            answered.map_err(said)?;
        }
        announce(NODES);
        let entry = until("the credentials", limit, PAUSE, || self.credentials(&containers)).await.map_err(said)?;
        // The file must be complete when it appears, and nobody may use it before the API server answers.
        let path = &self.inputs.kubeconfig;
        let api = Api::new(&kubeconfig::private(&self.inputs.name, &entry)).await?;
        until("the API server", limit, PAUSE, || async {
            Ok::<_, String>(match api.answers().await {
                Ok(()) => Probe::Ready(()),
                Err(reason) => Probe::Pending(reason),
            })
        })
        .await
        .map_err(said)?;
        kubeconfig::write_private(path, &self.inputs.name, &entry).map_err(|error| causes(&error))?;
        announce(API);
        Ok((entry.server().to_owned(), api))
    }

    /// Whether kubeadm got as far as writing the administrator's credentials, which a cluster that was ever finished has.
    pub(super) async fn was_initialised(&self, containers: &[Container]) -> bool {
        match containers.iter().find(|container| nodes::is_control_plane(container)) {
            Some(control_plane) => self.docker.read_file(&control_plane.id, ADMIN_CONF).await.is_ok(),
            None => false,
        }
    }

    async fn nodes_run(&self) -> Result<Probe<Vec<Container>>, String> {
        let found = nodes::containers(self.docker, &self.inputs.name).await.map_err(|error| causes(&error))?;
        let running: Vec<Container> =
            found.into_iter().filter(|container| container.running && nodes::is_ours(container, self.inputs)).collect();
        let missing = format!("{} of {} run", running.len(), self.inputs.nodes);
        Ok(if running.len() == self.inputs.nodes { Probe::Ready(running) } else { Probe::Pending(missing) })
    }

    async fn runtime_answers(&self, container: &Container) -> Result<Probe<()>, String> {
        let answer = self.docker.exec(&container.id, Exec::new(["ctr", "version"])).await;
        Ok(match answer {
            Ok(output) if output.success() => Probe::Ready(()),
            Ok(output) => Probe::Pending(output.message()),
            // The container may be restarting.
            Err(error) => Probe::Pending(causes(&error)),
        })
    }

    /// The administrator's credentials, as soon as kubeadm has written them.
    async fn credentials(&self, containers: &[Container]) -> Result<Probe<Entry>, String> {
        let control_plane = containers.iter().find(|container| nodes::is_control_plane(container));
        let (Some(control_plane), Some(port)) = (control_plane, nodes::api_port(containers)) else {
            return Err("no port of this machine leads to the API server".to_owned());
        };
        match self.docker.read_file(&control_plane.id, ADMIN_CONF).await {
            Ok(text) => {
                let entry = Entry::from_admin(&String::from_utf8_lossy(&text), &format!("https://127.0.0.1:{port}"));
                // It may be read while it is written.
                Ok(entry.map_or_else(|error| Probe::Pending(error.to_string()), Probe::Ready))
            }
            Err(error) => Ok(Probe::Pending(causes(&error))),
        }
    }

    /// Makes sure that kind will be able to publish the ports that are asked for.
    async fn check_ports(&self) -> Result<(), Failure> {
        for mapping in &self.inputs.ports {
            let port = mapping.local_port;
            if let Some(reason) = ports::obstacle(port) {
                let container = self.publisher(port).await.map(|container| format!("{container} holds it"));
                return Err(ports::failure(port, &container.unwrap_or(reason)));
            }
        }
        Ok(())
    }

    /// The container that publishes a port: more telling than the name of Docker's own proxy.
    async fn publisher(&self, port: u16) -> Option<String> {
        let containers = self.docker.containers(&[]).await.ok()?;
        let publishes = |container: &&Container| container.ports.iter().any(|published| published.local_port == port);
        containers.iter().find(publishes).map(|container| format!("the container {}", container.name))
    }

    /// The folder with kind's configuration, which is removed when it is dropped, and the owner's folder.
    fn files(&self) -> Result<tempfile::TempDir, Failure> {
        let owner = &self.inputs.owner_folder;
        fs::create_dir_all(owner).map_err(|error| failure::file("make", owner, error))?;
        let state = self.inputs.kubeconfig.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(state).map_err(|error| failure::file("make", state, error))?;
        let files = tempfile::Builder::new().prefix("kind-").tempdir_in(state);
        let files = files.map_err(|error| failure::file("make a folder in", state, error))?;
        let shared = self.inputs.shared_folder();
        if let Some(shared) = &shared {
            fs::create_dir_all(shared).map_err(|error| failure::file("make", shared, error))?;
        }
        let configuration = Configuration {
            nodes: self.inputs.nodes,
            shared: shared.map(|folder| (folder, SHARED.to_owned())),
            mount: (owner.clone(), nodes::owner_path(&self.inputs.deployment)),
            ports: self.inputs.ports.iter().map(|port| (port.local_port, port.node_port)).collect(),
        };
        let path = files.path().join("kind.yaml");
        fs::write(&path, configuration.render()).map_err(|error| failure::file("write", &path, error))?;
        Ok(files)
    }

    /// Removes what a failed kind left behind, and says whether anything is.
    async fn clean_up(&self, error: program::Error) -> Failure {
        // A kind that was killed may have left a container behind that Docker is still making.
        let finished = !matches!(error, program::Error::Signal { .. } | program::Error::Lost { .. });
        let failure = failure::kind(error);
        let removed = async {
            let found = nodes::containers(self.docker, &self.inputs.name).await.map_err(failure::docker)?;
            let ours: Vec<Container> =
                found.into_iter().filter(|container| nodes::is_ours(container, self.inputs)).collect();
            nodes::remove(self.docker, &ours).await?;
            remove_file(&self.inputs.kubeconfig)
        };
        if removed.await.is_ok() && finished { failure.nothing_remains() } else { failure }
    }
}

/// A wait's end in one line.
fn said(error: WaitError<String>) -> String {
    match error {
        WaitError::Stopped(reason) => reason,
        WaitError::TimedOut { what, missing, .. } => {
            format!("{what}: {}", missing.unwrap_or_else(|| "no answer".to_owned()))
        }
    }
}

/// An error and its causes in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
