//! What every provider needs: folders, the kubeconfig file, memory.

use std::fs;
use std::path::Path;

use futures::future::{BoxFuture, FutureExt};
use providers::kubeconfig;

use super::{Check, Part};
use crate::settings::{Settings, shown};
use crate::view;

/// With less, images and volumes fill the disk soon.
const LITTLE_DISK_BYTES: u64 = 5_000_000_000;
/// With less, a cluster and a training do not fit.
const LITTLE_MEMORY_BYTES: u64 = 2_000_000_000;

/// Looks at the machine. Nothing here waits for anybody.
pub fn examine(settings: &Settings) -> BoxFuture<'_, Vec<Check>> {
    async {
        vec![
            folder("state folder", settings.state.path(), "--state FOLDER"),
            folder("cache folder", &settings.cache, "--cache FOLDER"),
            kubeconfig_file(&settings.kubeconfig),
            memory(fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(available_bytes)),
        ]
    }
    .boxed()
}

/// Whether files can be made in a folder, or in the nearest one above that exists, and how much fits.
fn folder(name: &'static str, folder: &Path, option: &str) -> Check {
    let existing = folder.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    if let Err(error) = tempfile::tempfile_in(existing) {
        let hint = format!("make {} writable, or choose another one with {option}", existing.display());
        return Check::missing(Part::Machine, name, format!("{}: {error}", shown(folder))).hint(hint);
    }
    let Ok(disk) = rustix::fs::statvfs(existing) else { return Check::ok(Part::Machine, name, shown(folder)) };
    let free = disk.f_bavail * disk.f_frsize;
    let detail = format!("{}, {} free", shown(folder), view::bytes(free));
    if free < LITTLE_DISK_BYTES {
        let hint =
            "`infra images prune` frees what no deployment needs; `docker system prune` what Docker does not use";
        return Check::warning(Part::Machine, name, detail).hint(hint.to_owned());
    }
    Check::ok(Part::Machine, name, detail)
}

fn kubeconfig_file(path: &Path) -> Check {
    let name = "kubeconfig";
    match kubeconfig::current_context(path) {
        Ok(Some(context)) => Check::ok(Part::Machine, name, format!("{}, current context {context}", shown(path))),
        Ok(None) if path.exists() => Check::ok(Part::Machine, name, format!("{}, no current context", shown(path))),
        Ok(None) => Check::ok(Part::Machine, name, format!("{}, made when it is needed", shown(path))),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            Check::missing(Part::Machine, name, format!("{error}{cause}")).hint(error.hint())
        }
    }
}

fn memory(available_bytes: Option<u64>) -> Check {
    let Some(bytes) = available_bytes else { return Check::warning(Part::Machine, "memory", "not known") };
    let detail = format!("{} available", view::bytes(bytes));
    if bytes < LITTLE_MEMORY_BYTES {
        let hint = "end programs that need much of it; a kind cluster alone needs 1 GB".to_owned();
        return Check::warning(Part::Machine, "memory", detail).hint(hint);
    }
    Check::ok(Part::Machine, "memory", detail)
}

/// What `/proc/meminfo` says of the memory that programs can still have.
fn available_bytes(meminfo: &str) -> Option<u64> {
    let amount = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(amount.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn little_memory_is_a_warning() {
        let text = "MemTotal:       16316412 kB\nMemFree:         1000000 kB\nMemAvailable:    1000000 kB\n";
        assert_eq!(available_bytes(text), Some(1_024_000_000));
        assert_eq!(memory(available_bytes(text)).verdict, Verdict::Warning);
        assert_eq!(memory(Some(8_000_000_000)).verdict, Verdict::Ok);
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_missing() {
        let check = folder("state folder", Path::new("/proc/nowhere/state"), "--state FOLDER");
        assert_eq!(check.verdict, Verdict::Missing);
        assert!(check.hint.unwrap().contains("--state FOLDER"));
    }
}
