//! The rules of the level `baseline`, which `restricted` has too.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::items;
use super::Violation;
use super::pod_view::{Pod, Setters, named, plural, quoted, security};

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Every rule, in the order of the real server. Three of them have a stricter form in `restricted`: without `with_all`
/// they are left to it.
pub(super) fn check(pod: &Pod<'_>, with_all: bool) -> Vec<Violation> {
    let own = |rule: fn(&Pod<'_>) -> Option<Violation>| rule(pod).filter(|_| with_all);
    let rules = [
        app_armor(pod),
        own(capabilities),
        host_namespaces(pod),
        own(host_paths),
        host_ports(pod),
        probe_hosts(pod),
        privileged(pod),
        proc_mount(pod),
        se_linux(pod),
        own(seccomp),
        sysctls(pod),
        host_process(pod),
    ];
    rules.into_iter().flatten().collect()
}

fn app_armor(pod: &Pod<'_>) -> Option<Violation> {
    let setters = Setters::find(pod, |context| {
        let profile = context["appArmorProfile"]["type"].as_str()?;
        (!["RuntimeDefault", "Localhost"].contains(&profile)).then_some(profile)
    });
    let annotations = pod.metadata["annotations"].as_object().into_iter().flatten();
    let bad_annotations: BTreeSet<String> = annotations
        .filter(|(key, _)| key.starts_with("container.apparmor.security.beta.kubernetes.io/"))
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(_, value)| !value.is_empty() && *value != "runtime/default" && !value.starts_with("localhost/"))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    let mut who: Vec<String> = setters.who().into_iter().collect();
    if !bad_annotations.is_empty() {
        who.push(plural("annotation", "annotations", bad_annotations.len()).to_owned());
    }
    if who.is_empty() {
        return None;
    }
    let values: Vec<&str> = setters.values.iter().copied().chain(bad_annotations.iter().map(String::as_str)).collect();
    Some(Violation::new(
        plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.len()),
        format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(values)),
    ))
}

fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
    let added = |container: &Value| -> BTreeSet<String> {
        let added = items(security(container, "capabilities"), "add").filter_map(Value::as_str);
        added.filter(|each| !CAPABILITIES.contains(each)).map(str::to_owned).collect()
    };
    let bad = pod.containers_where(|container| !added(container).is_empty());
    let all: BTreeSet<String> = pod.containers().flat_map(added).collect();
    let what = quoted(all.iter().map(String::as_str));
    let detail = || format!("{} must not include {what} in securityContext.capabilities.add", named(&bad));
    (!bad.is_empty()).then(|| Violation::new("non-default capabilities", detail()))
}

fn host_namespaces(pod: &Pod<'_>) -> Option<Violation> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| pod.spec[*field] == true);
    let shared: Vec<String> = shared.map(|field| format!("{field}=true")).collect();
    (!shared.is_empty()).then(|| Violation::new("host namespaces", shared.join(", ")))
}

fn host_paths(pod: &Pod<'_>) -> Option<Violation> {
    let bad = pod.volumes().filter(|volume| !volume["hostPath"].is_null());
    let bad: Vec<&str> = bad.filter_map(|volume| volume["name"].as_str()).collect();
    let detail = || format!("{} {}", plural("volume", "volumes", bad.len()), quoted(bad.iter().copied()));
    (!bad.is_empty()).then(|| Violation::new("hostPath volumes", detail()))
}

fn host_ports(pod: &Pod<'_>) -> Option<Violation> {
    let ports = |container: &Value| -> BTreeSet<String> {
        let ports = items(container, "ports").filter_map(|port| port["hostPort"].as_u64());
        ports.filter(|port| *port != 0).map(|port| port.to_string()).collect()
    };
    let bad = pod.containers_where(|container| !ports(container).is_empty());
    let all: Vec<String> = pod.containers().flat_map(ports).collect::<BTreeSet<_>>().into_iter().collect();
    let (uses, what) = (plural("uses", "use", bad.len()), plural("hostPort", "hostPorts", all.len()));
    let detail = || format!("{} {uses} {what} {}", named(&bad), all.join(", "));
    (!bad.is_empty()).then(|| Violation::new("hostPort", detail()))
}

