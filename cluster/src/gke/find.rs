//! A deployment recovered from Google Cloud alone: by names, labels and marks.

use std::path::Path;

use async_trait::async_trait;
use engine::{Address, Deployment, Discover, Discovered, Failure, Need, Node};
use futures::future::{join_all, try_join};
use providers::gcp::container::model::{self, node_taint, release_channel};
use providers::gcp::{Error, FileServer, Gcp, Left, LeftKind};
use providers::kubeconfig;
use serde::Serialize;
use serde_json::{Value, json};

use super::cluster::{self, outputs};
use super::whereabouts::Located;
use super::{
    Channel, Gpu, GpuDriver, NodePool, OtherZones, Owner, Place, PoolSize, Taint, TaintEffect, account, address, boot,
    data, disk, drain, failure, filestore, is_zone, names, network, node_pool, region_of, remains, repository, router,
    shape, subnetwork,
};
use crate::SECTION;

/// Places of repositories that are larger than a region.
const MULTI_REGIONS: [&str; 3] = ["us", "europe", "asia"];

/// Finds everything of a deployment in the project of `gcp`. `token_program` is what a kubeconfig that is written anew shall run for
/// tokens.
pub fn discover(gcp: &Gcp, token_program: Vec<String>) -> impl Discover + use<> {
    InProject { gcp: gcp.clone(), token_program }
}

/// Recovers the nodes of a deployment without its journal. What they say is enough to delete them. Empty when nothing is left of it.
/// `kubeconfig` is where the deployment's own would be.
pub async fn find(gcp: &Gcp, deployment: &str, kubeconfig: &Path) -> Result<Vec<Node>, Error> {
    let found = Finder::look(gcp, deployment, kubeconfig, Vec::new()).await?.discovered();
    Ok(found.into_iter().map(|found| found.node).collect())
}

struct InProject {
    gcp: Gcp,
    token_program: Vec<String>,
}

#[async_trait]
impl Discover for InProject {
    fn place(&self) -> String {
        format!("the project {} in Google Cloud", self.gcp.project())
    }

    async fn discover(&self, deployment: &Deployment, _before: &[Discovered]) -> Result<Vec<Discovered>, Failure> {
        let (name, kubeconfig) = (deployment.name(), deployment.kubeconfig());
        let finder = Finder::look(&self.gcp, name, &kubeconfig, self.token_program.clone()).await;
        let finder =
            finder.map_err(|error| failure::of(format!("look for {name} in {}", self.gcp.project()), error))?;
        if let Some(inputs) = finder.cluster_inputs()
            && let Some(located) = &finder.cluster
            && let Some(entry) = boot::entry(&inputs, &located.cluster)
        {
            kubeconfig::write_private(&kubeconfig, &inputs.name, &entry).map_err(crate::failure::kubeconfig)?;
        }
        Ok(finder.discovered())
    }
}

/// What was found of a deployment.
struct Finder<'a> {
    owner: Owner,
    name: String,
    kubeconfig: &'a Path,
    token_program: Vec<String>,
    cluster: Option<Located>,
    /// Whether there is a network of its own.
    network: bool,
    /// What carries a mark or a label: subnetworks, routers, addresses, disks.
    marked: Vec<(Left, Value)>,
    account: bool,
    file_servers: Vec<FileServer>,
    repositories: Vec<String>,
}

