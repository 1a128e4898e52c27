use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One image that a deployment needs: what it is made of and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its name within the deployment; part of its reference, so lower-case letters, digits and `-`.
    pub name: String,
    /// How it is made.
    pub source: Source,
    /// Files and folders of this machine that are put into it, each in a layer of its own, so that big data that does not
    /// change is neither packed nor sent again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileEntry>,
    /// The user it runs as, `UID` or `UID:GID`. Without it 65532 for a cargo image, and what the Dockerfile says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Variables of the environment of its programs; they are added to those of a Dockerfile. No secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The repository that it is pushed to, for example `registry.example.com/team/server`, on targets that pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<String>,
}

/// How an image is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A program of a cargo workspace, built statically and put into an image without anything else. Needs no Docker.
    Cargo(CargoSource),
    /// A Dockerfile, built by the Docker Engine.
    Dockerfile(DockerfileSource),
}

/// A program of a cargo workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CargoSource {
    /// The package's name.
    pub package: String,
    /// The workspace's folder, absolute.
    pub folder: PathBuf,
    /// Which of the package's programs; without it the one with the package's name, or its only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<String>,
    /// Packages of the same workspace that are built by the same command, so that what they share is compiled once: cargo
    /// compiles a dependency anew for every other set of its features. In the order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<String>,
    /// Cargo features to enable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// The cargo profile; `release` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The processor it is made for, as `rustc -C target-cpu` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_cpu: Option<String>,
    /// The C library it is linked with.
    #[serde(default)]
    pub libc: Libc,
}

/// The C library that a static program is linked with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Libc {
    /// The GNU C library, linked statically: works with every Rust installation on Linux.
    #[default]
    Gnu,
    /// musl; needs the Rust target to be installed.
    Musl,
}

/// An image that the Docker Engine builds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerfileSource {
    /// The Dockerfile, absolute.
    pub file: PathBuf,
    /// The folder that is the build context, absolute. Its `.dockerignore` is honoured.
    pub context: PathBuf,
    /// Build arguments. They are recorded in the image's history and in the journal, so they must not be secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, String>,
    /// The stage to build; the last one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// A file or folder that is put into an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The file or folder on this machine, absolute.
    pub from: PathBuf,
    /// Its path in the image, absolute.
    pub to: String,
}

/// The platform that images are made for: this machine's processor, on Linux.
pub fn platform() -> (&'static str, &'static str) {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    ("linux", architecture)
}
