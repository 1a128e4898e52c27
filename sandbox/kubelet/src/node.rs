//! A node as an object.

use crate::read::{list, moment, text};
use crate::shape::NodeShape;
use apiserver::{Api, Status, User, WriteOptions};
use jiff::Timestamp;
use runtime::Availability;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

/// How many pods a node takes unless it is said.
const PODS: u32 = 500;
/// The network of the addresses of nodes other than the machine's own. Nobody listens there: they tell nodes apart.
const NODE_NETWORK: [u8; 2] = [10, 245];
/// What the runtimes of our nodes' versions begin with.
const RUNTIME: &str = "sandbox://";

/// A node that is served.
#[derive(Debug, Default)]
pub struct Place {
    /// What it was asked to be.
    pub shape: NodeShape,
    /// Its address.
    pub address: String,
    /// What it has for pods.
    pub allocatable: Arc<Value>,
}

/// What a node has: what its shape says, or what the machine has.
pub fn capacity(folder: &Path, shape: &NodeShape) -> Value {
    let machine_cpus = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64 * 1000;
    let cpu = match shape.cpu_millis.unwrap_or_else(machine_cpus) {
        whole if whole % 1000 == 0 => (whole / 1000).to_string(),
        millis => format!("{millis}m"),
    };
    let memory = shape.memory_bytes.map_or_else(machine_memory_kibibytes, |bytes| bytes / 1024);
    let disk = rustix::fs::statvfs(folder).map_or(0, |about| about.f_blocks * about.f_frsize / 1024);
    json!({
        "cpu": cpu,
        "ephemeral-storage": format!("{disk}Ki"),
        "memory": format!("{memory}Ki"),
        "pods": shape.pods.unwrap_or(PODS).to_string(),
    })
}

fn machine_memory_kibibytes() -> u64 {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = |line: &str| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok();
    memory.lines().find_map(total).unwrap_or_default()
}

/// The address of a node: the machine's own for the whole machine; for others the one that its object has, or else a free one.
pub fn address(shape: &NodeShape, own: Ipv4Addr, known: Option<&Value>, taken: &mut BTreeSet<Ipv4Addr>) -> String {
    if is_whole_machine(shape) {
        return own.to_string();
    }
    let before = known.and_then(internal_address).filter(|address| address.octets()[..2] == NODE_NETWORK);
    let [first, second] = NODE_NETWORK;
    let mut all = (0..=u16::MAX).map(|number| {
        let [third, fourth] = number.to_be_bytes();
        Ipv4Addr::new(first, second, third, fourth)
    });
    let free = || all.find(|address| !matches!(address.octets()[3], 0 | 1 | 255) && !taken.contains(address));
    let address = before.or_else(free).unwrap_or(own);
    taken.insert(address);
    address.to_string()
}

/// The address inside the cluster that a node's object tells.
pub fn internal_address(node: &Value) -> Option<Ipv4Addr> {
    let found = list(&node["status"]["addresses"]).iter().find(|address| address["type"] == "InternalIP");
    text(found?, "address").parse().ok()
}

/// Whether an object stands for one of the sandbox's nodes, now or before.
pub fn is_ours(node: &Value) -> bool {
    text(&node["status"]["nodeInfo"], "containerRuntimeVersion").starts_with(RUNTIME)
}

fn is_whole_machine(shape: &NodeShape) -> bool {
    shape.name == NodeShape::whole_machine().name
}

/// Makes the node's object, or brings it up to date. `before` is what it was asked to be the last time: what was its and is not
/// any more goes, and what others wrote stays.
pub async fn register(
    api: &Api,
    by: &User,
    node: &runtime::Node,
    place: &Place,
    before: Option<&NodeShape>,
) -> Result<(), Status> {
    let shape = &place.shape;
    let status = status(node, place, &moment(Timestamp::now()));
    let mut object = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": shape.name, "labels": labels(shape) },
        "spec": {},
        "status": status,
    });
    if is_whole_machine(shape) {
        object["spec"] = json!({ "podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"] });
    }
    if !shape.taints.is_empty() {
        object["spec"]["taints"] = shape.taint_values().into();
    }
    match api.create(by, kinds::NODES, "", object, &WriteOptions::default()).await {
        Err(status) if status.is_already_exists() => {}
        made => return made.map(drop),
    }
    if before != Some(shape) {
        let change = |object: &mut Value| reshape(object, shape, before);
        api.modify(by, kinds::NODES, None, ("", &shape.name), change).await?;
    }
    refresh(api, by, &shape.name, status).await
}

/// Says again that the node is well.
pub async fn heartbeat(api: &Api, by: &User, node: &runtime::Node, place: &Place) -> Result<(), Status> {
    refresh(api, by, &place.shape.name, status(node, place, &moment(Timestamp::now()))).await
}

