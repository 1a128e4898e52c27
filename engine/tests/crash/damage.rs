//! What happens to the journal's file, and two processes at once: a clear error, nothing lost, and a way out.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use engine::{
    Address, Context, Deployment, DeploymentLock, Failure, Gone, Graph, Journal, JournalError, Node, Owner, Patience,
    Policy, Resource, Sinks, StateError, StateFolder, Stop, StopHandle, execute, plan,
};
use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::behaviour;
use crate::choices::{Choices, Seeded};
use crate::faults::{Canary, Menu};
use crate::graphs::{Cast, Wanted};
use crate::process::{Stage, Verdict};
use crate::trial;

/// Names the state folder to a process that shall hold the lock of its deployment until it is killed.
const HOLD: &str = "INFRA_TEST_CRASH_HOLD";

/// The tests of this file.
pub fn all() -> Vec<Trial> {
    let folder = tempfile::tempdir().expect("a folder to try a mount in");
    let cannot_mount = Small::mount(folder.path()).is_none();
    let mounting = |name: &str, test: fn(&Path) -> Verdict| {
        let needs = if cannot_mount { " (needs the right to mount a tmpfs)" } else { "" };
        trial(format!("{name}{needs}"), test).with_ignored_flag(cannot_mount)
    };
    vec![
        mounting("a_full_disk_is_said_and_with_space_again_the_run_goes_on", full),
        mounting("a_run_whose_journal_cannot_be_written_waits_for_what_runs_and_can_be_abandoned", abandoned),
        mounting("a_journal_that_cannot_be_written_is_said_and_is_left_as_it_is", read_only),
        trial("a_clock_that_jumps_changes_nothing", clock),
        trial("a_journal_of_a_newer_version_is_said_and_left_as_it_is", newer),
        trial("a_journal_with_any_bit_flipped_is_said_and_left_as_it_is", flipped),
        trial("a_second_process_is_refused_and_takes_over_when_the_first_is_killed", two),
    ]
}

fn ensure(condition: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(otherwise()) }
}

/// A graph of so many things, each with a value.
fn things(count: usize, value: usize) -> Graph {
    let cast = Cast::things(count);
    let wanted =
        (0..count).map(|number| Wanted { number, within: None, value, fixed: 0, needs: Vec::new(), fed: None });
    cast.graph(&wanted.collect::<Vec<_>>())
}

fn stage(folder: &Path) -> Stage {
    Stage::new(folder, Choices::Seeded(Seeded::new(1)), Canary::None)
}

/// A file system of few pages.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(folder: &'a Path) -> Option<Self> {
        works("mount", &["-t", "tmpfs", "-o", "size=8k", "tmpfs", folder.to_str()?]).then_some(Self(folder))
    }

    fn again(&self, options: &str) -> Verdict {
        let options = format!("remount,{options}");
        let path = self.0.to_str().ok_or("the folder's name is not text")?;
        ensure(works("mount", &["-o", &options, path]), || format!("mount -o {options} fails"))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        works("umount", &["--lazy", &self.0.to_string_lossy()]);
    }
}

