//! Builds a program of a cargo workspace into one static file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use providers::program::{self, Program, Stream};
use serde::Deserialize;
use serde_json::Value;

use crate::digest;
use crate::spec::{CargoSource, Libc};

/// A program cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum CargoError {
    /// The workspace's folder has no `Cargo.toml`.
    #[error("{} has no Cargo.toml", .folder.display())]
    NoWorkspace {
        /// The folder.
        folder: PathBuf,
    },
    /// The workspace has no such package.
    #[error("{} has no package {package:?}; it has: {}", .folder.display(), .known.join(", "))]
    NoPackage {
        /// The workspace's folder.
        folder: PathBuf,
        /// The package asked for.
        package: String,
        /// The packages there are.
        known: Vec<String>,
    },
    /// The package has not exactly the program asked for.
    #[error("package {package:?} has no program {wanted:?}; it has: {}", .known.join(", "))]
    NoBinary {
        /// The package.
        package: String,
        /// The program asked for.
        wanted: String,
        /// The programs there are.
        known: Vec<String>,
    },
    /// Cargo cannot be run, or failed; its last lines are in the text.
    #[error("cargo build of package {package:?} failed\n    {}", .last_lines.join("\n    "))]
    Build {
        /// The package.
        package: String,
        /// What cargo said last.
        last_lines: Vec<String>,
    },
    /// Cargo or rustc cannot be run.
    #[error("cannot run cargo")]
    Program(#[from] program::Error),
    /// The workspace cannot be described.
    #[error("cargo's answer cannot be read: {reason}")]
    Answer {
        /// What is wrong with it.
        reason: String,
    },
    /// What was built needs a dynamic loader, which the image will not have.
    #[error("{} is not static: it needs {loader}", .path.display())]
    NotStatic {
        /// The program.
        path: PathBuf,
        /// The loader it asks for.
        loader: String,
    },
    /// The program cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl CargoError {
    /// What the person can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Program(program::Error::NotFound { .. }) => {
                Some("install Rust (https://rustup.rs), or use `dockerfile:` instead of `cargo:`".to_owned())
            }
            Self::Build { last_lines, .. }
                if last_lines.iter().any(|line| line.contains("target may not be installed")) =>
            {
                Some("install the target: rustup target add (the name is in the message)".to_owned())
            }
            Self::NotStatic { .. } => Some(
                "a C library of the program is linked dynamically: link it statically, or use `dockerfile:`".to_owned(),
            ),
            _ => None,
        }
    }
}

/// What `cargo metadata --no-deps` says of a workspace, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub struct Workspace {
    /// Its packages.
    pub packages: Vec<Package>,
    /// Where cargo puts what it builds.
    pub target_directory: PathBuf,
    /// Its folder.
    #[serde(rename = "workspace_root")]
    pub folder: PathBuf,
}

/// A package of a workspace.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its `Cargo.toml`.
    pub manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Clone, Debug, Deserialize)]
struct Dependency {
    kind: Option<String>,
    path: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Package {
    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("/"))
    }

    /// The folders of the packages on this machine that it is built of; those only its tests need are left out.
    pub fn needs(&self) -> impl Iterator<Item = &Path> {
        self.dependencies
            .iter()
            .filter(|needed| needed.kind.as_deref() != Some("dev"))
            .filter_map(|needed| needed.path.as_deref())
    }

    /// The program that goes into the image.
    pub fn binary(&self, source: &CargoSource) -> Result<String, CargoError> {
        let binaries = self.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "bin"));
        let known: Vec<String> = binaries.map(|target| target.name.clone()).collect();
        let wanted = source.binary.as_ref().unwrap_or(&self.name);
        match &known[..] {
            [only] if source.binary.is_none() => Ok(only.clone()),
            _ if known.contains(wanted) => Ok(wanted.clone()),
            _ => Err(CargoError::NoBinary { package: self.name.clone(), wanted: wanted.clone(), known }),
        }
    }
}

/// Describes the workspace of a folder. Reads manifests only: no network, no lock file.
pub async fn workspace(folder: &Path) -> Result<Workspace, CargoError> {
    if !folder.join("Cargo.toml").is_file() {
        return Err(CargoError::NoWorkspace { folder: folder.to_owned() });
    }
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let mut answer = String::new();
    let take = |stream: Stream, line: &str| {
        if stream == Stream::Stdout {
            answer.push_str(line);
        }
    };
    Program::new("cargo").arguments(arguments).folder(folder).run(take).await?;
    serde_json::from_str(&answer).map_err(|error| CargoError::Answer { reason: error.to_string() })
}

/// The package of a source in its workspace.
pub fn package<'a>(workspace: &'a Workspace, source: &CargoSource) -> Result<&'a Package, CargoError> {
    workspace.packages.iter().find(|package| package.name == source.package).ok_or_else(|| CargoError::NoPackage {
        folder: source.folder.clone(),
        package: source.package.clone(),
        known: workspace.packages.iter().map(|package| package.name.clone()).collect(),
    })
}

