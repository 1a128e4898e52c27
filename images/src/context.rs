//! The build context of a Dockerfile: which files are sent, and the archive of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use crate::digest;
use crate::dockerignore::{InvalidPattern, Rules};
use crate::spec::DockerfileSource;

/// Files of a build context carry this time, so that the same files give the same layers on every checkout. The first day that
/// zip archives can express: some build tools pack what they are given.
const MODIFIED_SECONDS: u64 = 315_619_200;

/// A build context cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// There is no Dockerfile.
    #[error("there is no Dockerfile {}", .file.display())]
    NoDockerfile {
        /// Where it was looked for.
        file: PathBuf,
    },
    /// The context is not a folder.
    #[error("the build context {} is not a folder", .folder.display())]
    NoFolder {
        /// What should be a folder.
        folder: PathBuf,
    },
    /// A line of `.dockerignore` is no pattern.
    #[error("cannot read {}", .file.display())]
    Ignore {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: InvalidPattern,
    },
    /// A file or folder cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// What cannot be read.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ContextError {
    /// What the person can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("make it readable, or leave it out with a line in .dockerignore".to_owned())
            }
            _ => None,
        }
    }
}

/// What is sent to the engine, by its path in the context.
#[derive(Clone, Debug, Default)]
pub struct Context {
    items: BTreeMap<String, Item>,
    dockerfile: String,
}

#[derive(Clone, Debug)]
struct Item {
    path: PathBuf,
    mode: u32,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    File,
    Folder,
    Link(PathBuf),
    Text(String),
}

impl Context {
    /// Finds what the context consists of. The Dockerfile and `.dockerignore` are always part of it.
    pub fn read(source: &DockerfileSource) -> Result<Self, ContextError> {
        if !source.file.is_file() {
            return Err(ContextError::NoDockerfile { file: source.file.clone() });
        }
        if !source.context.is_dir() {
            return Err(ContextError::NoFolder { folder: source.context.clone() });
        }
        let file = source.context.join(".dockerignore");
        let rules = match fs::read_to_string(&file) {
            Ok(text) => Rules::parse(&text).map_err(|source| ContextError::Ignore { file: file.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Rules::default(),
            Err(source) => return Err(ContextError::Read { path: file, source }),
        };
        let mut context = Self::default();
        context.walk(&source.context, "", &rules)?;
        if file.is_file() {
            context.add(".dockerignore", &file)?;
        }
        context.dockerfile = match source.file.strip_prefix(&source.context) {
            Ok(inside) => inside.to_string_lossy().into_owned(),
            // A name that no file of the context has, and that the engine takes out again before `COPY .` could see it.
            Err(_) => {
                let name = format!(".dockerfile.{}", &digest::of_bytes(source.file.as_os_str().as_encoded_bytes())[7..19]);
                let text = fs::read_to_string(&file).unwrap_or_default();
                let kind = Kind::Text(format!("{text}\n{name}\n.dockerignore\n"));
                context.items.insert(".dockerignore".to_owned(), Item { path: file, mode: 0o644, kind });
                name
            }
        };
        let name = context.dockerfile.clone();
        context.add(&name, &source.file)?;
        Ok(context)
    }

    fn walk(&mut self, folder: &Path, prefix: &str, rules: &Rules) -> Result<(), ContextError> {
        let failed = |source| ContextError::Read { path: folder.to_owned(), source };
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let excluded = rules.excludes(&name);
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            if !excluded {
                self.add(&name, &entry.path())?;
            }
            if is_folder && !(excluded && rules.only_excludes()) {
                self.walk(&entry.path(), &format!("{name}/"), rules)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, path: &Path) -> Result<(), ContextError> {
        let failed = |source| ContextError::Read { path: path.to_owned(), source };
        let found = fs::symlink_metadata(path).map_err(failed)?;
        let kind = if found.is_dir() {
            Kind::Folder
        } else if found.is_symlink() {
            Kind::Link(fs::read_link(path).map_err(failed)?)
        } else if found.is_file() {
            Kind::File
        } else {
            // Sockets and the like cannot be sent; Docker leaves them out too.
            return Ok(());
        };
        self.items.insert(name.to_owned(), Item { path: path.to_owned(), mode: found.permissions().mode() & 0o7777, kind });
        Ok(())
    }

    /// The Dockerfile's path in the context.
    pub fn dockerfile(&self) -> &str {
        &self.dockerfile
    }

    /// The files: a name that says path and mode, and the path on this machine.
    pub fn files(&self) -> impl Iterator<Item = (String, PathBuf)> {
        let files = self.items.iter().filter(|(_, item)| matches!(item.kind, Kind::File));
        files.map(|(name, item)| (format!("{name} {:o}", item.mode), item.path.clone()))
    }

    /// Folders and links: name, and what they are.
    pub fn others(&self) -> impl Iterator<Item = (&str, String)> {
        self.items.iter().filter_map(|(name, item)| match &item.kind {
            Kind::File => None,
            Kind::Folder => Some((name.as_str(), format!("folder {:o}", item.mode))),
            Kind::Link(to) => Some((name.as_str(), format!("link to {}", to.display()))),
            Kind::Text(text) => Some((name.as_str(), digest::of_bytes(text.as_bytes()))),
        })
    }

    /// Writes the context as a tar archive.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut archive = Builder::new(out);
        for (name, item) in &self.items {
            let mut header = Header::new_gnu();
            header.set_mode(item.mode);
            header.set_mtime(MODIFIED_SECONDS);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            match &item.kind {
                Kind::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    archive.append_data(&mut header, format!("{name}/"), io::empty())?;
                }
                Kind::Link(to) => {
                    header.set_entry_type(EntryType::Symlink);
                    archive.append_link(&mut header, name, to)?;
                }
                Kind::Text(text) => {
                    header.set_size(text.len() as u64);
                    archive.append_data(&mut header, name, text.as_bytes())?;
                }
                Kind::File => {
                    let file = File::open(&item.path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", item.path.display())))?;
                    let length = file.metadata()?.len();
                    header.set_size(length);
                    archive.append_data(&mut header, name, io::Read::take(file, length))?;
                }
            }
        }
        archive.finish()
    }
}
