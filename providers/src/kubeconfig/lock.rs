use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use tempfile::NamedTempFile;

use super::{Error, file};
use crate::wait::{Probe, WaitError, until};

/// How long another program may keep the file locked; kubectl needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// What a lock of infra holds before the number of its process.
const OWNER: &str = "infra ";

/// The lock of a kubeconfig: a file beside it, as kubectl makes it. Released when dropped.
#[derive(Debug)]
pub(super) struct Lock(PathBuf);

impl Drop for Lock {
    fn drop(&mut self) {
        // Where it cannot be removed, the next program says so.
        let _ = fs::remove_file(&self.0);
    }
}

/// Takes the lock, and waits for it up to five seconds. One that a killed infra left behind is taken over.
pub(super) async fn take(path: &Path) -> Result<Lock, Error> {
    let mut name = path.file_name().map_or_else(OsString::new, ToOwned::to_owned);
    name.push(".lock");
    let lock = path.with_file_name(name);
    file::make_folder(&lock)?;
    let taken = until("the lock", PATIENCE, PAUSE, || async {
        match make(&lock) {
            Ok(()) => Ok(Probe::Ready(())),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if is_orphan(&lock) {
                    let _ = fs::remove_file(&lock);
                }
                Ok(Probe::Pending("another program holds it".to_owned()))
            }
            Err(source) => Err(Error::File { action: "lock", path: path.to_owned(), source }),
        }
    })
    .await;
    match taken {
        Ok(()) => Ok(Lock(lock)),
        Err(WaitError::Stopped(error)) => Err(error),
        Err(WaitError::TimedOut { limit, .. }) => Err(Error::Locked { path: path.to_owned(), lock, waited: limit }),
    }
}

/// Makes the lock with its owner in it in one step, so that a lock without an owner is never one of infra.
fn make(lock: &Path) -> io::Result<()> {
    let mut new =
        NamedTempFile::new_in(lock.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    write!(new, "{OWNER}{}", std::process::id())?;
    new.persist_noclobber(lock).map(|_| ()).map_err(|error| error.error)
}

/// Whether a process of infra made the lock and is gone.
fn is_orphan(lock: &Path) -> bool {
    let owner = fs::read_to_string(lock).ok().and_then(|text| text.strip_prefix(OWNER)?.parse().ok());
    owner.and_then(Pid::from_raw).is_some_and(|process| test_kill_process(process) == Err(rustix::io::Errno::SRCH))
}