/// The Rust target that a source is built for.
pub fn target(libc: Libc) -> String {
    let library = match libc {
        Libc::Gnu => "gnu",
        Libc::Musl => "musl",
    };
    format!("{}-unknown-linux-{library}", std::env::consts::ARCH)
}

/// Flags for the compiler: a static program that does not name this machine's folders.
fn flags(workspace: &Workspace, source: &CargoSource, sysroot: &str) -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.extend(source.target_cpu.iter().map(|cpu| format!("-Ctarget-cpu={cpu}")));
    // Of several that match the compiler takes the last.
    let folders = [
        (home, "/cargo"),
        (Some(PathBuf::from(sysroot)), "/rust"),
        (Some(workspace.folder.clone()), "/source"),
        (Some(build_folder(workspace)), "/build"),
    ];
    let folders = folders.into_iter().filter_map(|(folder, name)| Some((folder?, name)));
    flags.extend(folders.map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display())));
    flags.join("\u{1f}")
}

/// Apart from the folder of `cargo build`, so that other flags do not make either build everything anew, and beside it, so
/// that it stays warm and goes with `cargo clean`. Workspaces that share a target folder do not share this one: programs of the
/// same name would replace each other.
fn build_folder(workspace: &Workspace) -> PathBuf {
    if workspace.target_directory.starts_with(&workspace.folder) {
        return workspace.target_directory.join("infra");
    }
    let path = digest::of_bytes(workspace.folder.as_os_str().as_encoded_bytes());
    workspace.target_directory.join(format!("infra-{}", &path[7..15]))
}

/// A program that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Where it lies.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
}

/// Builds a source with cargo; each line that cargo prints goes to `line`. With `lock` cargo holds that file open.
pub async fn build(
    source: &CargoSource,
    lock: Option<Arc<File>>,
    mut line: impl FnMut(&str),
) -> Result<Built, CargoError> {
    let workspace = workspace(&source.folder).await?;
    let name = package(&workspace, source)?.binary(source)?;
    let sysroot = Program::new("rustc").arguments(["--print", "sysroot"]).folder(&source.folder).read().await?;
    let mut cargo = Program::new("cargo")
        .arguments(["build", "--message-format=json-render-diagnostics", "--bins", "--package", &source.package])
        .arguments(source.together.iter().flat_map(|package| ["--package", package]))
        .arguments(["--profile", source.profile.as_deref().unwrap_or("release"), "--target", &target(source.libc)])
        .argument("--target-dir")
        .argument(build_folder(&workspace))
        .variable("CARGO_ENCODED_RUSTFLAGS", flags(&workspace, source, sysroot.trim()))
        .variable("CARGO_TERM_COLOR", "never")
        .variable("CARGO_TERM_PROGRESS_WHEN", "never")
        .folder(&source.folder)
        .stdin(lock);
    if !source.features.is_empty() {
        cargo = cargo.argument("--features").argument(source.features.join(","));
    }
    let mut path = None;
    let ended = cargo.run(|stream, text| match stream {
        Stream::Stdout => path = executable(text, &name).or(path.take()),
        Stream::Stderr => line(text),
    });
    ended.await.map_err(|error| explain(&source.package, error))?;
    let path = path.ok_or_else(|| CargoError::Answer { reason: format!("it does not say where {name} is") })?;
    require_static(&path)?;
    Ok(Built { path, name })
}

/// The path of the program in one of cargo's messages.
fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let target = &message["target"];
    let is_binary = target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"));
    let path = message["executable"].as_str().filter(|_| is_binary && target["name"] == name)?;
    Some(PathBuf::from(path))
}

/// Leaves cargo's messages for programs out of what is shown.
fn explain(package: &str, error: program::Error) -> CargoError {
    match error {
        program::Error::Exit { last_lines, .. } => {
            let last_lines = last_lines.into_iter().filter(|line| !line.starts_with("{\"reason\"")).collect();
            CargoError::Build { package: package.to_owned(), last_lines }
        }
        error => CargoError::Program(error),
    }
}

/// Fails on a program that asks for a dynamic loader.
fn require_static(path: &Path) -> Result<(), CargoError> {
    let file = File::open(path).map_err(|source| CargoError::Read { path: path.to_owned(), source })?;
    let read = |at: u64, length: usize| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, at).ok().map(|()| bytes)
    };
    match loader(&read) {
        Some(loader) => Err(CargoError::NotStatic { path: path.to_owned(), loader }),
        None => Ok(()),
    }
}

/// The dynamic loader that a 64-bit little-endian ELF program asks for. `read` gives so many bytes from a place in the program.
fn loader(read: &dyn Fn(u64, usize) -> Option<Vec<u8>>) -> Option<String> {
    const INTERPRETER: u64 = 3;
    const LONGEST_PATH: u64 = 4096;
    let number = |at: u64, length: usize| {
        let bytes = read(at, length)?;
        Some(bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let mut headers = (0..count).map(|index| table + index * size);
    let header = headers.find(|at| number(*at, 4) == Some(INTERPRETER))?;
    let (start, length) = (number(header + 8, 8)?, number(header + 32, 8)?);
    let name = read(start, usize::try_from(length.min(LONGEST_PATH)).ok()?)?;
    Some(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned())
}
