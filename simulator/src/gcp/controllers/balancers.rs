//! Load balancers for Services of type `LoadBalancer`.
//!
//! The external one is of target pool, forwarding rule, health check and firewall rules, the internal one (by annotation) of
//! backend service, forwarding rule, health check and firewall rules: what GKE's own controllers make. A finalizer keeps the
//! Service until all of it is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Change, Cluster, changes};
use crate::gcp::compute::{self, refresh_addresses};
use crate::gcp::world::World;
use crate::gcp::{container, prices::last};

const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
/// The port at which nodes tell whether they are well.
const HEALTH_PORT: u16 = 10256;

/// Follows the Services of a cluster.
pub(super) async fn follow(cluster: Cluster) {
    let api: Api<Service> = Api::all(cluster.client.clone());
    let events = watcher(api, watcher::Config::default()).default_backoff();
    let mut turns: BTreeMap<String, Arc<Mutex<()>>> = BTreeMap::new();
    let following = changes(&cluster, events, wanted, |change| {
        let (Change::Wanted(service) | Change::Unwanted(service)) = &change;
        // What is done for one Service is done in its order.
        let turn = Arc::clone(turns.entry(name(service)).or_default());
        let cluster = cluster.clone();
        async move {
            let tasks = cluster.gcp.tasks.clone();
            tasks.spawn(async move {
                let _turn = turn.lock().await;
                match change {
                    Change::Wanted(service) => raise(&cluster, &service).await,
                    Change::Unwanted(service) => lower(&cluster, &service).await,
                }
            });
        }
    });
    Box::pin(following).await;
}

fn wanted(service: &Service) -> bool {
    let balancer = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    balancer && service.metadata.deletion_timestamp.is_none()
}

/// The name of a load balancer: `a` and the Service's identifier.
fn name(service: &Service) -> String {
    let uid = service.metadata.uid.as_deref().unwrap_or_default().replace('-', "");
    format!("a{uid}").chars().take(32).collect()
}

fn annotation<'a>(service: &'a Service, name: &str) -> Option<&'a str> {
    service.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

fn is_internal(service: &Service) -> bool {
    annotation(service, "networking.gke.io/load-balancer-type")
        .is_some_and(|kind| kind.eq_ignore_ascii_case("internal"))
}

fn titled(service: &Service) -> (String, String) {
    (service.metadata.namespace.clone().unwrap_or_default(), service.metadata.name.clone().unwrap_or_default())
}

async fn raise(cluster: &Cluster, service: &Service) {
    let (space, title) = titled(service);
    let api: Api<Service> = Api::namespaced(cluster.client.clone(), &space);
    finalize(&api, &title, true).await;
    if !cluster.pause("loadBalancer.create", &name(service)).await {
        return;
    }
    let address = cluster.change(&format!("services {space}/{title}"), |world| make(cluster, world, service));
    let Some(address) = address else { return };
    // A Kubernetes that has load balancers of its own tells where it is really reached.
    let current = api.get_status(&title).await.ok().and_then(|service| service.status?.load_balancer?.ingress);
    if current.is_none_or(|ingress| ingress.is_empty()) {
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}});
        let _ = api.patch_status(&title, &PatchParams::default(), &Patch::Merge(status)).await;
    }
}

/// Sets or takes the finalizer. A Service that is gone has none.
async fn finalize(api: &Api<Service>, title: &str, set: bool) {
    let Ok(service) = api.get(title).await else { return };
    let mut all = service.metadata.finalizers.unwrap_or_default();
    let before = all.len();
    all.retain(|known| known != FINALIZER);
    if set && service.metadata.deletion_timestamp.is_none() {
        all.push(FINALIZER.to_owned());
    }
    if all.len() != before {
        let patch = json!({"metadata": {"finalizers": all, "resourceVersion": service.metadata.resource_version}});
        let done = api.patch(title, &PatchParams::default(), &Patch::Merge(&patch)).await;
        if done.is_err() {
            // Somebody else changed it meanwhile: once more, without the version.
            let patch = json!({"metadata": {"finalizers": all}});
            let _ = api.patch(title, &PatchParams::default(), &Patch::Merge(&patch)).await;
        }
    }
}

/// The address that a Service asks for, as far as it is reserved. An error where it is not.
fn reserved(cluster: &Cluster, world: &World, service: &Service) -> Result<Option<String>, ()> {
    let by_name = annotation(service, "networking.gke.io/load-balancer-ip-addresses");
    let by_address =
        service.spec.as_ref().and_then(|spec| spec.load_balancer_ip.clone()).filter(|address| !address.is_empty());
    let prefix = format!("compute/projects/{}/regions/{}/addresses/", cluster.project, cluster.region());
    let mut all = world.things.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
    let text = |body: &Value| body["address"].as_str().map(str::to_owned);
    if let Some(name) = by_name {
        return all.find(|(key, _)| last(&json!(key)) == name).map(|(_, thing)| text(&thing.body)).ok_or(());
    }
    let Some(address) = by_address else { return Ok(None) };
    all.find(|(_, thing)| thing.body["address"] == address.as_str()).map(|_| Some(address)).ok_or(())
}

/// The key of a forwarding rule of the cluster's region.
fn rule_key(cluster: &Cluster, name: &str) -> String {
    format!("compute/projects/{}/regions/{}/forwardingRules/{name}", cluster.project, cluster.region())
}

