//! Whatever is done to the text of a good scenario, loading it ends in a scenario or in problems that have a place.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use scenarios::{Problem, load};

/// The scenario that uses every field. What it names exists beside it.
const FOLDER: &str = "tests/fixtures/good-everything";

/// What is done to a part of the text.
#[derive(Clone, Debug)]
enum Change {
    Delete,
    Twice,
    Replace(&'static str),
    Swap(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let words = prop::sample::select(vec![
        "",
        "-",
        "- ",
        "name",
        "0",
        "-1",
        "99999999999999999999",
        "~",
        "true",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "&a",
        "*a",
        "!x",
        "\t",
        "..",
        "\"",
        "'",
        "|",
        "#",
        "---",
        "\u{e9}\u{1F600}",
        "\0",
        "*",
        "[a",
        "/",
        "after:",
    ]);
    prop_oneof![
        Just(Change::Delete),
        Just(Change::Twice),
        words.prop_map(Change::Replace),
        any::<usize>().prop_map(Change::Swap),
    ]
}

/// Applies a change to one of the parts.
fn apply(parts: &mut Vec<String>, at: usize, change: &Change) {
    if parts.is_empty() {
        return;
    }
    let index = at % parts.len();
    match change {
        Change::Delete => drop(parts.remove(index)),
        Change::Twice => parts.insert(index, parts[index].clone()),
        Change::Replace(word) => (*word).clone_into(&mut parts[index]),
        Change::Swap(other) => {
            let other = other % parts.len();
            parts.swap(index, other);
        }
    }
}

/// The text in words and what is between them.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut in_word = false;
    for letter in text.chars() {
        let word = letter.is_alphanumeric();
        match tokens.last_mut() {
            Some(last) if word && in_word => last.push(letter),
            _ => tokens.push(letter.to_string()),
        }
        in_word = word;
    }
    tokens
}

/// The same paths, as seen from another folder.
fn moved(text: &str) -> String {
    let here = Path::new(FOLDER).canonicalize().expect("the fixture is there");
    let outside = here.parent().expect("a folder above").display().to_string();
    text.replace("manifests/", &format!("{}/manifests/", here.display()))
        .replace("../", &format!("{outside}/"))
        .replace("context: ..", &format!("context: {outside}"))
}

fn is_inside(problem: &Problem) -> bool {
    let text = fs::read_to_string(&problem.file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let whole_file = problem.line == 0 && problem.column == 0;
    let line = problem.line.checked_sub(1).and_then(|index| lines.get(index).copied()).unwrap_or_default();
    let fits =
        (1..=lines.len().max(1)).contains(&problem.line) && (1..=line.chars().count() + 1).contains(&problem.column);
    whole_file || fits
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file: PathBuf = folder.path().join("scenario.yaml");
    fs::write(&file, text).expect("a file in a temporary folder");
    if let Err(report) = load(&file) {
        prop_assert!(!report.problems.is_empty(), "a refusal without a problem:\n{text}");
        for problem in report.problems.iter().chain(&report.warnings) {
            prop_assert!(is_inside(problem), "{problem:?} is outside of\n{text}");
            prop_assert!(!problem.message.is_empty());
        }
        prop_assert!(report.to_string().lines().count() > 1);
    }
    Ok(())
}

fn original() -> String {
    moved(&fs::read_to_string(Path::new(FOLDER).join("scenario.yaml")).expect("the fixture is there"))
}

#[test]
fn the_text_without_a_change_loads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("scenario.yaml");
    fs::write(&file, original()).expect("a file in a temporary folder");
    load(&file).unwrap_or_else(|report| panic!("{report}"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn changed_lines_load_or_are_reported_with_a_place(changes in prop::collection::vec((any::<usize>(), change()), 1..4)) {
        let mut lines: Vec<String> = original().lines().map(str::to_owned).collect();
        for (at, change) in &changes {
            apply(&mut lines, *at, change);
        }
        check(&lines.join("\n"))?;
    }

    #[test]
    fn changed_words_load_or_are_reported_with_a_place(changes in prop::collection::vec((any::<usize>(), change()), 1..4)) {
        let mut words = tokens(&original());
        for (at, change) in &changes {
            apply(&mut words, *at, change);
        }
        check(&words.concat())?;
    }

    #[test]
    fn any_text_loads_or_is_reported_with_a_place(text in "[ -~\\n\\t\u{e9}]{0,80}") {
        check(&text)?;
    }
}
