//! Files that Rust sources include by literal paths.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

const MACROS: [&str; 3] = ["include_bytes!", "include_str!", "include!"];

/// The existing files that a Rust source includes: `include_str!("path")`, or with
/// `concat!(env!("CARGO_MANIFEST_DIR"), "path")`. `packages` are the folders that may be meant by that.
pub fn included(source: &Path, packages: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    if source.extension().is_none_or(|extension| extension != "rs") {
        return Vec::new();
    }
    let Ok(text) = fs::read_to_string(source) else { return Vec::new() };
    let package =
        packages.iter().filter(|folder| source.starts_with(folder)).max_by_key(|folder| folder.as_os_str().len());
    let found = literals(&text).into_iter().filter_map(|literal| match literal {
        Literal::BesideSource(path) => Some(source.parent()?.join(path)),
        Literal::InPackage(path) => Some(package?.join(path.trim_start_matches('/'))),
    });
    found.map(|path| plain(&path)).filter(|path| path.is_file()).collect()
}

#[derive(Debug, PartialEq, Eq)]
enum Literal<'a> {
    BesideSource(&'a str),
    InPackage(&'a str),
}

fn literals(text: &str) -> Vec<Literal<'_>> {
    let calls = MACROS.iter().flat_map(|name| text.match_indices(name).map(|(at, name)| &text[at + name.len()..]));
    calls.filter_map(literal).collect()
}

/// The literal path in a macro call, where it has one.
fn literal(call: &str) -> Option<Literal<'_>> {
    let argument = call.trim_start().strip_prefix(['(', '[', '{'])?.trim_start();
    if let Some(path) = quoted(argument) {
        return Some(Literal::BesideSource(path));
    }
    let parts = argument.strip_prefix("concat!")?.trim_start().strip_prefix('(')?.trim_start();
    let rest = parts.strip_prefix("env!(\"CARGO_MANIFEST_DIR\")")?.trim_start().strip_prefix(',')?;
    Some(Literal::InPackage(quoted(rest.trim_start())?))
}

/// The content of a string literal without escapes.
fn quoted(text: &str) -> Option<&str> {
    let content = text.strip_prefix('"')?;
    let content = &content[..content.find('"')?];
    (!content.contains('\\')).then_some(content)
}

/// A path without `.` and `..`, so that one file has one name.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_paths_are_found_in_every_form() {
        let text = r#"
            const A: &[u8] = include_bytes!("../data/a.bin");
            const B: &str = include_str!( concat!( env!("CARGO_MANIFEST_DIR"), "/page/b.html" ) );
            include!{"c.rs"}
            include!(concat!(env!("OUT_DIR"), "/made.rs"));
        "#;
        let found = literals(text);
        assert_eq!(
            found,
            [Literal::BesideSource("../data/a.bin"), Literal::InPackage("/page/b.html"), Literal::BesideSource("c.rs"),]
        );
    }

    #[test]
    fn an_included_file_outside_of_the_package_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["one/src", "data"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::write(root.join("data/a.bin"), "a").unwrap();
        let source = root.join("one/src/lib.rs");
        fs::write(&source, "include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/../data/a.bin\"))").unwrap();
        assert_eq!(included(&source, &[root.join("one")].into()), [root.join("data/a.bin")]);
    }
}
