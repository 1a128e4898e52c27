//! What the store holds, and its cleaning.

use std::collections::BTreeSet;
use std::fs::{self, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Store, StoreError, files};
use crate::oci::Manifest;

/// An image that is kept for a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptImage {
    /// The deployment's name.
    pub deployment: String,
    /// The image's name in the scenario.
    pub name: String,
    /// The digest of its manifest.
    pub digest: String,
    /// How many layers it has.
    pub layers: usize,
    /// The bytes of its layers and its configuration; layers that several images share count for each of them.
    pub bytes: u64,
    /// When it was last made.
    pub made: SystemTime,
}

/// What the store takes on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The bytes of everything in it.
    pub bytes: u64,
    /// Of these, what no deployment's image needs.
    pub unused_bytes: u64,
}

/// What a cleaning removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many deployments' images.
    pub images: usize,
    /// How many files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    /// The images that are kept for deployments, by name. One whose parts are missing is not among them.
    pub fn images(&self) -> Result<Vec<KeptImage>, StoreError> {
        let mut images: Vec<KeptImage> =
            files(&self.folder.join("references"))?.iter().filter_map(|path| self.kept(path)).collect();
        images.sort_by(|one, other| (&one.deployment, &one.name).cmp(&(&other.deployment, &other.name)));
        Ok(images)
    }

    /// What the store takes on disk.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let unused = self.unused(Duration::ZERO)?;
        let areas = ["blobs/sha256", "references", "temporary", "layers", "built", "compressed"];
        let mut bytes = 0;
        for area in areas {
            bytes += files(&self.folder.join(area))?.iter().map(|path| length(path)).sum::<u64>();
        }
        Ok(Usage { bytes, unused_bytes: unused.iter().map(|path| length(path)).sum() })
    }

    /// Removes what no deployment's image needs; before that, forgets the images of the deployments that `is_wanted` denies.
    ///
    /// Fails with [`StoreError::InUse`] while another process uses the store. What is removed is made anew when it is needed.
    pub fn prune(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Pruned, StoreError> {
        let fail = |source| StoreError::Write { path: self.folder.clone(), source };
        // Ours is shared so far. Between giving it up and taking it alone others may come: then they have it.
        self.in_use.unlock().map_err(fail)?;
        let alone = self.in_use.try_lock();
        let pruned = match alone {
            Ok(()) => self.prune_alone(is_wanted),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: self.folder.clone() }),
            Err(TryLockError::Error(source)) => Err(fail(source)),
        };
        self.in_use.lock_shared().map_err(fail)?;
        pruned
    }

    fn prune_alone(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        for path in files(&self.folder.join("references"))? {
            if !is_wanted(owner(&path).0) {
                fs::remove_file(&path).map_err(|source| StoreError::Write { path, source })?;
                pruned.images += 1;
            }
        }
        for path in self.unused(Duration::ZERO)? {
            let bytes = length(&path);
            fs::remove_file(&path).map_err(|source| StoreError::Write { path, source })?;
            pruned.files += 1;
            pruned.bytes += bytes;
        }
        Ok(pruned)
    }

    /// The files that no deployment's image refers to and that were last written longer ago than `age`.
    pub(super) fn unused(&self, age: Duration) -> Result<Vec<PathBuf>, StoreError> {
        let mut used = BTreeSet::new();
        let references = files(&self.folder.join("references"))?;
        for reference in references.iter().filter(|path| !super::is_older(path, super::REFERENCE_KEPT)) {
            let Some((digest, manifest)) = self.referred(reference) else { continue };
            used.extend(manifest.blobs().map(|blob| self.path(&blob.digest)));
            used.insert(self.path(&digest));
        }
        let mut candidates = files(&self.folder.join("temporary"))?;
        for area in ["blobs/sha256", "layers", "built", "compressed"] {
            candidates.extend(files(&self.folder.join(area))?);
        }
        candidates.retain(|path| !used.contains(path) && super::is_older(path, age));
        Ok(candidates)
    }

    /// The digest in a reference, and the manifest that it leads to.
    fn referred(&self, reference: &Path) -> Option<(String, Manifest)> {
        let digest: String = serde_json::from_slice(&fs::read(reference).ok()?).ok()?;
        let manifest = serde_json::from_slice(&fs::read(self.path(&digest)).ok()?).ok()?;
        Some((digest, manifest))
    }

    fn kept(&self, reference: &Path) -> Option<KeptImage> {
        let (digest, manifest) = self.referred(reference)?;
        let (deployment, name) = owner(reference);
        Some(KeptImage {
            deployment: deployment.to_owned(),
            name: name.to_owned(),
            digest,
            layers: manifest.layers.len(),
            bytes: manifest.blobs().map(|blob| blob.size).sum(),
            made: fs::metadata(reference).and_then(|found| found.modified()).ok()?,
        })
    }
}

/// The deployment and the image that a reference's file is named after. A deployment's name has no `_`.
fn owner(reference: &Path) -> (&str, &str) {
    let stem = reference.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem.split_once('_').unwrap_or((stem, ""))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::oci;

    fn image(store: &Store, key: &str, content: &[u8]) -> String {
        let layer = store.put(oci::LAYER, content).unwrap();
        let image = crate::assemble::image(store, BTreeMap::new(), vec![layer]).unwrap();
        store.remember("references", key, &image.digest).unwrap();
        image.digest
    }

    #[test]
    fn images_are_listed_by_deployment_with_what_they_take() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let web = image(&store, "two/web_page", b"a page");
        image(&store, "one/web", b"another page");
        let listed = store.images().unwrap();
        let names: Vec<_> = listed.iter().map(|image| (image.deployment.as_str(), image.name.as_str())).collect();
        assert_eq!(names, [("one", "web"), ("two", "web_page")]);
        assert_eq!((&listed[1].digest, listed[1].layers), (&web, 1));
        assert!(listed[1].bytes > 6);
        assert_eq!(store.usage().unwrap().unused_bytes, 0);
    }

    #[test]
    fn pruning_removes_what_no_deployment_needs_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (kept, gone) = (image(&store, "here/web", b"kept"), image(&store, "gone/web", b"gone"));
        store.put(oci::LAYER, b"a layer of nobody").unwrap();
        let unused = store.usage().unwrap().unused_bytes;
        assert_eq!(unused, 17);
        let pruned = store.prune(|deployment| deployment == "here").unwrap();
        assert_eq!(pruned.images, 1);
        assert!(pruned.bytes > unused, "the other deployment's image, too");
        assert!(store.manifest(&kept).is_ok());
        assert!(store.manifest(&gone).is_err());
        assert_eq!(store.prune(|_| true).unwrap(), Pruned::default(), "a second time there is nothing to do");
    }

    #[test]
    fn a_store_that_somebody_else_uses_is_not_pruned() {
        let folder = tempfile::tempdir().unwrap();
        let (store, other) = (Store::open(folder.path()).unwrap(), Store::open(folder.path()).unwrap());
        store.put(oci::LAYER, b"a layer of nobody").unwrap();
        assert!(matches!(store.prune(|_| true), Err(StoreError::InUse { .. })));
        assert_eq!(store.usage().unwrap().unused_bytes, 17);
        drop(other);
        assert_eq!(store.prune(|_| true).unwrap().files, 1);
    }
}
