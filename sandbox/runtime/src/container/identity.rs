//! Whom a program runs as, and what it may do.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, remove_capability_from_bounding_set, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::config::{ContainerConfig, Privileges};
use crate::error::StartContainerError;

/// What containers may do unless something else is said: the usual fourteen.
const USUAL: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// The number of the last capability that there is.
const LAST: u32 = CapabilitySet::CHECKPOINT_RESTORE.bits().trailing_zeros();

/// Whom a container's programs run as.
#[derive(Debug)]
pub struct Person<'a> {
    container: &'a ContainerConfig,
    many_users: bool,
    capabilities: CapabilitySet,
}

impl<'a> Person<'a> {
    /// As a container wants it.
    ///
    /// # Errors
    /// A capability that does not exist.
    pub fn new(container: &'a ContainerConfig, many_users: bool) -> Result<Self, StartContainerError> {
        let capabilities = capabilities(&container.privileges).map_err(StartContainerError::Setup)?;
        Ok(Self { container, many_users, capabilities })
    }

    /// Who could change mounts is locked into a user namespace of the container's own, where they are fixed. Where only
    /// one user can be had, that one gets the wanted number in such a namespace.
    pub fn has_user_namespace(&self) -> bool {
        self.is_powerful() || !self.many_users && (self.container.user != 0 || self.container.group != 0)
    }

    fn is_powerful(&self) -> bool {
        self.capabilities.intersects(CapabilitySet::SYS_ADMIN)
    }

    /// Moves into a user namespace of its own, if there is to be one; whether it needs its ids from outside.
    pub fn take_user_namespace(&self) -> io::Result<bool> {
        if !self.has_user_namespace() {
            return Ok(false);
        }
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
        if self.many_users {
            return Ok(true);
        }
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{} 0 1", self.container.user))?;
        fs::write("/proc/self/gid_map", format!("{} 0 1", self.container.group))?;
        Ok(false)
    }

    /// Becomes the person, with nothing left that it is not to have.
    pub fn assume(&self) -> Result<(), StartContainerError> {
        let setup = |what: &str, error: rustix::io::Errno| {
            StartContainerError::Setup(format!("{what}: {}", io::Error::from(error)))
        };
        let oom = self.container.oom_score_adjust;
        if oom != 0 && fs::write("/proc/self/oom_score_adj", oom.to_string()).is_err() && oom > 0 {
            return Err(StartContainerError::Setup("cannot set the process's oom_score_adj".to_owned()));
        }
        for number in 0..=LAST {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            if !self.capabilities.contains(capability) {
                // A kernel that does not know one does not give it either.
                let _ = remove_capability_from_bounding_set(capability);
            }
        }
        if self.many_users {
            let groups: Vec<Gid> = self.container.groups.iter().map(|group| Gid::from_raw(*group)).collect();
            set_thread_groups(&groups).map_err(|error| setup("cannot set the container's groups", error))?;
        }
        let (user, group) = (Uid::from_raw(self.container.user), Gid::from_raw(self.container.group));
        set_thread_res_gid(group, group, group)
            .map_err(|error| setup(&format!("cannot become group {}", group.as_raw()), error))?;
        set_thread_res_uid(user, user, user)
            .map_err(|error| setup(&format!("cannot become user {}", user.as_raw()), error))?;
        if self.container.privileges.no_new_privileges {
            set_no_new_privs(true).map_err(|error| setup("cannot forbid new privileges", error))?;
        }
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        Ok(())
    }
}

/// What is left of the usual capabilities, and what comes to them.
fn capabilities(privileges: &Privileges) -> Result<CapabilitySet, String> {
    let everything = CapabilitySet::from_bits_retain((1 << (LAST + 1)) - 1);
    if privileges.privileged {
        return Ok(everything);
    }
    let parse = |names: &[String]| {
        names.iter().try_fold(CapabilitySet::empty(), |all, name| {
            let short = name.strip_prefix("CAP_").unwrap_or(name);
            match CapabilitySet::from_name(short) {
                _ if short == "ALL" => Ok(everything),
                Some(one) => Ok(all | one),
                None => Err(format!("unknown capability {name:?}")),
            }
        })
    };
    let (add, drop) = (parse(&privileges.add)?, parse(&privileges.drop)?);
    let drops_all = drop == everything;
    let adds_all = add == everything;
    // What is said of one capability counts more than what is said of all.
    Ok(match (adds_all, drops_all) {
        (_, true) => add,
        (true, false) => everything - drop,
        (false, false) => (USUAL - drop) | add,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(add: &[&str], drop: &[&str]) -> CapabilitySet {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        capabilities(&Privileges { add: texts(add), drop: texts(drop), ..Privileges::default() }).expect("known")
    }

    #[test]
    fn capabilities_are_added_to_and_taken_from_the_usual_ones() {
        assert_eq!(of(&[], &[]), USUAL);
        assert_eq!(of(&["NET_ADMIN"], &["CHOWN"]), (USUAL - CapabilitySet::CHOWN) | CapabilitySet::NET_ADMIN);
        assert_eq!(of(&["CAP_NET_BIND_SERVICE"], &["ALL"]), CapabilitySet::NET_BIND_SERVICE);
        assert!(of(&["ALL"], &["SYS_ADMIN"]).contains(CapabilitySet::BPF));
        assert!(!of(&["ALL"], &["SYS_ADMIN"]).contains(CapabilitySet::SYS_ADMIN));
    }

    #[test]
    fn a_capability_that_does_not_exist_is_refused() {
        let privileges = Privileges { add: vec!["FLY".to_owned()], ..Privileges::default() };
        assert_eq!(capabilities(&privileges), Err("unknown capability \"FLY\"".to_owned()));
    }
}
