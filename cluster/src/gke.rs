//! Clusters on Google Kubernetes Engine, with the network, accounts, disks and repository that belong to them.

use std::collections::BTreeMap;

use engine::{Address, Graph, GraphError, Need, Node, Registry as Behaviours};
use providers::gcp::Gcp;
use serde::Serialize;
use serde_json::json;

use crate::gke_spec::names;
use crate::{SECTION, context};

mod account;
mod address;
mod boot;
mod cluster;
mod data;
mod disk;
mod drain;
mod failure;
mod filestore;
mod find;
mod network;
mod node_pool;
mod preflight;
mod remains;
mod repository;
mod router;
mod service;
mod shape;
mod status;
mod subnetwork;
mod things;
mod whereabouts;

pub use data::data;
pub use find::{discover, find};
pub use preflight::{enable_compute, preflight};

pub use crate::gke_spec::{
    AddressStatus, Channel, Cloud, ClusterStatus, Data, Declared, Disk, FileServer, FileTier, Finding, Gpu, GpuDriver,
    Level, Network, NodePool, OtherZones, Place, PoolSize, PoolStatus, Registry, Spec, Taint, TaintEffect, is_zone,
    region_of,
};
pub use status::status;

/// The APIs that every cluster needs, and those that only some need.
const CONTAINER: &str = "container.googleapis.com";
const COMPUTE: &str = "compute.googleapis.com";
const ARTIFACT_REGISTRY: &str = "artifactregistry.googleapis.com";
const FILESTORE: &str = "file.googleapis.com";
const IAM: &str = "iam.googleapis.com";
const RESOURCE_MANAGER: &str = "cloudresourcemanager.googleapis.com";

impl Spec {
    /// The APIs that it needs.
    pub(crate) fn services(&self) -> Vec<&'static str> {
        let mut services = vec![CONTAINER, COMPUTE];
        services.extend(self.registry.as_ref().map(|_| ARTIFACT_REGISTRY));
        services.extend(self.file_servers.first().map(|_| FILESTORE));
        if self.service_account.is_none() {
            services.extend([IAM, RESOURCE_MANAGER]);
        }
        services
    }
}

/// Adds everything that the cluster is made of to the graph. Pure.
pub fn declare(spec: &Spec, graph: &mut Graph) -> Result<Declared, GraphError> {
    let builder = &mut Builder { spec, name: spec.name(), graph };
    let services: BTreeMap<&str, Address> = spec
        .services()
        .into_iter()
        .map(|service| Ok((service, builder.service(service)?)))
        .collect::<Result<_, _>>()?;
    let compute = &services[COMPUTE];
    let (network, subnetwork) = builder.network(compute)?;
    let account = match &spec.service_account {
        Some(_) => None,
        None => Some(builder.account(&services)?),
    };
    let named = |name: &String| name.clone();
    let mut disks = BTreeMap::new();
    for disk in &spec.disks {
        disks.insert(named(&disk.name), builder.disk(disk, compute)?);
    }
    let mut addresses = BTreeMap::new();
    for name in &spec.addresses {
        addresses.insert(named(name), builder.address(name, compute)?);
    }
    let mut file_servers = BTreeMap::new();
    for server in &spec.file_servers {
        let needs = network.iter().chain([&services[FILESTORE]]).cloned().collect();
        file_servers.insert(named(&server.name), builder.file_server(server, needs)?);
    }
    let repository = match &spec.registry {
        Some(registry) => Some(builder.repository(registry, &services[ARTIFACT_REGISTRY])?),
        None => None,
    };
    let remains = builder.remains(network.iter().chain(&subnetwork).chain([compute]).cloned().collect())?;
    let needs = [&services[CONTAINER], &remains].into_iter().chain(&subnetwork).chain(&account);
    let cluster = builder.cluster(needs.cloned().collect())?;
    let used = disks.values().chain(addresses.values()).chain(file_servers.values());
    builder.drain(&cluster, used.cloned().collect())?;
    for pool in &spec.node_pools {
        builder.node_pool(pool, &cluster)?;
    }
    let context = match &spec.user_kubeconfig {
        Some(file) => {
            Some(context::declare(file, (&builder.name, &spec.deployment), &spec.kubeconfig, &cluster, builder.graph)?)
        }
        None => None,
    };
    Ok(Declared { cluster, context, repository, disks, file_servers, addresses })
}

/// Adds the nodes of one cluster.
struct Builder<'a> {
    spec: &'a Spec,
    name: String,
    graph: &'a mut Graph,
}

