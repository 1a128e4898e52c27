//! The digest of everything that goes into an image, before it is built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use providers::program::Program;
use serde_json::json;

use crate::cargo::{self, CargoError, Workspace};
use crate::context::{Context, ContextError};
use crate::includes;
use crate::layer::{self, LayerError};
use crate::spec::{CargoSource, DockerfileSource, Source, Spec};
use crate::store::Store;
use crate::{digest, spec};

/// What goes into an image cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum FingerprintError {
    /// Cargo or the workspace.
    #[error(transparent)]
    Cargo(#[from] CargoError),
    /// The build context of a Dockerfile.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A file.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

impl FingerprintError {
    /// What the person can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cargo(error) => error.hint(),
            Self::Context(error) => error.hint(),
            Self::Layer(_) => None,
        }
    }
}

/// The fingerprint of an image: another one when anything changed that goes into it.
///
/// For a cargo image these are the files of the package and of the packages of this machine that it is built of (without what
/// git ignores), files that their sources include by literal paths, `Cargo.lock`, the compiler and the settings. A build
/// script's other reading is not seen. For a Dockerfile they are the build context, the arguments and the stage.
///
/// Only files that changed since the last time are read.
pub async fn fingerprint(store: &Store, spec: &Spec) -> Result<String, FingerprintError> {
    let mut parts = BTreeMap::new();
    match &spec.source {
        Source::Cargo(source) => {
            let (workspace, compiler) = futures::try_join!(cargo::workspace(&source.folder), compiler(&source.folder))?;
            parts.insert("compiler".to_owned(), compiler);
            let files = sources(&workspace, source).await?;
            let root = workspace.folder;
            hash(store, "source", files.into_iter().map(|path| (relative(&root, &path), path)), &mut parts)?;
        }
        Source::Dockerfile(source) => context(store, source, &mut parts)?,
    }
    for entry in &spec.files {
        let files = layer::files_below(&entry.from)?;
        let named = files.into_iter().map(|(below, path, mode)| (format!("{}/{below} {mode:o}", entry.to), path));
        hash(store, "file", named, &mut parts)?;
    }
    let (os, architecture) = spec::platform();
    let spec = Spec { push: None, ..spec.clone() };
    let all = json!({ "version": 1, "platform": format!("{os}/{architecture}"), "spec": spec, "parts": parts });
    store.digests().save();
    Ok(digest::of_bytes(all.to_string().as_bytes()))
}

async fn compiler(folder: &Path) -> Result<String, CargoError> {
    Ok(Program::new("rustc").argument("-vV").folder(folder).read().await?)
}

fn hash(
    store: &Store,
    area: &str,
    files: impl Iterator<Item = (String, PathBuf)>,
    parts: &mut BTreeMap<String, String>,
) -> Result<(), LayerError> {
    let (names, paths): (Vec<String>, Vec<PathBuf>) = files.unzip();
    let digests = store.digests().of_files(&paths);
    for ((name, path), digest) in names.into_iter().zip(paths).zip(digests) {
        let digest = digest.map_err(|source| LayerError::Read { path, source })?;
        parts.insert(format!("{area} {name}"), digest);
    }
    Ok(())
}

fn context(
    store: &Store,
    source: &DockerfileSource,
    parts: &mut BTreeMap<String, String>,
) -> Result<(), FingerprintError> {
    let context = Context::read(source)?;
    for (name, item) in context.others() {
        parts.insert(format!("context {name}"), item);
    }
    Ok(hash(store, "context", context.files(), parts)?)
}

/// The files that a package is built of.
async fn sources(workspace: &Workspace, source: &CargoSource) -> Result<BTreeSet<PathBuf>, FingerprintError> {
    let mut folders = BTreeSet::new();
    let mut elsewhere: Vec<Workspace> = Vec::new();
    let mut open = vec![cargo::package(workspace, source)?.folder().to_owned()];
    while let Some(folder) = open.pop() {
        if !folders.insert(folder.clone()) {
            continue;
        }
        let known =
            |workspace: &Workspace| workspace.packages.iter().find(|package| package.folder() == folder).cloned();
        let mut package = known(workspace).or_else(|| elsewhere.iter().find_map(known));
        if package.is_none() {
            elsewhere.push(cargo::workspace(&folder).await?);
            package = elsewhere.last().and_then(known);
        }
        open.extend(package.iter().flat_map(cargo::Package::needs).map(Path::to_path_buf));
    }
    let mut files = BTreeSet::new();
    for folder in &folders {
        package_files(folder, &folders, &mut files)?;
    }
    let root = &workspace.folder;
    let shared = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "rust-toolchain", ".cargo/config.toml"];
    files.extend(shared.iter().map(|name| root.join(name)).filter(|path| path.is_file()));
    let included: Vec<PathBuf> = files.iter().flat_map(|path| includes::included(path, &folders)).collect();
    files.extend(included);
    Ok(files)
}

/// The files of one package: no tests, examples and benchmarks, nothing that git ignores, no package within it.
fn package_files(folder: &Path, packages: &BTreeSet<PathBuf>, files: &mut BTreeSet<PathBuf>) -> Result<(), LayerError> {
    let (root, packages) = (folder.to_owned(), packages.clone());
    let aside = ["tests", "benches", "examples", "target", ".git"].map(|name| folder.join(name));
    let wanted = move |entry: &ignore::DirEntry| {
        let path = entry.path();
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        let is_other = path != root && is_folder && (packages.contains(path) || path.join("Cargo.toml").is_file());
        !is_other && !aside.iter().any(|aside| aside == path)
    };
    for entry in WalkBuilder::new(folder).hidden(false).require_git(false).filter_entry(wanted).build() {
        let entry = entry
            .map_err(|error| LayerError::Read { path: folder.to_owned(), source: std::io::Error::other(error) })?;
        if entry.path().is_file() {
            files.insert(entry.into_path());
        }
    }
    Ok(())
}

/// A path as the fingerprint names it.
fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}
