use std::fs::{self, DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};

/// The folder that holds a folder for each deployment.
#[derive(Clone, Debug)]
pub struct StateFolder(PathBuf);

/// A deployment's own folder: journal, lock, private kubeconfig.
#[derive(Clone, Debug)]
pub struct Deployment {
    name: String,
    folder: PathBuf,
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

    /// The path of the kubeconfig that only this deployment uses.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Makes the folder, readable by its owner only. What was missing on the way to it is on disk afterwards.
    pub fn make(&self) -> Result<(), StateError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let missing: Vec<&Path> = self.folder.ancestors().take_while(|folder| !folder.exists()).collect();
        let made = builder.create(&self.folder).and_then(|()| {
            // A folder's name is on disk when the one that it lies in is.
            let parents = missing.iter().filter_map(|folder| folder.parent());
            parents
                .filter(|parent| !parent.as_os_str().is_empty())
                .try_for_each(|parent| File::open(parent)?.sync_all())
        });
        made.map_err(|source| StateError::File { action: "make", path: self.folder.clone(), source })
    }

    /// Removes the folder with everything in it; says whether it was there.
    pub fn remove(&self) -> Result<bool, StateError> {
        match fs::remove_dir_all(&self.folder) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StateError::File { action: "remove", path: self.folder.clone(), source }),
        }
    }
}
