//! What controllers in a cluster made in the cloud goes before the cluster does, while they can still remove it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use engine::{Blocker, Class, Context, Failure, Gone, Resource};
use futures::future::try_join_all;
use providers::gcp::Gcp;
use providers::kubernetes::{Client, Clients, Identity, Kind, KubernetesError, Propagation, Selection};
use providers::wait::{Probe, WaitError, until};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::whereabouts::{self, Whereabouts};
use super::{Owner, Place, failure};

/// The kind of node.
pub(super) const KIND: &str = "gke-drain";

/// How long controllers may take to remove what they made.
const LIMIT: Duration = Duration::from_mins(10);
/// How long an API server that does not answer is asked: without it, what is left is found by its name afterwards.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(3);

/// The driver of Compute Engine's disks.
const DISK_DRIVER: &str = "pd.csi.storage.gke.io";
/// Where file servers are that claims of other namespaces are served by. They go last: a node that has files of a server that is gone
/// cannot let go of them, and its pods never end.
const FILE_SERVERS: &str = "infra-file-servers";

/// Namespaces of GKE itself. What is in them has nothing in the cloud.
const OWN_NAMESPACES: [&str; 6] =
    ["kube-system", "kube-public", "kube-node-lease", "gke-managed-system", "gke-gmp-system", "gmp-system"];
/// What keeps pods running that use claims, each with its API version.
const WORKLOADS: [(&str, &str); 6] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
];

/// What a `gke-drain` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub owner: Owner,
    pub cluster: String,
    pub place: Place,
    pub kubeconfig: PathBuf,
}

/// The behaviour of `gke-drain`.
#[derive(Debug)]
pub(super) struct Drains {
    pub gcp: Gcp,
    /// Whether the disks of claims outlive them.
    pub keeps_data: bool,
}

#[async_trait]
impl Resource for Drains {
    async fn create(&self, _context: &Context, inputs: &Value) -> Result<Value, Failure> {
        Ok(json!({ "cluster": Inputs::deserialize(inputs)?.cluster }))
    }

    async fn delete(&self, context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        let gcp = self.gcp.for_project(&inputs.owner.project);
        let located = whereabouts::look(&gcp, &inputs.owner, &inputs.place, &inputs.cluster).await;
        let located = located.map_err(|error| failure::of(format!("find the cluster {}", inputs.cluster), error))?;
        let Whereabouts::Ours(located) = located else { return Ok(Vec::new()) };
        if !located.iter().any(|located| whereabouts::works(&located.cluster)) || !inputs.kubeconfig.is_file() {
            context.progress("the cluster does not work: what is left is removed after it");
            return Ok(Vec::new());
        }
        let client = Clients::with_tokens(std::sync::Arc::new(gcp.clone())).get(&inputs.kubeconfig);
        if !answers(&gcp, &client).await {
            context.progress("the API server does not answer: what is left is removed after the cluster");
            return Ok(Vec::new());
        }
        Drain { gcp: &gcp, client: &client, context, keeps_data: self.keeps_data }.run().await
    }
}

/// Whether the API server answers within a while.
async fn answers(gcp: &Gcp, client: &Client) -> bool {
    let probe = Identity::new("v1", "Namespace", None, "kube-system");
    let answered = until("the API server", ANSWER_LIMIT, gcp.pause(PAUSE), || async {
        Ok::<_, KubernetesError>(match client.get(&probe).await {
            Ok(_) => Probe::Ready(()),
            Err(error) => Probe::Pending(error.to_string()),
        })
    });
    answered.await.is_ok()
}

struct Drain<'a> {
    gcp: &'a Gcp,
    client: &'a Client,
    context: &'a Context,
    keeps_data: bool,
}

/// An object, by what it takes to delete it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Doomed {
    identity: Identity,
    uid: String,
}

