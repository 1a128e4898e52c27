//! A folder with nothing in it, and the program run in it with nothing else around.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A temporary folder that is the whole world of the program under test.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn run(&self, arguments: &[&str]) -> String {
        self.run_in("", arguments)
    }

    /// Exit code, standard output and standard error, with the folder's path taken out.
    pub fn run_in(&self, folder: &str, arguments: &[&str]) -> String {
        let output = self.output(folder, arguments);
        let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let text = format!("exit code {}\n--- stdout\n{stdout}--- stderr\n{stderr}", output.status.code().unwrap());
        let place = self.0.path().canonicalize().unwrap();
        let text = text.replace(place.to_str().unwrap(), "[place]").replace(self.0.path().to_str().unwrap(), "[place]");
        text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    pub fn output(&self, folder: &str, arguments: &[&str]) -> Output {
        self.output_with(folder, arguments, &[])
    }

    /// With more in the environment.
    pub fn output_with(&self, folder: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_infra"))
            .args(arguments)
            .current_dir(self.path(folder))
            .env_clear()
            .env("HOME", self.path("home"))
            .env("INFRA_STATE", self.path("state"))
            .env("INFRA_CACHE", self.path("cache"))
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .env("COLUMNS", "100")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}
