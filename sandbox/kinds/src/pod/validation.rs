//! What a pod may be.

use super::{containers, volumes};
use crate::cause::Causes;
use crate::checks::{self, address, choice, identity, in_range, labels, named, named_if_set, required_choice};
use crate::names;
use crate::node::Node;

/// What the sandbox's pods do not have, and what to do instead.
const ABSENT: [(&str, &str); 12] = [
    ("hostNetwork", "the sandbox's pods have networks of their own; leave it out, and use a Service of type NodePort"),
    ("hostPID", "the sandbox's pods have processes of their own; leave it out"),
    ("hostIPC", "the sandbox's pods have shared memory of their own; leave it out"),
    ("shareProcessNamespace", "the sandbox's containers each have processes of their own; leave it out"),
    ("setHostnameAsFQDN", "the sandbox's pods have short host names; leave it out"),
    ("runtimeClassName", "the sandbox has one way to run pods; leave it out"),
    ("priorityClassName", "the sandbox's pods have no priority; leave it out"),
    ("resourceClaims", "the sandbox hands out no devices; ask for cpu and memory in resources.requests"),
    ("resources", "the sandbox counts by container; use spec.containers[].resources"),
    ("overhead", "the sandbox's pods cost nothing beside their containers; leave it out"),
    ("hostnameOverride", "the sandbox's pods have their own host names; use spec.hostname"),
    ("preemptionPolicy", "the sandbox's pods have no priority; leave it out"),
];
const DNS_POLICIES: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
pub(super) const RESTART_POLICIES: &[&str] = &["Always", "OnFailure", "Never"];
const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(super) fn validate(pod: &Node, causes: &mut Causes) {
    let spec = pod.get("spec");
    specification(&spec, causes);
    if spec.get("serviceAccountName").is_empty() {
        volumes::no_tokens(&spec, causes);
    }
    for list in ["containers", "initContainers"] {
        let containers = spec.get(list);
        for container in containers.items() {
            let image = container.get("image");
            if image.text().trim() != image.text() {
                causes.invalid(&image, "must not have leading or trailing whitespace");
            }
        }
    }
}

