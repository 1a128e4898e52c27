//! The files and the crates of the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The root folder of the repository, absolute.
///
/// # Panics
/// When this crate is not two folders below the root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("dev/tidy is two folders below the root").to_path_buf()
}

/// The paths of all files that git tracks or would track, relative to the root, sorted. Files that are gone from disk are
/// left out.
///
/// # Panics
/// When git cannot be run here.
pub fn files() -> Vec<String> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let listed = output(Command::new("git").args(arguments).current_dir(root()));
    let mut paths: Vec<String> = listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    paths.retain(|path| root().join(path).is_file());
    paths.sort();
    paths.dedup();
    paths
}

/// Those of [`files`] whose names end with one of these extensions.
pub fn files_with(extensions: &[&str]) -> Vec<String> {
    let mut paths = files();
    paths.retain(|path| path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension)));
    paths
}

/// The content of a file of the repository, or nothing where it is not UTF-8 text.
///
/// # Panics
/// When the file cannot be read.
pub fn text(path: &str) -> Option<String> {
    let bytes = std::fs::read(root().join(path)).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"));
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// A crate of the workspace.
#[derive(Debug)]
pub struct Crate {
    /// Its name in `Cargo.toml`.
    pub name: String,
    /// Its folder, relative to the root.
    pub folder: String,
    /// The crates of the workspace that it needs to be built (not those that only its tests need).
    pub needs: Vec<String>,
}

/// All crates of the workspace, as cargo sees them.
///
/// # Panics
/// When `cargo metadata` fails or answers something else than it documents.
pub fn crates() -> Vec<Crate> {
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let metadata = output(Command::new(env!("CARGO")).args(arguments).current_dir(root()));
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo metadata answers JSON");
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    let names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    packages.iter().map(|package| read_crate(package, &names)).collect()
}

fn read_crate(package: &Value, names: &[&str]) -> Crate {
    let manifest = Path::new(package["manifest_path"].as_str().expect("a package has a manifest"));
    let folder = manifest.parent().and_then(|folder| folder.strip_prefix(root()).ok());
    let needs = package["dependencies"].as_array().expect("a package lists its dependencies").iter();
    Crate {
        name: package["name"].as_str().expect("a package has a name").to_owned(),
        folder: folder.expect("a member lies in the workspace").display().to_string(),
        needs: needs
            .filter(|need| need["kind"].as_str() != Some("dev"))
            .filter_map(|need| need["name"].as_str())
            .filter(|need| names.contains(need))
            .map(str::to_owned)
            .collect(),
    }
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap_or_else(|error| panic!("{command:?} did not answer text: {error}"))
}
