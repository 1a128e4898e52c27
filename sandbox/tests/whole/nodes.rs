//! Several nodes: pods find theirs, and go with them.

use crate::world::{World, container, is_ready, phase, pod};
use apiserver::{ListOptions, User};
use sandbox::{Disks, NodeShape, Settings, Taint};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn node(name: &str, zone: &str) -> NodeShape {
    let labels = [("topology.kubernetes.io/zone", zone), ("pool", "a")];
    let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let (cpu_millis, memory_bytes, pods) = (Some(940), Some(1 << 30), Some(20));
    NodeShape { name: name.to_owned(), labels, cpu_millis, memory_bytes, pods, ..NodeShape::default() }
}

fn with_nodes(nodes: Vec<NodeShape>) -> Settings {
    Settings { nodes: Some(nodes), ..Settings::default() }
}

/// The names of all nodes.
fn nodes(world: &World) -> Vec<String> {
    let all = world.api().list(kinds::NODES, None, &ListOptions::default()).expect("a list").items;
    all.iter().map(|node| node["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}

/// How many pods with this label that do not end are on each node.
fn spread(world: &World, app: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for pod in world.pods(app).iter().filter(|pod| !pod["metadata"]["deletionTimestamp"].is_string()) {
        *counts.entry(pod["spec"]["nodeName"].as_str().unwrap_or("none").to_owned()).or_default() += 1;
    }
    counts
}

pub async fn pods_are_spread_over_nodes_and_move_when_one_goes() {
    let mut gpu = node("c", "z2");
    gpu.taints = vec![Taint { key: "gpu".to_owned(), value: "yes".to_owned(), effect: "NoSchedule".to_owned() }];
    let world = World::start_with(with_nodes(vec![node("a", "z1"), node("b", "z1"), gpu.clone()])).await;
    let labels = json!({ "app": "web" });
    let spec = json!({ "terminationGracePeriodSeconds": 1, "containers": [container("c", &["sleep"])] });
    let template = json!({ "metadata": { "labels": labels }, "spec": spec });
    let spec = json!({ "replicas": 2, "selector": { "matchLabels": labels }, "template": template });
    world.create(kinds::DEPLOYMENTS, json!({ "metadata": { "name": "web" }, "spec": spec })).await;
    let all_ready = |web: &Value| web["status"]["readyReplicas"] == 2;
    world.until(kinds::DEPLOYMENTS, "web", all_ready).await;
    assert_eq!(spread(&world, "web"), BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)]));
    let mut chosen = pod("chosen", &["variable", "IP"]);
    chosen["spec"]["nodeSelector"] = json!({ "topology.kubernetes.io/zone": "z2" });
    chosen["spec"]["tolerations"] = json!([{ "key": "gpu", "operator": "Exists" }]);
    chosen["spec"]["containers"][0]["env"] =
        json!([{ "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.hostIP" } } }]);
    world.create(kinds::PODS, chosen).await;
    let chosen = world.until(kinds::PODS, "chosen", phase("Succeeded")).await;
    assert_eq!((&chosen["spec"]["nodeName"], &chosen["status"]["hostIP"]), (&json!("c"), &json!("10.245.0.4")));
    let mut large = pod("large", &["sleep"]);
    large["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "1" } });
    world.create(kinds::PODS, large).await;
    world
        .until_event(
            "FailedScheduling",
            "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu.",
        )
        .await;

    let settings = Settings { generation: 1, ..with_nodes(vec![node("a", "z1"), node("d", "z2")]) };
    settings.write(world.folder.path()).expect("written");
    world.sandbox.reload().await.expect("the nodes are taken");
    assert_eq!((nodes(&world), world.sandbox.ready().generation), (vec!["a".to_owned(), "d".to_owned()], 1));
    assert!(world.get(kinds::PODS, "chosen").is_none(), "pods of a node that is gone go with it");
    world.until(kinds::DEPLOYMENTS, "web", all_ready).await;
    assert_eq!(spread(&world, "web"), BTreeMap::from([("a".to_owned(), 1), ("d".to_owned(), 1)]));
    world.sandbox.stop().await;
}