impl Builder<'_> {
    fn add(
        &mut self,
        address: (&str, &str),
        title: String,
        inputs: &impl Serialize,
        needs: Vec<Need>,
    ) -> Result<Address, GraphError> {
        let mut node = Node::new(Address::new(address.0, address.1), title, SECTION);
        node.inputs = json!(inputs);
        node.needs = needs;
        self.put(node)
    }

    fn put(&mut self, node: Node) -> Result<Address, GraphError> {
        let address = node.address.clone();
        self.graph.add(node)?;
        Ok(address)
    }

    /// What the inputs of everything begin with.
    fn owner(&self) -> Owner {
        Owner { project: self.spec.project.clone(), deployment: self.spec.deployment.clone() }
    }

    fn service(&mut self, service: &str) -> Result<Address, GraphError> {
        let inputs = service::Inputs { project: self.spec.project.clone(), service: service.to_owned() };
        let mut node = Node::new(Address::new(service::KIND, service), format!("API {service}"), SECTION);
        node.inputs = json!(inputs);
        // An API stays enabled: others may use it by now.
        node.lasting = false;
        self.put(node)
    }

    /// The network and the subnetwork, where they are of the deployment's own.
    fn network(&mut self, compute: &Address) -> Result<(Option<Address>, Option<Address>), GraphError> {
        let Network::Own { range } = &self.spec.network else { return Ok((None, None)) };
        let (name, owner, region) = (self.name.clone(), self.owner(), self.spec.place.region().to_owned());
        let inputs = network::Inputs { owner: owner.clone(), name: name.clone() };
        let network =
            self.add((network::KIND, &name), format!("network {name}"), &inputs, vec![compute.clone().into()])?;
        let needs: Vec<Need> = vec![network.clone().into()];
        let inputs = subnetwork::Inputs {
            owner: owner.clone(),
            region: region.clone(),
            name: name.clone(),
            network: name.clone(),
            range: range.clone(),
        };
        let title = format!("subnetwork {name} ({range}, {region})");
        let subnetwork = self.add((subnetwork::KIND, &name), title, &inputs, needs.clone())?;
        if self.spec.private_nodes {
            let inputs = router::Inputs { owner, region, name: name.clone(), network: name.clone() };
            self.add((router::KIND, &name), format!("router {name} with NAT"), &inputs, needs)?;
        }
        Ok((Some(network), Some(subnetwork)))
    }

    fn account(&mut self, services: &BTreeMap<&str, Address>) -> Result<Address, GraphError> {
        let id = names::service_account_id(&self.spec.deployment);
        let inputs = account::Inputs {
            owner: self.owner(),
            id: id.clone(),
            roles: account::ROLES.iter().map(|role| (*role).to_owned()).collect(),
        };
        let needs = vec![services[IAM].clone().into(), services[RESOURCE_MANAGER].clone().into()];
        self.add((account::KIND, &id), format!("service account {id} of the nodes"), &inputs, needs)
    }

    fn disk(&mut self, disk: &Disk, compute: &Address) -> Result<Address, GraphError> {
        let name = names::part(&self.spec.deployment, &disk.name);
        let zone = disk.zone.clone().unwrap_or_else(|| self.spec.place.first_zone());
        let inputs = disk::Inputs {
            owner: self.owner(),
            zone: zone.clone(),
            name: name.clone(),
            size_gigabytes: disk.size_gigabytes,
            disk_type: disk.disk_type.clone().unwrap_or_else(|| "pd-balanced".to_owned()),
            snapshot: disk.snapshot,
        };
        let title = format!("disk {name} ({} GB, {zone})", disk.size_gigabytes);
        self.add((disk::KIND, &name), title, &inputs, vec![compute.clone().into()])
    }

    fn file_server(&mut self, server: &FileServer, needs: Vec<Address>) -> Result<Address, GraphError> {
        let name = names::part(&self.spec.deployment, &server.name);
        let location = server.location(&self.spec.place);
        let network = match &self.spec.network {
            Network::Own { .. } => self.name.clone(),
            Network::Given { network, .. } => network.clone(),
        };
        let title = format!("Filestore instance {name} ({} GB, {location})", server.capacity_gibibytes);
        let inputs = filestore::Inputs {
            owner: self.owner(),
            location,
            name: name.clone(),
            tier: server.tier.api_name().to_owned(),
            capacity_gibibytes: server.capacity_gibibytes,
            network,
        };
        self.add((filestore::KIND, &name), title, &inputs, needs.into_iter().map(Need::from).collect())
    }

    fn address(&mut self, name: &str, compute: &Address) -> Result<Address, GraphError> {
        let name = names::part(&self.spec.deployment, name);
        let region = self.spec.place.region().to_owned();
        let title = format!("static address {name} ({region})");
        let inputs = address::Inputs { owner: self.owner(), region, name: name.clone() };
        self.add((address::KIND, &name), title, &inputs, vec![compute.clone().into()])
    }

    fn repository(&mut self, registry: &Registry, service: &Address) -> Result<Address, GraphError> {
        let name = self.name.clone();
        let inputs =
            repository::Inputs { owner: self.owner(), location: registry.location.clone(), name: name.clone() };
        let title = format!("image repository {name} ({})", registry.location);
        self.add((repository::KIND, &name), title, &inputs, vec![service.clone().into()])
    }

    /// What is left behind is removed after the cluster and before the network.
    fn remains(&mut self, needs: Vec<Address>) -> Result<Address, GraphError> {
        let (network, own_network) = match &self.spec.network {
            Network::Own { .. } => (self.name.clone(), true),
            Network::Given { network, .. } => (network.clone(), false),
        };
        let inputs = remains::Inputs {
            owner: self.owner(),
            cluster: self.name.clone(),
            place: self.spec.place.clone(),
            network,
            own_network,
        };
        let title = format!("leftovers of {}", self.name);
        let name = self.name.clone();
        self.add((remains::KIND, &name), title, &inputs, needs.into_iter().map(Need::from).collect())
    }

    fn cluster(&mut self, needs: Vec<Address>) -> Result<Address, GraphError> {
        let (spec, name) = (self.spec, self.name.clone());
        let (network, subnetwork) = match &spec.network {
            Network::Own { .. } => (name.clone(), Some(name.clone())),
            Network::Given { network, subnetwork } => (network.clone(), subnetwork.clone()),
        };
        let inputs = cluster::Inputs {
            owner: self.owner(),
            name: name.clone(),
            place: spec.place.clone(),
            version: spec.version.clone(),
            channel: spec.channel,
            network,
            subnetwork,
            private_nodes: spec.private_nodes,
            workload_identity: spec.workload_identity,
            service_account: spec.node_account(),
            first_pool: spec.node_pools[0].clone(),
            kubeconfig: spec.kubeconfig.clone(),
            token_program: spec.token_program.clone(),
        };
        let title = format!("GKE cluster {name} ({})", spec.place.location());
        self.add((cluster::KIND, &name), title, &inputs, needs.into_iter().map(Need::from).collect())
    }

    /// Load balancers and volumes go before the cluster, while their controllers run, and before what they use.
    fn drain(&mut self, cluster: &Address, uses: Vec<Address>) -> Result<Address, GraphError> {
        let inputs = drain::Inputs {
            owner: self.owner(),
            cluster: self.name.clone(),
            place: self.spec.place.clone(),
            kubeconfig: self.spec.kubeconfig.clone(),
        };
        let needs = uses.into_iter().map(Need::from).chain([Need::milestone(cluster.clone(), cluster::API)]);
        let (name, title) = (self.name.clone(), format!("load balancers and volumes of {}", self.name));
        self.add((drain::KIND, &name), title, &inputs, needs.collect())
    }

    fn node_pool(&mut self, pool: &NodePool, cluster: &Address) -> Result<Address, GraphError> {
        let inputs = node_pool::Inputs {
            owner: self.owner(),
            cluster: self.name.clone(),
            place: self.spec.place.clone(),
            service_account: self.spec.node_account(),
            workload_identity: self.spec.workload_identity,
            pool: pool.clone(),
        };
        let title = format!("node pool {} ({})", pool.name, shape::size_text(pool));
        let mut node = Node::new(Address::new(node_pool::KIND, &pool.name), title, SECTION);
        node.inputs = json!(inputs);
        node.needs = vec![cluster.clone().into()];
        node.within = Some(cluster.clone());
        self.put(node)
    }
}

