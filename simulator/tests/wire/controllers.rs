//! The controllers in a cluster, with a real API server behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apiserver::streams::{Duplex, ExecOptions, ExecSession, LogOptions, LogStream, PodStreams};
use apiserver::{Api, Status, User, WriteOptions};
use async_trait::async_trait;
use serde_json::{Value, json};
use simulator::{ClusterError, ClusterShape, Clusters, Faults, Kubernetes, LeaveBehind, NodeShape, Options};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{COMPUTE, Cloud, ZONE, create, options, with};

/// An API server without nodes.
struct Server {
    api: Api,
    address: SocketAddr,
    _folder: tempfile::TempDir,
    _stop: tokio_util::sync::DropGuard,
}

struct NoNode;

fn no_node() -> Status {
    Status::new(501, "NotImplemented", "there is no node here")
}

#[async_trait]
impl PodStreams for NoNode {
    async fn logs(&self, _: &Value, _: &str, _: LogOptions) -> Result<LogStream, Status> {
        Err(no_node())
    }

    async fn exec(&self, _: &Value, _: &str, _: ExecOptions) -> Result<ExecSession, Status> {
        Err(no_node())
    }

    async fn connect(&self, _: &Value, _: u16) -> Result<Box<dyn Duplex>, Status> {
        Err(no_node())
    }
}

/// Stands behind the one cluster of a test.
struct Behind(Arc<Server>);

#[async_trait]
impl Clusters for Behind {
    async fn start(&self, cluster: &ClusterShape) -> Result<Kubernetes, ClusterError> {
        assert!(cluster.nodes.iter().all(|node| node.labels["cloud.google.com/gke-nodepool"] == "default-pool"));
        let credentials = self.0.api.credentials();
        Ok(Kubernetes {
            endpoint: self.0.address.to_string(),
            ca_certificate: credentials.authority.clone().into_bytes(),
            kubeconfig: credentials.kubeconfig(&format!("https://{}", self.0.address)),
        })
    }

    async fn set_nodes(&self, _: &str, _: &[NodeShape]) -> Result<(), ClusterError> {
        Ok(())
    }

    async fn stop(&self, _: &str) -> Result<(), ClusterError> {
        Ok(())
    }
}

async fn server() -> Arc<Server> {
    let folder = tempfile::tempdir().unwrap();
    let options = apiserver::Options { volume_drivers: vec!["pd.csi.storage.gke.io".into()], ..Default::default() };
    let api = Api::open(folder.path(), &options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let streams = Arc::new(NoNode);
    tokio::spawn(apiserver::serve(api.clone(), listener, streams, stop.clone()));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}});
    api.create(&User::system("test"), kinds::NAMESPACES, "", namespace, &WriteOptions::default()).await.unwrap();
    Arc::new(Server { api, address, _folder: folder, _stop: stop.drop_guard() })
}

impl Server {
    async fn make(&self, resource: &'static kinds::Resource, space: &str, object: Value) -> Value {
        let made = self.api.create(&User::system("test"), resource, space, object, &WriteOptions::default()).await;
        (*made.unwrap()).clone()
    }

    fn service(&self) -> Option<Value> {
        self.api.get(kinds::SERVICES, "default", "web").ok().map(|service| (*service).clone())
    }
}

/// Waits until something is so.
async fn until(what: &str, is: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn cluster(leave_behind: LeaveBehind) -> (Cloud, Arc<Server>) {
    let server = server().await;
    let faults = Faults { leave_behind, ..Faults::default() };
    let cloud =
        with(Options { speed: 600.0, clusters: Arc::new(Behind(Arc::clone(&server))), faults, ..options() }).await;
    let operation = cloud.post(&format!("{ZONE}/clusters"), create("c", 1)).await;
    cloud.done(&operation).await;
    (cloud, server)
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.9", "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]}})
}

fn volume(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {"capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"], "storageClassName": "standard-rwo", "persistentVolumeReclaimPolicy": "Delete",
        "claimRef": {"name": "data", "namespace": "default"},
        "csi": {"driver": "pd.csi.storage.gke.io", "volumeHandle": "x"}}})
}

fn has(cloud: &Cloud, kind: &str, start: &str) -> bool {
    cloud.left().iter().any(|(known, name)| known == kind && name.starts_with(start))
}