pub async fn a_volume_for_one_node_is_on_one_node_at_a_time() {
    let world = World::start_with(with_nodes(vec![node("a", "z1"), node("b", "z1")])).await;
    let spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
    world.create(kinds::PERSISTENT_VOLUME_CLAIMS, json!({ "metadata": { "name": "data" }, "spec": spec })).await;
    let on = |name: &str, node: &str, steps: &[&str]| {
        let mut pod = pod(name, steps);
        pod["spec"]["terminationGracePeriodSeconds"] = 1.into();
        pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
        pod["spec"]["volumes"] = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }]);
        pod
    };
    world.create(kinds::PODS, on("writer", "a", &["write", "/data/file", "kept", "+", "sleep"])).await;
    world.until(kinds::PODS, "writer", is_ready).await;
    world.create(kinds::PODS, on("beside", "a", &["read", "/data/file"])).await;
    world.until(kinds::PODS, "beside", phase("Succeeded")).await;
    world.create(kinds::PODS, on("reader", "b", &["read", "/data/file"])).await;
    world.until_event("FailedAttachVolume", "Volume is already used by pod(s) ").await;
    assert_eq!(world.get(kinds::PODS, "reader").expect("there")["status"]["phase"], "Pending");
    world.delete(kinds::PODS, "writer").await;
    world.until(kinds::PODS, "reader", phase("Succeeded")).await;
    world.sandbox.stop().await;
}

pub async fn a_disk_is_a_folder_that_outlives_its_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    let disks = Disks { folder: folder.path().to_owned(), drivers: vec!["pd.csi.storage.gke.io".to_owned()] };
    let volume = |driver: &str| {
        json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "disk" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "1Gi" }, "storageClassName": "",
            "claimRef": { "namespace": "default", "name": "data" },
            "csi": { "driver": driver, "volumeHandle": "projects/p/zones/z/disks/data" } } })
    };
    for steps in [["write", "/data/file", "kept"].as_slice(), ["read", "/data/file"].as_slice()] {
        let world = World::start_with(Settings { disks: Some(disks.clone()), ..Settings::default() }).await;
        let (by, options) = (User::system("admin"), apiserver::WriteOptions::default());
        let make = |driver| world.api().create(&by, kinds::PERSISTENT_VOLUMES, "", volume(driver), &options);
        let refused = make("other.example").await.expect_err("nothing stands in for it").to_string();
        assert!(refused.contains("spec.csi: Forbidden: the sandbox has no csi volumes"), "{refused}");
        make("pd.csi.storage.gke.io").await.expect("a volume");
        let spec = json!({ "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": "disk",
                           "resources": { "requests": { "storage": "1Gi" } } });
        world.create(kinds::PERSISTENT_VOLUME_CLAIMS, json!({ "metadata": { "name": "data" }, "spec": spec })).await;
        let mut pod = pod("user", steps);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
        pod["spec"]["volumes"] = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }]);
        world.create(kinds::PODS, pod).await;
        world.until(kinds::PODS, "user", phase("Succeeded")).await;
        world.sandbox.stop().await;
    }
}

pub async fn a_file_server_in_the_cluster_exports_what_its_ready_pod_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let disks = Disks { folder: folder.path().to_owned(), drivers: vec!["nfs".to_owned()] };
    let settings = Settings { disks: Some(disks), ..with_nodes(vec![node("a", "z1"), node("b", "z1")]) };
    let world = World::start_with(settings).await;
    let spec = json!({ "selector": { "app": "server" }, "ports": [{ "port": 2049 }] });
    let service = world.create(kinds::SERVICES, json!({ "metadata": { "name": "server" }, "spec": spec })).await;
    let volume = json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "shared" }, "spec": {
        "accessModes": ["ReadWriteMany"], "capacity": { "storage": "1Gi" }, "storageClassName": "",
        "nfs": { "server": service["spec"]["clusterIP"], "path": "/export/part" } } });
    let (by, options) = (User::system("admin"), apiserver::WriteOptions::default());
    world.api().create(&by, kinds::PERSISTENT_VOLUMES, "", volume, &options).await.expect("a volume");
    let claim = |name: &str, mode: &str, volume: &str| {
        let resources = json!({ "requests": { "storage": "1Gi" } });
        let mut spec = json!({ "accessModes": [mode], "resources": resources });
        if !volume.is_empty() {
            spec["storageClassName"] = "".into();
            spec["volumeName"] = volume.into();
        }
        json!({ "metadata": { "name": name }, "spec": spec })
    };
    let claims = kinds::PERSISTENT_VOLUME_CLAIMS;
    world.create(claims, claim("shared", "ReadWriteMany", "shared")).await;
    world.create(claims, claim("disk", "ReadWriteOnce", "")).await;
    let on = |name: &str, node: &str, (claim, path): (&str, &str), steps: &[&str]| {
        let mut pod = pod(name, steps);
        pod["spec"]["terminationGracePeriodSeconds"] = 1.into();
        pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "files", "mountPath": path }]);
        pod["spec"]["volumes"] = json!([{ "name": "files", "persistentVolumeClaim": { "claimName": claim } }]);
        pod
    };
    world
        .create(
            kinds::PODS,
            on("client", "b", ("shared", "/data"), &["wait-for", "/data/file", "+", "read", "/data/file"]),
        )
        .await;
    world.until_event("FailedMount", "mount.nfs: Connection refused").await;
    let steps = ["write", "/export/part/file", "exported", "+", "sleep"];
    let mut server = on("server", "a", ("disk", "/export"), &steps);
    let part = json!({ "name": "part", "image": "tool:1", "args": ["print", "made"],
        "volumeMounts": [{ "name": "files", "mountPath": "/export/part", "subPath": "part" }] });
    server["spec"]["initContainers"] = json!([part]);
    world.create(kinds::PODS, server).await;
    world.until(kinds::PODS, "server", is_ready).await;
    world.until(kinds::PODS, "client", phase("Succeeded")).await;
    world.until_log("client", "exported").await;
    world.sandbox.stop().await;
}

