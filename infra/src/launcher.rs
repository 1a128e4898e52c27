//! Sandboxes are processes of this program: how they are started, found and removed.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use async_trait::async_trait;
use cluster::sandbox::{Launcher, Running};
use engine::{Class, Failure};
use sandbox::{NodeShape, Ready, State};

/// The file in a sandbox's folder with what it said.
const LOG: &str = "log";
/// How much of the log's end explains a start that failed.
const LAST_BYTES: u64 = 4096;

/// Starts sandboxes by starting this program once more.
#[derive(Debug)]
pub struct SelfLauncher;

/// Where the sandbox of this folder writes what it says.
pub fn log_file(folder: &Path) -> PathBuf {
    folder.join(LOG)
}

#[async_trait]
impl Launcher for SelfLauncher {
    async fn start(&self, folder: &Path, nodes: Option<usize>) -> Result<Running, Failure> {
        let folder = folder.to_owned();
        blocking(move || start(&folder, nodes)).await
    }

    fn running(&self, folder: &Path) -> Result<Option<Running>, Failure> {
        Ok(match sandbox::status(folder)? {
            State::Running(ready) => Some(running(ready)),
            State::Stopped | State::Busy { .. } => None,
        })
    }

    async fn remove(&self, folder: &Path) -> Result<(), Failure> {
        let folder = folder.to_owned();
        blocking(move || remove(&folder)).await
    }
}

/// Ends the sandbox of a folder, its pods first, and removes the folder with everything in it. Neither need be there.
pub fn remove(folder: &Path) -> Result<(), Failure> {
    sandbox::stop(folder)?;
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            let failure = Failure::from(format!("remove {}: {error}", folder.display()));
            Err(failure.hint("files of pods may belong to other users: remove the folder as root"))
        }
        _ => Ok(()),
    }
}

/// Does work that waits on a thread of its own.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await?
}

fn running(ready: Ready) -> Running {
    Running { pid: ready.pid, server: format!("https://{}", ready.address), kubeconfig: ready.kubeconfig }
}

fn start(folder: &Path, nodes: Option<usize>) -> Result<Running, Failure> {
    let runs = settle(folder)?;
    if let Some(count) = nodes {
        sandbox::set_nodes(folder, (count > 1).then(|| NodeShape::machines(count)))?;
    }
    match runs {
        Some(ready) => Ok(running(ready)),
        None => Ok(running(spawn(folder, false)?.0)),
    }
}

/// The sandbox that takes requests in a folder. One that is about to stop is waited for; one that has begun to start was left by a
/// run that was killed, and is no use half-known.
pub fn settle(folder: &Path) -> Result<Option<Ready>, Failure> {
    if let State::Running(ready) = sandbox::status(folder)? {
        return Ok(Some(ready));
    }
    sandbox::stop(folder)?;
    Ok(None)
}

/// Starts the sandbox of a folder in which none runs, and returns when it takes requests. It goes on when this process ends, unless it
/// is to go on only as long as its input, which is then the child's.
pub fn spawn(folder: &Path, with_input: bool) -> Result<(Ready, Child), Failure> {
    fs::create_dir_all(folder)?;
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(log_file(folder))?;
    let mut command = Command::new(std::env::current_exe()?);
    // In a group of its own, so that an interrupt from the keyboard does not reach it.
    command.args(["sandbox", "run", "--folder"]).arg(folder).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    if with_input {
        command.arg("--with-input").stdin(Stdio::piped());
    }
    let mut child = command.spawn()?;
    let mut line = String::new();
    // It says one line when it takes requests, and the end of its output says that it failed.
    BufReader::new(child.stdout.take().ok_or("read what the sandbox says")?).read_line(&mut line)?;
    if let Ok(ready) = serde_json::from_str::<Ready>(&line) {
        return Ok((ready, child));
    }
    child.wait()?;
    let failure = Failure::from(format!("start the sandbox: {}", last_words(folder))).class(Class::Missing);
    Err(failure.nothing_remains())
}

/// What it said last.
fn last_words(folder: &Path) -> String {
    let read = || {
        let mut file = File::open(log_file(folder))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map(|_| text)
    };
    let text: Result<Vec<u8>, std::io::Error> = read();
    let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
    text.lines().last().unwrap_or("it ended without a word").trim_start_matches("error: ").to_owned()
}
