//! What Kubernetes Engine fills in, and what it offers.

use serde_json::{Map, Value, json};

use crate::hash;

/// The versions that can be had, newest first: of the channel rapid, regular, stable.
pub(crate) const VERSIONS: [&str; 6] = [
    "1.36.2-gke.1346000",
    "1.35.5-gke.1201000",
    "1.35.4-gke.1254000",
    "1.34.8-gke.1068000",
    "1.34.7-gke.1110000",
    "1.33.11-gke.1027000",
];

/// The version that a cluster gets if it asks for none.
pub(crate) const DEFAULT_VERSION: &str = VERSIONS[1];

/// The images of nodes.
pub(crate) const IMAGES: [&str; 4] = ["COS_CONTAINERD", "UBUNTU_CONTAINERD", "WINDOWS_LTSC_CONTAINERD", "COS"];

/// `serverConfig`.
pub(crate) fn server_config() -> Value {
    let channel =
        |name: &str, version: &str| json!({"channel": name, "defaultVersion": version, "validVersions": [version]});
    json!({
        "defaultClusterVersion": DEFAULT_VERSION,
        "validMasterVersions": VERSIONS,
        "validNodeVersions": VERSIONS,
        "defaultImageType": IMAGES[0],
        "validImageTypes": &IMAGES[..3],
        "channels": [
            channel("RAPID", VERSIONS[0]), channel("REGULAR", VERSIONS[1]), channel("STABLE", VERSIONS[3]),
            channel("EXTENDED", VERSIONS[5]),
        ],
    })
}

/// The version that a wish means: `latest`, `-`, `1.35`, or all of it.
pub(crate) fn version(wish: &str) -> Option<&'static str> {
    match wish {
        "" | "-" => Some(DEFAULT_VERSION),
        "latest" => Some(VERSIONS[0]),
        _ => VERSIONS.iter().copied().find(|known| {
            let rest = known.strip_prefix(wish);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
        }),
    }
}

/// Sets a field that is not there.
pub(crate) fn default(object: &mut Value, field: &str, value: Value) {
    let fields: Option<&mut Map<String, Value>> = object.as_object_mut();
    if let Some(fields) = fields {
        fields.entry(field).or_insert(value);
    }
}

/// What a cluster has that did not ask for it.
pub(crate) fn cluster(cluster: &mut Value, seed: u64, key: &str) {
    let second = hash::number(seed, &["cidr", key]) % 200;
    for (field, value) in [
        ("network", json!("default")),
        ("subnetwork", cluster["network"].as_str().map_or(json!("default"), |name| json!(name))),
        ("clusterIpv4Cidr", json!(format!("10.{}.0.0/14", second / 4 * 4))),
        ("servicesIpv4Cidr", json!("34.118.224.0/20")),
        ("loggingService", json!("logging.googleapis.com/kubernetes")),
        ("monitoringService", json!("monitoring.googleapis.com/kubernetes")),
        ("legacyAbac", json!({})),
        ("networkConfig", json!({"datapathProvider": "LEGACY_DATAPATH"})),
        ("databaseEncryption", json!({"state": "DECRYPTED"})),
        ("shieldedNodes", json!({"enabled": true})),
        ("releaseChannel", json!({"channel": "REGULAR"})),
        ("defaultMaxPodsConstraint", json!({"maxPodsPerNode": "110"})),
        ("addonsConfig", json!({})),
        ("ipAllocationPolicy", json!({})),
        ("masterAuthorizedNetworksConfig", json!({})),
    ] {
        default(cluster, field, value);
    }
    let addons = &mut cluster["addonsConfig"];
    default(addons, "kubernetesDashboard", json!({"disabled": true}));
    default(addons, "networkPolicyConfig", json!({"disabled": true}));
    default(addons, "gcePersistentDiskCsiDriverConfig", json!({"enabled": true}));
    let network = &mut cluster["networkConfig"];
    default(network, "serviceExternalIpsConfig", json!({}));
    default(network, "defaultSnatStatus", json!({}));
}

/// What a node pool has that did not ask for it.
pub(crate) fn pool(pool: &mut Value, version: &str, locations: &[String], service_account: &str) {
    for (field, value) in [
        ("config", json!({})),
        ("initialNodeCount", json!(0)),
        ("locations", json!(locations)),
        ("version", json!(version)),
        ("management", json!({"autoUpgrade": true, "autoRepair": true})),
        ("maxPodsConstraint", json!({"maxPodsPerNode": "110"})),
        ("podIpv4CidrSize", json!(24)),
        ("upgradeSettings", json!({"maxSurge": 1, "strategy": "SURGE"})),
        ("networkConfig", json!({})),
    ] {
        default(pool, field, value);
    }
    if pool["version"] == "" || pool["version"] == "-" {
        pool["version"] = json!(version);
    }
    let config = &mut pool["config"];
    for (field, value) in [
        ("machineType", json!("e2-medium")),
        ("diskSizeGb", json!(100)),
        ("diskType", json!("pd-balanced")),
        ("imageType", json!(IMAGES[0])),
        ("serviceAccount", json!(service_account)),
        (
            "oauthScopes",
            json!([
                "https://www.googleapis.com/auth/devstorage.read_only",
                "https://www.googleapis.com/auth/logging.write",
                "https://www.googleapis.com/auth/monitoring"
            ]),
        ),
        ("metadata", json!({"disable-legacy-endpoints": "true"})),
        ("shieldedInstanceConfig", json!({"enableIntegrityMonitoring": true})),
        ("effectiveCgroupMode", json!("EFFECTIVE_CGROUP_MODE_V2")),
    ] {
        default(config, field, value);
    }
    if config["diskSizeGb"] == 0 {
        config["diskSizeGb"] = json!(100);
    }
    if let Some(image) = config["imageType"].as_str() {
        config["imageType"] = json!(image.to_uppercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_for_a_version_means_the_newest_that_fits() {
        assert_eq!(version(""), Some(DEFAULT_VERSION));
        assert_eq!(version("latest"), Some(VERSIONS[0]));
        assert_eq!(version("1.34"), Some(VERSIONS[3]));
        assert_eq!(version("1.34.7"), Some(VERSIONS[4]));
        assert_eq!(version("1.3"), None);
    }
}
