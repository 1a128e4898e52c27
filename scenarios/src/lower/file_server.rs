//! The image of the file server that serves a claim for several nodes: a program of infra's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::LowerError;
use crate::scenario::{Image, ImageSource, Scenario};
use crate::workspace;

/// The name of the image, and of the package of its program.
pub(super) const IMAGE: &str = "infra-nfs-server";

const WORKSPACE: &str = include_str!("../../../Cargo.toml");
/// The program with what it takes to build it, as infra was built with it: a scenario may be anywhere.
const FILES: [(&str, &str); 6] = [
    ("Cargo.lock", include_str!("../../../Cargo.lock")),
    ("apps/infra-nfs-server/Cargo.toml", include_str!("../../../apps/infra-nfs-server/Cargo.toml")),
    ("apps/infra-nfs-server/src/main.rs", include_str!("../../../apps/infra-nfs-server/src/main.rs")),
    ("apps/infra-nfs-server/src/lib.rs", include_str!("../../../apps/infra-nfs-server/src/lib.rs")),
    ("apps/infra-nfs-server/src/files.rs", include_str!("../../../apps/infra-nfs-server/src/files.rs")),
    ("apps/infra-nfs-server/src/tree.rs", include_str!("../../../apps/infra-nfs-server/src/tree.rs")),
];

/// The image. Its program is taken from the workspace of one of the scenario's own, where that has it, so that what they share is
/// compiled once; else it is written below the cache and built there.
pub(super) fn image(scenario: &Scenario, cache: &Path) -> Result<Image, LowerError> {
    let own = scenario.images.iter().filter_map(|image| match &image.source {
        ImageSource::Cargo { workspace, .. } => Some(workspace.clone()),
        ImageSource::Dockerfile { .. } => None,
    });
    let has_it = |folder: &PathBuf| workspace::packages(folder).is_ok_and(|packages| packages.contains_key(IMAGE));
    let workspace = own.into_iter().find(has_it).map_or_else(|| written(&cache.join("programs").join(IMAGE)), Ok)?;
    let source = ImageSource::Cargo {
        package: IMAGE.to_owned(),
        workspace,
        binary: None,
        profile: None,
        features: Vec::new(),
        target_cpu: None,
    };
    Ok(Image {
        name: IMAGE.to_owned(),
        source,
        datasets: Vec::new(),
        files: Vec::new(),
        user: Some("0".to_owned()),
        environment: BTreeMap::new(),
        push: None,
    })
}

/// Writes the program's workspace, where it is not there as it is to be. Building may shorten the lock file: it is written again, so
/// that the image is the same.
fn written(folder: &Path) -> Result<PathBuf, LowerError> {
    let workspace = [("Cargo.toml", alone(WORKSPACE))];
    let files = FILES.iter().map(|(name, text)| (*name, (*text).to_owned()));
    for (name, text) in workspace.into_iter().chain(files) {
        let path = folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        let write = || -> io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(&path, text)
        };
        write().map_err(|source| LowerError::Program { path: path.clone(), source })?;
    }
    Ok(folder.to_owned())
}

/// The workspace's manifest with this program as its only member.
fn alone(workspace: &str) -> String {
    let (before, rest) = workspace.split_once("default-members").unwrap_or((workspace, ""));
    let after = rest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(_, rest)| rest);
    format!("{before}members = [\"apps/{IMAGE}\"]{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_written_as_a_workspace_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let written = written(folder.path()).expect("it is written");
        let packages = workspace::packages(&written).expect("a workspace");
        assert!(packages.get(IMAGE).is_some_and(|package| package.has_program));
        assert!(alone(WORKSPACE).contains("[workspace.lints.rust]"));
    }
}
