//! The rules that only the level `restricted` has.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::items;
use super::Violation;
use super::baseline::{bad_seccomp, seccomp};
use super::pod_view::{Pod, Setters, named, plural, quoted, security};

const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Every rule, in the order of the real server.
pub(super) fn check(pod: &Pod<'_>) -> Vec<Violation> {
    let rules = [
        privilege_escalation(pod),
        capabilities(pod),
        volumes(pod),
        run_as_non_root(pod),
        run_as_user(pod),
        seccomp(pod).or_else(|| missing_seccomp(pod)),
    ];
    rules.into_iter().flatten().collect()
}

fn privilege_escalation(pod: &Pod<'_>) -> Option<Violation> {
    let bad = pod.containers_where(|container| *security(container, "allowPrivilegeEscalation") != false);
    let detail = || format!("{} must set securityContext.allowPrivilegeEscalation=false", named(&bad));
    (!bad.is_empty()).then(|| Violation::new("allowPrivilegeEscalation != false", detail()))
}

fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
    let drops_all = |container: &Value| items(security(container, "capabilities"), "drop").any(|each| each == "ALL");
    let added = |container: &Value| -> BTreeSet<String> {
        let added = items(security(container, "capabilities"), "add").filter_map(Value::as_str);
        added.filter(|each| *each != "NET_BIND_SERVICE").map(str::to_owned).collect()
    };
    let keeping = pod.containers_where(|container| !drops_all(container));
    let adding = pod.containers_where(|container| !added(container).is_empty());
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named(&keeping)));
    }
    if !adding.is_empty() {
        let all: BTreeSet<String> = pod.containers().flat_map(added).collect();
        let what = quoted(all.iter().map(String::as_str));
        details.push(format!("{} must not include {what} in securityContext.capabilities.add", named(&adding)));
    }
    (!details.is_empty()).then(|| Violation::new("unrestricted capabilities", details.join("; ")))
}

fn volumes(pod: &Pod<'_>) -> Option<Violation> {
    let kind = |volume: &Value| -> String {
        let mut kinds = volume.as_object().into_iter().flat_map(|fields| fields.keys());
        kinds.find(|key| *key != "name").cloned().unwrap_or_else(|| "unknown".to_owned())
    };
    let bad: Vec<&Value> = pod.volumes().filter(|volume| !VOLUMES.contains(&kind(volume).as_str())).collect();
    let names: Vec<&str> = bad.iter().filter_map(|volume| volume["name"].as_str()).collect();
    let types: BTreeSet<String> = bad.iter().map(|volume| kind(volume)).collect();
    let (volume, uses) = (plural("volume", "volumes", bad.len()), plural("uses", "use", bad.len()));
    let what = plural("restricted volume type", "restricted volume types", types.len());
    let types = quoted(types.iter().map(String::as_str));
    let detail = || format!("{volume} {} {uses} {what} {types}", quoted(names.iter().copied()));
    (!bad.is_empty()).then(|| Violation::new("restricted volume types", detail()))
}

fn run_as_non_root(pod: &Pod<'_>) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    let setters = Setters::find(pod, |context| (context["runAsNonRoot"] == false).then_some(""));
    if let Some(who) = setters.who() {
        return Some(Violation::new(REASON, format!("{who} must not set securityContext.runAsNonRoot=false")));
    }
    if pod.security()["runAsNonRoot"] == true {
        return None;
    }
    let silent = pod.containers_where(|container| security(container, "runAsNonRoot").is_null());
    let detail = || format!("pod or {} must set securityContext.runAsNonRoot=true", named(&silent));
    (!silent.is_empty()).then(|| Violation::new(REASON, detail()))
}

fn run_as_user(pod: &Pod<'_>) -> Option<Violation> {
    let who = Setters::find(pod, |context| (context["runAsUser"] == 0).then_some("")).who()?;
    Some(Violation::new("runAsUser=0", format!("{who} must not set runAsUser=0")))
}

fn missing_seccomp(pod: &Pod<'_>) -> Option<Violation> {
    if !pod.security()["seccompProfile"].is_null() && bad_seccomp(pod.security()).is_none() {
        return None;
    }
    let silent = pod.containers_where(|container| security(container, "seccompProfile").is_null());
    let detail = || {
        let who = named(&silent);
        format!("pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"")
    };
    (!silent.is_empty()).then(|| Violation::new("seccompProfile", detail()))
}
