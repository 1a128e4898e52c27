//! What a person reads about each scenario in `fixtures/`: `good-*` loads, `warn-*` loads with warnings, `bad-*` does not load.

use std::fs;
use std::path::{Path, PathBuf};

use scenarios::{Report, load};

fn fixtures(verdict: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/fixtures").expect("the fixtures are there");
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.expect("a fixture").path()).collect();
    folders.retain(|folder| folder.file_name().expect("a name").to_string_lossy().starts_with(verdict));
    folders.sort();
    assert!(!folders.is_empty(), "there are fixtures that are {verdict}");
    folders
}

fn name(folder: &Path) -> String {
    folder.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn every_bad_scenario_is_reported_with_all_its_problems() {
    for folder in fixtures("bad-") {
        let report = load(&folder).expect_err(&name(&folder));
        assert!(!report.problems.is_empty(), "{}", folder.display());
        insta::assert_snapshot!(name(&folder), report);
    }
}

#[test]
fn every_doubtful_scenario_loads_with_warnings() {
    for folder in fixtures("warn-") {
        let scenario = load(&folder).unwrap_or_else(|report| panic!("{}: {report}", folder.display()));
        insta::assert_snapshot!(name(&folder), Report { problems: Vec::new(), warnings: scenario.warnings });
    }
}

#[test]
fn every_good_scenario_loads_without_a_word() {
    for folder in fixtures("good-") {
        let scenario = load(&folder).unwrap_or_else(|report| panic!("{}: {report}", folder.display()));
        assert_eq!(scenario.warnings, [], "{}", folder.display());
        insta::assert_debug_snapshot!(name(&folder), scenario);
    }
}
