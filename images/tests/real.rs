//! Images with a real Docker Engine, real kind nodes, a real registry and a full disk.
//!
//! What a test needs and the machine lacks is the reason that the test is shown as ignored with.

#[path = "real/docker.rs"]
mod docker;
#[path = "real/full.rs"]
mod full;
#[path = "real/kind.rs"]
mod kind;
#[path = "real/registry.rs"]
mod registry;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

/// Set for the process that runs the tests.
const INSIDE: &str = "INFRA_TEST_IMAGES_INSIDE";

/// A test that is run when `lacking` has no reason against it.
fn trial<F: Future<Output = ()>>(name: &str, lacking: Option<&str>, test: impl Fn() -> F + Send + 'static) -> Trial {
    let shown = match lacking {
        Some(reason) => format!("{name} (needs {reason})"),
        None => name.to_owned(),
    };
    let run = move || -> Result<(), Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(test());
        Ok(())
    };
    Trial::test(shown, run).with_ignored_flag(lacking.is_some())
}

/// Whether a command of this machine succeeds.
fn works(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Starts this program again with a credential helper in its path; that is set for the whole process or not at all.
fn with_helper() -> ExitCode {
    let folder = tempfile::tempdir().expect("a folder for the helper");
    let helper = folder.path().join("docker-credential-infra-test");
    let answer = r#"{"ServerURL":"any","Username":"anna","Secret":"secret"}"#;
    fs::write(&helper, format!("#!/bin/sh\n[ \"$1\" = get ] && read -r server; echo '{answer}'\n"))
        .expect("the helper is written");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("the helper is made executable");
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let program = std::env::current_exe().expect("this program has a path");
    let status = Command::new(program).args(std::env::args_os().skip(1)).env("PATH", path).env(INSIDE, "1").status();
    ExitCode::from(u8::from(!status.expect("this program starts").success()))
}

fn main() -> ExitCode {
    if std::env::var_os(INSIDE).is_none() {
        return with_helper();
    }
    let arguments = Arguments::from_args();
    let tests = [docker::tests(), kind::tests(), registry::tests(), full::tests()];
    libtest_mimic::run(&arguments, tests.into_iter().flatten().collect()).exit_code()
}