impl Drain<'_> {
    async fn run(&self) -> Result<Vec<Gone>, Failure> {
        let balancers = async {
            let mut doomed = self.list("v1", "Service", |service| service["spec"]["type"] == "LoadBalancer").await?;
            doomed.extend(self.list("networking.k8s.io/v1", "Ingress", |_| true).await?);
            self.delete_all(&doomed, Propagation::Foreground).await?;
            Ok::<_, KubernetesError>(doomed)
        };
        let volumes = self.claims(|namespace| namespace != FILE_SERVERS);
        let fail = |error: KubernetesError| Failure::from(error).class(Class::Failed);
        let (balancers, volumes) = futures::future::try_join(balancers, volumes).await.map_err(fail)?;
        let mut all: Vec<Doomed> = balancers.into_iter().chain(volumes).collect();
        self.wait_until_gone(&all).await?;
        let of_servers = self.claims(|namespace| namespace == FILE_SERVERS).await.map_err(fail)?;
        self.wait_until_gone(&of_servers).await?;
        all.extend(of_servers);
        let gone = |doomed: &Doomed| Gone::new(doomed.identity.kind.kind.clone(), name_of(&doomed.identity));
        Ok(all.iter().map(gone).collect())
    }

    /// Deletes the claims of some namespaces with what uses them; gives them, the volumes that go with them, and those whose disks stay.
    async fn claims(&self, is_meant: impl Fn(&str) -> bool) -> Result<Vec<Doomed>, KubernetesError> {
        let is_in = |place: &Value| is_meant(place["namespace"].as_str().unwrap_or_default());
        let claims = self.list("v1", "PersistentVolumeClaim", |claim| is_in(&claim["metadata"])).await?;
        if self.keeps_data {
            self.retain(&claims).await?;
        }
        self.release(&claims).await?;
        self.delete_all(&claims, Propagation::Background).await?;
        let mut all = self.volumes_of(&claims).await?;
        all.extend(claims);
        if self.keeps_data {
            // Its disk is off every machine when a volume is gone.
            let stays =
                |volume: &Value| is_disk(volume) && !goes_with_claim(volume) && is_in(&volume["spec"]["claimRef"]);
            let retained = self.list("v1", "PersistentVolume", stays).await?;
            self.delete_all(&retained, Propagation::Background).await?;
            all.extend(retained);
        }
        Ok(all)
    }

    async fn list(
        &self,
        api_version: &str,
        kind: &str,
        is_meant: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Doomed>, KubernetesError> {
        let found = match self.client.list(&Kind::new(api_version, kind), &Selection::default()).await {
            // Not every Kubernetes has every kind.
            Err(KubernetesError::NotFound(_) | KubernetesError::UnknownKind { .. }) => Vec::new(),
            found => found?,
        };
        let meant = found.iter().filter(|object| is_meant(object));
        Ok(meant.filter_map(doomed).filter(|doomed| !is_own(&doomed.identity)).collect())
    }

    /// Has the disks of these claims stay when the claims go. It must be so before any of them does.
    async fn retain(&self, claims: &[Doomed]) -> Result<(), KubernetesError> {
        let goes = |volume: &Value| is_of(volume, claims) && is_disk(volume) && goes_with_claim(volume);
        let volumes = self.list("v1", "PersistentVolume", goes).await?;
        let patch = json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } });
        try_join_all(volumes.iter().map(|volume| self.client.merge(&volume.identity, &patch))).await.map(|_| ())
    }

    /// Deletes what keeps pods running in the namespaces of these claims: a claim goes when no pod uses it.
    async fn release(&self, claims: &[Doomed]) -> Result<(), KubernetesError> {
        let namespaces: BTreeSet<&str> =
            claims.iter().filter_map(|claim| claim.identity.namespace.as_deref()).collect();
        let uses = |object: &Value| {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            let owned = object["metadata"]["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty());
            namespaces.contains(namespace) && !owned
        };
        let lists = WORKLOADS.iter().chain(&[("v1", "Pod")]).map(|(version, kind)| self.list(version, kind, uses));
        let workloads: Vec<Doomed> = try_join_all(lists).await?.into_iter().flatten().collect();
        self.delete_all(&workloads, Propagation::Background).await
    }

    async fn delete_all(&self, doomed: &[Doomed], propagation: Propagation) -> Result<(), KubernetesError> {
        let deletions = doomed.iter().map(|doomed| async move {
            match self.client.delete(&doomed.identity, &doomed.uid, propagation).await {
                // Another one has its name meanwhile: the next look finds it.
                Err(KubernetesError::Changed(_)) => Ok(()),
                other => other,
            }
        });
        try_join_all(deletions).await.map(|_| ())
    }

    /// The volumes whose disks are deleted with these claims.
    async fn volumes_of(&self, claims: &[Doomed]) -> Result<Vec<Doomed>, KubernetesError> {
        self.list("v1", "PersistentVolume", |volume| is_of(volume, claims) && goes_with_claim(volume)).await
    }

    /// The finalizers of load balancers and volumes hold their objects until the cloud is clean.
    async fn wait_until_gone(&self, all: &[Doomed]) -> Result<(), Failure> {
        let waited = until("load balancers and volumes to go", LIMIT, self.gcp.pause(PAUSE), || async {
            let looks = all.iter().map(|doomed| async move {
                let found = self.client.get_metadata(&doomed.identity).await?;
                let same = found.is_some_and(|found| found.uid.as_deref() == Some(&doomed.uid));
                Ok::<_, KubernetesError>(same.then(|| doomed.identity.to_string()))
            });
            let left: Vec<String> = match try_join_all(looks).await {
                Ok(left) => left.into_iter().flatten().collect(),
                Err(error) => return Ok::<_, KubernetesError>(Probe::Pending(error.to_string())),
            };
            if left.is_empty() {
                self.context.blocked(Vec::new());
                return Ok(Probe::Ready(()));
            }
            self.context.blocked(left.iter().map(|subject| blocker(subject)).collect());
            Ok(Probe::Pending(left.join(", ")))
        });
        waited.await.map_err(|error| match error {
            WaitError::Stopped(error) => Failure::from(error),
            timed_out @ WaitError::TimedOut { .. } => Failure::from(timed_out.to_string())
                .class(Class::Blocked)
                .hint("`kubectl describe` shows what its controller says; destroy again once that is mended"),
        })
    }
}

