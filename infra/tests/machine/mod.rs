//! A place for one trial: its own state, cache and kubeconfig, and a look at what Docker holds.
#![allow(dead_code, reason = "each test program needs a part of it")]

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A temporary home for the program.
pub struct Machine {
    home: tempfile::TempDir,
    /// Whether there are the real Docker and kind in it.
    has_docker: bool,
    /// What its environment says besides.
    variables: Vec<(String, String)>,
}

/// How a command ended and what it printed.
pub struct Ended {
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    /// Both streams, standard output first.
    pub text: String,
}

impl Machine {
    /// With the real Docker and kind.
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), has_docker: true, variables: Vec::new() }
    }

    /// Without Docker.
    pub fn bare() -> Self {
        Self { has_docker: false, ..Self::new() }
    }

    /// With a variable in its environment.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_infra"));
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env("INFRA_STATE", self.path("state"))
            .env("INFRA_CACHE", cache())
            .env("KUBECONFIG", self.path("kubeconfig"))
            .stdin(Stdio::null());
        if self.has_docker {
            command
                .env("INFRA_KIND", std::env::var_os("INFRA_TEST_KIND").unwrap())
                .env("INFRA_NODE_IMAGE", std::env::var_os("INFRA_TEST_KIND_IMAGE").unwrap());
        } else {
            command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program to its end.
    pub fn infra(&self, arguments: &[&str]) -> Ended {
        ended(&self.command(arguments).output().unwrap())
    }

    /// Runs the program and fails the trial unless it succeeds.
    pub fn must(&self, arguments: &[&str]) -> String {
        let ended = self.infra(arguments);
        assert_eq!(ended.code, 0, "infra {}\n{}", arguments.join(" "), ended.text);
        ended.text
    }

    /// Starts the program and leaves it running.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The cluster's own kubectl, through the user's kubeconfig.
    pub fn kubectl(&self, arguments: &[&str]) -> Ended {
        ended(&Command::new("kubectl").args(arguments).env("KUBECONFIG", self.path("kubeconfig")).output().unwrap())
    }
}

/// Keeps other test programs of this machine from what cannot be shared (a fixed port, a cluster's name) until it is dropped.
pub fn alone_with(what: &str) -> File {
    let path = std::env::temp_dir().join(format!("infra-tests-{what}.lock"));
    let file = File::create(path).unwrap();
    file.lock().unwrap();
    file
}

/// Images and compiled programs are shared between trials: they are made once.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("infra-cache")
}

pub fn ended(output: &Output) -> Ended {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    Ended { code: output.status.code().unwrap_or(-1), text }
}

/// What Docker holds of a deployment: containers and networks by name, images by label.
pub fn left_in_docker(deployment: &str) -> String {
    let name = format!("infra-{deployment}");
    let label = format!("label=infra.deployment={deployment}");
    let cluster = format!("label=io.x-k8s.kind.cluster={name}");
    let lists: [&[&str]; 4] = [
        &["ps", "-aq", "--filter", &cluster],
        &["network", "ls", "-q", "--filter", &label],
        &["images", "-q", "--filter", &label],
        &["volume", "ls", "-q", "--filter", &label],
    ];
    lists.iter().map(|list| docker(list)).collect()
}

/// Runs the docker command line.
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The body that `http://HOST:PORT/PATH` answers with.
pub fn get(url: &str) -> Result<String, String> {
    let (host, path) = url.trim_start_matches("http://").split_once('/').expect("an address with a path");
    let ask = || -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect(host)?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
        // HTTP/1.0: the body ends with the connection.
        write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| format!("{url}: {error}"))?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or(answer)
}
