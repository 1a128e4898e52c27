//! Starting the keeper and giving its user namespace its ids.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::sync::{oneshot, watch};

use crate::config::{Availability, Capabilities, NodeOptions};
use crate::error::StartError;
use crate::forbidden::{failed, forbidden};
use crate::messages::{Message, Setup};
use crate::role::Role;
use crate::wire::{self, Inbox};

/// A node whose agent takes requests.
#[derive(Debug)]
pub struct Launched {
    pub socket: UnixStream,
    pub inbox: Inbox,
    pub capabilities: Capabilities,
    pub address: Ipv4Addr,
}

/// Starts the node from a thread that lives as long as it: processes are told of the death of the thread that started
/// them. `gone` becomes true when all of the node is gone.
pub fn launch(options: NodeOptions, ready: oneshot::Sender<Result<Launched, StartError>>, gone: &watch::Sender<bool>) {
    match start_keeper(&options).and_then(|(keeper, socket)| shake_hands(keeper, socket, options)) {
        Ok((mut keeper, launched)) => {
            // Whoever asked may have gone away: then the socket is dropped with the answer, and the keeper ends.
            let _ = ready.send(Ok(launched));
            let _ = keeper.wait();
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
    gone.send_replace(true);
}

fn start_keeper(options: &NodeOptions) -> Result<(Child, UnixStream), StartError> {
    let log = options.folder.join("agent.log");
    let errors = File::create(&log).map_err(failed(format!("write {}", log.display())))?;
    Role::Keeper.start(&[], Stdio::from(errors)).map_err(failed("start this program a second time"))
}

fn shake_hands(mut keeper: Child, socket: UnixStream, options: NodeOptions) -> Result<(Child, Launched), StartError> {
    let mut inbox = Inbox::default();
    let log = options.folder.join("agent.log");
    let done = match next(&mut inbox, &socket, &log) {
        Ok(Message::Unshared) => map_ids(keeper.id()).and_then(|many_users| {
            wire::send(&socket, &Setup { options, many_users }, vec![])
                .map_err(failed("speak to the sandbox's keeper"))?;
            next(&mut inbox, &socket, &log)
        }),
        other => other,
    };
    let problem = match done {
        Ok(Message::Ready { capabilities, address }) => {
            return Ok((keeper, Launched { socket, inbox, capabilities, address }));
        }
        Ok(Message::Forbidden { what, errno, cause }) => forbidden(&what, errno, &cause),
        Ok(other) => StartError::Option(format!("the sandbox's keeper said {other:?}, which nobody asked for")),
        Err(error) => error,
    };
    drop(socket);
    let _ = keeper.wait();
    Err(problem)
}

/// The next message; if there is none, the last line that the process left in its log says why.
fn next(inbox: &mut Inbox, socket: &UnixStream, log: &Path) -> Result<Message, StartError> {
    if let Some((message, _)) = inbox.receive(socket).map_err(failed("listen to the sandbox's keeper"))? {
        return Ok(message);
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    let said: Vec<&str> = text.lines().filter(|line| !line.is_empty()).take(3).collect();
    let said = match said.join(" ") {
        said if said.is_empty() => {
            "it said nothing; does this program call `runtime::entry()` first thing in `main`?".to_owned()
        }
        said => said,
    };
    Err(StartError::Option(format!("the sandbox's first process ended at once: {said}")))
}

/// Gives the keeper's user namespace its ids: as root all that this process has, else those of `/etc/subuid`, else one.
fn map_ids(keeper: u32) -> Result<Availability, StartError> {
    let process = Path::new("/proc").join(keeper.to_string());
    let what = "give the user namespace its ids";
    let refused = |error: io::Error| forbidden(what, error.raw_os_error().unwrap_or(0), &error.to_string());
    let user = rustix::process::geteuid();
    if user.is_root() {
        for map in ["uid_map", "gid_map"] {
            let own =
                fs::read_to_string(Path::new("/proc/self").join(map)).map_err(failed("read this process's ids"))?;
            fs::write(process.join(map), identity(&own)).map_err(refused)?;
        }
        return Ok(Availability::Yes("started as root".to_owned()));
    }
    match map_range(keeper) {
        Ok(()) => Ok(Availability::Yes("newuidmap".to_owned())),
        Err(reason) => {
            fs::write(process.join("setgroups"), "deny").map_err(refused)?;
            fs::write(process.join("uid_map"), format!("0 {} 1", user.as_raw())).map_err(refused)?;
            fs::write(process.join("gid_map"), format!("0 {} 1", rustix::process::getegid().as_raw()))
                .map_err(refused)?;
            Ok(Availability::No(reason))
        }
    }
}

/// The ids of a map, each as itself.
pub fn identity(map: &str) -> String {
    let lines = map.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (inside, _, count) = (words.next()?, words.next()?, words.next()?);
        Some(format!("{inside} {inside} {count}\n"))
    });
    lines.collect()
}

fn map_range(keeper: u32) -> Result<(), String> {
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let name = fs::read_to_string("/etc/passwd").ok().and_then(|users| {
        let entry = users.lines().find(|line| line.split(':').nth(2) == Some(&user.to_string()))?;
        entry.split(':').next().map(str::to_owned)
    });
    let name = name.unwrap_or_else(|| user.to_string());
    for (program, file, own) in [("newuidmap", "/etc/subuid", user), ("newgidmap", "/etc/subgid", group)] {
        let ranges = fs::read_to_string(file).map_err(|error| format!("{file} cannot be read ({error})"))?;
        let (start, count) = range(&ranges, &name, user).ok_or_else(|| {
            format!(
                "{file} has no ids for this user; as root, run `usermod --add-subuids 100000-165535 --add-subgids \
                     100000-165535 {name}`"
            )
        })?;
        let arguments = [keeper, 0, own, 1, 1, start, count].map(|number| number.to_string());
        let output = Command::new(program).args(arguments).output().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                format!("{program} is not installed (on Debian and Ubuntu the package is uidmap)")
            }
            _ => format!("{program} cannot be started: {error}"),
        })?;
        if !output.status.success() {
            return Err(format!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
    }
    Ok(())
}

/// The first range of a file like `/etc/subuid` that belongs to a user.
fn range(file: &str, name: &str, user: u32) -> Option<(u32, u32)> {
    file.lines().find_map(|line| {
        let (owner, range) = line.split_once(':')?;
        let (start, count) = range.split_once(':')?;
        (owner == name || owner == user.to_string()).then_some(())?;
        Some((start.parse().ok()?, count.trim().parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_by_name_and_by_number() {
        let file = "other:1:2\nstranger:100000:65536\n1001:5:6\n";
        assert_eq!(range(file, "stranger", 1001), Some((100_000, 65_536)));
        assert_eq!(range(file, "nobody", 1001), Some((5, 6)));
        assert_eq!(range(file, "nobody", 7), None);
    }

    #[test]
    fn ids_are_mapped_to_themselves() {
        assert_eq!(identity("         0     100000      65536\n"), "0 0 65536\n");
    }
}