fn is_of(volume: &Value, claims: &[Doomed]) -> bool {
    let uid = volume["spec"]["claimRef"]["uid"].as_str();
    claims.iter().any(|claim| uid == Some(&claim.uid))
}

/// Whether a volume is a disk that the cluster's driver made for a claim; its name says so. The disks of the graph are not.
fn is_disk(volume: &Value) -> bool {
    let spec = &volume["spec"];
    let made = volume["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("pvc-"));
    made && (spec["csi"]["driver"] == DISK_DRIVER || spec["gcePersistentDisk"].is_object())
}

fn goes_with_claim(volume: &Value) -> bool {
    volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
}

fn blocker(subject: &str) -> Blocker {
    Blocker {
        subject: subject.to_owned(),
        cause: "Terminating".to_owned(),
        message: "its controller removes what it made in the cloud".to_owned(),
        hint: None,
        heals: true,
        log: Vec::new(),
    }
}

fn doomed(object: &Value) -> Option<Doomed> {
    let uid = object["metadata"]["uid"].as_str()?.to_owned();
    Some(Doomed { identity: Identity::of(object)?, uid })
}

fn is_own(identity: &Identity) -> bool {
    identity.namespace.as_deref().is_some_and(|namespace| OWN_NAMESPACES.contains(&namespace))
}

fn name_of(identity: &Identity) -> String {
    identity.namespace.as_ref().map_or(identity.name.clone(), |namespace| format!("{namespace}/{}", identity.name))
}
