//! The page about the sandbox tells the differences that are decided.

use std::fs;
use std::path::Path;

use contract::differences;

/// Set, the page is written anew instead of compared.
const REWRITE: &str = "CONTRACT_WRITE_PAGE";

#[test]
fn the_page_tells_the_differences_that_are_decided() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sandbox.md");
    let page = fs::read_to_string(&path).expect("docs/sandbox.md");
    let decisions = differences::read(include_str!("../differences.toml")).expect("differences.toml");
    let wanted = differences::page(&page, &differences::table(&decisions));
    let wanted = wanted.expect("docs/sandbox.md has the two lines between which the table belongs");
    if std::env::var_os(REWRITE).is_some() {
        fs::write(&path, wanted).expect("docs/sandbox.md can be written");
        return;
    }
    assert!(
        page == wanted,
        "docs/sandbox.md does not tell the differences of sandbox/contract/differences.toml: run \
         `{REWRITE}=1 cargo test -p contract --test page` and look at what it changed"
    );
}
