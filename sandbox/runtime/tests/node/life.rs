//! The life of a node, and the same tests as another user.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use runtime::{Node, NodeError, NodeOptions};

use crate::machine::{Machine, Result, has, same, text};

const OWNER: &str = "owner-of-a-node";
const ORDINARY: &str = "stranger";

/// When this process was started to own a node and be killed: does that.
pub fn entry() -> Option<ExitCode> {
    if std::env::args().next()? != OWNER {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let done: Result = runtime.block_on(async {
        let machine = Machine::start().await?;
        machine.pod("p").await?;
        machine.start_container(machine.container("p", "c", "sleep 12345 & sleep 54321; exit")).await?;
        println!("ready {}", machine.path("").display());
        tokio::time::sleep(Duration::from_mins(1)).await;
        Ok(())
    });
    if let Err(error) = done {
        println!("failed {error}");
    }
    Some(ExitCode::FAILURE)
}

/// Everything of the machine that a node could leave behind.
fn traces() -> Result<BTreeSet<String>> {
    let mut traces = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").map_err(text)?.flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if ["infra-sandbox-", "sleep 12345", "sleep 54321"].iter().any(|part| line.contains(part)) {
            traces.insert(format!("process {} {line}", entry.file_name().display()));
        }
    }
    for controller in ["cpu", "memory", "pids", "."] {
        let folder = std::path::Path::new("/sys/fs/cgroup").join(controller);
        find_groups(&folder, &mut traces);
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(text)?;
    traces.extend(mounts.lines().filter(|line| line.contains("overlay")).map(str::to_owned));
    for entry in std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        traces.insert(format!("interface {}", entry.file_name().display()));
    }
    Ok(traces)
}

fn find_groups(folder: &std::path::Path, traces: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name().to_string_lossy().starts_with("infra-sandbox-") {
                traces.insert(format!("group {}", entry.path().display()));
            }
            find_groups(&entry.path(), traces);
        }
    }
}