/// Whose something is: what the inputs of every kind begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) struct Owner {
    pub(crate) project: String,
    pub(crate) deployment: String,
}

/// Sets the behaviour of all kinds that [`declare`] adds.
pub fn register(registry: &mut Behaviours, gcp: &Gcp) {
    registry.register(service::KIND, service::Services(gcp.clone()));
    registry.register(network::KIND, network::Networks::new(gcp));
    registry.register(subnetwork::KIND, subnetwork::Subnetworks::new(gcp));
    registry.register(router::KIND, router::Routers::new(gcp));
    registry.register(account::KIND, account::Accounts::new(gcp));
    registry.register(disk::KIND, disk::Disks::new(gcp));
    registry.register(filestore::KIND, filestore::Filestores::new(gcp));
    registry.register(address::KIND, address::Addresses::new(gcp));
    registry.register(repository::KIND, repository::Repositories::new(gcp));
    registry.register(remains::KIND, remains::Leftovers { gcp: gcp.clone(), keeps_data: false });
    registry.register(cluster::KIND, cluster::Clusters(gcp.clone()));
    registry.register(node_pool::KIND, node_pool::NodePools(gcp.clone()));
    registry.register(drain::KIND, drain::Drains { gcp: gcp.clone(), keeps_data: false });
    registry.register(context::KIND, context::KubeconfigContext);
}

