//! One layer of an image: a tar archive that depends on its content alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::digest;
use crate::oci::{self, Descriptor};
use crate::spec::FileEntry;
use crate::store::{Store, StoreError};

/// A layer cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A file that goes into it cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file was written to while the layer was made.
    #[error("{} changed while it was put into the image", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Something else than a file or a folder.
    #[error("{} is neither a file nor a folder", .path.display())]
    Special {
        /// What it is about.
        path: PathBuf,
    },
    /// A path in the image that is not absolute, or leaves it.
    #[error("{path:?} is no place in an image: it must be absolute and without `..`")]
    Place {
        /// The path as given.
        path: String,
    },
    /// The layer cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What goes into a layer: path in the image without its first slash, to what lies there. Parent folders come by themselves.
#[derive(Default)]
pub struct Layer {
    items: BTreeMap<String, Item>,
}

struct Item {
    mode: u32,
    content: Content,
}

enum Content {
    Folder,
    Text(Vec<u8>),
    File { path: PathBuf, digest: String },
}

impl Layer {
    /// Adds an empty folder.
    #[must_use]
    pub fn folder(mut self, path: &str, mode: u32) -> Self {
        self.add(path, Item { mode, content: Content::Folder });
        self
    }

    /// Adds a small file.
    #[must_use]
    pub fn text(mut self, path: &str, text: &str) -> Self {
        self.add(path, Item { mode: 0o644, content: Content::Text(text.as_bytes().to_vec()) });
        self
    }

    /// Adds a file of this machine.
    pub fn file(mut self, store: &Store, from: &Path, path: &str, mode: u32) -> Result<Self, LayerError> {
        let digest =
            store.digests().of_file(from).map_err(|source| LayerError::Read { path: from.to_owned(), source })?;
        self.add(path, Item { mode, content: Content::File { path: from.to_owned(), digest } });
        Ok(self)
    }

    /// The layer of a file or a whole folder of this machine. Links are followed; a file keeps whether it can be executed.
    pub fn entry(store: &Store, entry: &FileEntry) -> Result<Self, LayerError> {
        let to = place(&entry.to)?;
        let files = files_below(&entry.from)?;
        let paths: Vec<PathBuf> = files.iter().map(|(_, path, _)| path.clone()).collect();
        let mut layer = Self::default();
        for ((below, path, mode), digest) in files.into_iter().zip(store.digests().of_files(&paths)) {
            let digest = digest.map_err(|source| LayerError::Read { path: path.clone(), source })?;
            let name = if below.is_empty() { to.clone() } else { format!("{to}/{below}") };
            layer.add(name.trim_start_matches('/'), Item { mode, content: Content::File { path, digest } });
        }
        if entry.from.is_dir() && !to.is_empty() && !layer.items.contains_key(&to) {
            layer.add(&to, Item { mode: 0o755, content: Content::Folder });
        }
        Ok(layer)
    }

    fn add(&mut self, path: &str, item: Item) {
        let parents = path.match_indices('/').map(|(index, _)| &path[..index]);
        for parent in parents {
            self.items.entry(parent.to_owned()).or_insert(Item { mode: 0o755, content: Content::Folder });
        }
        self.items.insert(path.to_owned(), item);
    }

    /// The digest of all that goes in, without reading big files again.
    pub fn key(&self) -> String {
        let mut text = String::from("layer 1\n");
        for (path, item) in &self.items {
            let content = match &item.content {
                Content::Folder => "folder".to_owned(),
                Content::Text(bytes) => digest::of_bytes(bytes),
                Content::File { digest, .. } => digest.clone(),
            };
            // Writing into a text cannot fail.
            let _ = writeln!(text, "{path:?} {:o} {content}", item.mode);
        }
        digest::of_bytes(text.as_bytes())
    }

    /// The layer in the store: the one that was made of the same content before, or a new one.
    pub fn store(&self, store: &Store) -> Result<Descriptor, LayerError> {
        let key = self.key();
        if let Some(known) = store.recall::<Descriptor>("layers", &key).filter(|known| store.has(known)) {
            return Ok(known);
        }
        let mut archive = Builder::new(store.writer()?);
        for (path, item) in &self.items {
            append(&mut archive, path, item, store)?;
        }
        let writer = archive.into_inner().map_err(|source| store.write_error(source))?;
        let layer = writer.commit(oci::LAYER)?;
        store.remember("layers", &key, &layer)?;
        Ok(layer)
    }
}

