//! What kind needs: Docker, the program, and a kernel that lets many programs watch many files.

use std::fs;
use std::path::Path;

use providers::kind::{self, Kind};
use providers::program::{self, Program};

use super::{Check, Part};
use crate::settings::Settings;

/// What several nodes need of inotify, as kind's own documentation has it.
const WATCH_INSTANCES: u64 = 512;
/// Likewise, files that are watched.
const WATCHED_FILES: u64 = 524_288;

/// Whether a Docker Engine answers.
pub async fn docker(settings: &Settings) -> Vec<Check> {
    let (part, name) = (Part::Kind, "Docker");
    let check = match settings.docker.version().await {
        Ok(version) => Check::ok(part, name, version),
        Err(error) => {
            let hint = error.hint();
            // The addresses that were tried are for those who have an engine at one of them.
            let first = error.to_string().lines().next().unwrap_or_default().to_owned();
            let detail = if error.is_no_engine() { "no Docker Engine answers".to_owned() } else { first };
            Check::missing(part, name, detail).hint(hint)
        }
    };
    vec![check]
}

/// Whether the program kind can be run.
pub async fn program(binary: Option<&Path>) -> Vec<Check> {
    let check = match Kind::new(binary).version().await {
        Ok(version) => Check::ok(Part::Kind, "kind", version),
        Err(error) => Check::missing(Part::Kind, "kind", error.to_string()).hint(kind::hint(&error)),
    };
    vec![check]
}

/// Whether there is a kubectl, which only people need.
pub async fn kubectl() -> Vec<Check> {
    let version = Program::new("kubectl").arguments(["version", "--client"]).read().await;
    let check = match version {
        Ok(text) => {
            let version = text.split_whitespace().find(|word| word.starts_with('v')).unwrap_or("there");
            Check::ok(Part::Kind, "kubectl", version.trim_start_matches('v').to_owned())
        }
        Err(program::Error::NotFound { .. }) => {
            Check::ok(Part::Kind, "kubectl", "not installed; infra does without it")
        }
        Err(error) => Check::warning(Part::Kind, "kubectl", format!("{error}; infra does without it")),
    };
    vec![check]
}

/// What the kernel is set to.
pub fn kernel() -> Vec<Check> {
    let limit = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let is_version_2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    vec![inotify(limit("max_user_instances"), limit("max_user_watches")), control_groups(is_version_2)]
}

fn inotify(instances: Option<u64>, files: Option<u64>) -> Check {
    let (part, name) = (Part::Kind, "inotify limits");
    let (Some(instances), Some(files)) = (instances, files) else { return Check::ok(part, name, "not known here") };
    let detail = format!("{instances} instances, {files} files");
    if instances >= WATCH_INSTANCES && files >= WATCHED_FILES {
        return Check::ok(part, name, detail);
    }
    let hint = format!(
        "clusters of several nodes may fail with `too many open files`; as root, run \
         `sysctl fs.inotify.max_user_instances={} fs.inotify.max_user_watches={}`",
        instances.max(WATCH_INSTANCES),
        files.max(WATCHED_FILES)
    );
    Check::warning(part, name, detail).hint(hint)
}

fn control_groups(is_version_2: bool) -> Check {
    let (part, name) = (Part::Kind, "control groups");
    if is_version_2 {
        return Check::ok(part, name, "version 2");
    }
    let hint = "Kubernetes 1.35 and newer need version 2: start the kernel with `systemd.unified_cgroup_hierarchy=1`, or \
                use an older node image";
    Check::warning(part, name, "version 1").hint(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn small_limits_of_inotify_are_raised_and_never_lowered() {
        assert_eq!(inotify(Some(512), Some(524_288)).verdict, Verdict::Ok);
        assert_eq!(inotify(None, None).verdict, Verdict::Ok);
        let check = inotify(Some(128), Some(1_000_000));
        assert_eq!(check.verdict, Verdict::Warning);
        assert!(check.hint.unwrap().contains("max_user_instances=512 fs.inotify.max_user_watches=1000000"));
    }
}
