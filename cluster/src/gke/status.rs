//! What Google Cloud says of a deployment now, in its own words.

use engine::{Held, Inventory};
use futures::future::{try_join_all, try_join3};
use providers::gcp::container::model;
use providers::gcp::{Error, Gcp};
use serde::de::DeserializeOwned;

use super::data::data;
use super::whereabouts::{self, Located, Whereabouts};
use super::{AddressStatus, Cloud, ClusterStatus, PoolStatus};
use super::{address, cluster};

/// Asks Google Cloud what there is of a deployment: everything at once.
pub async fn status(gcp: &Gcp, inventory: &Inventory) -> Result<Cloud, Error> {
    let (clusters, disks, addresses) =
        try_join3(clusters(gcp, inventory), data(gcp, inventory), addresses(gcp, inventory)).await?;
    let (cluster, node_pools) = clusters.map_or((None, Vec::new()), |(cluster, pools)| (Some(cluster), pools));
    Ok(Cloud { cluster, node_pools, disks, addresses })
}

/// The inputs of everything of one kind that is held.
fn held<'a, T: DeserializeOwned>(inventory: &'a Inventory, kind: &'a str) -> impl Iterator<Item = T> + 'a {
    let of_kind = inventory.iter().filter(move |held: &&Held| held.node.address.kind() == kind);
    of_kind.filter_map(|held| T::deserialize(&held.node.inputs).ok())
}

async fn clusters(gcp: &Gcp, inventory: &Inventory) -> Result<Option<(ClusterStatus, Vec<PoolStatus>)>, Error> {
    let Some(inputs) = held::<cluster::Inputs>(inventory, cluster::KIND).next() else { return Ok(None) };
    let gcp = gcp.for_project(&inputs.owner.project);
    let Whereabouts::Ours(located) = whereabouts::look(&gcp, &inputs.owner, &inputs.place, &inputs.name).await? else {
        return Ok(None);
    };
    let Some(Located { location, cluster }) = located.into_iter().next() else { return Ok(None) };
    let pools = try_join_all(cluster.node_pools.iter().map(|found| pool(&gcp, found))).await?;
    let last = |link: &str| link.rsplit('/').next().unwrap_or_default().to_owned();
    let told = ClusterStatus {
        name: cluster.name.clone(),
        location,
        status: cluster.status.name().unwrap_or("UNKNOWN").to_owned(),
        version: cluster.current_master_version.clone(),
        endpoint: cluster.endpoint.clone(),
        network: last(&cluster.network),
        subnetwork: last(&cluster.subnetwork),
        nodes: nodes(&cluster),
    };
    Ok(Some((told, pools)))
}

#[expect(deprecated, reason = "Google and gcloud tell it all the same")]
fn nodes(cluster: &model::Cluster) -> i32 {
    cluster.current_node_count
}

async fn pool(gcp: &Gcp, found: &model::NodePool) -> Result<PoolStatus, Error> {
    let config = found.config.clone().unwrap_or_default();
    Ok(PoolStatus {
        name: found.name.clone(),
        status: found.status.name().unwrap_or("UNKNOWN").to_owned(),
        version: found.version.clone(),
        machine_type: config.machine_type,
        disk_type: config.disk_type,
        disk_size_gigabytes: config.disk_size_gb,
        nodes: gcp.node_pool_sizes(found).await?.into_iter().sum(),
    })
}

async fn addresses(gcp: &Gcp, inventory: &Inventory) -> Result<Vec<AddressStatus>, Error> {
    let looks = held::<address::Inputs>(inventory, address::KIND).map(|inputs| async move {
        let found = gcp.for_project(&inputs.owner.project).address(&inputs.region, &inputs.name).await?;
        Ok(found.map(|found| AddressStatus {
            name: inputs.name,
            region: inputs.region,
            address: found.address.unwrap_or_default(),
            status: found.status.as_ref().and_then(|status| status.name()).unwrap_or_default().to_owned(),
        }))
    });
    Ok(try_join_all(looks).await?.into_iter().flatten().collect())
}
