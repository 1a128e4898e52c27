//! What everything together counts against quotas, and what there is. Pure.

use std::collections::BTreeMap;

use providers::gcp::compute::model::{Quota, Region};

use super::Finding;
use crate::gke::{Network, NodePool, Place, Spec};
use crate::gke_spec::machines::{cpu_metric, disk_metric, gpu_metric, smaller};

/// The size of a boot disk where nobody says another.
const BOOT_DISK_GIGABYTES: u32 = 100;
/// Firewall rules that GKE makes for a cluster, and those for each load balancer.
const CLUSTER_FIREWALLS: u32 = 6;
const BALANCER_FIREWALLS: u32 = 2;
/// How many regions are named.
const NAMED_REGIONS: usize = 3;

/// What is needed, by metric.
#[derive(Clone, Debug, Default, PartialEq)]
struct Needs(BTreeMap<String, f64>);

impl Needs {
    fn add(&mut self, metric: impl Into<String>, amount: impl Into<f64>) {
        let amount = amount.into();
        if amount > 0.0 {
            *self.0.entry(metric.into()).or_default() += amount;
        }
    }
}

/// The CPUs of a machine type by its name alone: `n2-standard-8` has 8.
pub(super) fn cpus_of(machine_type: &str) -> u32 {
    let parts: Vec<&str> = machine_type.split('-').collect();
    match parts.as_slice() {
        [_, "custom", cpus, ..] => cpus.parse().unwrap_or(2),
        // GPUs are in the name of these, and their CPUs are not.
        ["a2", _, count] => count.trim_end_matches('g').parse().map_or(12, |gpus: u32| gpus * 12),
        _ => parts.last().and_then(|last| last.parse().ok()).unwrap_or(2),
    }
}

/// Every quota that is too small; `cpus` are those of each machine type.
pub(super) fn findings(
    spec: &Spec,
    cpus: &BTreeMap<String, u32>,
    regions: &[Region],
    global: &[Quota],
) -> Vec<Finding> {
    let here = spec.place.region();
    let Some(region) = regions.iter().find(|region| region.name.as_deref() == Some(here)) else { return Vec::new() };
    let (regional, project) = needs(spec, cpus);
    let mut findings = Vec::new();
    for (metric, needed) in &regional.0 {
        if let Some(short) = shortfall(metric, *needed, &region.quotas) {
            findings.push(of_region(spec, cpus, regions, &regional, metric, &short));
        }
    }
    for (metric, needed) in &project.0 {
        if let Some(short) = shortfall(metric, *needed, global) {
            let what = format!("short by {} {metric} in the project {}", number(short.by()), short.figures());
            findings.push(Finding::error("quotas", what).hint(ask_for_more(spec)));
        }
    }
    findings
}

/// A quota that is too small.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Short {
    limit: f64,
    used: f64,
    needed: f64,
}

impl Short {
    fn by(&self) -> f64 {
        self.used + self.needed - self.limit
    }

    fn figures(&self) -> String {
        format!("({} limit, {} used, {} needed)", number(self.limit), number(self.used), number(self.needed))
    }
}

fn shortfall(metric: &str, needed: f64, quotas: &[Quota]) -> Option<Short> {
    let quota = quotas.iter().find(|quota| name(quota) == Some(metric))?;
    let short = Short { limit: quota.limit.unwrap_or_default(), used: quota.usage.unwrap_or_default(), needed };
    // A limit of -1 is none.
    (short.limit >= 0.0 && short.by() > 0.0).then_some(short)
}

fn name(quota: &Quota) -> Option<&str> {
    quota.metric.as_ref().and_then(|metric| metric.name())
}

fn of_region(
    spec: &Spec,
    cpus: &BTreeMap<String, u32>,
    regions: &[Region],
    needs: &Needs,
    metric: &str,
    short: &Short,
) -> Finding {
    let here = spec.place.region();
    let mut what = format!("short by {} {metric} in {here} {}", number(short.by()), short.figures());
    if let Some(fitting) = fitting(spec, cpus, metric, short) {
        what = format!("{what}; {fitting} would fit");
    }
    let elsewhere = regions_with_enough(here, regions, needs);
    if !elsewhere.is_empty() {
        what = format!("{what}; or {}", elsewhere.join(", "));
    }
    Finding::error("quotas", what).hint(ask_for_more(spec))
}

