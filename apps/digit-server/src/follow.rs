//! Following a store: the newest model is loaded when it appears, without a restart.

use std::error::Error;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use digits::StoreError;

use crate::routes::Server;
use crate::served::Served;

/// How often the manifest is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// What changes when the manifest is replaced: inode, modification time in nanoseconds, and length.
type Mark = (u64, i64, i64, u64);

/// Loads the newest model whenever this manifest of a store is another one. Never ends.
///
/// A model that cannot be loaded leaves the one before it in service, and is tried again.
pub async fn watch<L>(manifest: PathBuf, load: L, server: Server)
where
    L: Fn() -> Result<Option<Served>, StoreError> + Send + Sync + 'static,
{
    let load = Arc::new(load);
    let mut loaded = None;
    let mut last_failure = None;
    loop {
        let mark = mark(&manifest);
        if mark.is_some() && mark != loaded {
            let load = Arc::clone(&load);
            let newest = tokio::task::spawn_blocking(move || load()).await;
            match newest.map_err(|error| error.to_string()).and_then(|newest| newest.map_err(|error| describe(&error)))
            {
                Ok(Some(newer)) => {
                    println!("serving model {}, test accuracy {:.4}", newer.version, newer.summary.test_accuracy);
                    server.put_model(newer);
                    (loaded, last_failure) = (mark, None);
                }
                Ok(None) => {}
                Err(failure) => {
                    server.note_load_failure(&failure);
                    // The same failure each second would bury everything else.
                    if last_failure.as_ref() != Some(&failure) {
                        eprintln!("failed to {failure}; trying again");
                    }
                    last_failure = Some(failure);
                }
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn mark(manifest: &Path) -> Option<Mark> {
    let metadata = std::fs::metadata(manifest).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()))
}

fn describe(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