pub async fn another_process_changes_the_nodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let set = async |count: usize| {
        let (folder, nodes) = (folder.path().to_owned(), (count > 0).then(|| NodeShape::machines(count)));
        let done = tokio::task::spawn_blocking(move || sandbox::set_nodes(&folder, nodes)).await.expect("no panic");
        done.expect("they are had");
    };
    set(2).await;
    let mut child = crate::world::spawn_in(folder.path());
    let running = crate::world::wait(|| match sandbox::status(folder.path()) {
        Ok(sandbox::State::Running(ready)) => Some(ready.generation),
        _ => None,
    });
    assert_eq!(running.await, Some(1), "it runs, with the nodes that it was given before");
    for (count, generation) in [(3, 2), (3, 2), (0, 3)] {
        set(count).await;
        let Ok(sandbox::State::Running(ready)) = sandbox::status(folder.path()) else { panic!("it does not run") };
        assert_eq!(ready.generation, generation, "{count}");
    }
    let stopped = folder.path().to_owned();
    assert!(tokio::task::spawn_blocking(move || sandbox::stop(&stopped)).await.expect("no panic").expect("stopped"));
    assert!(child.wait().expect("ended").success());
}

pub async fn nodes_stay_as_they_are_over_a_restart() {
    let world = World::start_with(with_nodes(vec![node("a", "z1"), node("b", "z2")])).await;
    let by = User::system("admin");
    let close = |node: &mut Value| {
        node["spec"]["unschedulable"] = true.into();
        true
    };
    world.api().modify(&by, kinds::NODES, None, ("", "a"), close).await.expect("closed");
    let mut again = pod("again", &["sleep"]);
    again["spec"]["restartPolicy"] = "Always".into();
    again["spec"]["terminationGracePeriodSeconds"] = 1.into();
    world.create(kinds::PODS, again).await;
    world.until(kinds::PODS, "again", is_ready).await;
    let before = world.api().get(kinds::NODES, "", "b").expect("a node");
    let world = world.restart().await;
    let after = world.api().get(kinds::NODES, "", "b").expect("a node");
    assert_eq!(
        (&after["metadata"]["uid"], &after["status"]["addresses"]),
        (&before["metadata"]["uid"], &before["status"]["addresses"])
    );
    assert_eq!(after["status"]["allocatable"]["cpu"], "940m");
    assert_eq!(world.api().get(kinds::NODES, "", "a").expect("a node")["spec"]["unschedulable"], true);
    let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"] == 1;
    let again = world.until(kinds::PODS, "again", |pod| is_ready(pod) && restarts(pod)).await;
    assert_eq!(again["spec"]["nodeName"], "b");
    world.sandbox.stop().await;
}

pub async fn a_pod_that_does_not_tolerate_a_taint_goes() {
    let world = World::start_with(with_nodes(vec![node("a", "z1")])).await;
    let mut patient = pod("patient", &["sleep"]);
    patient["spec"]["tolerations"] = json!([{ "key": "gone", "operator": "Exists" }]);
    for mut pod in [pod("hasty", &["sleep"]), patient] {
        pod["spec"]["terminationGracePeriodSeconds"] = 1.into();
        let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
        world.create(kinds::PODS, pod).await;
        world.until(kinds::PODS, &name, is_ready).await;
    }
    let mut tainted = node("a", "z1");
    tainted.taints = vec![Taint { key: "gone".to_owned(), value: String::new(), effect: "NoExecute".to_owned() }];
    with_nodes(vec![tainted]).write(world.folder.path()).expect("written");
    world.sandbox.reload().await.expect("the nodes are taken");
    world.until_gone(kinds::PODS, "hasty").await;
    assert!(is_ready(&world.get(kinds::PODS, "patient").expect("it stays")));
    world.sandbox.stop().await;
}