fn ask_for_more(spec: &Spec) -> String {
    format!("or ask for more: https://console.cloud.google.com/iam-admin/quotas?project={}", spec.project)
}

/// The largest pool of smaller machines of the same shape that there is room for: `e2-standard-2 x 1`.
fn fitting(spec: &Spec, cpus: &BTreeMap<String, u32>, metric: &str, short: &Short) -> Option<String> {
    let pools: Vec<&NodePool> =
        spec.node_pools.iter().filter(|pool| cpu_metric(&pool.machine_type, pool.spot) == metric).collect();
    let [pool] = pools.as_slice() else { return None };
    let zones = zones_of(spec, pool);
    let room = short.limit - short.used;
    let own = cpus.get(&pool.machine_type).copied().unwrap_or_default();
    let sizes: Vec<(String, u32)> =
        std::iter::once((pool.machine_type.clone(), own)).chain(smaller(&pool.machine_type)).collect();
    let mut best: Option<(u32, u32, String)> = None;
    for nodes in (1..=pool.first_nodes().max(1)).rev() {
        for (machine_type, size) in &sizes {
            let total = size * nodes * zones;
            let better = best.as_ref().is_none_or(|(most, _, _)| total > *most);
            if f64::from(total) <= room && *size > 0 && better {
                best = Some((total, nodes, machine_type.clone()));
            }
        }
    }
    best.map(|(_, nodes, machine_type)| format!("{machine_type} x {nodes}"))
}

/// Other regions where all quotas are large enough, those of the same part of the world first.
fn regions_with_enough(here: &str, regions: &[Region], needs: &Needs) -> Vec<String> {
    let enough =
        |region: &&Region| needs.0.iter().all(|(metric, needed)| shortfall(metric, *needed, &region.quotas).is_none());
    let area = |name: &str| name.split('-').next().unwrap_or_default().to_owned();
    let others = regions.iter().filter(|region| region.name.as_deref() != Some(here)).filter(enough);
    let mut names: Vec<String> = others.filter_map(|region| region.name.clone()).collect();
    names.sort_by_key(|name| (area(name) != area(here), name.clone()));
    names.truncate(NAMED_REGIONS);
    names
}

/// In how many zones a pool has its nodes.
fn zones_of(spec: &Spec, pool: &NodePool) -> u32 {
    let count = |zones: &[String]| u32::try_from(zones.len()).unwrap_or(u32::MAX);
    match &spec.place {
        _ if !pool.zones.is_empty() => count(&pool.zones),
        Place::Zone { .. } => 1,
        Place::Region { zones, .. } if !zones.is_empty() => count(zones),
        // Google takes three.
        Place::Region { .. } => 3,
    }
}

