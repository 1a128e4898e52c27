//! The records that are kept: where, how many, which one is meant.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use engine::Deployment;

use super::{Begin, KEPT_RUNS, Line, Note};
use crate::arguments::Which;
use crate::report::Problem;
use crate::settings::Settings;
use crate::which;

/// One record that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The run's number.
    pub number: u32,
    /// The file.
    pub path: PathBuf,
}

impl Kept {
    /// Whether the process that writes it is alive: it holds the file's lock as long as it lives.
    pub fn is_being_written(&self) -> io::Result<bool> {
        match File::open(&self.path)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Its first line.
    pub fn begin(&self) -> Option<Begin> {
        let mut line = String::new();
        BufReader::new(File::open(&self.path).ok()?).read_line(&mut line).ok()?;
        match serde_json::from_str(&line).ok()? {
            Line::Note(Note::Begin(begin)) => Some(begin),
            _ => None,
        }
    }
}

/// The folder with the records of a deployment.
pub fn folder(settings: &Settings, name: &str) -> PathBuf {
    settings.state.path().join("runs").join(name)
}

/// The name of the record of a run.
pub fn file_name(number: u32) -> String {
    format!("{number:04}.jsonl")
}

/// All records of a deployment, the oldest first.
pub fn runs(settings: &Settings, name: &str) -> Vec<Kept> {
    in_folder(&folder(settings, name))
}

/// The number of the last run; 0 where there was none.
pub fn last_number(folder: &Path) -> u32 {
    in_folder(folder).last().map_or(0, |run| run.number)
}

fn in_folder(folder: &Path) -> Vec<Kept> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let runs = paths.filter_map(|path| {
        let number = path.file_name()?.to_str()?.strip_suffix(".jsonl")?.parse().ok()?;
        Some(Kept { number, path })
    });
    let mut runs: Vec<Kept> = runs.collect();
    runs.sort_by_key(|run| run.number);
    runs
}

/// Removes all but the newest records.
pub fn prune(folder: &Path) {
    let runs = in_folder(folder);
    for run in runs.iter().rev().skip(KEPT_RUNS) {
        // What cannot be removed now is tried again at the next run.
        let _ = fs::remove_file(&run.path);
    }
}

/// The scenario file of the last run that knew one: each hands it on to the next.
pub fn scenario(settings: &Settings, name: &str) -> Option<PathBuf> {
    runs(settings, name).iter().rev().find_map(|run| run.begin()?.scenario).map(PathBuf::from)
}

/// The name of the deployment that was asked for. One that was destroyed is found by its name as long as a record of it is kept.
pub async fn choose(which: &Which, settings: &Settings) -> Result<String, Problem> {
    let named = which.scenario.as_deref().and_then(Path::to_str).filter(|_| which.name.is_none());
    let is_path = named.is_some_and(|name| Path::new(name).exists());
    match named.filter(|name| !is_path && which::check_name(name).is_ok() && !runs(settings, name).is_empty()) {
        Some(name) => Ok(name.to_owned()),
        None => which::choose(which, settings).await.map(|deployment: Deployment| deployment.name().to_owned()),
    }
}

/// The record of this run of the deployment, or of the last one.
pub fn find(settings: &Settings, name: &str, number: Option<u32>) -> Result<Kept, Problem> {
    let mut runs = runs(settings, name);
    let Some(last) = runs.pop() else {
        return Err(Problem::usage(format!("find a run of {name}: this machine has no record of any"))
            .hint("`infra list` shows the deployments; apply, check and destroy leave a record"));
    };
    let Some(number) = number.filter(|number| *number != last.number) else { return Ok(last) };
    let first = runs.first().unwrap_or(&last).number;
    runs.into_iter().find(|run| run.number == number).ok_or_else(|| {
        Problem::usage(format!("find run {number} of {name}: the runs {first} to {} are kept", last.number))
            .hint("`infra report --list` shows them")
    })
}
