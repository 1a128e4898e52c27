//! What controllers in a cluster make in the cloud: load balancers for Services, disks for claims.

use std::sync::Arc;

use super::Gcp;

/// Begins to look after a cluster, if there is a Kubernetes to look into.
pub(super) fn begin(gcp: &Arc<Gcp>, id: String, _key: String) {
    let mut world = gcp.world();
    if world.kubernetes.get(&id).is_none_or(|kubernetes| kubernetes.kubeconfig.is_empty()) {
        return;
    }
    world.watchers.insert(id, gcp.stop.child_token());
}
