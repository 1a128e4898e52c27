//! What things cost: Google's list prices in us-central1, in US dollars an hour.

use serde_json::Value;

use super::catalog;

/// What the control plane of a cluster costs.
const CLUSTER: f64 = 0.10;
/// What a machine costs that may be taken away, as a part of the full price.
const SPOT: f64 = 0.3;

/// What a GiB of each tier of Filestore costs in a month.
const TIERS: [(&str, f64); 8] = [
    ("BASIC_HDD", 0.16),
    ("STANDARD", 0.16),
    ("BASIC_SSD", 0.30),
    ("PREMIUM", 0.30),
    ("HIGH_SCALE_SSD", 0.25),
    ("ZONAL", 0.25),
    ("REGIONAL", 0.45),
    ("ENTERPRISE", 0.45),
];

/// What a resource costs in an hour. 0 where the price goes by use, or where there is none.
pub(crate) fn per_hour(kind: &str, body: &Value) -> f64 {
    match kind {
        "clusters" => CLUSTER,
        "instances" => instance(body),
        "disks" => {
            let price =
                catalog::DISK_TYPES.iter().find(|known| known.0 == last(&body["type"])).map_or(0.04, |known| known.1);
            price * number(&body["sizeGb"]) / catalog::HOURS_OF_MONTH
        }
        "snapshots" => 0.05 * number(&body["diskSizeGb"]) / catalog::HOURS_OF_MONTH,
        "addresses" | "globalAddresses" if body["addressType"] == "INTERNAL" => 0.0,
        "addresses" | "globalAddresses" if body["status"] == "IN_USE" => 0.005,
        "addresses" | "globalAddresses" => 0.01,
        "forwardingRules" | "globalForwardingRules" => 0.025,
        "routers" if body["nats"].as_array().is_some_and(|nats| !nats.is_empty()) => 0.044,
        "filestoreInstances" => {
            let tier = TIERS.iter().find(|known| body["tier"] == known.0).map_or(0.0, |known| known.1);
            tier * number(&body["fileShares"][0]["capacityGb"]) / catalog::HOURS_OF_MONTH
        }
        _ => 0.0,
    }
}

fn instance(body: &Value) -> f64 {
    let machine =
        catalog::machine(last(&body["zone"]), last(&body["machineType"])).map_or(0.0, |machine| machine.price);
    let accelerators = body["guestAccelerators"].as_array().into_iter().flatten();
    let accelerators = accelerators
        .map(|each| catalog::accelerator_price(last(&each["acceleratorType"])) * number(&each["acceleratorCount"]));
    let full = machine + accelerators.sum::<f64>();
    if body["scheduling"]["preemptible"] == true { full * SPOT } else { full }
}

/// A number, whether it is written as one or as text.
pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok())).unwrap_or_default()
}

/// The last part of a path.
pub(crate) fn last(value: &Value) -> &str {
    value.as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_disk_costs_by_its_type_and_size() {
        let disk = json!({"type": "projects/p/zones/z/diskTypes/pd-ssd", "sizeGb": "730"});
        assert!((per_hour("disks", &disk) - 0.17).abs() < 1e-9);
    }

    #[test]
    fn a_file_server_costs_by_its_tier_and_capacity() {
        let server = json!({"tier": "BASIC_HDD", "fileShares": [{"name": "data", "capacityGb": "1024"}]});
        assert!((per_hour("filestoreInstances", &server) - 0.2244).abs() < 1e-4);
    }

    #[test]
    fn a_machine_costs_with_its_accelerators() {
        let accelerators = json!([{"acceleratorType": "nvidia-tesla-t4", "acceleratorCount": 2}]);
        let body =
            json!({"zone": "z/us-central1-a", "machineType": "m/n1-standard-1", "guestAccelerators": accelerators});
        assert!((per_hour("instances", &body) - (0.0475 + 0.70)).abs() < 0.001);
    }
}