/// Has deletions keep the disks that were made for claims, from now on. Those that stand alone are kept by leaving them out of the
/// plan ([`engine::Plan::leaving`]); [`data`] tells all of them.
pub fn keep_data(registry: &mut Behaviours, gcp: &Gcp) {
    registry.register(remains::KIND, remains::Leftovers { gcp: gcp.clone(), keeps_data: true });
    registry.register(drain::KIND, drain::Drains { gcp: gcp.clone(), keeps_data: true });
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn spec() -> Spec {
        let pool = |name: &str, more: Value| {
            let mut pool = json!({ "name": name, "machine_type": "e2-standard-4" });
            pool.as_object_mut().expect("a table").extend(more.as_object().cloned().unwrap_or_default());
            serde_json::from_value(pool).expect("a node pool")
        };
        let gpu = json!({
            "size": { "autoscaling": { "min": 0, "max": 2 } },
            "spot": true,
            "gpu": { "type": "nvidia-tesla-t4", "count": 1, "driver": "latest" },
            "labels": { "tier": "gpu" },
            "taints": [{ "key": "dedicated", "value": "gpu", "effect": "NoSchedule" }],
            "zones": ["us-central1-a"],
        });
        Spec {
            deployment: "demo".to_owned(),
            project: "a-project".to_owned(),
            place: Place::Zone { zone: "us-central1-a".to_owned(), others: OtherZones::Any },
            version: Some("1.34".to_owned()),
            channel: Some(Channel::Regular),
            network: Network::default(),
            private_nodes: true,
            workload_identity: true,
            service_account: None,
            node_pools: vec![pool("default-pool", json!({ "size": { "count": 2 } })), pool("gpu", gpu)],
            disks: vec![Disk {
                name: "data".to_owned(),
                size_gigabytes: 100,
                disk_type: Some("pd-ssd".to_owned()),
                zone: None,
                snapshot: true,
            }],
            file_servers: vec![FileServer {
                name: "files".to_owned(),
                tier: FileTier::BasicHdd,
                capacity_gibibytes: 1024,
                zone: None,
            }],
            addresses: vec!["web".to_owned()],
            load_balancers: 1,
            claims_gigabytes: 10,
            registry: Some(Registry { location: "us-central1".to_owned() }),
            kubeconfig: "/state/demo/kubeconfig".into(),
            user_kubeconfig: Some("/home/me/.kube/config".into()),
            token_program: vec!["infra".to_owned(), "token".to_owned()],
        }
    }

    fn declared(spec: &Spec) -> Graph {
        let mut graph = Graph::default();
        declare(spec, &mut graph).unwrap();
        graph
    }

    #[test]
    fn a_deployment_declares_everything_that_a_cluster_needs_and_leaves() {
        let graph = declared(&spec());
        insta::assert_json_snapshot!("graph", graph.in_order().unwrap());
    }

    #[test]
    fn what_exists_is_used_and_not_declared() {
        let network = Network::Given { network: "shared".to_owned(), subnetwork: Some("nodes".to_owned()) };
        let account = Some("nodes@a-project.iam.gserviceaccount.com".to_owned());
        let spec = Spec { network, service_account: account, private_nodes: false, registry: None, ..spec() };
        let graph = declared(&spec);
        let kinds: std::collections::BTreeSet<&str> = graph.nodes().map(|node| node.address.kind()).collect();
        for absent in ["gcp-network", "gcp-subnetwork", "gcp-router", "gcp-service-account", "artifact-repository"] {
            assert!(!kinds.contains(absent), "{absent}");
        }
        let cluster = graph.nodes().find(|node| node.address.kind() == cluster::KIND).unwrap();
        assert_eq!((&cluster.inputs["network"], &cluster.inputs["subnetwork"]), (&json!("shared"), &json!("nodes")));
    }

    /// What is sent to Google is a table of the API's own fields: the simulator refuses others.
    #[test]
    fn a_cluster_is_sent_with_all_that_was_asked_for() {
        let graph = declared(&spec());
        let of_kind = |kind: &str| graph.nodes().find(|node| node.address.kind() == kind).unwrap();
        let inputs: cluster::Inputs = serde_json::from_value(of_kind(cluster::KIND).inputs.clone()).unwrap();
        insta::assert_json_snapshot!("sent_cluster", json!(*shape::cluster(&inputs)));
        let pool = graph.get(&Address::new(node_pool::KIND, "gpu")).unwrap();
        let inputs: node_pool::Inputs = serde_json::from_value(pool.inputs.clone()).unwrap();
        let sent = shape::node_pool(&shape::PoolOf {
            owner: &inputs.owner,
            pool: &inputs.pool,
            service_account: &inputs.service_account,
            workload_identity: true,
        });
        insta::assert_json_snapshot!("sent_pool", json!(sent));
    }
}