pub async fn nothing_outlives_its_owner() -> Result {
    let before = traces()?;
    let mut owner = Command::new("/proc/self/exe").arg0(OWNER).stdout(Stdio::piped()).spawn().map_err(text)?;
    let mut line = String::new();
    BufReader::new(owner.stdout.take().ok_or("no output")?).read_line(&mut line).map_err(text)?;
    let folder = line.trim().strip_prefix("ready ").ok_or_else(|| line.clone())?.to_owned();
    let begun = Instant::now();
    let during: BTreeSet<String> = loop {
        let during: BTreeSet<String> = traces()?.difference(&before).cloned().collect();
        // The shell's own two programs come a moment after it.
        if ["sleep 12345", "sleep 54321"].iter().all(|line| during.iter().any(|trace| trace.contains(line))) {
            break during;
        }
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(format!("the container cannot be seen: {during:#?}"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    owner.kill().map_err(text)?;
    owner.wait().map_err(text)?;
    let begun = Instant::now();
    loop {
        let left: Vec<String> = during.intersection(&traces()?).cloned().collect();
        if left.is_empty() {
            break;
        }
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(format!("still there: {left:#?}"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Its folder stays, but nothing in it that its owner could not remove.
    loop {
        let containers = std::fs::read_dir(format!("{folder}/node/containers")).map_err(text)?;
        if containers.count() == 0 {
            break;
        }
        if begun.elapsed() > Duration::from_secs(10) {
            return Err("the containers' folders are still there".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::remove_dir_all(folder).map_err(text)
}

pub async fn what_is_given_up_or_unknown_leaves_nothing(machine: &Machine) -> Result {
    machine.pod("p").await?;
    let config = machine.container("p", "c", "sleep 1000");
    let node = &machine.node;
    let (started, removed) = tokio::join!(node.start_container(config.clone()), node.stop_pod("p"));
    removed.map_err(text)?;
    has(&started.err().map(text).unwrap_or_default(), "removed while it was started")?;
    has(&node.wait("c").await.err().map(text).unwrap_or_default(), "no container \"c\"")?;
    has(&node.start_container(config).await.err().map(text).unwrap_or_default(), "no pod \"p\"")?;
    let left = std::fs::read_dir(machine.path("node/containers")).map_err(text)?.count();
    same(left, 0)?;
    machine.pod("p").await?;
    machine.start_container(machine.container("p", "twice", "sleep 1000")).await?;
    let again = node.start_container(machine.container("p", "twice", "")).await;
    has(&again.err().map(text).unwrap_or_default(), "File exists")?;
    node.signal("twice", 9).await.map_err(text)?;
    same(node.wait("twice").await.map_err(text)?.code, 137)?;
    has(&machine.pod("../escape").await.err().unwrap_or_default(), "as a name")
}

pub async fn a_node_that_stops_says_so(machine: &Machine) -> Result {
    machine.pod("p").await?;
    machine.start_container(machine.container("p", "c", "sleep 1000")).await?;
    let (waited, ()) = tokio::join!(machine.node.wait("c"), machine.node.stop());
    same(waited, Err(NodeError::Stopped))?;
    machine.node.stopped().await;
    same(machine.node.stop_pod("p").await, Err(NodeError::Stopped))?;
    let capabilities = runtime::preflight(&machine.path("other")).await.map_err(text)?;
    same(&capabilities, machine.node.capabilities())
}

pub async fn a_killed_keeper_takes_everything_with_it(machine: &Machine) -> Result {
    let running = || -> Result<Vec<(String, String)>> {
        let entries = std::fs::read_dir("/proc").map_err(text)?.flatten();
        let read = |entry: std::fs::DirEntry| {
            let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            let status = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = status.rsplit(") ").next()?.split(' ').nth(1)?.to_owned();
            Some((entry.file_name().to_string_lossy().into_owned(), format!("{parent} {line}")))
        };
        Ok(entries.filter_map(read).collect())
    };
    machine.pod("p").await?;
    machine.start_container(machine.container("p", "c", "exec sleep 31415")).await?;
    // The agent is told its folder; its parent is the keeper.
    let folder = machine.path("node").display().to_string();
    let agent = running()?.into_iter().find(|(_, line)| line.contains(&folder)).ok_or("no agent")?.1;
    let keeper = agent.split(' ').next().unwrap_or_default().to_owned();
    let killed = Command::new("kill").args(["-9", &keeper]).status().map_err(text)?;
    same(killed.success(), true)?;
    machine.node.stopped().await;
    same(machine.node.wait("c").await, Err(NodeError::Stopped))?;
    let begun = Instant::now();
    while running()?.iter().any(|(_, line)| line.contains("sleep\u{0}31415")) {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err("the container outlives the keeper".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Its groups and files stay until somebody starts a node there again.
    Node::start(NodeOptions::new(machine.path("node"))).await.map_err(text)?.stop().await;
    same(std::fs::read_dir(machine.path("node/containers")).map_err(text)?.count(), 0)?;
    let left = traces()?.into_iter().filter(|trace| trace.ends_with(&format!("infra-sandbox-{keeper}")));
    same(left.collect::<Vec<_>>(), Vec::new())
}

pub async fn options_that_cannot_be_met_are_refused(machine: &Machine) -> Result {
    let options = NodeOptions::new(machine.path("other"));
    for (options, wanted) in [
        (NodeOptions { pod_network: "10.244.0.0".to_owned(), ..options.clone() }, "is not a network"),
        (NodeOptions { pod_network: "10.96.0.0/12".to_owned(), ..options.clone() }, "overlap"),
        (NodeOptions { dns: [10, 97, 0, 10].into(), ..options.clone() }, "not in the service network"),
    ] {
        has(&Node::start(options).await.err().map(text).unwrap_or_default(), wanted)?;
    }
    Ok(())
}

/// All tests once more as an ordinary user, if there is one to become.
pub fn as_ordinary_user() -> Option<Trial> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root {
        return None;
    }
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let is_there = known.lines().any(|line| line.starts_with(&format!("{ORDINARY}:")));
    if !is_there {
        eprintln!(
            "skipped: all_of_this_works_for_an_ordinary_user: there is no user {ORDINARY} (useradd -m {ORDINARY})"
        );
    }
    let test = Trial::test("all_of_this_works_for_an_ordinary_user", || {
        // Where this program lies the user may not be able to look.
        let folder = tempfile::tempdir()?;
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let program = folder.path().join("node");
        std::fs::copy(std::env::current_exe()?, &program)?;
        let output = Command::new("su")
            .args([ORDINARY, "-s", "/bin/sh", "-c"])
            .arg(format!("cd /; {}", program.display()))
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)).into())
    });
    Some(test.with_ignored_flag(!is_there))
}
