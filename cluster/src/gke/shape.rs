//! From inputs to what the API of GKE takes. Pure.

use std::collections::HashMap;

use providers::gcp::container::model::{
    self, gpu_driver_installation_config, node_pool_autoscaling, node_taint, release_channel, workload_metadata_config,
};

use super::cluster::Inputs;
use super::{Channel, Gpu, GpuDriver, NodePool, Owner, Place, PoolSize, Taint, TaintEffect, names};

/// What the nodes may do is bound by the roles of their account, not by these.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// What Google takes for nodes where nothing is said, by its reference of `projects.locations.clusters.nodePools`.
pub(super) const USUAL_IMAGE_TYPE: &str = "COS_CONTAINERD";
pub(super) const USUAL_DISK_TYPE: &str = "pd-balanced";
pub(super) const USUAL_DISK_GIGABYTES: u32 = 100;

/// The cluster with its first node pool. It is some kilobytes large, so it is filled where it is.
pub(super) fn cluster(inputs: &Inputs) -> Box<model::Cluster> {
    let mut cluster = Box::<model::Cluster>::default();
    cluster.name.clone_from(&inputs.name);
    cluster.description = names::mark(&inputs.owner.deployment);
    cluster.resource_labels = labels(&inputs.owner);
    cluster.network.clone_from(&inputs.network);
    cluster.subnetwork = inputs.subnetwork.clone().unwrap_or_default();
    // Pods and services get ranges of the subnetwork, which Google chooses.
    cluster.ip_allocation_policy = Some(model::IPAllocationPolicy::new().set_use_ip_aliases(true));
    cluster.node_pools = vec![node_pool(&PoolOf::first(inputs))];
    cluster.initial_cluster_version = inputs.version.clone().unwrap_or_default();
    cluster.release_channel = inputs.channel.map(|channel| model::ReleaseChannel::new().set_channel(release(channel)));
    if let Place::Region { zones, .. } = &inputs.place {
        cluster.locations.clone_from(zones);
    }
    if inputs.private_nodes {
        cluster.network_config = Some(model::NetworkConfig::new().set_default_enable_private_nodes(true));
    }
    if inputs.workload_identity {
        let pool = format!("{}.svc.id.goog", inputs.owner.project);
        cluster.workload_identity_config = Some(model::WorkloadIdentityConfig::new().set_workload_pool(pool));
    }
    cluster
}

pub(super) fn release(channel: Channel) -> release_channel::Channel {
    match channel {
        Channel::Rapid => release_channel::Channel::Rapid,
        Channel::Regular => release_channel::Channel::Regular,
        Channel::Stable => release_channel::Channel::Stable,
        Channel::Extended => release_channel::Channel::Extended,
        // The API's word for none is the absence of one.
        Channel::None => release_channel::Channel::default(),
    }
}

/// A node pool with what it has from its cluster.
pub(super) struct PoolOf<'a> {
    pub owner: &'a Owner,
    pub pool: &'a NodePool,
    pub service_account: &'a str,
    pub workload_identity: bool,
}

impl<'a> PoolOf<'a> {
    fn first(inputs: &'a Inputs) -> Self {
        Self {
            owner: &inputs.owner,
            pool: &inputs.first_pool,
            service_account: &inputs.service_account,
            workload_identity: inputs.workload_identity,
        }
    }
}

/// A node pool.
pub(super) fn node_pool(of: &PoolOf<'_>) -> model::NodePool {
    let pool = of.pool;
    let mut made = model::NodePool::new()
        .set_name(&pool.name)
        .set_initial_node_count(count(pool.first_nodes()))
        .set_config(node_config(of))
        .set_locations(&pool.zones)
        .set_management(model::NodeManagement::new().set_auto_repair(true).set_auto_upgrade(true));
    if let Some(autoscaling) = autoscaling(pool) {
        made = made.set_autoscaling(autoscaling);
    }
    made
}

