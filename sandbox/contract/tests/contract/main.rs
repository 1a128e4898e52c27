//! Statements about a cluster, each written once, held against the sandbox and against a real cluster.
//!
//! `cargo test -p contract -- [--sandbox] [--kind] [--record] [NAMES]`. What a real cluster answered is recorded in
//! `recorded/`; what is seen now is compared with that, apart from the decisions in `differences.toml`. `--record` asks a
//! real cluster and writes the recordings anew. Real clusters are made where `INFRA_TEST_KIND` (the path of kind) and
//! `INFRA_TEST_KIND_IMAGE` (the image of its nodes) are set; `INFRA_TEST_KIND_NAME` names one that runs already.

// Values are written where they are handed on; a reference to each would only be noise.
#![allow(clippy::needless_pass_by_value)]

mod case;
mod cluster;
mod kinds;
mod objects;
mod statements;
mod targets;
mod tool;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::differences::{self, Decision};
use contract::recording::{self, Recordings, Seen};
use futures::FutureExt;
use libtest_mimic::{Arguments, Failed, Trial};

use case::Case;
use statements::Statement;
use targets::{Target, Targets};

/// No statement takes longer, on a machine that is not overloaded.
const LIMIT: Duration = Duration::from_secs(150);

/// A real cluster is late now and then (a log that is not there yet, an endpoint that is not known everywhere): what it does not
/// show at once is looked at again. The sandbox has no such excuse.
const TRIES: usize = 3;

/// How many statements run at the same time: they wait most of the time.
const AT_ONCE: usize = 24;

struct Suite {
    runtime: tokio::runtime::Runtime,
    targets: Targets,
    truth: Recordings,
    decisions: Vec<Decision>,
    seen: Mutex<Recordings>,
    records: bool,
}

fn main() -> std::process::ExitCode {
    if let Some(code) = sandbox::entry() {
        return code;
    }
    if let Some(folder) = std::env::var_os(targets::SERVE) {
        return targets::serve(folder.into());
    }
    let mut words: Vec<String> = std::env::args().collect();
    let mut flag = |name: &str| {
        let before = words.len();
        words.retain(|word| word != name);
        words.len() < before
    };
    let (kind, sandbox, records) = (flag("--kind"), flag("--sandbox"), flag("--record"));
    let mut arguments = Arguments::from_iter(words);
    arguments.test_threads = arguments.test_threads.or(Some(AT_ONCE));
    let folder = recordings();
    let suite = Arc::new(Suite {
        runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
        targets: Targets::default(),
        truth: Recordings::read(&folder).unwrap_or_default(),
        decisions: differences::read(include_str!("../../differences.toml")).expect("differences.toml"),
        seen: Mutex::default(),
        records,
    });
    let mut trials = vec![Trial::test("the_lists_name_statements_that_exist", {
        let suite = suite.clone();
        move || suite.lists()
    })];
    let mut add = |target: Target, left_out: bool| {
        for statement in statements::all() {
            let suite = suite.clone();
            let name = format!("{target}::{}", statement.full_name());
            trials.push(Trial::test(name, move || suite.hold(target, &statement)).with_ignored_flag(left_out));
        }
    };
    if (sandbox || !kind) && !records {
        add(Target::Sandbox, false);
    }
    if kind || records || !sandbox {
        let missing = targets::missing();
        if let Some(name) = missing {
            eprintln!("skipped: {name} is not set, so there is no kind to test with");
        }
        add(Target::Kind, missing.is_some());
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if records {
        suite.write(&folder);
    }
    suite.targets.stop();
    conclusion.exit_code()
}

/// The folder of the recordings.
fn recordings() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recorded")
}

impl Suite {
    /// Runs a statement and compares what it saw with the truth.
    fn hold(&self, target: Target, statement: &Statement) -> Result<(), Failed> {
        let tries = if target == Target::Kind && !self.records { TRIES } else { 1 };
        let mut held = Ok(());
        for _ in 0..tries {
            held = self.look(target, statement);
            if held.is_ok() {
                break;
            }
        }
        held
    }

    fn look(&self, target: Target, statement: &Statement) -> Result<(), Failed> {
        let cluster = self.targets.get(target, &self.runtime)?;
        let (mut seen, failed) = self.runtime.block_on(run(cluster, statement));
        if self.records {
            if let Some(failed) = failed {
                return Err(failed.into());
            }
            self.seen.lock().unwrap().put(statement.area, statement.name, seen);
            return Ok(());
        }
        if let Some(failed) = failed {
            seen.insert("failed".to_owned(), failed.into());
        }
        let Some(truth) = self.truth.get(statement.area, statement.name) else {
            return Err(format!("no recording: run with --record on a real cluster; seen: {seen:#?}").into());
        };
        let found = recording::compare(truth, &seen);
        let decisions = if target == Target::Sandbox { &self.decisions[..] } else { &[] };
        let wrong = differences::undecided(&statement.full_name(), &found, decisions);
        if wrong.is_empty() { Ok(()) } else { Err(wrong.concat().into()) }
    }

    /// Recordings and decisions are about statements, and each statement has a recording.
    fn lists(&self) -> Result<(), Failed> {
        let all = names();
        let recorded: BTreeSet<_> =
            self.truth.statements().map(|(area, name)| (area.to_owned(), name.to_owned())).collect();
        let mut wrong = Vec::new();
        if !self.records {
            wrong.extend(recorded.difference(&all).map(|it| format!("recorded, but no statement: {it:?}")));
            wrong.extend(all.difference(&recorded).map(|it| format!("a statement, but not recorded: {it:?}")));
        }
        for decision in &self.decisions {
            if !statements::all().iter().any(|statement| statement.full_name() == decision.statement) {
                wrong.push(format!("a difference, but no statement: {}", decision.statement));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
    }

    fn write(&self, folder: &std::path::Path) {
        let (mut all, seen) = (self.truth.clone(), self.seen.lock().unwrap());
        for (area, name) in seen.statements() {
            all.put(area, name, seen.get(area, name).cloned().unwrap_or_default());
        }
        all.keep(&names());
        all.write(folder).expect("the recordings can be written");
    }
}

/// Area and name of all statements.
fn names() -> BTreeSet<(String, String)> {
    statements::all().iter().map(|statement| (statement.area.to_owned(), statement.name.to_owned())).collect()
}

/// What a statement saw, and what ended it early.
async fn run(cluster: Arc<cluster::Cluster>, statement: &Statement) -> (Seen, Option<String>) {
    let case = match AssertUnwindSafe(Case::open(cluster)).catch_unwind().await {
        Ok(case) => case,
        Err(panic) => return (Seen::new(), Some(text(panic.as_ref()))),
    };
    let held = AssertUnwindSafe(tokio::time::timeout(LIMIT, (statement.run)(&case))).catch_unwind().await;
    let failed = match held {
        Ok(Ok(())) => None,
        Ok(Err(_)) => Some("it did not end".to_owned()),
        Err(panic) => Some(text(panic.as_ref())),
    };
    let closed = AssertUnwindSafe(case.close()).catch_unwind().await;
    let failed = failed.or_else(|| closed.err().map(|panic| text(panic.as_ref())));
    (case.seen(), failed)
}

/// The text of a panic.
fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
