use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The folder that holds a folder for each deployment.
#[derive(Clone, Debug)]
pub struct StateFolder(PathBuf);

/// A deployment's own folder: journal, lock, private kubeconfig, records of its runs.
#[derive(Clone, Debug)]
pub struct Deployment {
    name: String,
    folder: PathBuf,
}

/// Exclusive use of a deployment; ends when it is dropped and every child process that was given [`DeploymentLock::file`] is gone.
#[derive(Debug)]
pub struct DeploymentLock {
    file: File,
}

/// Who holds a lock.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    process: u32,
    command: String,
    since: Timestamp,
}

/// Why a deployment's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or folder cannot be used.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process works on the deployment.
    #[error("lock the deployment {name}: {owner}")]
    Locked {
        /// The deployment.
        name: String,
        /// Who holds it, since when.
        owner: String,
    },
}

impl StateFolder {
    /// Uses this folder, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A deployment's folder, which need not exist.
    pub fn deployment(&self, name: &str) -> Deployment {
        Deployment { name: name.to_owned(), folder: self.0.join("deployments").join(name) }
    }

    /// All deployments that have a journal here, by name.
    pub fn deployments(&self) -> Result<Vec<Deployment>, StateError> {
        let folder = self.0.join("deployments");
        let failed = |source| StateError::File { action: "read", path: folder.clone(), source };
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            names.extend(name.to_str().map(ToOwned::to_owned));
        }
        names.sort();
        Ok(names.iter().map(|name| self.deployment(name)).filter(|deployment| deployment.journal().exists()).collect())
    }
}

impl Deployment {
    /// The deployment's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The journal's path.
    pub fn journal(&self) -> PathBuf {
        self.folder.join("journal.jsonl")
    }

    /// The folder with a record for each run.
    pub fn runs(&self) -> PathBuf {
        self.folder.join("runs")
    }

    /// The path of the kubeconfig that only this deployment uses.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Makes the folders, readable by their owner only. Those that were missing are on disk afterwards.
    pub fn make(&self) -> Result<(), StateError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let runs = self.runs();
        let missing: Vec<&Path> = runs.ancestors().take_while(|folder| !folder.exists()).collect();
        let made = builder.create(&runs).and_then(|()| {
            // A folder's name is on disk when the one that it lies in is.
            let parents = missing.iter().filter_map(|folder| folder.parent());
            parents
                .filter(|parent| !parent.as_os_str().is_empty())
                .try_for_each(|parent| File::open(parent)?.sync_all())
        });
        made.map_err(|source| StateError::File { action: "make", path: self.runs(), source })
    }

    /// Removes the folder with everything in it; says whether it was there.
    pub fn remove(&self) -> Result<bool, StateError> {
        match fs::remove_dir_all(&self.folder) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StateError::File { action: "remove", path: self.folder.clone(), source }),
        }
    }

    /// Takes the deployment for this process, which must have made the folder.
    ///
    /// Where the process that took it is gone but a child of it still works (`kind`, after its parent was killed), waits up to
    /// `patience` for the child to finish, and calls `waiting` once.
    pub fn lock(
        &self,
        command: &str,
        patience: Duration,
        waiting: impl FnOnce(&str),
    ) -> Result<DeploymentLock, StateError> {
        let path = self.folder.join("lock");
        let failed = |action: &'static str| {
            let path = path.clone();
            move |source| StateError::File { action, path, source }
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed("open"))?;
        let mut waiting = Some(waiting);
        loop {
            match file.try_lock() {
                Ok(()) if is_same_file(&file, &path) => break,
                // The holder removed the deployment meanwhile: what is locked now is nobody's file any more.
                Ok(()) => {
                    self.make()?;
                    file = options.open(&path).map_err(failed("open"))?;
                    continue;
                }
                Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
                Err(TryLockError::WouldBlock) => {}
            }
            let owner = read_owner(&mut file);
            let locked = || StateError::Locked { name: self.name.clone(), owner: describe(owner.as_ref()) };
            let Some(waiting) = waiting.take().filter(|_| owner.as_ref().is_some_and(|owner| !is_alive(owner.process)))
            else {
                return Err(locked());
            };
            waiting(&describe(owner.as_ref()));
            if !becomes_free(&file, patience).map_err(failed("lock"))? {
                return Err(locked());
            }
        }
        let owner = Owner { process: std::process::id(), command: command.to_owned(), since: Timestamp::now() };
        let text = serde_json::to_string(&owner).expect("an owner has only string keys");
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(failed("write"))?;
        Ok(DeploymentLock { file })
    }
}

impl DeploymentLock {
    /// A handle on the locked file: as standard input of a child process, it keeps the deployment locked while the child lives.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// Waits for the lock on another thread, because the system call itself knows no deadline; says whether it was had in time.
fn becomes_free(file: &File, patience: Duration) -> io::Result<bool> {
    let (told, done) = std::sync::mpsc::channel();
    // A clone shares the lock with the original. A thread that waits in vain ends with the process, which is about to end.
    let waiter = file.try_clone()?;
    std::thread::spawn(move || told.send(waiter.lock()));
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

fn read_owner(file: &mut File) -> Option<Owner> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Whether a process exists. Where that cannot be known, it is taken to exist.
fn is_alive(process: u32) -> bool {
    !Path::new("/proc/self").exists() || Path::new("/proc").join(process.to_string()).exists()
}

fn describe(owner: Option<&Owner>) -> String {
    match owner {
        None => "another process holds it".to_owned(),
        Some(owner) if is_alive(owner.process) => {
            format!("process {} holds it: `{}`, since {}", owner.process, owner.command, owner.since)
        }
        Some(owner) => format!("`{}` was killed, and a program that it started is still at work", owner.command),
    }
}