fn probe_hosts(pod: &Pod<'_>) -> Option<Violation> {
    let hosts = |container: &Value| -> BTreeSet<String> {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|name| &container[name]);
        let hooks = ["postStart", "preStop"].map(|name| &container["lifecycle"][name]);
        let actions = probes.into_iter().chain(hooks).flat_map(|it| [&it["httpGet"], &it["tcpSocket"]]);
        let hosts = actions.filter_map(|action| action["host"].as_str());
        hosts.filter(|host| !host.is_empty()).map(str::to_owned).collect()
    };
    let bad: BTreeSet<&str> = pod.containers_where(|container| !hosts(container).is_empty()).into_iter().collect();
    let bad: Vec<&str> = bad.into_iter().collect();
    let all: BTreeSet<String> = pod.containers().flat_map(hosts).collect();
    let uses = plural("uses", "use", bad.len());
    let what = plural("probe or lifecycle host", "probe or lifecycle hosts", all.len());
    let detail = || format!("{} {uses} {what} {}", named(&bad), quoted(all.iter().map(String::as_str)));
    (!bad.is_empty()).then(|| Violation::new("probe or lifecycle host", detail()))
}

fn privileged(pod: &Pod<'_>) -> Option<Violation> {
    let bad = pod.containers_where(|container| *security(container, "privileged") == true);
    let detail = || format!("{} must not set securityContext.privileged=true", named(&bad));
    (!bad.is_empty()).then(|| Violation::new("privileged", detail()))
}

fn proc_mount(pod: &Pod<'_>) -> Option<Violation> {
    let bad = |container: &Value| security(container, "procMount").as_str().is_some_and(|mount| mount != "Default");
    let names = pod.containers_where(bad);
    let values: BTreeSet<&str> =
        pod.containers().filter(|it| bad(it)).filter_map(|it| security(it, "procMount").as_str()).collect();
    let detail = || format!("{} must not set securityContext.procMount to {}", named(&names), quoted(values.clone()));
    (!names.is_empty()).then(|| Violation::new("procMount", detail()))
}

fn se_linux(pod: &Pod<'_>) -> Option<Violation> {
    const TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    fn option<'a>(context: &'a Value, field: &str) -> &'a str {
        context["seLinuxOptions"][field].as_str().unwrap_or_default()
    }
    let bad_type = |context: &Value| !TYPES.contains(&option(context, "type"));
    let sets = |context: &Value, field: &str| !option(context, field).is_empty();
    let is_bad = |context: &Value| bad_type(context) || sets(context, "user") || sets(context, "role");
    let who = Setters::find(pod, |context| is_bad(context).then_some("")).who()?;
    let contexts: Vec<&Value> =
        std::iter::once(pod.security()).chain(pod.containers().map(|it| &it["securityContext"])).collect();
    let types: BTreeSet<&str> = contexts.iter().filter(|it| bad_type(it)).map(|it| option(it, "type")).collect();
    let mut what = Vec::new();
    if !types.is_empty() {
        what.push(format!("{} {}", plural("type", "types", types.len()), quoted(types)));
    }
    for field in ["user", "role"] {
        if contexts.iter().any(|context| sets(context, field)) {
            what.push(format!("{field} may not be set"));
        }
    }
    let detail = format!("{who} set forbidden securityContext.seLinuxOptions: {}", what.join("; "));
    Some(Violation::new("seLinuxOptions", detail))
}

/// The profile that a security context sets and must not.
pub(super) fn bad_seccomp(context: &Value) -> Option<&str> {
    let profile = context["seccompProfile"]["type"].as_str()?;
    (!["RuntimeDefault", "Localhost"].contains(&profile)).then_some(profile)
}

pub(super) fn seccomp(pod: &Pod<'_>) -> Option<Violation> {
    let setters = Setters::find(pod, bad_seccomp);
    let who = setters.who()?;
    let values = quoted(setters.values.iter().copied());
    let detail = format!("{who} must not set securityContext.seccompProfile.type to {values}");
    Some(Violation::new("seccompProfile", detail))
}

fn sysctls(pod: &Pod<'_>) -> Option<Violation> {
    let set = items(pod.security(), "sysctls").filter_map(|sysctl| sysctl["name"].as_str());
    let bad: Vec<&str> = set.filter(|name| !SYSCTLS.contains(name)).collect();
    (!bad.is_empty()).then(|| Violation::new("forbidden sysctls", bad.join(", ")))
}

fn host_process(pod: &Pod<'_>) -> Option<Violation> {
    let who = Setters::find(pod, |context| (context["windowsOptions"]["hostProcess"] == true).then_some("")).who()?;
    Some(Violation::new("hostProcess", format!("{who} must not set securityContext.windowsOptions.hostProcess=true")))
}
