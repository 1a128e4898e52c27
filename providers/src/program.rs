//! Child processes: their lines as they come, and an error that shows the last of them.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How many lines an error keeps.
const KEPT_LINES: usize = 30;
/// A line without an end is cut here, so that a program's progress bar cannot fill the memory.
const LONGEST_LINE_BYTES: usize = 64 * 1024;
/// How long output is still read after the program's end, for the case that a process which it left behind keeps the pipe open.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// A program that cannot be run, or that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program.
    #[error("{name} is not installed, or not in PATH")]
    NotFound {
        /// The program as it was asked for.
        name: String,
    },
    /// The program is there but cannot be started.
    #[error("cannot start {name}")]
    Start {
        /// The program.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its output cannot be read, or its end cannot be waited for.
    #[error("lost contact with {name}")]
    Lost {
        /// The program.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended with an exit code other than 0.
    #[error("{name} failed with exit code {code}{}", indented(.last_lines))]
    Exit {
        /// The program.
        name: String,
        /// Its exit code.
        code: i32,
        /// The last lines it printed, oldest first.
        last_lines: Vec<String>,
    },
    /// It was ended by a signal.
    #[error("{name} was ended by signal {signal}{}", indented(.last_lines))]
    Signal {
        /// The program.
        name: String,
        /// The signal's number.
        signal: i32,
        /// The last lines it printed, oldest first.
        last_lines: Vec<String>,
    },
}

/// Lines below the text of an error, indented.
pub(crate) fn indented(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("\n    {}", lines.join("\n    ")) }
}

/// Which of its two outputs a program wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

/// A program with all that it is run with. It inherits the environment, and what is set here is added.
///
/// It runs in a process group of its own, so that Ctrl-C in a terminal does not reach it: who runs it decides.
#[derive(Clone, Debug)]
pub struct Program {
    binary: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    stdin: Option<Arc<File>>,
}

impl Program {
    /// A program by its path, or by its name when it is to be searched in `PATH`.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), arguments: Vec::new(), environment: Vec::new(), folder: None, stdin: None }
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn variable(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets its working folder.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Gives it this open file as its standard input; otherwise it reads nothing.
    ///
    /// With the deployment's lock file the lock is held as long as the program runs, even when whoever started it is killed.
    #[must_use]
    pub fn stdin(mut self, file: Option<Arc<File>>) -> Self {
        self.stdin = file;
        self
    }

    /// Its name, as errors show it.
    fn name(&self) -> String {
        self.binary.file_name().unwrap_or(self.binary.as_os_str()).to_string_lossy().into_owned()
    }

    /// Runs it to its end; every line it prints goes to `line` as it comes.
    ///
    /// A line ends with a line feed, a carriage return or both. Dropping the future kills the program and all that it started
    /// in its process group.
    pub async fn run(self, mut line: impl FnMut(Stream, &str)) -> Result<(), Error> {
        let name = self.name();
        let mut child = self.start()?;
        let guard = KillOnDrop(child.id());
        let mut stdout = Lines::new(child.stdout.take().expect("stdout is a pipe"));
        let mut stderr = Lines::new(child.stderr.take().expect("stderr is a pipe"));
        let mut last_lines = VecDeque::new();
        let mut take = |stream, text: &str| {
            if last_lines.len() == KEPT_LINES {
                last_lines.pop_front();
            }
            last_lines.push_back(text.to_owned());
            line(stream, text);
        };
        let lost = |source| Error::Lost { name: name.clone(), source };
        let status = loop {
            tokio::select! {
                biased;
                read = stdout.fill(), if stdout.open => { read.map_err(lost)?; stdout.deliver(|text| take(Stream::Stdout, text)); }
                read = stderr.fill(), if stderr.open => { read.map_err(lost)?; stderr.deliver(|text| take(Stream::Stderr, text)); }
                status = child.wait() => break status.map_err(lost)?,
            }
        };
        guard.disarm();
        // What is left in the pipes; a failure to read it does not change what the exit status says.
        let _ = timeout(DRAIN_LIMIT, async {
            while stdout.open && stdout.fill().await.is_ok() {
                stdout.deliver(|text| take(Stream::Stdout, text));
            }
            while stderr.open && stderr.fill().await.is_ok() {
                stderr.deliver(|text| take(Stream::Stderr, text));
            }
        })
        .await;
        outcome(name, status, last_lines.into())
    }

    /// Runs it to its end and returns what it wrote to its standard output.
    pub async fn read(self) -> Result<String, Error> {
        let mut text = String::new();
        self.run(|stream, line| {
            if stream == Stream::Stdout {
                text.push_str(line);
                text.push('\n');
            }
        })
        .await?;
        Ok(text)
    }

    fn start(&self) -> Result<Child, Error> {
        let stdin = match &self.stdin {
            Some(file) => {
                file.try_clone().map(Stdio::from).map_err(|source| Error::Start { name: self.name(), source })?
            }
            None => Stdio::null(),
        };
        let mut command = Command::new(&self.binary);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.spawn().map_err(|source| match source.kind() {
            // A missing working folder has the same error kind.
            io::ErrorKind::NotFound if self.folder.as_deref().is_none_or(Path::is_dir) => {
                Error::NotFound { name: self.binary.to_string_lossy().into_owned() }
            }
            _ => Error::Start { name: self.name(), source },
        })
    }
}

fn outcome(name: String, status: ExitStatus, last_lines: Vec<String>) -> Result<(), Error> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(Error::Exit { name, code, last_lines }),
        (None, signal) => Err(Error::Signal { name, signal: signal.unwrap_or_default(), last_lines }),
    }
}

