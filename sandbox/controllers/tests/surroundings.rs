//! Scheduling, volumes, endpoints and namespaces.

mod cluster;

use apiserver::Propagation;
use cluster::{Cluster, condition, deployment, pod, template};
use serde_json::{Value, json};

fn node_of(cluster: &Cluster, name: &str) -> Option<String> {
    cluster.get(kinds::PODS, name)?["spec"]["nodeName"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_pod_waits_for_room_and_gets_it_when_another_one_goes() {
    let cluster = Cluster::with_node("1", "110").await;
    cluster.create(kinds::PODS, pod("first", json!({"cpu": "800m"}))).await;
    cluster.until("a node", |cluster| node_of(cluster, "first")).await;
    assert_eq!(cluster.event("first", "Scheduled").await, "Successfully assigned default/first to sandbox");
    cluster.create(kinds::PODS, pod("second", json!({"cpu": "800m"}))).await;
    let expected = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are \
                    available: 1 No preemption victims found for incoming pod.";
    assert_eq!(cluster.event("second", "FailedScheduling").await, expected);
    let told = condition(&cluster.get(kinds::PODS, "second").unwrap(), "PodScheduled", "False").unwrap();
    assert_eq!((&told["reason"], &told["message"]), (&json!("Unschedulable"), &json!(expected)));
    cluster.delete(kinds::PODS, "first", Propagation::Background).await;
    cluster.until("the room", |cluster| node_of(cluster, "second")).await;
}

#[tokio::test]
async fn a_pod_waits_for_its_claim_and_the_claim_for_its_pod() {
    let cluster = Cluster::with_node("4", "110").await;
    let spec = json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]});
    cluster.create(kinds::PODS, pod("user", spec)).await;
    let expected = "0/1 nodes are available: persistentvolumeclaim \"data\" not found. not found";
    assert_eq!(cluster.event("user", "FailedScheduling").await, expected);
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    cluster.create(kinds::PERSISTENT_VOLUME_CLAIMS, claim).await;
    cluster.until("a node", |cluster| node_of(cluster, "user")).await;
    let claim = cluster.get(kinds::PERSISTENT_VOLUME_CLAIMS, "data").unwrap();
    assert_eq!((&claim["status"]["phase"], &claim["status"]["capacity"]["storage"]), (&json!("Bound"), &json!("1Gi")));
    let volume = claim["spec"]["volumeName"].as_str().unwrap().to_owned();
    let folder = cluster.folder.path().join("volumes").join(&volume);
    assert!(folder.is_dir());
    assert_eq!(
        cluster.event("data", "ProvisioningSucceeded").await,
        format!("Successfully provisioned volume {volume}")
    );
    // The pod keeps its claim, and the claim its volume.
    cluster.delete(kinds::PERSISTENT_VOLUME_CLAIMS, "data", Propagation::Background).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(cluster.get(kinds::PERSISTENT_VOLUME_CLAIMS, "data").is_some());
    cluster.delete(kinds::PODS, "user", Propagation::Background).await;
    cluster
        .until("the volume's end", |cluster| cluster.get(kinds::PERSISTENT_VOLUMES, &volume).is_none().then_some(()))
        .await;
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_claim_is_bound_to_a_volume_that_is_there_already_and_a_retained_one_is_kept() {
    let cluster = Cluster::with_node("4", "110").await;
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"}, "spec": {
        "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "manual",
        "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/nowhere"}}});
    cluster.create(kinds::PERSISTENT_VOLUMES, volume).await;
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {
        "storageClassName": "manual", "accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}});
    cluster.create(kinds::PERSISTENT_VOLUME_CLAIMS, claim).await;
    let phase = |resource, name: &'static str, phase: &'static str| {
        move |cluster: &Cluster| (cluster.get(resource, name)?["status"]["phase"] == phase).then_some(())
    };
    cluster.until("the binding", phase(kinds::PERSISTENT_VOLUME_CLAIMS, "data", "Bound")).await;
    cluster.until("the volume's phase", phase(kinds::PERSISTENT_VOLUMES, "disk", "Bound")).await;
    cluster.delete(kinds::PERSISTENT_VOLUME_CLAIMS, "data", Propagation::Background).await;
    cluster.until("the release", phase(kinds::PERSISTENT_VOLUMES, "disk", "Released")).await;
}

#[tokio::test]
async fn a_service_finds_ready_pods_and_a_balanced_one_has_an_address() {
    let cluster = Cluster::with_node("4", "110").await;
    cluster.create(kinds::DEPLOYMENTS, deployment("web", 2, &template("web", "run", "10m"))).await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {
        "type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    cluster.create(kinds::SERVICES, service).await;
    let slice = |cluster: &Cluster| {
        let slices = cluster.list(kinds::ENDPOINT_SLICES, "kubernetes.io/service-name=web");
        let endpoints = slices.first()?["endpoints"].as_array()?.clone();
        let ready = endpoints.iter().filter(|endpoint| endpoint["conditions"]["ready"] == true).count();
        (ready == 2).then(|| slices[0]["ports"].clone())
    };
    assert_eq!(cluster.until("endpoints", slice).await[0]["port"], 8080);
    let address = |cluster: &Cluster| {
        let service = cluster.get(kinds::SERVICES, "web")?;
        service.pointer("/status/loadBalancer/ingress/0/ip").cloned()
    };
    assert_eq!(cluster.until("the address", address).await, "127.0.0.1");
    cluster.delete(kinds::SERVICES, "web", Propagation::Background).await;
    cluster.until("the slice's end", |cluster| cluster.list(kinds::ENDPOINT_SLICES, "").is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_namespace_goes_with_all_that_is_in_it() {
    let cluster = Cluster::with_node("4", "110").await;
    cluster.namespace("gone").await;
    let mut web = deployment("web", 2, &template("web", "run", "10m"));
    web["metadata"]["namespace"] = "gone".into();
    cluster.create(kinds::DEPLOYMENTS, web).await;
    cluster.until("pods", |cluster| (cluster.list(kinds::PODS, "app=web").len() == 2).then_some(())).await;
    cluster.delete(kinds::NAMESPACES, "gone", Propagation::Background).await;
    cluster
        .until("the namespace's end", |cluster| cluster.get(kinds::NAMESPACES, "gone").is_none().then_some(()))
        .await;
    assert!(cluster.list(kinds::PODS, "app=web").is_empty());
    let left: Vec<Value> =
        cluster.list(kinds::CONFIG_MAPS, "").iter().map(|map| map["metadata"]["namespace"].clone()).collect();
    assert!(!left.contains(&json!("gone")));
}

#[tokio::test]
async fn five_hundred_pods_find_their_node() {
    let cluster = Cluster::with_node("100", "600").await;
    cluster.create(kinds::DEPLOYMENTS, deployment("many", 500, &template("many", "run", "10m"))).await;
    let available = |cluster: &Cluster| {
        (cluster.get(kinds::DEPLOYMENTS, "many")?["status"]["availableReplicas"] == 500).then_some(())
    };
    let started = std::time::Instant::now();
    cluster.until("all pods", available).await;
    println!("500 pods in {:?}", started.elapsed());
}
