//! Where a cluster is, and in which state.

use providers::gcp::container::model::{self, cluster, node_pool};
use providers::gcp::{Error, Gcp};

use super::{OtherZones, Owner, Place, names, region_of};

/// A cluster of the deployment.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub location: String,
    pub cluster: Box<model::Cluster>,
}

impl Located {
    /// A cluster as a list has it.
    pub fn new(cluster: model::Cluster) -> Self {
        Self { location: cluster.location.clone(), cluster: Box::new(cluster) }
    }
}

/// What there is under the name of a cluster.
#[derive(Clone, Debug)]
pub(super) enum Whereabouts {
    Nothing,
    /// The deployment's: usually one. Several where zones were tried one after another.
    Ours(Vec<Located>),
    /// Of somebody else; says whose, and where.
    Foreign(String),
}

/// Looks in every place where the cluster could be.
pub(super) async fn look(gcp: &Gcp, owner: &Owner, place: &Place, name: &str) -> Result<Whereabouts, Error> {
    let found = if let Place::Zone { others: OtherZones::Any | OtherZones::Named(_), .. } = place {
        everywhere(gcp, place, name).await?
    } else {
        let location = place.location();
        let found = gcp.cluster(location, name).await?;
        found.map(|cluster| Located { location: location.to_owned(), cluster }).into_iter().collect()
    };
    let (ours, others): (Vec<Located>, Vec<Located>) =
        found.into_iter().partition(|located| is_ours(owner, &located.cluster));
    // A cluster of somebody else in another zone is in nobody's way.
    let foreign = others.into_iter().find(|other| other.location == place.location());
    match foreign {
        Some(other) if ours.is_empty() => Ok(Whereabouts::Foreign(whose(&other))),
        _ if ours.is_empty() => Ok(Whereabouts::Nothing),
        _ => Ok(Whereabouts::Ours(ours)),
    }
}

/// Every cluster of this name in the region.
async fn everywhere(gcp: &Gcp, place: &Place, name: &str) -> Result<Vec<Located>, Error> {
    let (clusters, missing) = gcp.clusters().await?;
    if let Some(zone) = missing.iter().find(|zone| region_of(zone) == place.region()) {
        return Err(Error::Unavailable { message: format!("the zone {zone} does not tell its clusters"), pause: None });
    }
    let here = clusters.into_iter().filter(|cluster| {
        cluster.name == name && (region_of(&cluster.location) == place.region() || cluster.location == place.region())
    });
    Ok(here.map(Located::new).collect())
}

pub(super) fn is_ours(owner: &Owner, cluster: &model::Cluster) -> bool {
    cluster.resource_labels.get(names::LABEL) == Some(&owner.deployment)
}

fn whose(located: &Located) -> String {
    match located.cluster.resource_labels.get(names::LABEL) {
        Some(other) => format!("the deployment {other} made it"),
        None => format!("infra did not make it (in {})", located.location),
    }
}

/// The zones that are tried, in order; only the place itself where it is a region.
pub(super) async fn candidates(gcp: &Gcp, place: &Place) -> Result<Vec<String>, Error> {
    let Place::Zone { zone, others } = place else { return Ok(vec![place.location().to_owned()]) };
    let others = match others {
        OtherZones::None => Vec::new(),
        OtherZones::Named(zones) => zones.clone(),
        OtherZones::Any => gcp.zones(region_of(zone)).await?,
    };
    let others = others.into_iter().filter(|other| other != zone);
    Ok(std::iter::once(zone.clone()).chain(others).collect())
}

/// Whether the cluster works: it runs, and so do its pools.
pub(super) fn works(found: &model::Cluster) -> bool {
    let runs =
        matches!(found.status, cluster::Status::Running | cluster::Status::Reconciling | cluster::Status::Degraded);
    let fine = |pool: &model::NodePool| {
        matches!(
            pool.status,
            node_pool::Status::Running | node_pool::Status::Reconciling | node_pool::Status::Provisioning
        )
    };
    runs && found.node_pools.iter().all(fine)
}

/// What Google says is wrong with a cluster.
#[expect(deprecated, reason = "where the conditions say nothing, the message does")]
pub(super) fn complaint(found: &model::Cluster) -> String {
    let conditions = found.conditions.iter().map(|condition| condition.message.as_str());
    let of_pools =
        found.node_pools.iter().flat_map(|pool| &pool.conditions).map(|condition| condition.message.as_str());
    let mut all: Vec<&str> = std::iter::once(found.status_message.as_str()).chain(conditions).chain(of_pools).collect();
    all.retain(|text| !text.is_empty());
    all.dedup();
    if all.is_empty() { format!("its state is {}", found.status.name().unwrap_or("unknown")) } else { all.join("; ") }
}
