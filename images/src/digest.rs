//! SHA-256 of files, remembered so that a file that did not change is not read again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A file that changed less than this before it was read may change again within the same time stamp.
const SETTLED: Duration = Duration::from_millis(100);
/// More than this many remembered files are cut down to those that were asked for in this run.
const MOST_REMEMBERED: usize = 100_000;

/// `sha256:` and the digest of some bytes.
pub fn of_bytes(bytes: &[u8]) -> String {
    written(&Sha256::digest(bytes))
}

/// `sha256:` and the hexadecimal digits.
pub(crate) fn written(hash: &[u8]) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::from("sha256:"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    size: u64,
    modified_ns: i128,
    changed_ns: i128,
    inode: u64,
    digest: String,
}

impl Remembered {
    fn new(found: &fs::Metadata, digest: String) -> Self {
        let modified_ns = nanoseconds(found.mtime(), found.mtime_nsec());
        let changed_ns = nanoseconds(found.ctime(), found.ctime_nsec());
        Self { size: found.len(), modified_ns, changed_ns, inode: found.ino(), digest }
    }
}

/// Digests of files by path; a file whose size, times or inode differ is read again.
///
/// Several processes may use one memory file: it is replaced in one step, and a lost entry only costs a second reading.
pub struct Digests {
    file: PathBuf,
    known: Mutex<HashMap<PathBuf, Remembered>>,
    asked: Mutex<HashMap<PathBuf, Remembered>>,
}

impl Digests {
    /// Opens the memory in `file`. One that is missing or unreadable is as good as empty.
    pub fn open(file: PathBuf) -> Self {
        let known = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { file, known: Mutex::new(known), asked: Mutex::new(HashMap::new()) }
    }

    /// The digest of a file's content.
    pub fn of_file(&self, path: &Path) -> io::Result<String> {
        let before = fs::metadata(path)?;
        let stamp = |digest| Remembered::new(&before, digest);
        let known = self.known.lock().expect("no panic while held").get(path).cloned();
        if let Some(known) = known.filter(|known| *known == stamp(known.digest.clone())) {
            let digest = known.digest.clone();
            self.asked.lock().expect("no panic while held").insert(path.to_owned(), known);
            return Ok(digest);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let entry = stamp(read(path)?);
        let digest = entry.digest.clone();
        let settled = i128::try_from(now.saturating_sub(SETTLED).as_nanos()).unwrap_or_default();
        if entry.modified_ns.max(entry.changed_ns) < settled {
            self.asked.lock().expect("no panic while held").insert(path.to_owned(), entry);
        }
        Ok(digest)
    }

    /// Remembers the digest of a file that was just written by this process.
    pub(crate) fn know(&self, path: &Path, digest: &str) {
        if let Ok(found) = fs::metadata(path) {
            let entry = Remembered::new(&found, digest.to_owned());
            self.known.lock().expect("no panic while held").insert(path.to_owned(), entry.clone());
            self.asked.lock().expect("no panic while held").insert(path.to_owned(), entry);
        }
    }

    /// The digests of many files, in order, read on all processors.
    pub fn of_files(&self, paths: &[PathBuf]) -> Vec<io::Result<String>> {
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<io::Result<String>>>> = paths.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(path) = paths.get(index) else { return };
                *results[index].lock().expect("no panic while held") = Some(self.of_file(path));
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(paths.len().div_ceil(16));
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        results
            .into_iter()
            .map(|result| result.into_inner().expect("no panic while held").expect("every one was read"))
            .collect()
    }

    /// Writes the memory down. To fail here would only cost time at the next run, so it does not fail.
    pub fn save(&self) {
        let mut known = self.known.lock().expect("no panic while held");
        let asked = self.asked.lock().expect("no panic while held");
        if asked.is_empty() {
            return;
        }
        if known.len() > MOST_REMEMBERED {
            known.clear();
        }
        known.extend(asked.iter().map(|(path, entry)| (path.clone(), entry.clone())));
        let write = || -> io::Result<()> {
            let folder = self.file.parent().unwrap_or(Path::new("."));
            let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
            temporary.write_all(&serde_json::to_vec(&*known)?)?;
            temporary.persist(&self.file)?;
            Ok(())
        };
        let _ = write();
    }
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

fn read(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(written(&hash.finalize())),
            length => hash.update(&buffer[..length]),
        }
    }
}
