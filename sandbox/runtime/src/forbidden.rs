//! What to tell when the kernel does not let the node be made.

use std::fs;
use std::io;

use crate::error::StartError;

/// The error of something that the kernel refused, with the setting that seems to be the reason.
pub fn forbidden(what: &str, errno: i32, cause: &str) -> StartError {
    let read = |name: &str| {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    };
    StartError::Forbidden { what: what.to_owned(), cause: cause.to_owned(), remedy: remedy(what, errno, read) }
}

/// The remedy as a sentence. `read` gives the value of a kernel setting.
fn remedy(what: &str, errno: i32, read: impl Fn(&str) -> Option<String>) -> String {
    let is = |name: &str, value: &str| read(name).is_some_and(|found| found == value);
    let set = |name: &str, value: &str| {
        format!(
            "The kernel's setting {name} is {}: as root, run `sysctl -w {name}={value}`",
            read(name).unwrap_or_default()
        )
    };
    if is("kernel.unprivileged_userns_clone", "0") {
        return set("kernel.unprivileged_userns_clone", "1");
    }
    if is("kernel.apparmor_restrict_unprivileged_userns", "1") {
        return set("kernel.apparmor_restrict_unprivileged_userns", "0");
    }
    for kind in ["user", "net", "pid", "mnt", "ipc", "uts"] {
        let name = format!("user.max_{kind}_namespaces");
        if is(&name, "0") {
            return set(&name, "10000");
        }
    }
    if errno == rustix::io::Errno::NOSPC.raw_os_error() {
        return "Too many namespaces are in use: raise user.max_user_namespaces and its like with `sysctl -w`"
            .to_owned();
    }
    if what.contains("nf_tables") {
        return "The kernel's parts for it seem to be missing: as root, run `modprobe -a nf_tables nft_redir nft_chain_nat`, \
                or do without networks outside of the cluster"
            .to_owned();
    }
    if what.contains("/proc") {
        return "Something is mounted over parts of /proc, as in most containers: start the container with \
                --security-opt systempaths=unconfined (or --privileged), or the sandbox outside of it"
            .to_owned();
    }
    if errno == rustix::io::Errno::INVAL.raw_os_error() || errno == rustix::io::Errno::NOSYS.raw_os_error() {
        return "The kernel seems to be built without CONFIG_USER_NS or its like".to_owned();
    }
    "Inside a container, its engine forbids it: start it with --privileged, or with --security-opt seccomp=unconfined \
     --security-opt apparmor=unconfined; elsewhere a security module does (see the kernel's log)"
        .to_owned()
}

/// An error of the system, as an input or output error that says what was tried.
pub fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Io { what: what.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_forbids_user_namespaces_is_named() {
        let only =
            |wanted: &'static str, value: &'static str| move |name: &str| (name == wanted).then(|| value.to_owned());
        for (name, value) in [
            ("kernel.unprivileged_userns_clone", "0"),
            ("kernel.apparmor_restrict_unprivileged_userns", "1"),
            ("user.max_user_namespaces", "0"),
            ("user.max_net_namespaces", "0"),
        ] {
            let text = remedy("make namespaces", 1, only(name, value));
            assert!(text.contains(&format!("sysctl -w {name}=")), "{text}");
        }
    }

    #[test]
    fn a_masked_proc_is_told_apart() {
        assert!(remedy("mount /proc", 1, |_| None).contains("systempaths=unconfined"));
    }
}
