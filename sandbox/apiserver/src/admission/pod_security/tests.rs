use serde_json::json;

use super::*;

fn told(level: &'static str, spec: &Value) -> String {
    let policy = Policy { level, version: "latest".to_owned() };
    details(&policy.violations(&Value::Null, spec))
}

/// A pod of one container that the strictest level allows.
fn good() -> Value {
    json!({"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}, "containers": [{
        "name": "a",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    }], "volumes": [{"name": "b", "emptyDir": {}}]})
}

fn with(path: &str, value: Value) -> Value {
    let mut spec = good();
    let mut at = &mut spec;
    for step in path.split('.') {
        at = match step.parse::<usize>() {
            Ok(place) => &mut at[place],
            Err(_) => &mut at[step],
        };
    }
    *at = value;
    spec
}

#[test]
fn a_careful_pod_is_allowed_everywhere() {
    assert_eq!(told("restricted", &good()), "");
    assert_eq!(told("privileged", &json!({"hostPID": true, "containers": [{"name": "a"}]})), "");
    assert_eq!(told("baseline", &json!({"containers": [{"name": "a"}]})), "");
}

#[test]
fn a_careless_pod_is_refused_in_the_real_words() {
    let one = json!({"containers": [{"name": "x"}]});
    assert_eq!(
        told("restricted", &one),
        "allowPrivilegeEscalation != false (container \"x\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (container \"x\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true (pod or container \"x\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or container \"x\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \
         \"Localhost\")"
    );
    let two = json!({"initContainers": [{"name": "x"}], "containers": [{"name": "y"}]});
    assert!(told("restricted", &two).starts_with(
        "allowPrivilegeEscalation != false (containers \"x\", \"y\" must set securityContext.allowPrivilegeEscalation=false), "
    ));
}

#[test]
fn each_rule_of_restricted_has_its_words() {
    let table = [
        ("securityContext.runAsUser", json!(0), "runAsUser=0 (pod must not set runAsUser=0)"),
        (
            "containers.0.securityContext.runAsNonRoot",
            json!(false),
            "runAsNonRoot != true (container \"a\" must not set securityContext.runAsNonRoot=false)",
        ),
        (
            "containers.0.securityContext.capabilities",
            json!({"drop": ["ALL"], "add": ["CHOWN", "NET_BIND_SERVICE"]}),
            "unrestricted capabilities (container \"a\" must not include \"CHOWN\" in securityContext.capabilities.add)",
        ),
        (
            "volumes.0",
            json!({"name": "b", "hostPath": {"path": "/"}}),
            "restricted volume types (volume \"b\" uses restricted volume type \"hostPath\")",
        ),
        (
            "securityContext.seccompProfile",
            json!({"type": "Unconfined"}),
            "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ),
    ];
    for (path, value, expected) in table {
        assert_eq!(told("restricted", &with(path, value)), expected, "{path}");
    }
}

#[test]
fn each_rule_of_baseline_has_its_words() {
    let table = [
        ("hostNetwork", json!(true), "host namespaces (hostNetwork=true)"),
        ("volumes.0", json!({"name": "b", "hostPath": {"path": "/"}}), "hostPath volumes (volume \"b\")"),
        (
            "containers.0.ports",
            json!([{"hostPort": 8080}, {"hostPort": 9090}, {"containerPort": 1}]),
            "hostPort (container \"a\" uses hostPorts 8080, 9090)",
        ),
        (
            "containers.0.livenessProbe",
            json!({"httpGet": {"host": "example.com", "port": 1}}),
            "probe or lifecycle host (container \"a\" uses probe or lifecycle host \"example.com\")",
        ),
        (
            "containers.0.securityContext.privileged",
            json!(true),
            "privileged (container \"a\" must not set securityContext.privileged=true)",
        ),
        (
            "containers.0.securityContext.procMount",
            json!("Unmasked"),
            "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\")",
        ),
        (
            "containers.0.securityContext.capabilities.add",
            json!(["SYS_ADMIN", "NET_RAW", "CHOWN"]),
            "non-default capabilities (container \"a\" must not include \"NET_RAW\", \"SYS_ADMIN\" in \
             securityContext.capabilities.add)",
        ),
        (
            "securityContext.seLinuxOptions",
            json!({"type": "spc_t", "user": "u"}),
            "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"spc_t\"; user may not be set)",
        ),
        (
            "securityContext.sysctls",
            json!([{"name": "kernel.msgmax", "value": "1"}, {"name": "net.ipv4.tcp_wmem", "value": "1"}]),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            "containers.0.securityContext.appArmorProfile",
            json!({"type": "Unconfined"}),
            "forbidden AppArmor profile (container \"a\" must not set AppArmor profile type to \"Unconfined\")",
        ),
    ];
    for (path, value, expected) in table {
        assert_eq!(told("baseline", &with(path, value)), expected, "{path}");
    }
}

#[test]
fn labels_that_say_nothing_are_refused_in_the_real_words() {
    let labelled = |name: &str, value: &str| json!({"metadata": {"labels": {format!("{PREFIX}{name}"): value}}});
    let problems =
        |namespace: Value| -> Vec<String> { label_problems(&namespace).iter().map(ToString::to_string).collect() };
    assert_eq!(
        problems(labelled("enforce", "strict")),
        ["metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be one of privileged, \
          baseline, restricted"]
    );
    assert_eq!(
        problems(labelled("warn-version", "1.30")),
        [
            "metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"1.30\": must be \"latest\" or \"v1.x\""
        ]
    );
    assert!(problems(labelled("enforce-version", "v1.30")).is_empty());
}

#[test]
fn without_its_own_label_warn_follows_enforce() {
    let namespace = json!({"metadata": {"labels": {
        format!("{PREFIX}enforce"): "restricted", format!("{PREFIX}enforce-version"): "v1.30"}}});
    assert_eq!(Policy::to_warn(&namespace).to_string(), "\"restricted:v1.30\"");
}
