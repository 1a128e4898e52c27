//! kind, the program that makes Kubernetes clusters whose nodes are Docker containers.

mod api;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::program::{self, Program};

pub use api::Api;

/// The label of a node's container that holds the cluster's name.
pub const CLUSTER_LABEL: &str = "io.x-k8s.kind.cluster";
/// The label of a node's container that holds its role.
pub const ROLE_LABEL: &str = "io.x-k8s.kind.role";
/// The role of the node that the API server runs on.
pub const CONTROL_PLANE: &str = "control-plane";
/// The API server's port inside the control plane's container.
pub const API_SERVER_PORT: u16 = 6443;
/// The credentials of the cluster's administrator inside the control plane's container.
pub const ADMIN_CONF: &str = "/etc/kubernetes/admin.conf";

/// What the control plane of every cluster is told through kubeadm; kind takes the patch whose version is its own.
///
/// There is one control plane, so nobody is elected: losing the first election was seen to cost three seconds. And its controllers may
/// ask more than 20 times a second, which is kube-controller-manager's default: starting all of them took five seconds with it. A claim
/// that is seen before its volume is looked at again after a second, not after fifteen. The list of the newer version replaces kind's
/// own, so it repeats what kind sets.
const KUBEADM_PATCHES: &str = include_str!("kind/kubeadm-patches.yaml");

/// A cluster as kind shall make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// How many nodes, at least 1. The first is the control plane; workloads may run on all of them.
    pub nodes: usize,
    /// A folder of the machine that every node sees, read-only.
    pub mount: (PathBuf, String),
    /// A folder of the machine that every node sees and writes to, if that is wanted.
    pub shared: Option<(PathBuf, String)>,
    /// Ports of 127.0.0.1 that lead to ports of the control plane's node.
    pub ports: Vec<(u16, u16)>,
}

impl Configuration {
    /// The configuration in kind's own form, `kind.x-k8s.io/v1alpha4`. The same configuration gives the same bytes.
    pub fn render(&self) -> String {
        let mut lines = vec!["kind: Cluster".to_owned(), "apiVersion: kind.x-k8s.io/v1alpha4".to_owned()];
        lines.extend(KUBEADM_PATCHES.lines().map(str::to_owned));
        // kubeadm keeps workloads off the control plane with a taint. Of a single node kind takes it away itself, and fails when it
        // is not there.
        if self.nodes > 1 {
            let patch = ["- |", "  kind: InitConfiguration", "  nodeRegistration:", "    taints: []"];
            lines.extend(patch.map(str::to_owned));
        }
        lines.push("nodes:".to_owned());
        for index in 0..self.nodes {
            lines.push(format!("- role: {}", if index == 0 { CONTROL_PLANE } else { "worker" }));
            let (host, container) = &self.mount;
            lines.push("  extraMounts:".to_owned());
            lines.push(format!("  - hostPath: {}", quoted(&host.to_string_lossy())));
            lines.push(format!("    containerPath: {}", quoted(container)));
            lines.push("    readOnly: true".to_owned());
            if let Some((host, container)) = &self.shared {
                lines.push(format!("  - hostPath: {}", quoted(&host.to_string_lossy())));
                lines.push(format!("    containerPath: {}", quoted(container)));
            }
            if index == 0 && !self.ports.is_empty() {
                lines.push("  extraPortMappings:".to_owned());
                for (local, node) in &self.ports {
                    lines.push(format!("  - containerPort: {node}"));
                    lines.push(format!("    hostPort: {local}"));
                    lines.push("    listenAddress: 127.0.0.1".to_owned());
                }
            }
        }
        lines.join("\n") + "\n"
    }
}

/// A text in double quotes, in the form that JSON and YAML share.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The program kind.
#[derive(Clone, Debug)]
pub struct Kind {
    binary: PathBuf,
    stdin: Option<Arc<std::fs::File>>,
}

/// What `kind create cluster` is run with.
#[derive(Clone, Copy, Debug)]
pub struct Create<'a> {
    /// The cluster's name.
    pub name: &'a str,
    /// The image of its nodes; `None` leaves it to kind.
    pub node_image: Option<&'a str>,
    /// The Docker network of its nodes.
    pub network: &'a str,
    /// The Docker Engine's address, as `DOCKER_HOST`.
    pub docker_host: &'a str,
    /// The file with the rendered [`Configuration`].
    pub configuration: &'a Path,
    /// The file that kind writes its own kubeconfig to.
    pub kubeconfig: &'a Path,
}

impl Kind {
    /// The program at a path, or the one in `PATH`.
    pub fn new(binary: Option<&Path>) -> Self {
        Self { binary: binary.unwrap_or(Path::new("kind")).to_owned(), stdin: None }
    }

    /// Gives the program an open file as its standard input: see [`Program::stdin`].
    #[must_use]
    pub fn stdin(mut self, file: Option<Arc<std::fs::File>>) -> Self {
        self.stdin = file;
        self
    }

    /// Its version, for example `0.33.0`.
    pub async fn version(&self) -> Result<String, program::Error> {
        let text = Program::new(&self.binary).argument("version").read().await?;
        let version = text.split_whitespace().nth(1).unwrap_or_else(|| text.trim());
        Ok(version.trim_start_matches('v').to_owned())
    }