impl<'a> Finder<'a> {
    async fn look(
        gcp: &Gcp,
        deployment: &str,
        kubeconfig: &'a Path,
        token_program: Vec<String>,
    ) -> Result<Self, Error> {
        let owner = Owner { project: gcp.project().to_owned(), deployment: deployment.to_owned() };
        let (name, mark) = (names::name(deployment), names::mark(deployment));
        let kinds = [LeftKind::Subnetwork, LeftKind::Router, LeftKind::Address, LeftKind::Disk];
        let lists = join_all(kinds.map(|kind| gcp.left_with_data(kind)));
        let (((clusters, _), network), lists) =
            try_join(try_join(gcp.clusters(), gcp.network(&name)), async { Ok(lists.await) }).await?;
        let ours = |cluster: &model::Cluster| {
            cluster.resource_labels.get(names::LABEL).is_some_and(|label| label == deployment)
        };
        let cluster = clusters.into_iter().find(ours).map(Located::new);
        let is_ours = |left: &Left| {
            let label = left.labels.get(names::LABEL).is_some_and(|label| label == deployment);
            // What controllers made is labelled, too; it is swept, and not known as a node of the graph. Without a cluster, disks
            // of claims are data that was kept.
            let is_data = left.kind == LeftKind::Disk && cluster.is_none() && left.scope.starts_with("zones/");
            left.description == mark || (label && (left.name.starts_with("infra-") || is_data))
        };
        let mut marked = Vec::new();
        for list in lists {
            marked.extend(list?.into_iter().filter(|(left, _)| is_ours(left)));
        }
        let email = names::service_account(gcp.project(), deployment);
        let account = match gcp.service_account(&email).await {
            Ok(found) => found.is_some_and(|found| found.description == mark),
            Err(Error::ApiDisabled { .. }) => false,
            Err(error) => return Err(error),
        };
        let file_servers = match gcp.file_servers().await {
            Ok(all) => all.into_iter().filter(|server| server.description == mark).collect(),
            Err(Error::ApiDisabled { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let network = network.is_some_and(|network| network.description.as_deref() == Some(&mark));
        let mut finder = Self {
            owner,
            name,
            kubeconfig,
            token_program,
            cluster,
            network,
            marked,
            account,
            file_servers,
            repositories: Vec::new(),
        };
        finder.repositories = finder.find_repositories(gcp).await?;
        Ok(finder)
    }

    /// Where there is a repository of the deployment, among the places where it may be.
    async fn find_repositories(&self, gcp: &Gcp) -> Result<Vec<String>, Error> {
        let regions = self.marked.iter().filter_map(|(left, _)| left.scope.strip_prefix("regions/"));
        let mut places: Vec<&str> =
            regions.chain(self.cluster.iter().map(|located| region(&located.location))).collect();
        places.extend(MULTI_REGIONS);
        places.sort_unstable();
        places.dedup();
        let looks = places.iter().map(|place| async move { (*place, gcp.repository(place, &self.name).await) });
        let mut found = Vec::new();
        for (place, repository) in join_all(looks).await {
            match repository {
                Ok(Some(repository)) if repository.labels.get(names::LABEL) == Some(&self.owner.deployment) => {
                    found.push(place.to_owned());
                }
                // A place that the project may not use has no repository of it either.
                Ok(_) | Err(Error::ApiDisabled { .. } | Error::Invalid { .. } | Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn place(&self) -> Option<Place> {
        if let Some(located) = &self.cluster {
            let location = located.location.clone();
            return Some(if is_zone(&location) {
                Place::Zone { zone: location, others: OtherZones::None }
            } else {
                Place::Region { region: location, zones: located.cluster.locations.clone() }
            });
        }
        let region = self.marked.iter().find_map(|(left, _)| left.scope.strip_prefix("regions/"))?;
        Some(Place::Region { region: region.to_owned(), zones: Vec::new() })
    }

    fn cluster_inputs(&self) -> Option<cluster::Inputs> {
        let (located, place) = (self.cluster.as_ref()?, self.place()?);
        let found = &located.cluster;
        let first = found.node_pools.first()?;
        let config = first.config.clone().unwrap_or_default();
        let last = |link: &str| link.rsplit('/').next().unwrap_or_default().to_owned();
        let private = found.network_config.as_ref().and_then(|network| network.default_enable_private_nodes);
        Some(cluster::Inputs {
            owner: self.owner.clone(),
            name: found.name.clone(),
            place,
            version: None,
            channel: found.release_channel.as_ref().and_then(|channel| channel_of(&channel.channel)),
            network: last(&found.network),
            subnetwork: Some(last(&found.subnetwork)).filter(|name| !name.is_empty()),
            private_nodes: private.unwrap_or(false),
            workload_identity: found.workload_identity_config.is_some(),
            service_account: config.service_account.clone(),
            first_pool: pool_of(first),
            kubeconfig: self.kubeconfig.to_owned(),
            token_program: self.token_program.clone(),
        })
    }

    /// Everything as nodes, each after what it needs.
    fn discovered(&self) -> Vec<Discovered> {
        let mut all = self.single_things();
        let needs = |all: &[Discovered], kinds: &[&str]| -> Vec<Need> {
            let found = all.iter().filter(|found| kinds.contains(&found.node.address.kind()));
            found.map(|found| found.node.address.clone().into()).collect()
        };
        let Some(place) = self.place() else { return all };
        let network_name = match &self.cluster {
            Some(located) => located.cluster.network.rsplit('/').next().unwrap_or_default().to_owned(),
            None => self.name.clone(),
        };
        let inputs = remains::Inputs {
            owner: self.owner.clone(),
            cluster: self.name.clone(),
            place: place.clone(),
            network: network_name,
            own_network: self.network,
        };
        let mut node = made(remains::KIND, &self.name, format!("leftovers of {}", self.name), &inputs);
        node.node.needs = needs(&all, &[network::KIND, subnetwork::KIND]);
        node.outputs = json!({ "cluster": self.name });
        all.push(node);
        let (Some(located), Some(inputs)) = (&self.cluster, self.cluster_inputs()) else { return all };
        let title = format!("GKE cluster {} ({})", inputs.name, located.location);
        let mut node = made(cluster::KIND, &inputs.name, title, &inputs);
        node.node.needs = needs(&all, &[remains::KIND, subnetwork::KIND, account::KIND]);
        node.outputs = outputs(&inputs, located);
        let cluster = node.node.address.clone();
        all.push(node);
        all.extend(located.cluster.node_pools.iter().map(|found| self.pool(found, &inputs, &cluster)));
        let inputs = drain::Inputs {
            owner: self.owner.clone(),
            cluster: self.name.clone(),
            place,
            kubeconfig: self.kubeconfig.to_owned(),
        };
        let mut node = made(drain::KIND, &self.name, format!("load balancers and volumes of {}", self.name), &inputs);
        node.node.needs = needs(&all, &[disk::KIND, address::KIND, filestore::KIND]);
        node.node.needs.push(Need::milestone(cluster, cluster::API));
        node.outputs = json!({ "cluster": self.name });
        all.push(node);
        all
    }

    /// What stands beside the cluster.
    fn single_things(&self) -> Vec<Discovered> {
        let (owner, name) = (self.owner.clone(), self.name.clone());
        let mut all = Vec::new();
        let mut needs: Vec<Need> = Vec::new();
        if self.network {
            let inputs = network::Inputs { owner: owner.clone(), name: name.clone() };
            let node = made(network::KIND, &name, format!("network {name}"), &inputs);
            needs.push(node.node.address.clone().into());
            all.push(node);
        }
        for (left, data) in &self.marked {
            let mut node = self.marked_thing(left, data);
            if matches!(left.kind, LeftKind::Subnetwork | LeftKind::Router) {
                node.node.needs.clone_from(&needs);
            }
            all.push(node);
        }
        for server in &self.file_servers {
            let mut node = file_server(server, &owner);
            node.node.needs.clone_from(&needs);
            all.push(node);
        }
        if self.account {
            let id = names::service_account_id(&owner.deployment);
            let roles = account::ROLES.iter().map(|role| (*role).to_owned()).collect();
            let inputs = account::Inputs { owner: owner.clone(), id: id.clone(), roles };
            all.push(made(account::KIND, &id, format!("service account {id} of the nodes"), &inputs));
        }
        for location in &self.repositories {
            let inputs = repository::Inputs { owner: owner.clone(), location: location.clone(), name: name.clone() };
            all.push(made(repository::KIND, &name, format!("image repository {name} ({location})"), &inputs));
        }
        all
    }

    fn has_only_disks(&self) -> bool {
        let others = self.cluster.is_some() || self.network || self.account || !self.repositories.is_empty();
        !others && self.marked.iter().all(|(left, _)| left.kind == LeftKind::Disk)
    }

    fn marked_thing(&self, left: &Left, data_of_it: &Value) -> Discovered {
        let (owner, name) = (self.owner.clone(), left.name.clone());
        let place = left.scope.rsplit('/').next().unwrap_or_default().to_owned();
        let network = left.network.clone().unwrap_or_default();
        let text = |name: &str| data_of_it[name].as_str().unwrap_or_default().to_owned();
        let mut found = match left.kind {
            LeftKind::Subnetwork => {
                let range = text("ipCidrRange");
                let title = format!("subnetwork {name} ({range}, {place})");
                let inputs = subnetwork::Inputs { owner, region: place, name: name.clone(), network, range };
                made(subnetwork::KIND, &name, title, &inputs)
            }
            LeftKind::Router => {
                let inputs = router::Inputs { owner, region: place, name: name.clone(), network };
                made(router::KIND, &name, format!("router {name} with NAT"), &inputs)
            }
            LeftKind::Address => {
                let title = format!("static address {name} ({place})");
                made(address::KIND, &name, title, &address::Inputs { owner, region: place, name: name.clone() })
            }
            _ => {
                // Alone, without anything else of the deployment, it was left on purpose.
                let disk = data::of_body(&owner, &name, data_of_it);
                let is_kept = disk.claim.is_some() || self.has_only_disks();
                disk.discovered(is_kept)
            }
        };
        if left.kind == LeftKind::Address {
            found.outputs = json!({ "name": left.name, "address": data_of_it["address"] });
        }
        found
    }

    fn pool(&self, found: &model::NodePool, cluster: &cluster::Inputs, address: &Address) -> Discovered {
        let pool = pool_of(found);
        let title = format!("node pool {} ({})", pool.name, shape::size_text(&pool));
        let config = found.config.clone().unwrap_or_default();
        let inputs = node_pool::Inputs {
            owner: self.owner.clone(),
            cluster: self.name.clone(),
            place: cluster.place.clone(),
            service_account: config.service_account,
            workload_identity: cluster.workload_identity,
            pool,
        };
        let mut node = made(node_pool::KIND, &found.name, title, &inputs);
        node.node.needs = vec![address.clone().into()];
        node.node.within = Some(address.clone());
        node.outputs = json!({ "name": found.name, "version": found.version });
        node
    }
}

fn file_server(found: &FileServer, owner: &Owner) -> Discovered {
    let FileServer { name, location, tier, capacity_gibibytes, network, .. } = found.clone();
    let title = format!("Filestore instance {name} ({capacity_gibibytes} GB, {location})");
    let outputs = json!({ "name": name, "address": found.address, "path": filestore::path() });
    let inputs =
        filestore::Inputs { owner: owner.clone(), location, name: name.clone(), tier, capacity_gibibytes, network };
    Discovered { outputs, ..made(filestore::KIND, &name, title, &inputs) }
}

fn region(location: &str) -> &str {
    if is_zone(location) { region_of(location) } else { location }
}

fn made(kind: &str, name: &str, title: String, inputs: &impl Serialize) -> Discovered {
    let mut node = Node::new(Address::new(kind, name), title, SECTION);
    node.inputs = json!(inputs);
    Discovered { node, outputs: json!({ "name": name }) }
}

/// The channel, where it is not the one that Google chooses.
fn channel_of(channel: &release_channel::Channel) -> Option<Channel> {
    Some(match channel {
        release_channel::Channel::Rapid => Channel::Rapid,
        release_channel::Channel::Stable => Channel::Stable,
        release_channel::Channel::Extended => Channel::Extended,
        _ => return None,
    })
}

/// What a pool was made with. What Google chooses by itself was not asked for, as far as anybody can tell.
fn pool_of(found: &model::NodePool) -> NodePool {
    let config = found.config.clone().unwrap_or_default();
    let number = |number: i32| u32::try_from(number).unwrap_or_default();
    let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let size = match found.autoscaling.as_ref().filter(|autoscaling| autoscaling.enabled) {
        Some(scaled) => {
            PoolSize::Autoscaling { min: number(scaled.min_node_count), max: number(scaled.max_node_count) }
        }
        None => PoolSize::Count(number(found.initial_node_count)),
    };
    let gpu = config.accelerators.first().map(|accelerator| Gpu {
        kind: accelerator.accelerator_type.clone(),
        count: u32::try_from(accelerator.accelerator_count).unwrap_or_default(),
        driver: GpuDriver::Default,
    });
    let taints = config.taints.iter().map(|taint| Taint {
        key: taint.key.clone(),
        value: taint.value.clone(),
        effect: match taint.effect {
            node_taint::Effect::PreferNoSchedule => TaintEffect::PreferNoSchedule,
            node_taint::Effect::NoExecute => TaintEffect::NoExecute,
            _ => TaintEffect::NoSchedule,
        },
    });
    NodePool {
        name: found.name.clone(),
        size,
        machine_type: config.machine_type.clone(),
        image_type: said(&config.image_type).filter(|image| !image.eq_ignore_ascii_case(shape::USUAL_IMAGE_TYPE)),
        disk_type: said(&config.disk_type).filter(|disk| disk != shape::USUAL_DISK_TYPE),
        disk_size_gigabytes: Some(number(config.disk_size_gb))
            .filter(|size| ![0, shape::USUAL_DISK_GIGABYTES].contains(size)),
        spot: config.spot,
        gpu,
        labels: config.labels.clone().into_iter().collect(),
        taints: taints.collect(),
        zones: Vec::new(),
    }
}
