//! Quotas: the limits of a new project, and what counts for them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::catalog;
use super::prices::{last, number};
use super::projects::Project;
use super::refusal::Refusal;
use super::world::World;

/// The limits of each region of a new project.
const REGIONAL: [(&str, f64); 24] = [
    ("CPUS", 24.0),
    ("DISKS_TOTAL_GB", 4096.0),
    ("SSD_TOTAL_GB", 500.0),
    ("LOCAL_SSD_TOTAL_GB", 6000.0),
    ("STATIC_ADDRESSES", 8.0),
    ("IN_USE_ADDRESSES", 8.0),
    ("INSTANCES", 240.0),
    ("INSTANCE_GROUPS", 100.0),
    ("INSTANCE_GROUP_MANAGERS", 50.0),
    ("PREEMPTIBLE_CPUS", 0.0),
    ("N2_CPUS", 8.0),
    ("N2D_CPUS", 8.0),
    ("C2_CPUS", 8.0),
    ("C2D_CPUS", 8.0),
    ("C3_CPUS", 8.0),
    ("T2D_CPUS", 8.0),
    ("A2_CPUS", 0.0),
    ("NVIDIA_T4_GPUS", 1.0),
    ("NVIDIA_L4_GPUS", 1.0),
    ("NVIDIA_A100_GPUS", 0.0),
    ("NVIDIA_V100_GPUS", 1.0),
    ("NVIDIA_P100_GPUS", 1.0),
    ("PREEMPTIBLE_NVIDIA_T4_GPUS", 1.0),
    ("REGIONAL_INSTANCE_GROUP_MANAGERS", 25.0),
];

/// The limits of the whole of a new project.
const GLOBAL: [(&str, f64); 20] = [
    ("NETWORKS", 5.0),
    ("SUBNETWORKS", 100.0),
    ("FIREWALLS", 100.0),
    ("ROUTES", 200.0),
    ("ROUTERS", 10.0),
    ("SNAPSHOTS", 1000.0),
    ("STATIC_ADDRESSES", 8.0),
    ("IN_USE_ADDRESSES", 8.0),
    ("FORWARDING_RULES", 15.0),
    ("TARGET_POOLS", 50.0),
    ("HEALTH_CHECKS", 75.0),
    ("BACKEND_SERVICES", 9.0),
    ("INSTANCE_TEMPLATES", 100.0),
    ("URL_MAPS", 10.0),
    ("TARGET_HTTP_PROXIES", 10.0),
    ("TARGET_HTTPS_PROXIES", 10.0),
    ("SSL_CERTIFICATES", 10.0),
    ("IMAGES", 2000.0),
    ("CPUS_ALL_REGIONS", 32.0),
    ("GPUS_ALL_REGIONS", 1.0),
];

