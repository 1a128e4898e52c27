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
        context.dockerfile = if let Ok(inside) = source.file.strip_prefix(&source.context) {
            inside.to_string_lossy().into_owned()
        } else {
            context.hide_foreign_dockerfile(source, file)
        };
        let name = context.dockerfile.clone();
        context.add(&name, &source.file)?;
        Ok(context)
    }

    /// Makes room for a Dockerfile from elsewhere: a name that no file of the context has, and a line in `.dockerignore` that lets
    /// the engine take it out before `COPY .` could see it. Returns the name.
    fn hide_foreign_dockerfile(&mut self, source: &DockerfileSource, ignore_file: PathBuf) -> String {
        let name = format!(".dockerfile.{}", &digest::of_bytes(source.file.as_os_str().as_encoded_bytes())[7..19]);
        let text = fs::read_to_string(&ignore_file).unwrap_or_default();
        let kind = Kind::Text(format!("{text}\n{name}\n.dockerignore\n"));
        self.items.insert(".dockerignore".to_owned(), Item { path: ignore_file, mode: 0o644, kind });
        name
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
        self.items
            .insert(name.to_owned(), Item { path: path.to_owned(), mode: found.permissions().mode() & 0o7777, kind });
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
                    let file = File::open(&item.path)
                        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", item.path.display())))?;
                    let length = file.metadata()?.len();
                    header.set_size(length);
                    archive.append_data(&mut header, name, io::Read::take(file, length))?;
                }
            }
        }
        archive.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(folder: &Path, files: &[&str], ignore: &str, dockerfile: &Path) -> Context {
        for name in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, *name).unwrap();
        }
        fs::write(folder.join(".dockerignore"), ignore).unwrap();
        let source =
            DockerfileSource { file: dockerfile.to_owned(), context: folder.to_owned(), ..DockerfileSource::default() };
        Context::read(&source).unwrap()
    }

    fn names(context: &Context) -> Vec<&str> {
        context
            .items
            .iter()
            .filter(|(_, item)| !matches!(item.kind, Kind::Folder))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    #[test]
    fn what_is_ignored_is_not_sent_but_the_dockerfile_always_is() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["Dockerfile", "a/keep/x", "a/y", "b.log", "c.txt"];
        let found = context(folder.path(), &files, "*\n!a/keep\n!c.*\n", &folder.path().join("Dockerfile"));
        assert_eq!(names(&found), [".dockerignore", "Dockerfile", "a/keep/x", "c.txt"]);
        assert_eq!(found.dockerfile(), "Dockerfile");
    }

    #[test]
    fn a_dockerfile_from_elsewhere_is_sent_and_hidden_from_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        let found = context(folder.path(), &["a"], "b\n", elsewhere.path());
        assert_eq!(names(&found), [found.dockerfile(), ".dockerignore", "a"]);
        let Kind::Text(ignore) = &found.items[".dockerignore"].kind else { panic!("it is written anew") };
        assert_eq!(*ignore, format!("b\n\n{}\n.dockerignore\n", found.dockerfile()));
    }

    #[test]
    fn the_archive_is_the_same_whenever_the_files_were_written() {
        let archives: Vec<Vec<u8>> = (0..2_u64)
            .map(|round| {
                let folder = tempfile::tempdir().unwrap();
                let found = context(folder.path(), &["Dockerfile", "a/b"], "", &folder.path().join("Dockerfile"));
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 * (round + 1));
                File::options().write(true).open(folder.path().join("a/b")).unwrap().set_modified(time).unwrap();
                let mut bytes = Vec::new();
                found.write(&mut bytes).unwrap();
                bytes
            })
            .collect();
        assert_eq!(archives[0], archives[1]);
    }

    #[test]
    fn a_bad_line_in_dockerignore_is_said_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Dockerfile"), "").unwrap();
        fs::write(folder.path().join(".dockerignore"), "a\n[b\n").unwrap();
        let source = DockerfileSource {
            file: folder.path().join("Dockerfile"),
            context: folder.path().to_owned(),
            ..DockerfileSource::default()
        };
        let error = Context::read(&source).unwrap_err();
        assert!(matches!(&error, ContextError::Ignore { source, .. } if source.line == 2), "{error:?}");
    }
}