/// Between which bounds a pool grows and shrinks; none where it does not.
pub(super) fn autoscaling(pool: &NodePool) -> Option<model::NodePoolAutoscaling> {
    let PoolSize::Autoscaling { min, max } = pool.size else { return None };
    // Nodes that may be taken away are had where there are most of them.
    let policy = if pool.spot {
        node_pool_autoscaling::LocationPolicy::Any
    } else {
        node_pool_autoscaling::LocationPolicy::Balanced
    };
    let autoscaling = model::NodePoolAutoscaling::new().set_enabled(true).set_location_policy(policy);
    Some(autoscaling.set_min_node_count(count(min)).set_max_node_count(count(max)))
}

fn node_config(of: &PoolOf<'_>) -> model::NodeConfig {
    let pool = of.pool;
    let mut config = model::NodeConfig::new()
        .set_machine_type(&pool.machine_type)
        .set_oauth_scopes([SCOPE])
        .set_service_account(of.service_account)
        // The old metadata API gives the node's credentials to every pod.
        .set_metadata([("disable-legacy-endpoints", "true")])
        .set_spot(pool.spot)
        .set_labels(&pool.labels)
        .set_taints(pool.taints.iter().map(taint))
        .set_resource_labels(labels(of.owner));
    if let Some(image_type) = &pool.image_type {
        config = config.set_image_type(image_type.to_uppercase());
    }
    if let Some(disk_type) = &pool.disk_type {
        config = config.set_disk_type(disk_type);
    }
    if let Some(size) = pool.disk_size_gigabytes {
        config = config.set_disk_size_gb(count(size));
    }
    if let Some(gpu) = &pool.gpu {
        config = config.set_accelerators([accelerator(gpu)]);
    }
    if of.workload_identity {
        let mode = workload_metadata_config::Mode::GkeMetadata;
        config = config.set_workload_metadata_config(model::WorkloadMetadataConfig::new().set_mode(mode));
    }
    config
}

fn accelerator(gpu: &Gpu) -> model::AcceleratorConfig {
    use gpu_driver_installation_config::GPUDriverVersion as Version;
    let version = match gpu.driver {
        GpuDriver::Default => Version::Default,
        GpuDriver::Latest => Version::Latest,
        GpuDriver::Disabled => Version::InstallationDisabled,
    };
    let driver = model::GPUDriverInstallationConfig::new().set_gpu_driver_version(version);
    let accelerator = model::AcceleratorConfig::new().set_accelerator_count(gpu.count).set_accelerator_type(&gpu.kind);
    accelerator.set_gpu_driver_installation_config(driver)
}

fn taint(taint: &Taint) -> model::NodeTaint {
    let effect = match taint.effect {
        TaintEffect::NoSchedule => node_taint::Effect::NoSchedule,
        TaintEffect::PreferNoSchedule => node_taint::Effect::PreferNoSchedule,
        TaintEffect::NoExecute => node_taint::Effect::NoExecute,
    };
    model::NodeTaint::new().set_key(&taint.key).set_value(&taint.value).set_effect(effect)
}

fn labels(owner: &Owner) -> HashMap<String, String> {
    HashMap::from([(names::LABEL.to_owned(), owner.deployment.clone())])
}

/// A number as the API has it.
pub(super) fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// How large a pool is, for a person: `3 x e2-standard-4, spot`.
pub(super) fn size_text(pool: &NodePool) -> String {
    let nodes = match pool.size {
        PoolSize::Count(count) => count.to_string(),
        PoolSize::Autoscaling { min, max } => format!("{min} to {max}"),
    };
    let gpu = pool.gpu.as_ref().map(|gpu| format!(" with {} x {}", gpu.count, gpu.kind)).unwrap_or_default();
    format!("{nodes} x {}{gpu}{}", pool.machine_type, if pool.spot { ", spot" } else { "" })
}
