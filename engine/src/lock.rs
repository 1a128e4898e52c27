use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

use crate::{Deployment, StateError};

/// Who works on a deployment, as others are told. No two runs have the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The person's name on that machine.
    #[serde(default)]
    pub user: String,
    /// The machine's name.
    #[serde(default)]
    pub host: String,
    /// The process there.
    pub process: u32,
    /// What it was called with.
    pub command: String,
    /// When it asked for the deployment.
    pub since: Timestamp,
}

/// What stands in a lock: its owner, and the owner's last sign of life.
///
/// The times are those of the owner's clock and for people. Whether a lease has run out is judged by the clock of the one who
/// asks: it has when the claim stayed as it is for the time of the lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Who.
    #[serde(flatten)]
    pub owner: Owner,
    /// When the owner last said that it is still at work.
    #[serde(default)]
    pub renewed: Timestamp,
    /// How long the claim counts without another sign of life.
    #[serde(default)]
    pub lease_seconds: u64,
    /// Whether the owner has given it up.
    #[serde(default)]
    pub released: bool,
}

/// How long a lock is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For another run to end.
    pub run: Duration,
    /// For a program to end that a killed run had started (`kind create cluster`).
    pub child: Duration,
}

impl Patience {
    /// None at all.
    pub const NONE: Self = Self { run: Duration::ZERO, child: Duration::ZERO };
}

/// Exclusive use of a deployment; ends when it is dropped and every child process that was given [`DeploymentLock::file`] is gone.
///
/// While it lives, a thread renews the claim in the file, so that others see a sign of life.
#[derive(Debug)]
pub struct DeploymentLock {
    file: File,
    claim: Claim,
    former: Option<Claim>,
    heart: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Owner {
    /// Who holds a lock, as a sentence that follows a colon.
    fn describe(&self) -> String {
        let Self { user, host, process, command, since } = self;
        let of = if host.is_empty() { String::new() } else { format!(" of {user}@{host}") };
        format!("process {process}{of} holds it: `{command}`, since {since}")
    }
}

impl Claim {
    /// A claim of this moment.
    pub fn new(owner: Owner, lease: Duration) -> Self {
        Self { owner, renewed: now(), lease_seconds: lease.as_secs(), released: false }
    }

    /// The same claim with a new sign of life.
    #[must_use]
    pub fn renewed(&self) -> Self {
        Self { renewed: now(), ..self.clone() }
    }

    /// The same claim, given up.
    #[must_use]
    pub fn released(&self) -> Self {
        Self { released: true, ..self.renewed() }
    }

    /// How long it counts after it was last renewed.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    /// Who holds it, since when, and when that was last heard of, as a sentence that follows a colon.
    pub fn describe(&self) -> String {
        if self.lease_seconds == 0 {
            return self.owner.describe();
        }
        format!("{}, last heard of at {}", self.owner.describe(), self.renewed)
    }
}

/// Full seconds, so that a renewed claim is as long as the one that it replaces.
fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now)
}

impl Deployment {
    /// Takes the deployment for this process, which must have made the folder.
    ///
    /// The lock of the file decides: a killed process frees it at once, except that a program which it started and which still
    /// works (`kind`) keeps it. Where the machine of the last owner was another one, as in a folder that machines share, a free
    /// lock is believed only when the owner gave it up or was silent for the time of its lease.
    ///
    /// Calls `waiting` with who holds it, before each wait.
    ///
    /// # Errors
    ///
    /// [`StateError::Locked`] where it is still held when the patience ends.
    pub fn lock(
        &self,
        owner: &Owner,
        lease: Duration,
        patience: Patience,
        mut waiting: impl FnMut(&str),
    ) -> Result<DeploymentLock, StateError> {
        let path = self.folder().join("lock");
        let failed = |action: &'static str| {
            let path = path.clone();
            move |source| StateError::File { action, path, source }
        };
        let locked = |owner: String| StateError::Locked { name: self.name().to_owned(), owner };
        let mut file = open(&path).map_err(failed("open"))?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) if !is_same_file(&file, &path) => {
                    // The holder removed the deployment meanwhile: what is locked now is nobody's file any more.
                    self.make()?;
                    file = open(&path).map_err(failed("open"))?;
                }
                Ok(()) => {
                    let elsewhere = read(&mut file).filter(|claim| may_live_elsewhere(claim, owner));
                    let Some(claim) = elsewhere.filter(|claim| !is_silent(claim, &path, &mut waiting)) else {
                        return DeploymentLock::new(file, owner, lease).map_err(failed("write"));
                    };
                    if began.elapsed() >= patience.run {
                        return Err(locked(claim.describe()));
                    }
                }
                Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
                Err(TryLockError::WouldBlock) => {
                    let claim = read(&mut file);
                    let is_child = claim.as_ref().is_some_and(|claim| is_gone(&claim.owner, owner));
                    let patience = if is_child { patience.child.max(patience.run) } else { patience.run };
                    let held_by = describe(claim.as_ref(), is_child);
                    if patience.is_zero() {
                        return Err(locked(held_by));
                    }
                    waiting(&held_by);
                    if !becomes_free(&file, patience).map_err(failed("lock"))? {
                        return Err(locked(describe(read(&mut file).as_ref(), is_child)));
                    }
                }
            }
        }
    }
}