#[tokio::test]
async fn a_service_gets_a_load_balancer_which_goes_with_it() {
    let (cloud, server) = cluster(LeaveBehind::Always).await;
    server.make(kinds::SERVICES, "default", service()).await;
    until("a forwarding rule", || has(&cloud, "forwardingRules", "a")).await;
    let ingress = || {
        server
            .service()
            .map(|service| service["status"]["loadBalancer"]["ingress"][0]["ip"].clone())
            .unwrap_or_default()
    };
    until("an address", || ingress().is_string()).await;
    let rules = cloud.get(&format!("{COMPUTE}/regions/us-central1/forwardingRules")).await;
    assert_eq!(rules["items"][0]["IPAddress"], ingress());
    assert!(rules["items"][0]["description"].as_str().unwrap().contains("default/web"));
    for (kind, start) in [("targetPools", "a"), ("httpHealthChecks", "k8s-"), ("firewalls", "k8s-fw-a")] {
        assert!(has(&cloud, kind, start), "{kind}");
    }
    let options = apiserver::DeleteOptions::default();
    server.api.delete(&User::system("test"), kinds::SERVICES, ("default", "web"), &options).await.unwrap();
    assert!(server.service().is_some(), "the finalizer holds it");
    until("the Service's end", || server.service().is_none()).await;
    assert!(
        !has(&cloud, "forwardingRules", "") && !has(&cloud, "targetPools", "") && !has(&cloud, "firewalls", "k8s-")
    );
}

#[tokio::test]
async fn a_claims_disk_comes_and_goes_with_its_volume() {
    let (cloud, server) = cluster(LeaveBehind::Always).await;
    server.make(kinds::PERSISTENT_VOLUMES, "", volume("pvc-1")).await;
    until("a disk", || has(&cloud, "disks", "pvc-1")).await;
    let disk = cloud.get(&format!("{COMPUTE}/zones/us-central1-a/disks/pvc-1")).await;
    assert_eq!((&disk["sizeGb"], &disk["labels"]["infra-deployment"]), (&json!("20"), &json!("test")));
    let (status, message) =
        cloud.refused("DELETE", &format!("{COMPUTE}/zones/us-central1-a/disks/pvc-1"), Value::Null).await;
    assert!(
        status == 400
            && message.contains("is already being used by 'projects/demo/zones/us-central1-a/instances/gke-c-")
    );
    let options = apiserver::DeleteOptions::default();
    server.api.delete(&User::system("test"), kinds::PERSISTENT_VOLUMES, ("", "pvc-1"), &options).await.unwrap();
    until("the disk's end", || !has(&cloud, "disks", "pvc-")).await;
}

#[tokio::test]
async fn a_cluster_that_goes_first_leaves_what_its_controllers_made() {
    for (leaves, left) in [(LeaveBehind::Always, 6), (LeaveBehind::Never, 0)] {
        let (cloud, server) = cluster(leaves).await;
        server.make(kinds::SERVICES, "default", service()).await;
        server.make(kinds::PERSISTENT_VOLUMES, "", volume("pvc-1")).await;
        until("both", || has(&cloud, "forwardingRules", "a") && has(&cloud, "disks", "pvc-1")).await;
        cloud.done(&cloud.delete(&format!("{ZONE}/clusters/c")).await).await;
        let seen = cloud.left();
        assert_eq!(seen.len(), left, "{leaves:?}: {seen:?}");
    }
}

#[tokio::test]
async fn a_disk_that_a_bound_volume_names_is_attached_until_the_cluster_goes() {
    let (cloud, server) = cluster(LeaveBehind::Always).await;
    let disk = format!("{COMPUTE}/zones/us-central1-a/disks/d");
    cloud.done(&cloud.post(disk.trim_end_matches("/d"), json!({"name": "d", "sizeGb": "10"})).await).await;
    let mut volume = volume("data");
    volume["spec"]["csi"]["volumeHandle"] = json!("projects/demo/zones/us-central1-a/disks/d");
    server.make(kinds::PERSISTENT_VOLUMES, "", volume).await;
    let by = User::system("test");
    let bound = server.api.modify(&by, kinds::PERSISTENT_VOLUMES, Some("status"), ("", "data"), |volume| {
        volume["status"] = json!({"phase": "Bound"});
        true
    });
    bound.await.unwrap();
    for _ in 0..500 {
        if cloud.get(&disk).await["users"].is_array() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(cloud.ask("DELETE", &disk, Value::Null).await.0, 400);
    cloud.done(&cloud.delete(&format!("{ZONE}/clusters/c")).await).await;
    cloud.done(&cloud.delete(&disk).await).await;
    assert_eq!(cloud.left(), []);
}
