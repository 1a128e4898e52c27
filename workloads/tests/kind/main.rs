//! Objects, waits and checks on a real cluster.
//!
//! Runs where `INFRA_TEST_KIND` (the program) and `INFRA_TEST_KIND_IMAGE` (a node image) are set: one cluster is made for all tests and
//! deleted at the end, also when one fails. With `INFRA_TEST_KUBECONFIG` an existing cluster is used and kept instead. Elsewhere
//! every test is reported as ignored.

mod access;
mod causes;
mod harness;
mod objects;

use std::process::{Command, ExitCode};
use std::sync::Arc;

use harness::World;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They wait for the cluster most of the time.
    arguments.test_threads.get_or_insert(6);
    let wanted =
        !arguments.list && std::env::var("INFRA_TEST_KIND").is_ok() && std::env::var("INFRA_TEST_KIND_IMAGE").is_ok();
    let kept = std::env::var("INFRA_TEST_KUBECONFIG").ok();
    let world = match (&kept, wanted) {
        (Some(kubeconfig), _) => Some(World::new(kubeconfig.into())),
        (None, true) => Some(Cluster::make()),
        (None, false) => None,
    };
    let world = world.map(Arc::new);
    let mut trials = Vec::new();
    for (name, test) in objects::tests().into_iter().chain(causes::tests()).chain(access::tests()) {
        let world = world.clone();
        let ignored = world.is_none();
        trials.push(
            Trial::test(name, move || {
                let world = world.expect("an ignored test does not run");
                world.runtime.block_on(test(world.clone())).map_err(Into::into)
            })
            .with_ignored_flag(ignored),
        );
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if kept.is_none() && wanted {
        Cluster::delete();
    }
    conclusion.exit_code()
}

struct Cluster;

impl Cluster {
    const NAME: &str = "infra-workloads-test";

    fn make() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        Self::delete();
        let image = std::env::var("INFRA_TEST_KIND_IMAGE").expect("it was looked at");
        let status = Self::kind()
            .args(["create", "cluster", "--name", Self::NAME, "--image", &image, "--wait", "120s", "--kubeconfig"])
            .arg(&kubeconfig)
            .status()
            .expect("kind runs");
        if !status.success() {
            Self::delete();
            panic!("kind did not make a cluster");
        }
        World::with_folder(kubeconfig, folder)
    }

    fn delete() {
        let folder = std::env::temp_dir().join("infra-workloads-test-kubeconfig");
        let status =
            Self::kind().args(["delete", "cluster", "--name", Self::NAME, "--kubeconfig"]).arg(folder).status();
        assert!(status.expect("kind runs").success(), "the cluster {} could not be deleted", Self::NAME);
    }

    fn kind() -> Command {
        Command::new(std::env::var("INFRA_TEST_KIND").expect("it was looked at"))
    }
}
