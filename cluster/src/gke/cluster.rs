use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use engine::{Class, Context, Existing, Failure, Gone, Held, Node, Observation, Remains, Resource};
use futures::future::try_join_all;
use providers::gcp::container::model::{self, cluster};
use providers::gcp::{Error, Gcp};
use providers::retry::{Policy, Verdict, retry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::boot::Boot;
use super::whereabouts::{self, Located, Whereabouts, complaint};
use super::{Channel, NodePool, Owner, Place, failure};
use crate::kind::remove_file;

/// How often a deletion is asked for that failed in the middle.
const AGAIN: Policy = Policy { attempts: 4, first_delay: Duration::from_secs(10), max_delay: Duration::from_secs(40) };

/// The kind of node.
pub(super) const KIND: &str = "gke-cluster";
/// The milestone at which objects may be applied.
pub(super) const API: &str = "api";

/// What a `gke-cluster` node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub owner: Owner,
    pub name: String,
    pub place: Place,
    pub version: Option<String>,
    pub channel: Option<Channel>,
    pub network: String,
    pub subnetwork: Option<String>,
    pub private_nodes: bool,
    pub workload_identity: bool,
    pub service_account: String,
    /// What it is made with. Afterwards the pool is a node of its own.
    pub first_pool: NodePool,
    pub kubeconfig: PathBuf,
    pub token_program: Vec<String>,
}

/// The behaviour of `gke-cluster`.
#[derive(Debug)]
pub(super) struct Clusters(pub Gcp);

impl Clusters {
    fn gcp(&self, inputs: &Inputs) -> Gcp {
        self.0.for_project(&inputs.owner.project)
    }

