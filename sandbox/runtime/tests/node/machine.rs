//! A node to try, with an image of nothing but busybox.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::{ContainerConfig, ExecConfig, Exit, Node, NodeOptions, PodConfig, Privileges};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub type Result<T = ()> = std::result::Result<T, String>;

/// Any error as its text.
pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A node with its folder and its image.
pub struct Machine {
    pub node: Node,
    folder: tempfile::TempDir,
}

/// A statically linked busybox.
pub fn busybox() -> Option<PathBuf> {
    ["/usr/bin/busybox", "/bin/busybox"].into_iter().map(PathBuf::from).find(|path| path.exists())
}

/// An unpacked image with busybox and links to it.
pub fn make_image(root: &Path) -> std::io::Result<()> {
    for folder in ["bin", "etc", "tmp", "root", "home/app"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::copy(busybox().unwrap_or_default(), root.join("bin/busybox"))?;
    for name in [
        "sh", "cat", "sleep", "nc", "nslookup", "wget", "hostname", "id", "ls", "mount", "touch", "yes", "stty", "ps",
        "dd", "head", "tail",
    ] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name))?;
    }
    std::os::unix::fs::symlink("/later", root.join("link"))?;
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\napp:x:1000:\n")?;
    fs::write(root.join("etc/shadowed"), "text")
}

impl Machine {
    pub async fn start() -> Result<Self> {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut NodeOptions)) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(text)?;
        make_image(&folder.path().join("image")).map_err(text)?;
        let mut options = NodeOptions::new(folder.path().join("node"));
        change(&mut options);
        let node = Node::start(options).await.map_err(|error| format!("{error:?}"))?;
        Ok(Self { node, folder })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub async fn pod(&self, id: &str) -> Result<Ipv4Addr> {
        let config = PodConfig {
            id: id.to_owned(),
            hostname: id.to_owned(),
            hosts: vec![(Ipv4Addr::new(1, 2, 3, 4), vec!["alias".to_owned()])],
            resolv_conf: "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\n\
                          options ndots:5\n"
                .to_owned(),
            sysctls: Vec::new(),
        };
        Ok(self.node.start_pod(config).await.map_err(text)?.address)
    }

    /// A container that runs a line of the shell, with errors in its output: which of the two comes first is chance.
    pub fn container(&self, pod: &str, id: &str, script: &str) -> ContainerConfig {
        ContainerConfig {
            id: id.to_owned(),
            pod_id: pod.to_owned(),
            root: self.path("image"),
            read_only_root: false,
            arguments: vec!["sh".to_owned(), "-c".to_owned(), format!("exec 2>&1; {script}")],
            environment: vec![("PATH".to_owned(), "/bin".to_owned())],
            working_directory: String::new(),
            user: 0,
            group: 0,
            groups: Vec::new(),
            privileges: Privileges::default(),
            mounts: Vec::new(),
            cpu_limit_millis: None,
            cpu_request_millis: None,
            memory_limit_bytes: None,
            oom_score_adjust: 0,
            log: self.path(&format!("{id}.log")),
        }
    }

    pub async fn start_container(&self, config: ContainerConfig) -> Result {
        self.node.start_container(config).await.map_err(text).map(drop)
    }

    /// What a container wrote, without times.
    pub fn output(&self, id: &str) -> String {
        let log = fs::read_to_string(self.path(&format!("{id}.log"))).unwrap_or_default();
        log.split_inclusive('\n').filter_map(|line| line.splitn(4, ' ').nth(3)).collect()
    }

    /// Runs a container to its end.
    pub async fn run_container(&self, config: ContainerConfig) -> Result<(Exit, String)> {
        let id = config.id.clone();
        self.start_container(config).await?;
        let exit = tokio::time::timeout(Duration::from_secs(20), self.node.wait(&id)).await;
        let exit = exit.map_err(|_| format!("{id} does not end; so far: {}", self.output(&id)))?.map_err(text)?;
        let output = self.output(&id);
        self.node.remove_container(&id).await.map_err(text)?;
        Ok((exit, output))
    }

    /// Runs a line of the shell to its end in a pod.
    pub async fn run(&self, pod: &str, id: &str, script: &str) -> Result<(Exit, String)> {
        self.run_container(self.container(pod, id, script)).await
    }

    /// Runs a line of the shell in a running container.
    pub async fn exec(&self, container: &str, script: &str, input: &[u8]) -> Result<(i32, String, String)> {
        let arguments = ["sh", "-c", script].map(str::to_owned).to_vec();
        let config = ExecConfig { arguments, tty: false, stdin: true, stdout: true, stderr: true };
        let mut exec = self.node.exec(container, config).await.map_err(text)?;
        let mut stdin = exec.stdin.take().ok_or("no input")?;
        stdin.write_all(input).await.map_err(text)?;
        drop(stdin);
        let (mut output, mut errors) = (String::new(), String::new());
        exec.stdout.take().ok_or("no output")?.read_to_string(&mut output).await.map_err(text)?;
        exec.stderr.take().ok_or("no errors")?.read_to_string(&mut errors).await.map_err(text)?;
        Ok((exec.exit.wait().await.map_err(text)?.code, output, errors))
    }

    pub async fn stop(self) {
        self.node.stop().await;
    }
}

/// Fails with both texts if they differ.
#[allow(clippy::needless_pass_by_value)]
pub fn same<T: PartialEq + std::fmt::Debug>(found: T, wanted: T) -> Result {
    if found == wanted { Ok(()) } else { Err(format!("found {found:?}, wanted {wanted:?}")) }
}

/// Fails if a text does not contain another.
pub fn has(text: &str, part: &str) -> Result {
    if text.contains(part) { Ok(()) } else { Err(format!("{text:?} does not contain {part:?}")) }
}