impl DeploymentLock {
    fn new(mut file: File, owner: &Owner, lease: Duration) -> io::Result<Self> {
        let former = read(&mut file);
        let claim = Claim::new(owner.clone(), lease);
        write(&file, &claim)?;
        let (stop, stopped) = mpsc::channel();
        let (renewing, beating) = (claim.clone(), file.try_clone()?);
        let beat = move || {
            while stopped.recv_timeout(lease.max(Duration::from_secs(1)) / 4) == Err(RecvTimeoutError::Timeout) {
                // A sign of life that cannot be written is only missed by others: the file's lock is what counts here.
                let _ = write(&beating, &renewing.renewed());
            }
        };
        let heart = Some((stop, thread::spawn(beat)));
        Ok(Self { file, claim, former, heart })
    }

    /// Who held it before, whether or not it was given up: that run is gone, and so is every program that it started.
    pub fn former(&self) -> Option<&Owner> {
        self.former.as_ref().map(|claim| &claim.owner)
    }

    /// A handle on the locked file: as standard input of a child process, it keeps the deployment locked while the child lives.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Drop for DeploymentLock {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.heart.take() {
            drop(stop);
            let _ = thread.join();
        }
        // Only another machine needs to read it; here the file's lock is free in a moment.
        let _ = write(&self.file, &self.claim.released());
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a claim in place, in one piece.
fn write(mut file: &File, claim: &Claim) -> io::Result<()> {
    let text = serde_json::to_string(claim).expect("a claim has only string keys") + "\n";
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn read(file: &mut File) -> Option<Claim> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Waits for the lock on another thread, because the system call itself knows no deadline; says whether it was had in time.
fn becomes_free(file: &File, patience: Duration) -> io::Result<bool> {
    let (told, done) = mpsc::channel();
    // A clone shares the lock with the original. A thread that waits in vain ends with the process, which is about to end.
    let waiter = file.try_clone()?;
    thread::spawn(move || told.send(waiter.lock()));
    match done.recv_timeout(patience) {
        Ok(locked) => locked.map(|()| true),
        Err(_) => Ok(false),
    }
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata().map(identity), fs::metadata(path).map(identity)), (Ok(open), Ok(there)) if open == there)
}

#[cfg(not(unix))]
fn is_same_file(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// Whether the owner's machine may not know the locks of this one, and the owner may still be at work there.
fn may_live_elsewhere(claim: &Claim, me: &Owner) -> bool {
    !claim.released && claim.lease_seconds > 0 && claim.owner.host != me.host
}

/// Watches a claim for the time of its lease; says whether it stayed as it is.
fn is_silent(claim: &Claim, path: &Path, waiting: &mut impl FnMut(&str)) -> bool {
    waiting(&format!("{}; if nothing more is heard for {} s, it is dead", claim.describe(), claim.lease_seconds));
    thread::sleep(claim.lease());
    // Opened anew: a shared folder shows then what other machines wrote.
    open(path).is_ok_and(|mut file| read(&mut file).as_ref() == Some(claim))
}

/// Whether the owner was a process of this machine that is gone. Where that cannot be known, it is taken to exist.
fn is_gone(owner: &Owner, me: &Owner) -> bool {
    let is_here = owner.host.is_empty() || owner.host == me.host;
    is_here && Path::new("/proc/self").exists() && !is_running(owner.process)
}

fn describe(claim: Option<&Claim>, is_child: bool) -> String {
    match claim {
        None => "another process holds it".to_owned(),
        Some(Claim { owner, .. }) if is_child => {
            format!("`{}` was killed, and a program that it started is still at work", owner.command)
        }
        Some(claim) => claim.describe(),
    }
}

/// Whether a process of this machine runs. One that was killed is there until its parent has asked how it ended.
fn is_running(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Its state follows its name, which stands in parentheses and may hold any character (Linux, `proc_pid_stat(5)`).
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_killed_does_not_run_though_nobody_has_asked_how_it_ended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(is_running(child.id()));
        child.kill().unwrap();
        while is_running(child.id()) {
            thread::yield_now();
        }
        assert!(Path::new("/proc").join(child.id().to_string()).exists(), "nobody has asked");
        child.wait().unwrap();
        assert!(!is_running(child.id()));
    }
}