    async fn look(&self, inputs: &Value) -> Result<Whereabouts, String> {
        let inputs = Inputs::deserialize(inputs).map_err(|error| error.to_string())?;
        let found = whereabouts::look(&self.gcp(&inputs), &inputs.owner, &inputs.place, &inputs.name).await;
        found.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Resource for Clusters {
    fn forces_replacement(&self, old: &Value, new: &Value) -> Option<String> {
        let fixed = ["owner", "name", "network", "subnetwork", "private_nodes", "workload_identity"];
        let differs = fixed.into_iter().find(|field| old[*field] != new[*field]).map(ToOwned::to_owned);
        // Which other zones may be tried says nothing about where it is.
        let location =
            |inputs: &Value| Place::deserialize(&inputs["place"]).ok().map(|place| place.location().to_owned());
        differs.or_else(|| (location(old) != location(new)).then(|| "place".to_owned()))
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let looks = held.iter().map(|held| async move {
            match self.look(&held.node.inputs).await {
                Ok(Whereabouts::Ours(located)) => observation(&located),
                Ok(_) => Observation::Absent,
                Err(reason) => Observation::Unknown(reason),
            }
        });
        futures::future::join_all(looks).await
    }

    async fn existing(&self, wanted: &[&Node]) -> Vec<Existing> {
        let looks = wanted.iter().map(|node| async move {
            match self.look(&node.inputs).await {
                Ok(Whereabouts::Foreign(owner)) => Existing::Foreign { owner, may_be_adopted: false },
                Ok(_) => Existing::Free,
                Err(_) => Existing::Unknown,
            }
        });
        futures::future::join_all(looks).await
    }

    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        let gcp = self.gcp(&inputs);
        let located = Boot { gcp: &gcp, context, inputs: &inputs }.run().await?;
        Ok(outputs(&inputs, &located))
    }

    async fn update(&self, context: &Context, old: &Value, new: &Value) -> Result<Value, Failure> {
        let inputs = Inputs::deserialize(new)?;
        let gcp = self.gcp(&inputs);
        let boot = Boot { gcp: &gcp, context, inputs: &inputs };
        let located = boot.run().await?;
        for update in changes(old, &inputs) {
            boot.change(&located.location, &update).await.map_err(|error| {
                let mut failure = failure::of(format!("change the cluster {}", inputs.name), error);
                failure.remains = Remains::Something;
                failure
            })?;
        }
        if let Some(path) = old["kubeconfig"].as_str().filter(|path| *path != inputs.kubeconfig.to_string_lossy()) {
            remove_file(path.as_ref())?;
        }
        Ok(outputs(&inputs, &located))
    }

    async fn delete(&self, context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        let gcp = self.gcp(&inputs);
        let what = || format!("delete the cluster {}", inputs.name);
        let fail = |error| failure::of(what(), error);
        let look = || whereabouts::look(&gcp, &inputs.owner, &inputs.place, &inputs.name);
        if let Whereabouts::Ours(located) = look().await.map_err(fail)? {
            let pace = |pause| gcp.pause(pause);
            let policy = Policy { first_delay: pace(AGAIN.first_delay), max_delay: pace(AGAIN.max_delay), ..AGAIN };
            // Google does not repeat what failed in the middle of a deletion; another one goes on from there.
            let again = |error: &Error| match error {
                Error::InUse { .. } | Error::Failed { .. } | Error::Incompatible { .. } => Verdict::Again,
                error if error.is_passing() => Verdict::Again,
                _ => Verdict::Final,
            };
            let (gcp, name, policy) = (&gcp, &inputs.name, &policy);
            let deletions = located.iter().map(|located| async move {
                retry(policy, again, || delete(gcp, context, name, &located.location)).await
            });
            try_join_all(deletions).await.map_err(fail)?;
        }
        if let Whereabouts::Ours(located) = look().await.map_err(fail)? {
            let reason = located.first().map(|located| complaint(&located.cluster)).unwrap_or_default();
            let failure = Failure::from(format!("{}: it was deleted and is still there: {reason}", what()));
            return Err(failure.class(Class::Blocked));
        }
        remove_file(&inputs.kubeconfig)?;
        Ok(vec![Gone::new("GKE cluster", &inputs.name), Gone::new("file", inputs.kubeconfig.display().to_string())])
    }
}

/// Deletes a cluster, once nothing else works on it, and waits until it is gone. An operation that failed may have deleted it all the
/// same: the caller looks.
pub(super) async fn delete(gcp: &Gcp, context: &Context, name: &str, location: &str) -> Result<(), Error> {
    let tell = |text: String| context.progress(text);
    let begun = gcp.queued(location, &tell, || gcp.delete_cluster(location, name)).await?;
    let Some(operation) = begun else { return Ok(()) };
    match gcp.wait_for_cluster_operation(location, &operation, &tell).await {
        Err(error) if gcp.cluster(location, name).await?.is_some() => Err(error),
        _ => Ok(()),
    }
}

/// What is changed in place, one after another: the API takes one change at a time.
fn changes(old: &Value, new: &Inputs) -> Vec<model::ClusterUpdate> {
    let mut updates = Vec::new();
    if let Some(channel) = new.channel.filter(|channel| old["channel"] != json!(channel)) {
        let channel = model::ReleaseChannel::new().set_channel(super::shape::release(channel));
        updates.push(model::ClusterUpdate::new().set_desired_release_channel(channel));
    }
    if let Some(version) = new.version.as_ref().filter(|version| old["version"] != **version) {
        updates.push(model::ClusterUpdate::new().set_desired_master_version(version));
    }
    updates
}

fn observation(located: &[Located]) -> Observation {
    let [one] = located else { return Observation::Changed("it is in several zones".into()) };
    match one.cluster.status {
        cluster::Status::Running | cluster::Status::Reconciling => Observation::AsRecorded,
        cluster::Status::Stopping => Observation::Changed("it is being deleted".into()),
        cluster::Status::Provisioning => Observation::Changed("it is still being made".into()),
        _ => Observation::Changed(complaint(&one.cluster).into()),
    }
}

/// The address of the API server.
pub(super) fn server(cluster: &model::Cluster) -> String {
    format!("https://{}", cluster.endpoint)
}

pub(super) fn outputs(inputs: &Inputs, located: &Located) -> Value {
    json!({
        "context": inputs.name,
        "server": server(&located.cluster),
        "location": located.location,
        "id": located.cluster.id,
    })
}
