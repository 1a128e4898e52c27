use async_trait::async_trait;
use engine::{Context, Drift, Failure, FieldChange, Gone, Held, Observation, Resource};
use futures::future::join_all;
use providers::gcp::container::model::{self, node_pool::Status};
use providers::gcp::{Error, Gcp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::shape::{self, PoolOf};
use super::whereabouts::{self, Whereabouts};
use super::{NodePool, Owner, Place, PoolSize, failure};

/// The kind of node.
pub(super) const KIND: &str = "gke-node-pool";

/// What a `gke-node-pool` node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub owner: Owner,
    pub cluster: String,
    pub place: Place,
    pub service_account: String,
    pub workload_identity: bool,
    pub pool: NodePool,
}

/// The behaviour of `gke-node-pool`: the first one finds what was made with the cluster.
#[derive(Debug)]
pub(super) struct NodePools(pub Gcp);

/// A pool that is worked on.
struct Work<'a> {
    gcp: Gcp,
    context: &'a Context,
    inputs: Inputs,
    /// Where the cluster is.
    location: String,
}

impl NodePools {
    async fn locate(&self, inputs: &Inputs) -> Result<Option<String>, Error> {
        let gcp = self.0.for_project(&inputs.owner.project);
        let found = whereabouts::look(&gcp, &inputs.owner, &inputs.place, &inputs.cluster).await?;
        Ok(match found {
            Whereabouts::Ours(located) => located.into_iter().next().map(|located| located.location),
            _ => None,
        })
    }

    async fn work<'a>(&self, context: &'a Context, inputs: &Value) -> Result<Option<Work<'a>>, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        let located = self.locate(&inputs).await;
        let located = located.map_err(|error| failure::of(format!("find the cluster {}", inputs.cluster), error))?;
        let gcp = self.0.for_project(&inputs.owner.project);
        Ok(located.map(|location| Work { gcp, context, inputs, location }))
    }

    async fn observe_one(&self, inputs: &Value) -> Result<Observation, String> {
        let inputs = Inputs::deserialize(inputs).map_err(|error| error.to_string())?;
        let Some(location) = self.locate(&inputs).await.map_err(|error| error.to_string())? else {
            return Ok(Observation::Absent);
        };
        let gcp = self.0.for_project(&inputs.owner.project);
        let found = gcp.node_pool(&location, &inputs.cluster, &inputs.pool.name).await;
        let Some(found) = found.map_err(|error| error.to_string())? else { return Ok(Observation::Absent) };
        if let Some(difference) = difference(&found, &inputs.pool) {
            return Ok(Observation::Changed(difference.into()));
        }
        let sizes = gcp.node_pool_sizes(&found).await.map_err(|error| error.to_string())?;
        Ok(resized(&sizes, &inputs.pool).map_or(Observation::AsRecorded, Observation::Changed))
    }
}

/// A field of a pool, or what Google takes where it is not said.
fn usual(field: &str, pool: &Value) -> Value {
    match (field, &pool[field]) {
        ("image_type", Value::Null) => json!(shape::USUAL_IMAGE_TYPE),
        ("image_type", Value::String(said)) => json!(said.to_uppercase()),
        ("disk_type", Value::Null) => json!(shape::USUAL_DISK_TYPE),
        ("disk_size_gigabytes", Value::Null) => json!(shape::USUAL_DISK_GIGABYTES),
        (_, said) => said.clone(),
    }
}

#[async_trait]
impl Resource for NodePools {
    fn forces_replacement(&self, old: &Value, new: &Value) -> Option<String> {
        let changed = ["owner", "cluster"].into_iter().find(|field| old[*field] != new[*field]);
        let fixed = [
            "name",
            "machine_type",
            "image_type",
            "disk_type",
            "disk_size_gigabytes",
            "spot",
            "gpu",
            "labels",
            "taints",
            "zones",
        ];
        let differs = fixed.into_iter().find(|field| usual(field, &old["pool"]) != usual(field, &new["pool"]));
        changed.or(differs).map(ToOwned::to_owned)
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let looks = held.iter().map(|held| self.observe_one(&held.node.inputs));
        join_all(looks).await.into_iter().map(|look| look.unwrap_or_else(Observation::Unknown)).collect()
    }

    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let Some(work) = self.work(context, inputs).await? else {
            return Err(Failure::from("make the node pool: its cluster is not there").nothing_remains());
        };
        let name = work.inputs.pool.name.clone();
        match work.run().await {
            Ok(pool) => Ok(json!({ "name": name, "version": pool.version })),
            Err(error) => {
                let there = work.find().await.map(|found| found.is_some());
                Err(failure::leaving(format!("make the node pool {name}"), error, there.ok()))
            }
        }
    }

    async fn delete(&self, context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let name = Inputs::deserialize(inputs)?.pool.name;
        let Some(work) = self.work(context, inputs).await? else { return Ok(vec![Gone::new("node pool", name)]) };
        work.remove().await.map_err(|error| failure::of(format!("delete the node pool {name}"), error))?;
        match work.find().await.map_err(|error| failure::of(format!("look at the node pool {name}"), error))? {
            Some(_) => Err(format!("delete the node pool {name}: it was deleted and is still there").into()),
            None => Ok(vec![Gone::new("node pool", name)]),
        }
    }
}