fn works(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

fn full(folder: &Path) -> Verdict {
    let small = Small::mount(folder).ok_or("cannot mount")?;
    let stage = stage(folder);
    let wanted = things(20, 0);
    let Err(said) = stage.run(&wanted, Policy::StopAtFailure, Menu::CALM) else {
        return Err("the disk is not full".to_owned());
    };
    ensure(said.starts_with("write the journal ") && said.contains("No space left on device"), || said.clone())?;
    // Still full: it says so again, and nothing that exists is forgotten.
    let again = stage.run(&Graph::default(), Policy::GoOn, Menu::CALM).err().unwrap_or_default();
    ensure(again.starts_with("write the journal "), || format!("a second run says {again:?}"))?;
    small.again("size=1m")?;
    stage.converges(&wanted)?;
    stage.is_removed()
}

/// Something whose creation never ends.
struct Endless;

#[async_trait]
impl Resource for Endless {
    async fn create(&self, _: &Context, _: &Value) -> Result<Value, Failure> {
        std::future::pending().await
    }

    async fn delete(&self, _: &Context, _: &Value) -> Result<Vec<Gone>, Failure> {
        Ok(Vec::new())
    }
}

fn abandoned(folder: &Path) -> Verdict {
    let _small = Small::mount(folder).ok_or("cannot mount")?;
    let stage = stage(folder);
    let mut wanted = things(20, 0);
    wanted.add(Node::new(Address::new("endless", "a"), "endless", "nodes")).map_err(|error| error.to_string())?;
    let mut registry = behaviour::registry(&stage.cloud);
    registry.register("endless", Endless);
    let mut journal = Journal::open(&stage.journal).map_err(|error| error.to_string())?;
    let decided = plan(&wanted, journal.inventory(), &BTreeMap::new(), &registry).map_err(|error| error.to_string())?;
    let (sinks, stop) = (Sinks::default(), StopHandle::default());
    let person = async {
        // Long after the disk was full, and then once more as long.
        for pressed in [Stop::Drain, Stop::Abandon] {
            for _ in 0..10_000 {
                tokio::task::yield_now().await;
            }
            assert_eq!(stop.press(), pressed);
        }
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    let said = runtime.block_on(async {
        tokio::select! {
            biased;
            outcome = execute("test", &decided, &mut journal, &registry, &sinks, &stop, Policy::StopAtFailure) => match outcome {
                Ok(outcome) => format!("{outcome:?}"),
                Err(error) => error.to_string(),
            },
            () = person => "nothing ends it".to_owned(),
        }
    });
    ensure(said.starts_with("write the journal "), || said.clone())?;
    // The first press after none would only drain.
    ensure(stop.press() == Stop::Abandon, || "it did not wait for what ran".to_owned())
}

fn read_only(folder: &Path) -> Verdict {
    let small = Small::mount(folder).ok_or("cannot mount")?;
    let stage = stage(folder);
    stage.converges(&things(2, 0))?;
    let before = fs::read(&stage.journal).map_err(|error| error.to_string())?;
    small.again("ro")?;
    let said = stage.run(&things(2, 1), Policy::StopAtFailure, Menu::CALM).err().unwrap_or_default();
    ensure(said.starts_with("open the journal ") && said.contains("Read-only file system"), || said.clone())?;
    ensure(fs::read(&stage.journal).is_ok_and(|after| after == before), || "the journal has changed".to_owned())?;
    ensure(Journal::read(&stage.journal).is_ok(), || "it cannot be read".to_owned())?;
    small.again("rw")?;
    stage.converges(&things(2, 1))?;
    stage.is_removed()
}

/// A journal with its checksums put right after a change of its text.
fn rewritten(journal: &Path, mut change: impl FnMut(usize, &str) -> String) -> Verdict {
    let text = fs::read_to_string(journal).map_err(|error| error.to_string())?;
    let lines = text.lines().enumerate().map(|(index, line)| {
        let body = change(index, line.rsplit_once(",\"crc\":").expect("a line has a checksum").0);
        format!("{body},\"crc\":\"{:08x}\"}}\n", crc32fast::hash(body.as_bytes()))
    });
    fs::write(journal, lines.collect::<String>()).map_err(|error| error.to_string())
}

fn clock(folder: &Path) -> Verdict {
    let stage = stage(folder);
    stage.converges(&things(3, 0))?;
    stage.run(&things(3, 1), Policy::StopAtFailure, Menu { budget: 1, kills: true, rarity: 3, ..Menu::CALM })?;
    let before = Journal::read(&stage.journal).map_err(|error| error.to_string())?;
    let times = ["9999-12-30T00:00:00Z", "1970-01-01T00:00:00Z", "2038-01-19T03:14:08Z", "-000044-03-15T12:00:00Z"];
    rewritten(&stage.journal, |index, body| {
        let (head, tail) = body.split_once("\"at\":\"").expect("an entry has a time");
        let (_, tail) = tail.split_once('"').expect("a time ends");
        format!("{head}\"at\":\"{}\"{tail}", times[index % times.len()])
    })?;
    let after = Journal::read(&stage.journal).map_err(|error| error.to_string())?;
    ensure(before == after, || "the times changed what the journal says".to_owned())?;
    stage.converges(&things(3, 1))?;
    stage.is_removed()
}

fn newer(folder: &Path) -> Verdict {
    let stage = stage(folder);
    stage.converges(&things(2, 0))?;
    // Only the last line is newer: a newer program has gone on with an older journal, with members that nobody knows here.
    let count = fs::read_to_string(&stage.journal).map_err(|error| error.to_string())?.lines().count();
    rewritten(&stage.journal, |index, body| {
        if index + 1 == count { r#"{"v":3,"n":"new","what":["new"]"#.to_owned() } else { body.to_owned() }
    })?;
    let before = fs::read(&stage.journal).map_err(|error| error.to_string())?;
    let said = stage.run(&Graph::default(), Policy::GoOn, Menu::CALM).err().unwrap_or_default();
    ensure(said.contains("which a newer version of this program wrote (format 3, known is 2)"), || said.clone())?;
    ensure(fs::read(&stage.journal).is_ok_and(|after| after == before), || "the journal has changed".to_owned())
}

fn flipped(folder: &Path) -> Verdict {
    let stage = stage(folder);
    stage.converges(&things(1, 0))?;
    stage.run(&things(1, 1), Policy::StopAtFailure, Menu::CALM)?;
    let whole = fs::read(&stage.journal).map_err(|error| error.to_string())?;
    for position in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[position] ^= 1 << bit;
            fs::write(&stage.journal, &damaged).map_err(|error| error.to_string())?;
            let line = whole[..position].split(|byte| *byte == b'\n').count();
            match Journal::open(&stage.journal) {
                Err(JournalError::Damaged { line: named, .. }) if named == line => {}
                Err(other) => return Err(format!("bit {bit} of byte {position} in line {line}: {other}")),
                Ok(_) => return Err(format!("bit {bit} of byte {position} is not noticed")),
            }
            let after = fs::read(&stage.journal).map_err(|error| error.to_string())?;
            ensure(after == damaged, || format!("bit {bit} of byte {position}: the file has changed"))?;
        }
    }
    fs::write(&stage.journal, &whole).map_err(|error| error.to_string())?;
    stage.is_removed()
}

/// In a process that was started for it: takes the lock, says so, and holds it until it is killed.
pub fn hold_a_lock_if_asked() -> Option<ExitCode> {
    let folder = std::env::var_os(HOLD)?;
    let deployment = StateFolder::new(PathBuf::from(folder)).deployment("test");
    let lock = lock(&deployment, "infra apply");
    println!("{}", if lock.is_ok() { "held" } else { "refused" });
    // The input ends when whoever started this process is gone.
    let _ = std::io::stdin().lock().read_line(&mut String::new());
    Some(ExitCode::SUCCESS)
}

fn lock(deployment: &Deployment, command: &str) -> Result<DeploymentLock, StateError> {
    let (user, host, process) = ("ada".to_owned(), "here".to_owned(), std::process::id());
    let owner = Owner { user, host, process, command: command.to_owned(), since: Timestamp::now() };
    deployment.lock(&owner, Duration::from_mins(1), Patience::NONE, |_| {})
}

fn holder(folder: &Path) -> Verdict<(Child, String)> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let child = Command::new(program).env(HOLD, folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let mut said = String::new();
    let output = child.stdout.take().ok_or("it has no output")?;
    BufReader::new(output).read_line(&mut said).map_err(|error| error.to_string())?;
    Ok((child, said.trim().to_owned()))
}

fn two(folder: &Path) -> Verdict {
    let deployment: Deployment = StateFolder::new(folder).deployment("test");
    deployment.make().map_err(|error| error.to_string())?;
    let (mut first, said) = holder(folder)?;
    ensure(said == "held", || format!("the first process is {said}"))?;
    let lock = || lock(&deployment, "infra destroy");
    match lock() {
        Err(StateError::Locked { owner, .. }) => {
            let expected = format!("process {} of ada@here holds it: `infra apply`, since ", first.id());
            ensure(owner.starts_with(&expected), || owner.clone())?;
        }
        other => return Err(format!("a second process gets {other:?}")),
    }
    first.kill().and_then(|()| first.wait()).map_err(|error| error.to_string())?;
    let taken = lock().map_err(|error| format!("the lock outlives its process: {error}"))?;
    let (mut third, said) = holder(folder)?;
    third.kill().and_then(|()| third.wait()).map_err(|error| error.to_string())?;
    ensure(said == "refused", || format!("a third process is {said}"))?;
    drop(taken);
    lock().map(drop).map_err(|error| error.to_string())
}