/// What counts for the quotas of a region, and for those of the project.
type Counts = (Vec<(String, f64)>, Vec<(&'static str, f64)>);

/// The limit of a quota; `place` is a region or `global`.
fn limit(project: &Project, place: &str, metric: &str, usual: f64) -> f64 {
    let own = project.quotas.get(&format!("{place}/{metric}"));
    let general = || project.quotas.get(metric).filter(|_| place != "global");
    *own.or_else(general).unwrap_or(&usual)
}

/// The quotas of a region, or of the project where the region is `global`: metric, limit, usage.
pub(crate) fn quotas(world: &World, project: &Project, place: &str) -> Vec<(&'static str, f64, f64)> {
    let usage = usage(world, &project.id, place);
    let known: &[(&str, f64)] = if place == "global" { &GLOBAL } else { &REGIONAL };
    let told = known.iter().map(|(metric, usual)| {
        (*metric, limit(project, place, metric, *usual), usage.get(*metric).copied().unwrap_or_default())
    });
    told.collect()
}

/// The same as Compute Engine tells it.
pub(crate) fn told(world: &World, project: &Project, place: &str) -> Value {
    let each = quotas(world, project, place).into_iter();
    each.map(|(metric, limit, usage)| json!({"metric": metric, "limit": limit, "usage": usage})).collect()
}

/// What a resource counts for: the quotas of its region, then those of the project.
pub(crate) fn counts(kind: &str, body: &Value) -> Counts {
    let one = |metric: &'static str| (Vec::new(), vec![(metric, 1.0)]);
    match kind {
        "instances" => instance(body),
        "disks" => (vec![(disk_metric(last(&body["type"])).to_owned(), number(&body["sizeGb"]))], Vec::new()),
        "addresses" if body["addressType"] != "INTERNAL" => (vec![("STATIC_ADDRESSES".into(), 1.0)], Vec::new()),
        "globalAddresses" => one("STATIC_ADDRESSES"),
        "instanceGroups" => (vec![("INSTANCE_GROUPS".into(), 1.0)], Vec::new()),
        "instanceGroupManagers" => (vec![("INSTANCE_GROUP_MANAGERS".into(), 1.0)], Vec::new()),
        "forwardingRules" if body["loadBalancingScheme"] != "INTERNAL" => {
            (vec![("IN_USE_ADDRESSES".into(), 1.0)], vec![("FORWARDING_RULES", 1.0)])
        }
        "globalForwardingRules" => (Vec::new(), vec![("FORWARDING_RULES", 1.0), ("IN_USE_ADDRESSES", 1.0)]),
        "networks" => one("NETWORKS"),
        "subnetworks" => one("SUBNETWORKS"),
        "firewalls" => one("FIREWALLS"),
        "routes" => one("ROUTES"),
        "routers" => one("ROUTERS"),
        "snapshots" => one("SNAPSHOTS"),
        "targetPools" => one("TARGET_POOLS"),
        "healthChecks" | "httpHealthChecks" | "regionHealthChecks" => one("HEALTH_CHECKS"),
        "backendServices" | "regionBackendServices" => one("BACKEND_SERVICES"),
        "instanceTemplates" => one("INSTANCE_TEMPLATES"),
        "urlMaps" => one("URL_MAPS"),
        "targetHttpProxies" => one("TARGET_HTTP_PROXIES"),
        "targetHttpsProxies" => one("TARGET_HTTPS_PROXIES"),
        "sslCertificates" => one("SSL_CERTIFICATES"),
        _ => (Vec::new(), Vec::new()),
    }
}

fn instance(body: &Value) -> Counts {
    let machine = catalog::machine(last(&body["zone"]), last(&body["machineType"]));
    let cores = machine.as_ref().map_or(0.0, |machine| f64::from(machine.cores));
    let metric = machine.map_or("CPUS", |machine| machine.quota);
    let mut regional = vec![("INSTANCES".to_owned(), 1.0), (metric.to_owned(), cores)];
    let mut cards = 0.0;
    for accelerator in body["guestAccelerators"].as_array().into_iter().flatten() {
        let count = number(&accelerator["acceleratorCount"]);
        regional.push((catalog::accelerator_quota(last(&accelerator["acceleratorType"])), count));
        cards += count;
    }
    let outside = body["networkInterfaces"][0]["accessConfigs"].as_array().is_some_and(|configs| !configs.is_empty());
    if outside {
        regional.push(("IN_USE_ADDRESSES".to_owned(), 1.0));
    }
    (regional, vec![("CPUS_ALL_REGIONS", cores), ("GPUS_ALL_REGIONS", cards)])
}

fn disk_metric(kind: &str) -> &'static str {
    if kind == "pd-standard" { "DISKS_TOTAL_GB" } else { "SSD_TOTAL_GB" }
}

/// What is used of the quotas of a region, or of the project.
fn usage(world: &World, project: &str, place: &str) -> BTreeMap<String, f64> {
    let mut usage: BTreeMap<String, f64> = BTreeMap::new();
    let prefix = format!("compute/projects/{project}/");
    let things = world.things.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
    for (key, thing) in things {
        let (regional, global) = counts(thing.kind, &thing.body);
        let mut add = |metric: &str, amount: f64| *usage.entry(metric.to_owned()).or_default() += amount;
        if place == "global" {
            for (metric, amount) in global {
                add(metric, amount);
            }
        } else if key.split('/').nth(4).is_some_and(|location| catalog::region_of(location) == place) {
            for (metric, amount) in regional {
                add(&metric, amount);
            }
        }
    }
    usage
}

/// What is short of a quota: metric, limit, usage, need. `place` is a region or `global`.
pub(crate) fn short(
    world: &World,
    project: &Project,
    place: &str,
    needs: &BTreeMap<String, f64>,
) -> Option<(&'static str, f64, f64, f64)> {
    let all = quotas(world, project, place).into_iter();
    all.filter_map(|(metric, limit, used)| Some((metric, limit, used, *needs.get(metric)?)))
        .find(|(_, limit, used, need)| *need > 0.0 && used + need > *limit)
}

/// What Kubernetes Engine says when a cluster or node pool asks for more than there is.
pub(crate) fn check_cluster(
    world: &World,
    project: &Project,
    region: &str,
    instances: &[Value],
) -> Result<(), Refusal> {
    let (mut regional, mut global) = (BTreeMap::<String, f64>::new(), BTreeMap::<String, f64>::new());
    for (body, kind) in instances.iter().flat_map(|body| [(body, "instances"), (&body["bootDisk"], "disks")]) {
        let (near, far) = counts(kind, body);
        for (metric, amount) in near {
            *regional.entry(metric).or_default() += amount;
        }
        for (metric, amount) in far {
            *global.entry(metric.to_owned()).or_default() += amount;
        }
    }
    for (place, word, needs) in [(region, "regional", regional), ("global", "global", global)] {
        if let Some((metric, limit, used, need)) = short(world, project, place, &needs) {
            return Err(insufficient(&project.id, word, metric, limit, used, need));
        }
    }
    Ok(())
}

/// The text for a quota that is too small for a cluster.
pub(crate) fn insufficient(project: &str, word: &str, metric: &str, limit: f64, used: f64, need: f64) -> Refusal {
    let (available, missing) = (limit - used, used + need - limit);
    Refusal::quota(format!(
        "Insufficient {word} quota to satisfy request: resource \"{metric}\": request requires '{need:.1}' and is short \
         '{missing:.1}'. project has a quota of '{limit:.1}' with '{available:.1}' available. View and manage quotas at \
         https://console.cloud.google.com/iam-admin/quotas?usage=USED&project={project}."
    ))
}

/// What Compute Engine says when a resource is one too many.
pub(crate) fn check(world: &World, project: &Project, region: &str, kind: &str, body: &Value) -> Result<(), Refusal> {
    let (near, far) = counts(kind, body);
    let far = far.into_iter().map(|(metric, amount)| (metric.to_owned(), amount));
    for (place, needs) in [(region, near.into_iter().collect()), ("global", far.collect::<BTreeMap<_, _>>())] {
        if let Some((metric, limit, ..)) = short(world, project, place, &needs) {
            let place = if place == "global" { "globally".to_owned() } else { format!("in region {place}") };
            return Err(Refusal::quota(format!("Quota '{metric}' exceeded.  Limit: {limit:.1} {place}.")));
        }
    }
    Ok(())
}