/// Kills a process group unless it was disarmed. The program is not reaped before that, so its number is not used anew.
struct KillOnDrop(Option<u32>);

impl KillOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            // It may have ended in this very moment.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Cuts a byte stream into lines.
struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    open: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), open: true }
    }

    /// Reads what is there. Safe to drop: nothing that was read is lost.
    async fn fill(&mut self) -> io::Result<()> {
        self.open = self.reader.read_buf(&mut self.buffer).await? > 0;
        Ok(())
    }

    /// Passes on every line that is complete; at the stream's end also the rest. Empty lines are left out.
    fn deliver(&mut self, mut line: impl FnMut(&str)) {
        let mut start = 0;
        while let Some(length) = self.buffer[start..].iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            pass_on(&self.buffer[start..start + length], &mut line);
            start += length + 1;
        }
        if !self.open || self.buffer.len() - start > LONGEST_LINE_BYTES {
            pass_on(&self.buffer[start..], &mut line);
            start = self.buffer.len();
        }
        self.buffer.drain(..start);
    }
}

fn pass_on(bytes: &[u8], line: &mut impl FnMut(&str)) {
    let text = String::from_utf8_lossy(bytes);
    if !text.trim_end().is_empty() {
        line(text.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, TryLockError};

    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("sh").arguments(["-c", script])
    }

    #[tokio::test]
    async fn every_line_is_delivered_whatever_ends_it() {
        let mut lines = Vec::new();
        let script = r"printf 'one\ntwo\r\nthree 1%%\rthree 2%%\r\n\n'; printf 'four' >&2";
        shell(script).run(|stream, line| lines.push((stream, line.to_owned()))).await.unwrap();
        lines.sort_by_key(|(stream, _)| *stream == Stream::Stderr);
        let texts: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(texts, ["one", "two", "three 1%", "three 2%", "four"]);
        assert_eq!(lines[4].0, Stream::Stderr);
    }

    #[tokio::test]
    async fn a_failure_shows_the_last_lines_only() {
        let error = shell("seq 100; exit 3").run(|_, _| {}).await.unwrap_err();
        let Error::Exit { code, last_lines, .. } = &error else { panic!("{error}") };
        assert_eq!((*code, last_lines.len()), (3, KEPT_LINES));
        assert!(error.to_string().starts_with("sh failed with exit code 3\n    71\n"), "{error}");
    }

    #[tokio::test]
    async fn a_signal_is_told_from_an_exit_code() {
        let error = shell("kill -TERM $$").run(|_, _| {}).await.unwrap_err();
        assert!(matches!(error, Error::Signal { signal: 15, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_missing_program_and_a_missing_folder_are_told_apart() {
        let missing = Program::new("no-such-program").run(|_, _| {}).await.unwrap_err();
        assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
        let folder = shell("true").folder("/no/such/folder").run(|_, _| {}).await.unwrap_err();
        assert!(matches!(folder, Error::Start { .. }), "{folder}");
    }

    #[tokio::test]
    async fn a_program_left_behind_does_not_keep_the_end_waiting() {
        let mut process = String::new();
        shell("sleep 30 & echo $!").run(|_, line| process = line.to_owned()).await.unwrap();
        assert!(PathBuf::from("/proc").join(&process).exists(), "the end of sleep was waited for");
        rustix::process::kill_process(Pid::from_raw(process.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn dropping_the_run_kills_what_the_program_started_too() {
        let (sender, mut processes) = tokio::sync::mpsc::unbounded_channel();
        let run = shell("sleep 60 & echo $!; wait").run(move |_, line| sender.send(line.to_owned()).unwrap());
        let process = tokio::select! {
            result = run => panic!("it ended: {result:?}"),
            process = processes.recv() => process.unwrap(),
        };
        let stat = PathBuf::from("/proc").join(process).join("stat");
        let gone = crate::wait::until("its end", Duration::from_secs(10), Duration::from_millis(10), || async {
            // A process that nobody has reaped yet is a zombie: it has ended.
            let ended = fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
            Ok::<_, Error>(if ended {
                crate::wait::Probe::Ready(())
            } else {
                crate::wait::Probe::Pending("it runs".into())
            })
        });
        gone.await.unwrap();
    }

    #[tokio::test]
    async fn a_lock_lives_as_long_as_the_program_that_was_given_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let open = move || File::options().create(true).truncate(false).write(true).read(true).open(&path).unwrap();
        let locked = Arc::new(open());
        locked.lock().unwrap();
        let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
        let program = shell("echo started; sleep 60").stdin(Some(locked));
        let run = tokio::spawn(program.run(move |_, line| sender.send(line.to_owned()).unwrap()));
        lines.recv().await.unwrap();
        assert!(matches!(open().try_lock(), Err(TryLockError::WouldBlock)));
        run.abort();
        assert!(run.await.unwrap_err().is_cancelled());
        tokio::task::spawn_blocking(move || open().lock().unwrap()).await.unwrap();
    }
}