/// Makes a load balancer at once. Gives its address; nothing where it cannot be had.
fn make(cluster: &Cluster, world: &mut World, service: &Service) -> Option<String> {
    let key = cluster.key(world)?;
    let (balancer, (space, title)) = (name(service), titled(service));
    let Ok(asked) = reserved(cluster, world, service) else { return None };
    let of = &world.things[&key].body;
    let network = compute::link(&format!("projects/{}/global/networks/{}", cluster.project, last(&of["network"])));
    let short: String = cluster.id.chars().take(16).collect();
    let region = format!("projects/{}/regions/{}", cluster.project, cluster.region());
    let global = format!("projects/{}/global", cluster.project);
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.clone()).unwrap_or_default();
    let ports: Vec<String> = ports.iter().map(|port| port.port.to_string()).collect();
    let description = json!({"kubernetes.io/service-name": format!("{space}/{title}")}).to_string();
    let machines: Vec<Value> = container::machines_of(world, &key)
        .map(|(_, node)| {
            json!(compute::link(&format!("projects/{}/zones/{}/instances/{}", cluster.project, node.zone, node.name)))
        })
        .collect();
    let mut rule = json!({"description": description, "IPProtocol": "TCP"});
    if let Some(address) = asked {
        rule["IPAddress"] = json!(address);
    }
    let check = json!({"description": description, "checkIntervalSec": 8, "timeoutSec": 1, "unhealthyThreshold": 3, "healthyThreshold": 1});
    if is_internal(service) {
        let health = format!("{global}/healthChecks/k8s2-{short}-l4-shared-hc");
        let mut check = check;
        check["type"] = json!("HTTP");
        check["httpHealthCheck"] = json!({"port": HEALTH_PORT, "requestPath": "/healthz"});
        cluster.make(world, &health, "healthChecks", check);
        let backend = format!("{region}/backendServices/k8s2-{short}-{balancer}");
        let body = json!({"description": description, "protocol": "TCP", "loadBalancingScheme": "INTERNAL",
            "healthChecks": [compute::link(&health)]});
        cluster.make(world, &backend, "regionBackendServices", body);
        rule["backendService"] = json!(compute::link(&backend));
        rule["loadBalancingScheme"] = json!("INTERNAL");
        rule["network"] = json!(network);
        rule["ports"] = json!(ports);
    } else {
        let health = format!("{global}/httpHealthChecks/k8s-{short}-node");
        let mut check = check;
        check["port"] = json!(HEALTH_PORT);
        check["requestPath"] = json!("/healthz");
        cluster.make(world, &health, "httpHealthChecks", check);
        let pool = format!("{region}/targetPools/{balancer}");
        let body = json!({"description": description, "instances": machines, "healthChecks": [compute::link(&health)]});
        cluster.make(world, &pool, "targetPools", body);
        rule["target"] = json!(compute::link(&pool));
        let numbers: Vec<u16> = ports.iter().filter_map(|port| port.parse().ok()).collect();
        let (low, high) = (numbers.iter().min().unwrap_or(&1), numbers.iter().max().unwrap_or(&65535));
        rule["portRange"] = json!(format!("{low}-{high}"));
    }
    let allow = |ports: Vec<String>, ranges: Value| json!({"network": network, "description": description, "sourceRanges": ranges, "allowed": [{"IPProtocol": "tcp", "ports": ports}]});
    cluster.make(
        world,
        &format!("{global}/firewalls/k8s-fw-{balancer}"),
        "firewalls",
        allow(ports, json!(["0.0.0.0/0"])),
    );
    let probes = json!(["130.211.0.0/22", "209.85.152.0/22", "209.85.204.0/22", "35.191.0.0/16"]);
    let health_rule = format!("{global}/firewalls/k8s-{short}-node-http-hc");
    cluster.make(world, &health_rule, "firewalls", allow(vec![HEALTH_PORT.to_string()], probes));
    cluster.make(world, &format!("{region}/forwardingRules/{balancer}"), "forwardingRules", rule);
    refresh_addresses(world, &cluster.project);
    world
        .things
        .get(&rule_key(cluster, &balancer))
        .and_then(|thing| thing.body["IPAddress"].as_str().map(str::to_owned))
}

async fn lower(cluster: &Cluster, service: &Service) {
    let (space, title) = titled(service);
    let balancer = name(service);
    if !cluster.pause("loadBalancer.delete", &balancer).await {
        return;
    }
    cluster.change(&format!("services {space}/{title}"), |world| {
        let mine = |key: &&String| key.ends_with(&balancer);
        let made: Vec<String> = world.made_in.get(&cluster.id).into_iter().flatten().filter(mine).cloned().collect();
        for key in made {
            cluster.unmake(world, &key);
        }
        // What all load balancers of a cluster share goes with the last one.
        let left = world.made_in.get(&cluster.id).into_iter().flatten();
        let left: Vec<String> = left.cloned().collect();
        if !left.iter().any(|key| key.contains("/forwardingRules/")) {
            left.iter().filter(|key| !key.contains("/disks/")).for_each(|key| cluster.unmake(world, key));
        }
        refresh_addresses(world, &cluster.project);
    });
    let api: Api<Service> = Api::namespaced(cluster.client.clone(), &space);
    finalize(&api, &title, false).await;
}