impl Work<'_> {
    fn tell(&self) -> impl Fn(String) + Sync + '_ {
        |text| self.context.progress(text)
    }

    async fn find(&self) -> Result<Option<Box<model::NodePool>>, Error> {
        self.gcp.node_pool(&self.location, &self.inputs.cluster, &self.inputs.pool.name).await
    }

    /// Adopts the pool that is there, changes it, or makes it.
    async fn run(&self) -> Result<Box<model::NodePool>, Error> {
        match self.find().await? {
            Some(found) if found.status == Status::Error => self.remove().await?,
            Some(found) => {
                self.settle().await?;
                let is_resized = resized(&self.gcp.node_pool_sizes(&found).await?, &self.inputs.pool).is_some();
                if is_resized || difference(&found, &self.inputs.pool).is_some() {
                    self.resize().await?;
                }
                return self.there().await;
            }
            None => {}
        }
        self.make().await?;
        self.there().await
    }

    async fn there(&self) -> Result<Box<model::NodePool>, Error> {
        self.find().await?.ok_or_else(|| Error::Failed { message: "the node pool was made and is gone".to_owned() })
    }

    /// Makes it, in other zones where the ones before have no machines left and others may be tried.
    async fn make(&self) -> Result<(), Error> {
        let mut zones: Vec<Vec<String>> = vec![self.inputs.pool.zones.clone()];
        if self.inputs.pool.zones.is_empty() {
            let others = whereabouts::candidates(&self.gcp, &self.inputs.place).await?;
            zones.extend(
                others.into_iter().filter(|zone| *zone != self.location && super::is_zone(zone)).map(|zone| vec![zone]),
            );
        }
        let mut last = None;
        for zones in zones {
            let pool = NodePool { zones, ..self.inputs.pool.clone() };
            match self.make_in(&pool).await {
                Err(error @ Error::Stockout { .. }) => {
                    self.context.progress(format!("{error}; trying another zone, if there is one"));
                    self.remove().await?;
                    last = Some(error);
                }
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| Error::Failed { message: "there is no zone to make it in".to_owned() }))
    }

    async fn make_in(&self, pool: &NodePool) -> Result<(), Error> {
        let Inputs { owner, service_account, workload_identity, cluster, .. } = &self.inputs;
        let shape = shape::node_pool(&PoolOf { owner, pool, service_account, workload_identity: *workload_identity });
        let (gcp, location) = (&self.gcp, &self.location);
        let begun = gcp.queued(location, &self.tell(), || gcp.create_node_pool(location, cluster, &shape)).await;
        let operation = match begun {
            Ok(operation) => operation,
            // It was made, although nobody said so.
            Err(error) if error.outcome_is_unknown() || matches!(error, Error::AlreadyExists(_)) => {
                return match self.find().await? {
                    Some(_) => self.settle().await,
                    None => Err(error),
                };
            }
            Err(error) => return Err(error),
        };
        match gcp.wait_for_cluster_operation(location, &operation, &self.tell()).await {
            Err(error @ Error::Stockout { .. }) => Err(error),
            // Pools heal by themselves at times: it is looked at again before it is believed.
            result => match self.find().await? {
                Some(found) if matches!(found.status, Status::Running | Status::Reconciling) => Ok(()),
                Some(found) => Err(result.err().unwrap_or_else(|| broken(&found))),
                None => Err(result.err().unwrap_or_else(|| Error::Failed { message: "it is not there".to_owned() })),
            },
        }
    }

    /// Waits for what goes on in the pool.
    async fn settle(&self) -> Result<(), Error> {
        let (gcp, location) = (&self.gcp, &self.location);
        let part = format!("/nodePools/{}", self.inputs.pool.name);
        for operation in gcp.open_operations(location, &self.inputs.cluster).await? {
            if operation.target_link.ends_with(&part) {
                let _ = gcp.wait_for_cluster_operation(location, &operation.name, &self.tell()).await;
            }
        }
        Ok(())
    }

    /// Gives the pool as many nodes as it shall have.
    async fn resize(&self) -> Result<(), Error> {
        let Inputs { cluster, pool, .. } = &self.inputs;
        let (gcp, location, name) = (&self.gcp, &self.location, &pool.name);
        let off = model::NodePoolAutoscaling::new().set_enabled(false);
        let wanted = shape::autoscaling(pool).unwrap_or(off);
        let scaled = self.there().await?.autoscaling.is_some_and(|autoscaling| autoscaling.enabled);
        if wanted.enabled || scaled {
            let call = || gcp.set_node_pool_autoscaling(location, cluster, name, &wanted);
            let operation = gcp.queued(location, &self.tell(), call).await?;
            gcp.wait_for_cluster_operation(location, &operation, &self.tell()).await?;
        }
        if let PoolSize::Count(nodes) = pool.size {
            let call = || gcp.set_node_pool_size(location, cluster, name, shape::count(nodes));
            let operation = gcp.queued(location, &self.tell(), call).await?;
            gcp.wait_for_cluster_operation(location, &operation, &self.tell()).await?;
        }
        Ok(())
    }

    async fn remove(&self) -> Result<(), Error> {
        let Inputs { cluster, pool, .. } = &self.inputs;
        let (gcp, location) = (&self.gcp, &self.location);
        let begun = gcp.queued(location, &self.tell(), || gcp.delete_node_pool(location, cluster, &pool.name)).await?;
        let Some(operation) = begun else { return Ok(()) };
        match gcp.wait_for_cluster_operation(location, &operation, &self.tell()).await {
            Err(error) if self.find().await?.is_some() => Err(error),
            _ => Ok(()),
        }
    }
}

