//! Finding a program as a container's user and becoming it.

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::config::ContainerConfig;
use crate::role::note;

const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The numbers of the machines whose programs run here.
#[cfg(target_arch = "x86_64")]
const MACHINES: [u16; 2] = [62, 3];
#[cfg(target_arch = "aarch64")]
const MACHINES: [u16; 2] = [183, 40];

/// The sentence of container runtimes about a program that cannot be started.
pub fn lookup_failed(cause: &str) -> String {
    format!(
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
         unable to start container process: {cause}: unknown"
    )
}

/// The program's file. The working directory is taken up on the way.
pub fn find(container: &ContainerConfig, arguments: &[String]) -> Result<PathBuf, String> {
    let folder = match container.working_directory.as_str() {
        "" => "/",
        folder => folder,
    };
    std::env::set_current_dir(folder).map_err(|error| match error.kind() {
        // It was to be made, and something else is in its way.
        io::ErrorKind::NotADirectory => format!("error during container init: mkdir {folder}: {}", text(&error)),
        _ => format!("chdir to cwd ({folder:?}) set in config.json failed: {}", text(&error)),
    })?;
    let name = arguments.first().filter(|name| !name.is_empty()).ok_or("no command specified")?;
    if name.contains('/') {
        return match check(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(Problem::Missing(error)) => Err(format!("exec: {name:?}: stat {name}: {}", text(&error))),
            Err(Problem::Forbidden) => Err(format!("exec: {name:?}: permission denied")),
        };
    }
    let path = container.environment.iter().rev().find(|(key, _)| key == "PATH").map_or(USUAL_PATH, |(_, path)| path);
    let found = path.split(':').map(|folder| Path::new(folder).join(name)).find(|file| check(file).is_ok());
    found.ok_or_else(|| format!("exec: {name:?}: executable file not found in $PATH"))
}

enum Problem {
    Missing(io::Error),
    Forbidden,
}

fn check(file: &Path) -> Result<(), Problem> {
    if fs::metadata(file).map_err(Problem::Missing)?.is_dir() {
        return Err(Problem::Forbidden);
    }
    accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS).map_err(|_| Problem::Forbidden)
}

/// An error as the C library words it, in lower case.
fn text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

/// Becomes the program. If this returns, it could not be: the program's own errors tell why, as with all runtimes.
pub fn run(container: &ContainerConfig, arguments: &[String], program: &Path, terminal: Option<&str>) -> ExitCode {
    let mut environment = container.environment.clone();
    let mut add = |key: &str, value: &dyn Fn() -> String| {
        if !environment.iter().any(|(known, _)| known == key) {
            environment.push((key.to_owned(), value()));
        }
    };
    add("PATH", &|| USUAL_PATH.to_owned());
    add("HOSTNAME", &|| rustix::system::uname().nodename().to_string_lossy().into_owned());
    add("HOME", &|| home(container.user));
    if let Some(terminal) = terminal {
        add("TERM", &|| terminal.to_owned());
    }
    let (name, rest) = arguments.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
    let error = if is_foreign(program) {
        io::Error::from(rustix::io::Errno::NOEXEC)
    } else {
        Command::new(program).arg0(name).args(rest).env_clear().envs(environment).exec()
    };
    note(format_args!("exec {}: {}", program.display(), text(&error)));
    ExitCode::FAILURE
}

/// Whether a file is a program of another machine, or none. The C library would have a shell run it.
fn is_foreign(program: &Path) -> bool {
    let mut head = [0; 20];
    let read = fs::File::open(program).and_then(|mut file| file.read(&mut head));
    // What may be run but not read is left to the kernel to judge.
    let Ok(length) = read else { return false };
    match head {
        [b'#', b'!', ..] => false,
        [0x7f, b'E', b'L', b'F', ..] => {
            length < head.len() || !MACHINES.contains(&u16::from_le_bytes([head[18], head[19]]))
        }
        _ => true,
    }
}

fn home(user: u32) -> String {
    crate::user::find_user(Path::new("/"), &user.to_string()).map_or_else(|_| "/".to_owned(), |found| found.home)
}