pub(super) fn validate_new(pod: &Node, causes: &mut Causes) {
    let spec = pod.get("spec");
    if !spec.get("ephemeralContainers").is_empty() {
        causes.forbidden(&spec.get("ephemeralContainers"), "cannot be set on create");
    }
    if !spec.get("nodeName").is_empty() && !spec.get("schedulingGates").is_empty() {
        causes.forbidden(&spec.get("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
}

/// Checks a pod's specification, in a pod or in a template.
pub(super) fn specification(spec: &Node, causes: &mut Causes) {
    let known = volumes::validate(spec, causes);
    containers::validate(spec, &known, causes);
    required_choice(&spec.get("restartPolicy"), RESTART_POLICIES, causes);
    required_choice(&spec.get("dnsPolicy"), DNS_POLICIES, causes);
    labels(&spec.get("nodeSelector"), causes);
    security(&spec.get("securityContext"), causes);
    dns(spec, causes);
    let (gates, scheduling) = (spec.get("readinessGates"), spec.get("schedulingGates"));
    for gate in gates.items() {
        named(&gate.get("conditionType"), names::qualified, causes);
    }
    scheduling_gates(&scheduling, causes);
    named_if_set(&spec.get("serviceAccountName"), names::subdomain, causes);
    named_if_set(&spec.get("nodeName"), names::subdomain, causes);
    in_range(&spec.get("activeDeadlineSeconds"), 1, i64::from(i32::MAX), causes);
    named_if_set(&spec.get("hostname"), names::dns_label, causes);
    named_if_set(&spec.get("subdomain"), names::dns_label, causes);
    let (tolerations, aliases) = (spec.get("tolerations"), spec.get("hostAliases"));
    tolerations.items().for_each(|each| toleration(&each, causes));
    for alias in aliases.items() {
        address(&alias.get("ip"), causes);
        let hosts = alias.get("hostnames");
        hosts.items().for_each(|host| named(&host, names::subdomain, causes));
    }
    absent(spec, causes);
}

fn absent(spec: &Node, causes: &mut Causes) {
    for (field, instead) in ABSENT {
        let at = spec.get(field);
        // False is what a pod has anyway, and admission fills this one in.
        let harmless = at.is_empty() || at.value == false || at.value == "PreemptLowerPriority";
        if !harmless {
            causes.forbidden(&at, instead);
        }
    }
    let system = spec.get("os");
    if system.get("name").text() == "windows" {
        causes.forbidden(&system.get("name"), "the sandbox runs Linux; leave it out");
    }
}

fn security(at: &Node, causes: &mut Causes) {
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        identity(&at.get(field), causes);
    }
    let groups = at.get("supplementalGroups");
    groups.items().for_each(|group| identity(&group, causes));
    choice(&at.get("fsGroupChangePolicy"), &["Always", "OnRootMismatch"], causes);
    choice(&at.get("supplementalGroupsPolicy"), &["Merge", "Strict"], causes);
    for field in ["windowsOptions", "seLinuxOptions"] {
        if at.get(field).is_set() {
            causes.forbidden(&at.get(field), &format!("the sandbox has no {field}; leave it out"));
        }
    }
}

fn dns(spec: &Node, causes: &mut Causes) {
    let config = spec.get("dnsConfig");
    let servers = config.get("nameservers");
    if spec.get("dnsPolicy").text() == "None" {
        if !config.is_set() {
            causes.required(&config, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if servers.is_empty() {
            causes.required(&servers, "must provide at least one DNS nameserver when `dnsPolicy` is None");
            return;
        }
    }
    if servers.items().count() > 3 {
        causes.invalid(&servers, "must not have more than 3 nameservers");
    }
    servers.items().for_each(|server| {
        address(&server, causes);
    });
    let (searches, options) = (config.get("searches"), config.get("options"));
    if searches.items().count() > 32 {
        causes.invalid(&searches, "must not have more than 32 search paths");
    }
    for option in options.items().filter(|option| option.get("name").is_empty()) {
        causes.required(&option, "must not be empty");
    }
}

fn scheduling_gates(at: &Node, causes: &mut Causes) {
    let mut seen: Vec<&str> = Vec::new();
    for gate in at.items() {
        let name = gate.get("name").text();
        for wrong in names::qualified(name) {
            causes.invalid_value(&gate, name, &wrong);
        }
        if seen.contains(&name) {
            causes.duplicate_value(&gate, name);
        }
        seen.push(name);
    }
}

/// A toleration of taints.
pub(super) fn toleration(at: &Node, causes: &mut Causes) {
    let (key, operator, value, effect) = (at.get("key"), at.get("operator"), at.get("value"), at.get("effect"));
    named_if_set(&key, names::qualified, causes);
    if key.is_empty() && operator.text() != "Exists" {
        let text = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        causes.invalid_value(&operator, operator.text(), text);
    }
    if at.get("tolerationSeconds").is_set() && effect.text() != "NoExecute" {
        causes.invalid_value(&effect, effect.text(), "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    match operator.text() {
        "Equal" | "" => {
            let wrong = names::label_value(value.text());
            if !wrong.is_empty() {
                causes.invalid_value(&operator, value.text(), &wrong.join(";"));
            }
        }
        "Exists" if !value.is_empty() => {
            causes.invalid_value(&operator, value.text(), "value must be empty when `operator` is 'Exists'");
        }
        "Exists" => {}
        other => causes.unsupported_value(&operator, other, &["Equal", "Exists"]),
    }
    if !effect.is_empty() {
        checks::choice(&effect, EFFECTS, causes);
    }
}

#[cfg(test)]
mod tests {
    use crate::PODS;
    use serde_json::{Value, json};

    /// What is wrong with a pod of one container after this change.
    fn wrong(change: impl FnOnce(&mut Value)) -> String {
        let container = json!({"name": "a", "image": "a"});
        let mut pod = json!({"metadata": {"name": "a", "namespace": "b"}, "spec": {"containers": [container]}});
        change(&mut pod["spec"]);
        crate::default(PODS, &mut pod);
        crate::prepare_create(PODS, &mut pod);
        crate::summary(&crate::validate_create(PODS, &pod))
    }

    #[test]
    fn what_the_sandbox_does_not_have_is_refused_by_name() {
        let cases = [
            (
                json!({"hostNetwork": true}),
                "spec.hostNetwork: Forbidden: the sandbox's pods have networks of their own",
            ),
            (json!({"runtimeClassName": "a"}), "spec.runtimeClassName: Forbidden: the sandbox has one way to run pods"),
            (
                json!({"priorityClassName": "a"}),
                "spec.priorityClassName: Forbidden: the sandbox's pods have no priority",
            ),
            (
                json!({"volumes": [{"name": "v", "nfs": {}}]}),
                "spec.volumes[0].nfs: Forbidden: the sandbox has no nfs volumes",
            ),
        ];
        for (fields, expected) in cases {
            let told = wrong(|spec| spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone()));
            assert!(told.starts_with(expected), "{told}");
        }
        let cases = [
            (
                json!({"livenessProbe": {"grpc": {"port": 1}}}),
                "livenessProbe.grpc: Forbidden: the sandbox has no gRPC probes",
            ),
            (
                json!({"ports": [{"containerPort": 1, "hostPort": 1}]}),
                "ports[0].hostPort: Forbidden: the sandbox's pods have",
            ),
            (json!({"volumeDevices": [{}]}), "volumeDevices: Forbidden: the sandbox's volumes are folders"),
            (
                json!({"securityContext": {"privileged": true}}),
                "securityContext.privileged: Forbidden: the sandbox's pods",
            ),
        ];
        for (fields, expected) in cases {
            let container = |spec: &mut Value| {
                spec["containers"][0].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            };
            let told = wrong(container);
            assert!(told.starts_with(&format!("spec.containers[0].{expected}")), "{told}");
        }
    }

    #[test]
    fn what_a_pod_has_anyway_may_be_said() {
        let harmless = json!({"hostNetwork": false, "shareProcessNamespace": false, "os": {"name": "linux"}});
        let told = wrong(|spec| spec.as_object_mut().unwrap().extend(harmless.as_object().unwrap().clone()));
        assert_eq!(told, "[]");
    }
}
