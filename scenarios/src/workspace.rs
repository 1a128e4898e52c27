//! What a cargo workspace holds, read from its manifests without running cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// A package of a workspace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Package {
    /// The features that can be switched on.
    pub features: BTreeSet<String>,
    /// Whether it makes a program.
    pub has_program: bool,
}

/// The folder of the workspace that `from` is in: the nearest one upwards whose `Cargo.toml` has a workspace, or else the
/// nearest one that is a package.
pub(crate) fn find(from: &Path) -> Option<PathBuf> {
    // The part of the way that is written stays as it is written; beyond it the true folders are asked.
    let mut folder = if from.as_os_str().is_empty() { PathBuf::from(".") } else { from.to_owned() };
    let mut package = None;
    loop {
        if let Ok(table) = read(&folder) {
            if table.contains_key("workspace") {
                return Some(folder);
            }
            package = package.or_else(|| Some(folder.clone()));
        }
        let upwards = folder.join("..");
        let (Ok(here), Ok(there)) = (folder.canonicalize(), upwards.canonicalize()) else { return package };
        if here == there {
            return package;
        }
        folder = match (folder.file_name(), folder.parent()) {
            (Some(_), Some(parent)) if parent.as_os_str().is_empty() => PathBuf::from("."),
            (Some(_), Some(parent)) => parent.to_owned(),
            _ if folder == Path::new(".") => PathBuf::from(".."),
            _ => upwards,
        };
    }
}

/// The packages of a workspace by name, or why its manifest cannot be read.
pub(crate) fn packages(workspace: &Path) -> Result<BTreeMap<String, Package>, String> {
    let root = read(workspace)?;
    let mut folders: Vec<PathBuf> = members(workspace, &root);
    let mut seen = BTreeSet::new();
    let mut packages = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        let Ok(path) = folder.canonicalize() else { continue };
        if !seen.insert(path) {
            continue;
        }
        let Ok(table) = read(&folder) else { continue };
        folders.extend(path_dependencies(&folder, &table));
        if let Some(name) = table.get("package").and_then(|package| package.get("name")).and_then(Value::as_str) {
            packages.insert(name.to_owned(), package(&folder, &table));
        }
    }
    Ok(packages)
}

fn read(folder: &Path) -> Result<Table, String> {
    let text =
        fs::read_to_string(folder.join("Cargo.toml")).map_err(|_| "there is no readable `Cargo.toml`".to_owned())?;
    text.parse::<Table>().map_err(|error| format!("its `Cargo.toml` is not TOML: {}", error.message()))
}

/// The folders that a workspace's manifest names as its members, its own included, without those that it excludes.
fn members(workspace: &Path, root: &Table) -> Vec<PathBuf> {
    let section = root.get("workspace").and_then(Value::as_table);
    let names = |key: &str| -> Vec<&str> {
        let listed = section.and_then(|section| section.get(key)).and_then(Value::as_array);
        listed.into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let excluded: Vec<PathBuf> = names("exclude").iter().map(|name| workspace.join(name)).collect();
    let mut folders = vec![workspace.to_owned()];
    for name in names("members") {
        folders.extend(expand(workspace, name).into_iter().filter(|folder| !excluded.contains(folder)));
    }
    let shared = section.and_then(|section| section.get("dependencies")).and_then(Value::as_table);
    folders.extend(shared.into_iter().flat_map(|shared| paths(workspace, shared)));
    folders
}

/// The folders that a member's name means; each part of it may be a pattern.
fn expand(workspace: &Path, name: &str) -> Vec<PathBuf> {
    let mut folders = vec![workspace.to_owned()];
    for part in name.split('/').filter(|part| !part.is_empty() && *part != ".") {
        folders = if part.contains(['*', '?', '[']) {
            let Ok(glob) = globset::Glob::new(part) else { return Vec::new() };
            let matcher = glob.compile_matcher();
            let inside = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
            inside
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.file_name().is_some_and(|name| matcher.is_match(name)))
                .collect()
        } else {
            folders.into_iter().map(|folder| folder.join(part)).collect()
        };
    }
    folders
}

/// The folders of what a package depends on by path.
fn path_dependencies(folder: &Path, table: &Table) -> Vec<PathBuf> {
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    sections
        .iter()
        .filter_map(|section| table.get(*section)?.as_table())
        .flat_map(|section| paths(folder, section))
        .collect()
}

fn paths(folder: &Path, dependencies: &Table) -> Vec<PathBuf> {
    dependencies.values().filter_map(|dependency| Some(folder.join(dependency.get("path")?.as_str()?))).collect()
}

fn package(folder: &Path, table: &Table) -> Package {
    let mut features: BTreeSet<String> = table
        .get("features")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(|features| features.keys().cloned())
        .collect();
    let dependencies = table.get("dependencies").and_then(Value::as_table);
    let optional = dependencies
        .into_iter()
        .flatten()
        .filter(|(_, dependency)| dependency.get("optional").and_then(Value::as_bool) == Some(true));
    features.extend(optional.map(|(name, _)| name.clone()));
    let has_program =
        table.contains_key("bin") || folder.join("src/main.rs").is_file() || folder.join("src/bin").is_dir();
    Package { features, has_program }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        folder
    }

    #[test]
    fn the_nearest_workspace_upwards_is_found_past_packages() {
        let root = folder(&[
            ("Cargo.toml", "[workspace]\nmembers = []\n"),
            ("near/Cargo.toml", "[workspace]\nmembers = [\"package\"]\n"),
            ("near/package/Cargo.toml", "[package]\nname = \"package\"\n"),
            ("near/package/scenario/scenario.yaml", ""),
        ]);
        let found = find(&root.path().join("near/package/scenario"));
        assert_eq!(found, Some(root.path().join("near")));
        let detour = find(&root.path().join("near/package/../package/scenario")).expect("the same one");
        assert_eq!(detour.canonicalize().ok(), root.path().join("near").canonicalize().ok());
    }

    #[test]
    fn a_package_without_a_workspace_is_its_own() {
        let root = folder(&[("package/Cargo.toml", "[package]\nname = \"alone\"\n"), ("package/src/main.rs", "")]);
        let found = find(&root.path().join("package/src")).expect("the package");
        assert_eq!(found, root.path().join("package"));
        assert_eq!(packages(&found).expect("one package").keys().collect::<Vec<_>>(), ["alone"]);
    }

    #[test]
    fn a_relative_folder_leads_upwards_out_of_the_current_one() {
        let found = find(Path::new("src/load")).expect("the workspace of this crate");
        let above = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder");
        assert_eq!(found.canonicalize().ok(), above.canonicalize().ok());
    }

    #[test]
    fn members_are_found_by_pattern_and_by_path_without_the_excluded_ones() {
        let root = folder(&[
            ("Cargo.toml", "[workspace]\nmembers = [\"tools/*\"]\nexclude = [\"tools/old\"]\n"),
            (
                "tools/new/Cargo.toml",
                "[package]\nname = \"new\"\n[dependencies]\nshared = { path = \"../../shared\" }\n",
            ),
            ("tools/old/Cargo.toml", "[package]\nname = \"old\"\n"),
            ("shared/Cargo.toml", "[package]\nname = \"shared\"\n"),
        ]);
        assert_eq!(packages(root.path()).expect("packages").keys().collect::<Vec<_>>(), ["new", "shared"]);
    }
}