/// What everything counts against the quotas of the region, and against those of the project.
fn needs(spec: &Spec, cpus: &BTreeMap<String, u32>) -> (Needs, Needs) {
    let (mut regional, mut project) = (Needs::default(), Needs::default());
    for pool in &spec.node_pools {
        let nodes = pool.first_nodes() * zones_of(spec, pool);
        let all_cpus = cpus.get(&pool.machine_type).copied().unwrap_or_default() * nodes;
        regional.add(cpu_metric(&pool.machine_type, pool.spot), all_cpus);
        project.add("CPUS_ALL_REGIONS", all_cpus);
        regional.add("INSTANCES", nodes);
        regional.add("INSTANCE_GROUP_MANAGERS", zones_of(spec, pool));
        let disk = pool.disk_size_gigabytes.unwrap_or(BOOT_DISK_GIGABYTES);
        regional.add(disk_metric(pool.disk_type.as_deref()), disk * nodes);
        if !spec.private_nodes {
            regional.add("IN_USE_ADDRESSES", nodes);
        }
        if let Some(gpu) = &pool.gpu {
            regional.add(gpu_metric(&gpu.kind, pool.spot), gpu.count * nodes);
            project.add("GPUS_ALL_REGIONS", gpu.count * nodes);
        }
    }
    for disk in &spec.disks {
        regional.add(disk_metric(disk.disk_type.as_deref()), disk.size_gigabytes);
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    regional.add(disk_metric(None), spec.claims_gigabytes as f64);
    regional.add("STATIC_ADDRESSES", u32::try_from(spec.addresses.len()).unwrap_or(u32::MAX));
    regional.add("IN_USE_ADDRESSES", spec.load_balancers);
    project.add("FORWARDING_RULES", spec.load_balancers);
    project.add("TARGET_POOLS", spec.load_balancers);
    project.add("FIREWALLS", CLUSTER_FIREWALLS + BALANCER_FIREWALLS * spec.load_balancers);
    if matches!(spec.network, Network::Own { .. }) {
        project.add("NETWORKS", 1);
        project.add("SUBNETWORKS", 1);
    }
    if spec.private_nodes {
        project.add("ROUTERS", 1);
    }
    (regional, project)
}

/// A number as a person writes it.
fn number(amount: f64) -> String {
    format!("{amount}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use providers::gcp::compute::model::quota::Metric;

    use super::*;
    use crate::gke::{OtherZones, PoolSize};

    fn spec(machine_type: &str, nodes: u32) -> Spec {
        let pool = NodePool {
            name: "default-pool".to_owned(),
            size: PoolSize::Count(nodes),
            machine_type: machine_type.to_owned(),
            image_type: None,
            disk_type: None,
            disk_size_gigabytes: None,
            spot: false,
            gpu: None,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            zones: Vec::new(),
        };
        Spec {
            deployment: "demo".to_owned(),
            project: "a-project".to_owned(),
            place: Place::Zone { zone: "us-central1-a".to_owned(), others: OtherZones::None },
            version: None,
            channel: None,
            network: Network::default(),
            private_nodes: false,
            workload_identity: false,
            service_account: None,
            node_pools: vec![pool],
            disks: Vec::new(),
            file_servers: Vec::new(),
            addresses: Vec::new(),
            load_balancers: 1,
            claims_gigabytes: 10,
            registry: None,
            kubeconfig: PathBuf::new(),
            user_kubeconfig: None,
            token_program: Vec::new(),
        }
    }

    fn region(name: &str, quotas: &[(&str, f64, f64)]) -> Region {
        let quotas = quotas.iter().map(|(metric, limit, usage)| {
            Quota::new().set_metric(Metric::from(*metric)).set_limit(*limit).set_usage(*usage)
        });
        Region::new().set_name(name).set_quotas(quotas)
    }

    fn found(spec: &Spec, regions: &[Region], global: &[Quota]) -> Vec<String> {
        let cpus =
            spec.node_pools.iter().map(|pool| (pool.machine_type.clone(), cpus_of(&pool.machine_type))).collect();
        findings(spec, &cpus, regions, global).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_quota_that_is_short_says_by_how_much_what_would_fit_and_where_there_is_more() {
        let regions = [
            region("us-central1", &[("CPUS", 24.0, 22.0), ("SSD_TOTAL_GB", 500.0, 0.0)]),
            region("us-west1", &[("CPUS", 24.0, 20.0)]),
            region("us-east1", &[("CPUS", 24.0, 0.0)]),
            region("europe-west1", &[("CPUS", 8.0, 0.0)]),
        ];
        let expected = "short by 6 CPUS in us-central1 (24 limit, 22 used, 8 needed); e2-standard-2 x 1 would fit; or us-east1, europe-west1";
        assert_eq!(found(&spec("e2-standard-4", 2), &regions, &[]), [expected]);
        assert_eq!(found(&spec("e2-standard-2", 1), &regions, &[]), [] as [&str; 0]);
    }

    #[test]
    fn everything_is_summed_and_the_projects_own_quotas_count_too() {
        let regions = [region("us-central1", &[("SSD_TOTAL_GB", 309.0, 0.0), ("IN_USE_ADDRESSES", 4.0, 0.0)])];
        let global = [Quota::new().set_metric(Metric::from("NETWORKS")).set_limit(5.0).set_usage(5.0)];
        let expected = [
            "short by 1 SSD_TOTAL_GB in us-central1 (309 limit, 0 used, 310 needed)",
            "short by 1 NETWORKS in the project (5 limit, 5 used, 1 needed)",
        ];
        assert_eq!(found(&spec("e2-standard-2", 3), &regions, &global), expected);
    }

    #[test]
    fn the_cpus_of_a_machine_type_stand_in_its_name() {
        assert_eq!(["n2-standard-8", "e2-custom-4-8192", "a2-highgpu-2g", "e2-medium"].map(cpus_of), [8, 4, 24, 2]);
    }
}
