//! The shape of the workspace: which crate may need which, and that all follow the same lints.

use std::collections::BTreeMap;
use std::process::Command;

use tidy::tree;

/// The crates of the house, each with those it may stand on. Whatever is not listed here has no place yet.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    let lowest: [&str; 4] = ["providers", "datasets", "engine", "unpack"];
    let middle = ["cluster", "images", "workloads"];
    let mut allowed: BTreeMap<_, _> = lowest.into_iter().map(|name| (name, vec![])).collect();
    allowed.insert("cluster", vec!["engine", "providers"]);
    allowed.insert("images", vec!["engine", "providers", "unpack"]);
    allowed.insert("workloads", vec!["engine", "providers", "datasets"]);
    allowed.insert("scenarios", [&lowest[..], &middle].concat());
    allowed.insert("infra", [&lowest[..], &middle, &["scenarios", "sandbox", "simulator"]].concat());
    // Google's side on the wire, spoken to over HTTP like the real one.
    allowed.insert("simulator", vec![]);
    allowed.extend(rooms_of_the_sandbox());
    allowed
}

/// The sandbox's own floors. Everybody else speaks to it over HTTPS, as to any cluster.
fn rooms_of_the_sandbox() -> BTreeMap<&'static str, Vec<&'static str>> {
    let pure = ["schema", "patches", "kinds"];
    let mut allowed = BTreeMap::from([("schema", vec![]), ("runtime", vec![]), ("contract", vec!["sandbox"])]);
    allowed.insert("patches", vec!["schema"]);
    allowed.insert("kinds", vec!["schema"]);
    allowed.insert("apiserver", pure.to_vec());
    allowed.insert("controllers", [&pure[..], &["apiserver"]].concat());
    allowed.insert("kubelet", [&pure[..], &["apiserver", "runtime", "unpack"]].concat());
    allowed.insert("sandbox", [&pure[..], &["apiserver", "controllers", "kubelet", "runtime"]].concat());
    allowed
}

#[test]
fn every_crate_needs_only_crates_below_it() {
    let allowed = allowed();
    let crates = tree::crates();
    let apps: Vec<&str> =
        crates.iter().filter(|each| each.folder.starts_with("apps/")).map(|each| &*each.name).collect();
    let mut wrong = Vec::new();
    for each in &crates {
        let may_need: Vec<&str> = if each.folder.starts_with("apps/") {
            [&apps[..], &["datasets"]].concat()
        } else if each.folder.starts_with("dev/") {
            Vec::new()
        } else if let Some(names) = allowed.get(each.name.as_str()) {
            names.clone()
        } else {
            wrong.push(format!("{} has no place in the house: give it one in {}", each.name, file!()));
            continue;
        };
        let up = each.needs.iter().filter(|need| !may_need.contains(&need.as_str()));
        wrong.extend(up.map(|need| format!("{} needs {need}, which is not below it", each.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_crate_lies_in_the_folder_of_its_name() {
    let crates = tree::crates();
    let wrong = crates.iter().filter(|each| each.folder.rsplit('/').next() != Some(&each.name));
    let wrong: Vec<String> = wrong.map(|each| format!("{} lies in {}", each.name, each.folder)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_crate_inherits_the_lints_of_the_workspace() {
    let crates = tree::crates();
    let manifest = |folder: &str| tree::text(&format!("{folder}/Cargo.toml")).expect("a manifest is text");
    let wrong = crates.iter().filter(|each| !manifest(&each.folder).contains("[lints]\nworkspace = true\n"));
    let wrong: Vec<&str> = wrong.map(|each| each.folder.as_str()).collect();
    assert!(wrong.is_empty(), "without `[lints] workspace = true`: {wrong:?}");
}

#[test]
fn versions_of_dependencies_stand_in_the_one_list_of_the_workspace() {
    let mut wrong = Vec::new();
    for each in tree::crates() {
        let path = format!("{}/Cargo.toml", each.folder);
        let manifest = tree::text(&path).expect("a manifest is text");
        let sections = manifest
            .split("\n[")
            .filter(|section| section.split(']').next().is_some_and(|heading| heading.ends_with("dependencies")));
        for line in sections.flat_map(|section| section.lines().skip(1)) {
            if line.contains('=') && !line.starts_with('#') && !line.contains("workspace = true") {
                wrong.push(format!("{path}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_first_command_of_the_readme_compiles_no_cloud() {
    let arguments = "tree --locked --offline --package infra --no-default-features --edges normal --prefix none";
    let output = Command::new(env!("CARGO")).args(arguments.split(' ')).current_dir(tree::root()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"sandbox"), "{}", String::from_utf8_lossy(&output.stderr));
    let clouds = ["google-cloud-", "aws-", "object_store", "simulator"];
    let found: Vec<&&str> = names.iter().filter(|name| clouds.iter().any(|cloud| name.starts_with(cloud))).collect();
    assert!(found.is_empty(), "{found:?}");
}
