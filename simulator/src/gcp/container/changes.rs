//! Changes of a cluster.

use serde_json::{Value, json};

use super::{check_idle, defaults, existing, plan, told};
use crate::gcp::call::Call;
use crate::gcp::operations::End;
use crate::gcp::refusal::Refusal;
use crate::gcp::world::World;
use crate::hash;

/// Fields of an update, and the fields of a cluster that they set.
const FIELDS: [(&str, &str); 12] = [
    ("desiredAddonsConfig", "addonsConfig"),
    ("desiredReleaseChannel", "releaseChannel"),
    ("desiredWorkloadIdentityConfig", "workloadIdentityConfig"),
    ("desiredMasterAuthorizedNetworksConfig", "masterAuthorizedNetworksConfig"),
    ("desiredShieldedNodes", "shieldedNodes"),
    ("desiredLoggingService", "loggingService"),
    ("desiredLoggingConfig", "loggingConfig"),
    ("desiredMonitoringService", "monitoringService"),
    ("desiredMonitoringConfig", "monitoringConfig"),
    ("desiredVerticalPodAutoscaling", "verticalPodAutoscaling"),
    ("desiredLocations", "locations"),
    ("desiredClusterAutoscaling", "autoscaling"),
];

/// Begins a change of a cluster.
pub(super) fn change(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let key = existing(world, call)?;
    check_idle(world, &key)?;
    let asked = call.body.clone();
    let kind = match call.route.method.action() {
        "setResourceLabels" => {
            check_fingerprint(&world.things[&key].body, &asked)?;
            "SET_LABELS"
        }
        "updateMaster" => "UPGRADE_MASTER",
        "update" if asked["update"]["desiredMasterVersion"].is_string() => "UPGRADE_MASTER",
        "update" if asked["update"]["desiredNodeVersion"].is_string() => "UPGRADE_NODES",
        _ => "UPDATE_CLUSTER",
    };
    let version = version(&asked)?;
    let fingerprint = hash::hex(world.seed, &["labels", &key, &world.next_number().to_string()], 8);
    world.change(&key, |body| {
        body["status"] = json!("RECONCILING");
        apply(body, &asked, version, &fingerprint);
    });
    let nodes = asked["update"]["desiredNodeVersion"].is_string().then_some(version).flatten();
    let plan = plan(world, &key, kind, "", &key);
    let owner = key.clone();
    let end: End = Box::new(move |world, _| {
        world.change(&owner, |body| body["status"] = json!("RUNNING"));
        let prefix = format!("{owner}/nodePools/");
        let pools: Vec<String> = world.things.keys().filter(|known| known.starts_with(&prefix)).cloned().collect();
        for pool in pools {
            world.change(&pool, |body| {
                if let Some(version) = nodes {
                    body["version"] = json!(version);
                }
            });
        }
    });
    let operation = world.begin(plan, Vec::new(), end);
    Ok(told(world, &operation))
}

/// Labels are only set by who knows how they are.
fn check_fingerprint(body: &Value, asked: &Value) -> Result<(), Refusal> {
    if asked["labelFingerprint"] == body["labelFingerprint"] {
        return Ok(());
    }
    Err(Refusal::precondition("Labels could not be set due to fingerprint mismatch."))
}

fn version(asked: &Value) -> Result<Option<&'static str>, Refusal> {
    let update = &asked["update"];
    let wishes = [&asked["masterVersion"], &update["desiredMasterVersion"], &update["desiredNodeVersion"]];
    let Some(wish) = wishes.into_iter().find_map(Value::as_str) else { return Ok(None) };
    let unknown = || Refusal::invalid(format!("Master version \"{wish}\" is unsupported."));
    defaults::version(wish).map(Some).ok_or_else(unknown)
}

fn apply(body: &mut Value, asked: &Value, version: Option<&str>, fingerprint: &str) {
    for (desired, field) in FIELDS {
        if !asked["update"][desired].is_null() {
            body[field] = asked["update"][desired].clone();
        }
    }
    for field in ["locations", "loggingService", "monitoringService", "addonsConfig"] {
        if !asked[field].is_null() {
            body[field] = asked[field].clone();
        }
    }
    if asked["labelFingerprint"].is_string() {
        body["resourceLabels"] =
            if asked["resourceLabels"].is_null() { json!({}) } else { asked["resourceLabels"].clone() };
        body["labelFingerprint"] = json!(fingerprint);
    }
    if let Some(version) = version {
        let field = if asked["update"]["desiredNodeVersion"].is_string() {
            "currentNodeVersion"
        } else {
            "currentMasterVersion"
        };
        body[field] = json!(version);
    }
}