fn append(archive: &mut Builder<impl Write>, path: &str, item: &Item, store: &Store) -> Result<(), LayerError> {
    let mut header = Header::new_gnu();
    header.set_mode(item.mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    let failed = |source| LayerError::Store(store.write_error(source));
    match &item.content {
        Content::Folder => {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, format!("{path}/"), io::empty()).map_err(failed)
        }
        Content::Text(bytes) => {
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, path, &bytes[..]).map_err(failed)
        }
        Content::File { path: from, digest } => {
            let unreadable = |source| LayerError::Read { path: from.clone(), source };
            let file = File::open(from).map_err(unreadable)?;
            header.set_size(file.metadata().map_err(unreadable)?.len());
            let mut reader = Hashing { file, hash: Sha256::new() };
            archive.append_data(&mut header, path, &mut reader).map_err(failed)?;
            // The layer is remembered by the digests that were taken before.
            let read = digest::written(&reader.hash.finalize());
            if read == *digest { Ok(()) } else { Err(LayerError::Changed { path: from.clone() }) }
        }
    }
}

/// A file whose digest is taken while it is read.
struct Hashing {
    file: File,
    hash: Sha256,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.hash.update(&buffer[..length]);
        Ok(length)
    }
}

/// A path in the image without slashes at its ends.
fn place(path: &str) -> Result<String, LayerError> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if !path.starts_with('/') || parts.contains(&"..") {
        return Err(LayerError::Place { path: path.to_owned() });
    }
    Ok(parts.join("/"))
}

/// The files of a folder, or the one file: path below the folder, path on this machine, mode in the image.
pub(crate) fn files_below(root: &Path) -> Result<Vec<(String, PathBuf, u32)>, LayerError> {
    let mut files = Vec::new();
    let walk = WalkBuilder::new(root).standard_filters(false).follow_links(true).build();
    for entry in walk {
        let entry =
            entry.map_err(|error| LayerError::Read { path: root.to_owned(), source: io::Error::other(error) })?;
        let path = entry.path();
        let found = path.metadata().map_err(|source| LayerError::Read { path: path.to_owned(), source })?;
        if found.is_dir() {
            continue;
        }
        if !found.is_file() {
            return Err(LayerError::Special { path: path.to_owned() });
        }
        let below = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        let mode = if found.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        files.push((below, path.to_owned(), mode));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn layer_of(root: &Path, files: &[(String, Vec<u8>)], from: &str) -> Descriptor {
        let folder = root.join(from);
        for (name, content) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let store = Store::open(&root.join(format!("cache of {from}"))).unwrap();
        let entry = FileEntry { from: folder, to: "/data/".to_owned() };
        Layer::entry(&store, &entry).unwrap().store(&store).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_layer_depends_on_names_and_content_alone(
            files in proptest::collection::btree_map("[a-d]{1,3}/[a-z]{1,120}", proptest::collection::vec(any::<u8>(), 0..2000), 1..6),
        ) {
            let root = tempfile::tempdir().unwrap();
            let files: Vec<(String, Vec<u8>)> = files.into_iter().collect();
            let one = layer_of(root.path(), &files, "one");
            let mut reversed = files.clone();
            reversed.reverse();
            prop_assert_eq!(&one, &layer_of(root.path(), &reversed, "other"));
            reversed[0].1.push(0);
            prop_assert_ne!(&one, &layer_of(root.path(), &reversed, "changed"));
        }
    }

    #[test]
    fn a_layer_that_was_made_before_is_not_made_again() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&root.path().join("cache")).unwrap();
        let file = root.path().join("a");
        fs::write(&file, "content").unwrap();
        let entry = FileEntry { from: file.clone(), to: "/a".to_owned() };
        let first = Layer::entry(&store, &entry).unwrap().store(&store).unwrap();
        let written = fs::metadata(store.path(&first.digest)).unwrap().modified().unwrap();
        assert_eq!(Layer::entry(&store, &entry).unwrap().store(&store).unwrap(), first);
        assert_eq!(fs::metadata(store.path(&first.digest)).unwrap().modified().unwrap(), written);
        fs::write(&file, "changed").unwrap();
        assert_ne!(Layer::entry(&store, &entry).unwrap().store(&store).unwrap(), first);
    }

    #[test]
    fn a_file_that_changes_while_it_is_packed_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&root.path().join("cache")).unwrap();
        let file = root.path().join("a");
        fs::write(&file, "content").unwrap();
        let layer = Layer::entry(&store, &FileEntry { from: file.clone(), to: "/a".to_owned() }).unwrap();
        fs::write(&file, "another").unwrap();
        assert!(matches!(layer.store(&store), Err(LayerError::Changed { path }) if path == file));
    }

    #[test]
    fn a_place_outside_of_the_image_is_refused() {
        for path in ["data", "", "/../etc", "/a/../../b"] {
            assert!(place(path).is_err(), "{path}");
        }
        assert_eq!(place("//data/./x/").unwrap(), "data/x");
    }
}