    /// Makes a cluster; returns when kind has finished. Each stage goes to `progress` as it begins, every line to `output`.
    ///
    /// A kind that fails by itself removes the containers that it made. One that is killed does not.
    pub async fn create(
        &self,
        create: Create<'_>,
        mut progress: impl FnMut(String),
        mut output: impl FnMut(&str),
    ) -> Result<(), program::Error> {
        let mut program = Program::new(&self.binary)
            .arguments(["create", "cluster", "--wait", "0s", "--name", create.name])
            .argument("--config")
            .argument(create.configuration)
            .argument("--kubeconfig")
            .argument(create.kubeconfig);
        if let Some(image) = create.node_image {
            program = program.arguments(["--image", image]);
        }
        program = program
            .variable("KIND_EXPERIMENTAL_PROVIDER", "docker")
            .variable("KIND_EXPERIMENTAL_DOCKER_NETWORK", create.network)
            .variable("DOCKER_HOST", create.docker_host)
            .stdin(self.stdin.clone());
        program
            .run(|_, line| {
                output(line);
                if let Some(stage) = stage(line) {
                    progress(stage);
                }
            })
            .await
    }
}

/// The stage of its work that a line of kind announces: ` • Starting control-plane 🕹️  ...` gives `starting control-plane`.
fn stage(line: &str) -> Option<String> {
    let words = line.trim_start().strip_prefix('•')?.trim().trim_end_matches("...");
    let words: String = words.chars().filter(char::is_ascii).collect();
    let mut letters = words.trim().chars();
    let first = letters.next()?.to_ascii_lowercase();
    Some(format!("{first}{}", letters.as_str()))
}

/// What to do when kind is missing, or failed for a cause that is recognised; `None` for others.
pub fn hint(error: &program::Error) -> Option<String> {
    let last_lines = match error {
        program::Error::NotFound { .. } | program::Error::Start { .. } => {
            let hint = "install kind (https://kind.sigs.k8s.io, a single file) into a folder of PATH, or name it with --kind PATH";
            return Some(hint.to_owned());
        }
        program::Error::Exit { last_lines, .. } | program::Error::Signal { last_lines, .. } => last_lines.join("\n"),
        program::Error::Lost { .. } => return None,
    };
    let causes = [
        (
            "no space left on device",
            "the disk is full: `docker system df` shows what Docker holds, `docker system prune` frees what is unused",
        ),
        (
            "failed to pull image",
            "the node image is neither on this machine nor can it be pulled: name another one as the cluster's node image",
        ),
        ("Cannot connect to the Docker daemon", "Docker stopped meanwhile: start it and run the same command again"),
        ("port is already allocated", "another container holds the port: give the mapping another local_port"),
        ("address already in use", "another program holds the port: give the mapping another local_port"),
        (
            "too many open files",
            "raise the limits of inotify: `sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288`",
        ),
    ];
    causes.iter().find(|(cause, _)| last_lines.contains(cause)).map(|(_, hint)| (*hint).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_three_nodes_with_a_port() {
        let configuration = Configuration {
            nodes: 3,
            mount: (PathBuf::from("/home/me/.local/state/infra: a"), "/etc/infra/deployment/demo".to_owned()),
            shared: Some((PathBuf::from("/home/me/.local/state/shared"), "/var/lib/infra/shared".to_owned())),
            ports: vec![(8080, 30080)],
        };
        insta::assert_snapshot!(configuration.render());
    }

    #[test]
    fn the_configuration_of_one_node() {
        let mount = (PathBuf::from("/state/owner"), "/etc/infra/deployment/demo".to_owned());
        insta::assert_snapshot!(Configuration { nodes: 1, mount, shared: None, ports: Vec::new() }.render());
    }

    #[test]
    fn a_line_that_begins_a_stage_is_progress() {
        assert_eq!(stage(" • Starting control-plane 🕹️  ...").as_deref(), Some("starting control-plane"));
        assert_eq!(
            stage(" • Ensuring node image (kind-node:v1) 🖼  ...").as_deref(),
            Some("ensuring node image (kind-node:v1)")
        );
        assert_eq!(stage(" ✓ Starting control-plane 🕹️"), None);
        assert_eq!(stage("Creating cluster \"demo\" ..."), None);
    }

    #[tokio::test]
    async fn a_missing_kind_says_how_to_get_it() {
        let error = Kind::new(Some(Path::new("/nowhere/kind"))).version().await.unwrap_err();
        assert!(matches!(error, program::Error::NotFound { .. }), "{error}");
        assert!(hint(&error).unwrap().contains("--kind PATH"));
    }

    #[test]
    fn a_full_disk_is_recognised_in_the_last_lines() {
        let last_lines = vec!["docker: Error response from daemon: mkdir /x: no space left on device.".to_owned()];
        let hint = hint(&program::Error::Exit { name: "kind".into(), code: 1, last_lines }).unwrap();
        assert!(hint.contains("docker system df"));
    }
}
