//! The node as an object.

use crate::read::moment;
use apiserver::{Api, Status, User, WriteOptions};
use jiff::Timestamp;
use runtime::Availability;
use serde_json::{Value, json};
use std::path::Path;

/// How many pods the node takes.
const PODS: u32 = 500;

/// What the machine has: the node's capacity.
pub fn capacity(folder: &Path) -> Value {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let disk = rustix::fs::statvfs(folder).map_or(0, |about| about.f_blocks * about.f_frsize / 1024);
    json!({
        "cpu": cpus.to_string(),
        "ephemeral-storage": format!("{disk}Ki"),
        "memory": format!("{}Ki", memory.unwrap_or(0_u64)),
        "pods": PODS.to_string(),
    })
}

/// Makes the node's object, or brings it up to date.
pub async fn register(
    api: &Api,
    by: &User,
    node: &runtime::Node,
    node_name: &str,
    capacity: &Value,
) -> Result<(), Status> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let labels = json!({
        "beta.kubernetes.io/arch": arch, "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch, "kubernetes.io/hostname": node_name, "kubernetes.io/os": "linux",
        "node-role.kubernetes.io/control-plane": "",
    });
    let object = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": node_name, "labels": labels },
        "spec": { "podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"] },
    });
    match api.create(by, kinds::NODES, "", object, &WriteOptions::default()).await {
        Err(status) if !status.is_already_exists() => return Err(status),
        _ => {}
    }
    let now = moment(Timestamp::now());
    let status = status(node, node_name, arch, capacity, &now);
    api.modify(by, kinds::NODES, Some("status"), ("", node_name), |object| {
        let mut status = status.clone();
        keep_transitions(&mut status, &object["status"]);
        object["status"] = status;
        true
    })
    .await
    .map(drop)
}

/// A condition that stays as it was keeps the moment since when it is so.
fn keep_transitions(status: &mut Value, before: &Value) {
    let before = crate::read::list(&before["conditions"]);
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        let same = |old: &&Value| old["type"] == condition["type"] && old["status"] == condition["status"];
        if let Some(old) = before.iter().find(same) {
            condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
        }
    }
}

fn status(node: &runtime::Node, node_name: &str, arch: &str, capacity: &Value, now: &str) -> Value {
    let line = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    json!({
        "addresses": [
            { "type": "InternalIP", "address": node.address().to_string() },
            { "type": "Hostname", "address": node_name },
        ],
        "allocatable": capacity,
        "capacity": capacity,
        "conditions": conditions(node, now),
        "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
        "nodeInfo": {
            "architecture": arch,
            "bootID": line("/proc/sys/kernel/random/boot_id"),
            "containerRuntimeVersion": concat!("sandbox://", env!("CARGO_PKG_VERSION")),
            "kernelVersion": line("/proc/sys/kernel/osrelease"),
            "kubeProxyVersion": "",
            "kubeletVersion": "v1.34.4+sandbox",
            "machineID": line("/etc/machine-id"),
            "operatingSystem": "linux",
            "osImage": system.trim_matches('"'),
            "systemUUID": "",
        },
    })
}

fn conditions(node: &runtime::Node, now: &str) -> Value {
    let condition = |kind: &str, status: &str, reason: &str, message: String| {
        json!({ "type": kind, "status": status, "reason": reason, "message": message,
                "lastHeartbeatTime": now, "lastTransitionTime": now })
    };
    let limits = node.capabilities();
    let mut ready = "kubelet is posting ready status".to_owned();
    for (what, limit) in [("memory", &limits.memory_limits), ("cpu", &limits.cpu_limits)] {
        if let Availability::No(why) = limit {
            ready.extend(["; ", what, " limits do not hold here: ", why]);
        }
    }
    let fine = |kind: &str, reason: &str, what: &str| condition(kind, "False", reason, format!("kubelet has {what}"));
    json!([
        fine("MemoryPressure", "KubeletHasSufficientMemory", "sufficient memory available"),
        fine("DiskPressure", "KubeletHasNoDiskPressure", "no disk pressure"),
        fine("PIDPressure", "KubeletHasSufficientPID", "sufficient PID available"),
        condition("Ready", "True", "KubeletReady", ready),
    ])
}
