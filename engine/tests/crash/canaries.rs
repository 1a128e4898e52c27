//! Bugs built in on purpose: the stories find them, each by a seed that tells it again.

use std::path::Path;

use crate::faults::Canary;
use crate::process::Verdict;
use crate::seeds;

/// The built-in bugs, with the names that the command line has for them.
pub const ALL: [(&str, Canary); 3] = [
    ("create-never-adopts", Canary::CreateNeverAdopts),
    ("delete-believes-the-first-answer", Canary::DeleteBelievesTheFirstAnswer),
    ("journal-is-late", Canary::JournalIsLate),
];

/// So many seeds find each of them many times over.
const ENOUGH: u64 = 400;

/// A few seeds find the bug; the first that does finds it again, and is well without it.
pub fn is_found(name: &str, canary: Canary, folder: &Path) -> Verdict {
    let found = (0..ENOUGH).find(|seed| seeds::story(*seed, canary, folder).is_err());
    let Some(seed) = found else { return Err(format!("{ENOUGH} seeds do not find the bug {name}")) };
    let told = seeds::report(seed, canary, folder);
    if !told.contains(&format!("-- --seed {seed} --canary {name}")) {
        return Err(format!("the report does not say how to find it again: {told}"));
    }
    if seeds::story(seed, canary, folder).is_ok() {
        return Err(format!("seed {seed} finds the bug {name} once and not again"));
    }
    seeds::story(seed, Canary::None, folder).map_err(|wrong| format!("seed {seed} fails without any bug: {wrong}"))
}
