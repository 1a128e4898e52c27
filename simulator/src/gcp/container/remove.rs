//! Removing a cluster, and what that leaves behind.

use serde_json::{Value, json};

use super::{check_idle, existing, machines, plan, short, told};
use crate::faults::FaultKind;
use crate::gcp::call::Call;
use crate::gcp::operations::{End, Failure, Step};
use crate::gcp::refusal::Refusal;
use crate::gcp::world::{Work, World};

/// Begins to remove a cluster.
pub(super) fn remove(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let key = existing(world, call)?;
    check_idle(world, &key)?;
    world.change(&key, |body| body["status"] = json!("STOPPING"));
    world.leave(&key);
    let plan = plan(world, &key, "DELETE_CLUSTER", "", &key);
    let (owner, cluster) = (key.clone(), key.clone());
    let step: Step = Box::new(move |world| {
        let nodes: Vec<_> =
            machines::machines_of(world, &owner).map(|(pool, node)| (pool.to_owned(), node.clone())).collect();
        for (pool, node) in nodes {
            machines::halt(world, &pool, &node);
        }
    });
    let end: End = Box::new(move |world, failure| match failure {
        Some(failure) => stuck(world, &cluster, failure),
        None => finish(world, &cluster),
    });
    let failed = world.fault == Some(FaultKind::FailedOperation);
    let operation = world.begin(plan, vec![(0.6, step)], end);
    if failed {
        let message = "Google Compute Engine: The network resource is already being used by a firewall.";
        world.operation(&operation).failure =
            Some(Failure::new(9, 400, "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", message));
    }
    let id = short(&world.things[&key].body["id"]);
    world.kubernetes_leaves(&id);
    world.ask(&operation, Work::Stop(id));
    Ok(told(world, &operation))
}

/// A deletion that failed leaves a cluster that can only be deleted again.
fn stuck(world: &mut World, key: &str, failure: &Failure) {
    world.change(key, |body| {
        body["status"] = json!("ERROR");
        body["statusMessage"] = json!(failure.message);
    });
    let prefix = format!("{key}/nodePools/");
    for (pool, nodes) in &mut world.nodes {
        if pool.starts_with(&prefix) {
            nodes.clear();
        }
    }
}

/// Everything that is the cluster's own goes. What its controllers made goes only where the faults do not say otherwise:
/// Google's page on deleting clusters says that load balancers and disks may stay.
fn finish(world: &mut World, key: &str) {
    let project = key.split('/').nth(2).unwrap_or_default().to_owned();
    let id = short(&world.things[key].body["id"]);
    let name: String = short(&world.things[key].body["name"]).chars().take(40).collect();
    let prefix = format!("{key}/nodePools/");
    let pools: Vec<String> = world.things.keys().filter(|known| known.starts_with(&prefix)).cloned().collect();
    for pool in pools {
        machines::drop_groups(world, &pool);
        world.nodes.remove(&pool);
        world.remove(&pool);
    }
    let rules =
        format!("compute/projects/{project}/global/firewalls/gke-{name}-{}-", machines::cluster_hash(world, key));
    let own: Vec<String> = world.things.keys().filter(|known| known.starts_with(&rules)).cloned().collect();
    for rule in own {
        world.remove(&rule);
    }
    let made = world.made_in.remove(&id).unwrap_or_default();
    for thing in made {
        if !world.faults.leaves(&thing) {
            world.remove(&thing);
        }
    }
    world.remove(key);
    world.kubernetes.remove(&id);
}