async fn refresh(api: &Api, by: &User, node_name: &str, status: Value) -> Result<(), Status> {
    api.modify(by, kinds::NODES, Some("status"), ("", node_name), |object| {
        let mut status = status.clone();
        keep_transitions(&mut status, &object["status"]);
        object["status"] = status;
        true
    })
    .await
    .map(drop)
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn labels(shape: &NodeShape) -> Value {
    let arch = architecture();
    let mut labels = json!({
        "beta.kubernetes.io/arch": arch, "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch, "kubernetes.io/hostname": shape.name, "kubernetes.io/os": "linux",
    });
    for (key, value) in &shape.labels {
        labels[key] = value.as_str().into();
    }
    labels
}

/// Gives an object the labels and taints of its shape; tells whether that changed anything.
fn reshape(object: &mut Value, shape: &NodeShape, before: Option<&NodeShape>) -> bool {
    let old = object.clone();
    if let Some(held) = object["metadata"]["labels"].as_object_mut() {
        for key in before.into_iter().flat_map(|before| before.labels.keys()) {
            held.shift_remove(key);
        }
    }
    for (key, value) in labels(shape).as_object().into_iter().flatten() {
        object["metadata"]["labels"][key] = value.clone();
    }
    let same = |one: &Value, other: &Value| one["key"] == other["key"] && one["effect"] == other["effect"];
    let ours: Vec<Value> =
        before.map(NodeShape::taint_values).unwrap_or_default().into_iter().chain(shape.taint_values()).collect();
    let mut taints = list(&object["spec"]["taints"]).to_vec();
    taints.retain(|taint| !ours.iter().any(|each| same(each, taint)));
    taints.extend(shape.taint_values());
    match object["spec"].as_object_mut() {
        Some(spec) if taints.is_empty() => drop(spec.shift_remove("taints")),
        _ => object["spec"]["taints"] = taints.into(),
    }
    *object != old
}

/// A condition that stays as it was keeps the moment since when it is so.
fn keep_transitions(status: &mut Value, before: &Value) {
    let before = list(&before["conditions"]);
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        let same = |old: &&Value| old["type"] == condition["type"] && old["status"] == condition["status"];
        if let Some(old) = before.iter().find(same) {
            condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
        }
    }
}

fn status(node: &runtime::Node, place: &Place, now: &str) -> Value {
    let line = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    json!({
        "addresses": [
            { "type": "InternalIP", "address": place.address },
            { "type": "Hostname", "address": place.shape.name },
        ],
        "allocatable": *place.allocatable,
        "capacity": *place.allocatable,
        "conditions": conditions(node, now),
        "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
        "nodeInfo": {
            "architecture": architecture(),
            "bootID": line("/proc/sys/kernel/random/boot_id"),
            "containerRuntimeVersion": format!("{RUNTIME}{}", env!("CARGO_PKG_VERSION")),
            "kernelVersion": line("/proc/sys/kernel/osrelease"),
            "kubeProxyVersion": "",
            "kubeletVersion": place.shape.version.as_deref().unwrap_or("v1.34.4+sandbox"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Taint;

    fn shape(labels: &[(&str, &str)], taints: &[&str]) -> NodeShape {
        let text =
            |text: &&str| Taint { key: (*text).to_owned(), value: String::new(), effect: "NoSchedule".to_owned() };
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        NodeShape { name: "n".to_owned(), labels, taints: taints.iter().map(text).collect(), ..NodeShape::default() }
    }

    #[test]
    fn a_new_shape_takes_back_what_the_old_one_gave_and_leaves_what_others_wrote() {
        let (old, new) = (shape(&[("pool", "a"), ("old", "1")], &["gone", "kept"]), shape(&[("pool", "b")], &["kept"]));
        let mut object = json!({
            "metadata": { "labels": { "pool": "a", "old": "1", "mine": "x" } },
            "spec": { "unschedulable": true, "taints": [
                { "key": "gone", "effect": "NoSchedule" }, { "key": "theirs", "effect": "NoExecute" },
                { "key": "kept", "effect": "NoSchedule" } ] },
        });
        assert!(reshape(&mut object, &new, Some(&old)));
        let labels = &object["metadata"]["labels"];
        assert_eq!((&labels["pool"], &labels["mine"], &labels["old"]), (&json!("b"), &json!("x"), &Value::Null));
        let keys: Vec<&str> = list(&object["spec"]["taints"]).iter().map(|taint| text(taint, "key")).collect();
        assert_eq!((keys, &object["spec"]["unschedulable"]), (vec!["theirs", "kept"], &json!(true)));
        assert!(!reshape(&mut object, &new, Some(&new)), "twice is once");
    }

    #[test]
    fn a_node_has_what_its_shape_says() {
        let sized =
            NodeShape { cpu_millis: Some(1930), memory_bytes: Some(3 << 30), pods: Some(110), ..shape(&[], &[]) };
        let has = capacity(Path::new("/"), &sized);
        assert_eq!((&has["cpu"], &has["memory"], &has["pods"]), (&json!("1930m"), &json!("3145728Ki"), &json!("110")));
        let whole = capacity(Path::new("/"), &NodeShape { cpu_millis: Some(4000), ..shape(&[], &[]) });
        assert_eq!((&whole["cpu"], &whole["pods"]), (&json!("4"), &json!("500")));
    }

    #[test]
    fn nodes_have_addresses_of_their_own_and_keep_them() {
        let own = Ipv4Addr::new(10, 244, 0, 1);
        let mut taken = BTreeSet::new();
        assert_eq!(address(&NodeShape::whole_machine(), own, None, &mut taken), "10.244.0.1");
        let one = address(&shape(&[], &[]), own, None, &mut taken);
        let object = json!({ "status": { "addresses": [{ "type": "InternalIP", "address": one }] } });
        assert_eq!(one, "10.245.0.2");
        assert_eq!(address(&shape(&[], &[]), own, None, &mut taken), "10.245.0.3");
        assert_eq!(address(&shape(&[], &[]), own, Some(&object), &mut taken), one);
    }
}