#[expect(deprecated, reason = "old pools still have a message there")]
fn broken(pool: &model::NodePool) -> Error {
    let conditions = pool.conditions.iter().map(|condition| condition.message.as_str());
    let message: Vec<&str> =
        std::iter::once(pool.status_message.as_str()).chain(conditions).filter(|text| !text.is_empty()).collect();
    let message = message.join("; ");
    if Error::is_stockout_text(&message) { Error::Stockout { zone: None, message } } else { Error::Failed { message } }
}

/// Whether a pool has another number of nodes than it shall have, in any of its zones.
fn resized(sizes: &[i64], wanted: &NodePool) -> Option<Drift> {
    let PoolSize::Count(nodes) = wanted.size else { return None };
    let other = *sizes.iter().find(|size| **size != i64::from(nodes))?;
    let change = FieldChange { path: "pool.size.count".to_owned(), old: Some(json!(nodes)), new: Some(json!(other)) };
    Some(Drift { what: format!("it has {other} nodes in a zone, and not {nodes}"), fields: vec![change] })
}

/// What differs between a pool and what it shall be, of what can change in place; and what Google says is wrong with it.
fn difference(found: &model::NodePool, wanted: &NodePool) -> Option<String> {
    if matches!(found.status, Status::Error | Status::RunningWithError) {
        return Some(broken(found).to_string());
    }
    let scaled = found.autoscaling.as_ref().filter(|autoscaling| autoscaling.enabled);
    match (wanted.size, scaled) {
        (PoolSize::Count(_), Some(_)) => Some("it grows and shrinks by itself".to_owned()),
        (PoolSize::Count(_), None) => None,
        (PoolSize::Autoscaling { min, max }, Some(scaled))
            if (scaled.min_node_count, scaled.max_node_count) == (shape::count(min), shape::count(max)) =>
        {
            None
        }
        (PoolSize::Autoscaling { .. }, Some(scaled)) => {
            Some(format!("it has from {} to {} nodes in each zone", scaled.min_node_count, scaled.max_node_count))
        }
        (PoolSize::Autoscaling { .. }, None) => Some("it does not grow and shrink by itself".to_owned()),
    }
}
