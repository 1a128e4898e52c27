use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use engine::{Context, Drift, Existing, Failure, Gone, Held, Node, Observation, Resource};
use futures::StreamExt;
use providers::kubernetes::{
    Client, Clients, Conflicts, Identity, Kind, KubernetesError, ObjectMeta, Propagation, Selection,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::ObjectError;
use crate::listing::{Listings, Names};
use crate::manifest::{DEPLOYMENT_LABEL, annotate, deployment_of};
use crate::vault::Vault;
use crate::{drift, immutable, leave, owned};

/// The annotation of a service whose address others are told: by it, the address is asked for after it was applied.
pub(crate) const GIVES_ADDRESS: &str = "infra/gives-address";

/// So many objects that somebody changed are read at once.
const CLOSER_LOOKS: usize = 16;

/// A Kubernetes object, kept as its manifest says by server-side apply.
pub(crate) struct Object {
    pub(crate) clients: Clients,
    pub(crate) listings: Listings,
    pub(crate) vault: Vault,
}

/// What an object node takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Inputs {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) manifest: Value,
}

/// What an object node gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outputs {
    /// The object's resource version after it was applied.
    pub(crate) revision: String,
    pub(crate) uid: String,
    /// A hash over the fields that we own.
    pub(crate) owned: String,
    /// The address of a service that gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster_ip: Option<String>,
}

impl Outputs {
    /// What the metadata of an object that was applied says.
    pub(crate) fn of(metadata: ObjectMeta) -> Self {
        Self {
            owned: owned::hash(&metadata),
            revision: metadata.resource_version.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            cluster_ip: None,
        }
    }

    /// With the address of a service that gives it. Every service has one from the call that makes it on.
    pub(crate) async fn with_address(
        self,
        client: &Client,
        identity: &Identity,
        manifest: &Value,
    ) -> Result<Self, KubernetesError> {
        if manifest["metadata"]["annotations"][GIVES_ADDRESS].is_null() {
            return Ok(self);
        }
        let found = client.patiently(|| client.get(identity)).await?;
        let address = found.and_then(|service| service["spec"]["clusterIP"].as_str().map(str::to_owned));
        Ok(Self { cluster_ip: address, ..self })
    }
}

/// What an object belongs to, seen from one deployment.
enum Owner {
    Us,
    /// Another deployment: nobody takes it from there.
    Deployment(String),
    /// Nobody that infra knows: it may be adopted.
    Nobody(String),
}

/// What is there under the name of an object that is to be made.
fn existing(found: &ObjectMeta, inputs: &Inputs, deployment: &str) -> Existing {
    match owner(found, deployment) {
        Owner::Us => changed_by(inputs, found).map_or(Existing::Free, |what| Existing::Changed(what.into())),
        Owner::Deployment(owner) => Existing::Foreign { owner, may_be_adopted: false },
        Owner::Nobody(owner) => Existing::Foreign { owner, may_be_adopted: true },
    }
}

fn owner(metadata: &ObjectMeta, deployment: &str) -> Owner {
    match metadata.labels.as_ref().and_then(|labels| labels.get(DEPLOYMENT_LABEL)) {
        Some(owner) if owner == deployment => Owner::Us,
        Some(other) => Owner::Deployment(format!("belongs to the deployment {other}")),
        None => Owner::Nobody("was not made by infra".into()),
    }
}

#[async_trait]
impl Resource for Object {
    fn parallelism(&self) -> usize {
        48
    }

    fn forces_replacement(&self, old: &Value, new: &Value) -> Option<String> {
        if old["identity"] != new["identity"] {
            return Some("identity".into());
        }
        immutable::changed_immutable_field(&old["manifest"], &new["manifest"]).map(|field| format!("manifest.{field}"))
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let inputs: Vec<Option<Inputs>> =
            held.iter().map(|held| serde_json::from_value(held.node.inputs.clone()).ok()).collect();
        let keys = inputs.iter().flatten().map(list_key);
        let lists = keys.map(|key| (key, ())).collect::<BTreeMap<_, ()>>().into_keys().map(|key| async {
            let list = self.look(&key).await.map_err(|error| describe(&error));
            (key, list)
        });
        let lists: BTreeMap<ListKey, Result<Names, String>> =
            futures::future::join_all(lists).await.into_iter().collect();
        let mut seen: Vec<Observation> = Vec::new();
        let mut looks = Vec::new();
        for (index, (held, inputs)) in held.iter().zip(inputs).enumerate() {
            let observation = inputs.as_ref().map_or_else(unreadable, |inputs| compare(held, inputs, &lists));
            if let (Observation::Changed(drift), Some(inputs)) = (&observation, inputs) {
                let drift = drift.clone();
                looks.push(async move { (index, self.look_closer(&inputs, drift).await) });
            }
            seen.push(observation);
        }
        let mut closer = futures::stream::iter(looks).buffer_unordered(CLOSER_LOOKS);
        while let Some((index, drift)) = closer.next().await {
            seen[index] = Observation::Changed(drift);
        }
        seen
    }

    async fn existing(&self, wanted: &[&Node]) -> Vec<Existing> {
        let inputs: Vec<Option<Inputs>> =
            wanted.iter().map(|node| serde_json::from_value(node.inputs.clone()).ok()).collect();
        let keys =
            inputs.iter().flatten().map(list_key).map(|(kubeconfig, kind, namespace, _)| (kubeconfig, kind, namespace));
        let lists = keys.collect::<BTreeSet<_>>().into_iter().map(|key| async {
            let list = self.list(&key.0, &key.1, &Selection { namespace: key.2.clone(), ..Selection::default() }).await;
            (key, list.ok())
        });
        let lists: BTreeMap<_, Option<Names>> = futures::future::join_all(lists).await.into_iter().collect();
        let look = |inputs: &Option<Inputs>| {
            let inputs = inputs.as_ref()?;
            let (kubeconfig, kind, namespace, deployment) = list_key(inputs);
            let names = lists[&(kubeconfig, kind, namespace)].as_ref()?;
            Some(names.get(&inputs.identity.name).map_or(Existing::Free, |found| existing(found, inputs, &deployment)))
        };
        inputs.iter().map(|inputs| look(inputs).unwrap_or(Existing::Unknown)).collect()
    }

    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let inputs: Inputs = serde_json::from_value(inputs.clone()).map_err(ObjectError::from)?;
        let client = self.clients.get(&inputs.kubeconfig);
        let explain = |error: ObjectError| {
            let stands_against = context.may_take_over() && error.is_invalid();
            let failure = error.failure();
            if !stands_against {
                return failure;
            }
            let again = format!("make it anew with --replace {}", context.address().name());
            failure.hint(format!("what somebody else added to it stands against the manifest: {again}"))
        };
        self.make(context, &client, &inputs).await.map_err(explain)
    }

    async fn delete(&self, context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let inputs: Inputs = serde_json::from_value(inputs.clone()).map_err(ObjectError::from)?;
        let client = self.clients.get(&inputs.kubeconfig);
        self.remove(context, &client, &inputs).await.map_err(ObjectError::failure)
    }
}

type ListKey = (PathBuf, Kind, Option<String>, String);

fn list_key(inputs: &Inputs) -> ListKey {
    let deployment = deployment_of(&inputs.manifest).unwrap_or_default().to_owned();
    (inputs.kubeconfig.clone(), inputs.identity.kind.clone(), inputs.identity.namespace.clone(), deployment)
}

fn unreadable() -> Observation {
    Observation::Unknown("its recorded inputs cannot be read".into())
}

fn describe(error: &KubernetesError) -> String {
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        text = format!("{text}: {source}");
    }
    text
}

/// What the list says of one object that is recorded as present.
fn compare(held: &Held, inputs: &Inputs, lists: &BTreeMap<ListKey, Result<Names, String>>) -> Observation {
    let names = match &lists[&list_key(inputs)] {
        Ok(names) => names,
        Err(reason) => return Observation::Unknown(reason.clone()),
    };
    let Some(metadata) = names.get(&inputs.identity.name).filter(|found| found.deletion_timestamp.is_none()) else {
        return Observation::Absent;
    };
    let Ok(recorded) = serde_json::from_value::<Outputs>(held.outputs.clone()) else { return unreadable() };
    if metadata.uid.as_deref() != Some(recorded.uid.as_str()) {
        return Observation::Changed("it was deleted and made anew".into());
    }
    // The same version is the same object: nothing needs to be hashed.
    if metadata.resource_version.as_deref() == Some(recorded.revision.as_str())
        || owned::hash(metadata) == recorded.owned
    {
        return Observation::AsRecorded;
    }
    let last = || owned::last_other_writer(metadata).map(|manager| format!("changed by {manager}"));
    let what = changed_by(inputs, metadata).or_else(last);
    Observation::Changed(what.unwrap_or_else(|| "changed by somebody else".to_owned()).into())
}

/// Who owns what we set; nobody, where it was only removed.
fn changed_by(inputs: &Inputs, found: &ObjectMeta) -> Option<String> {
    let takers = drift::takers(&inputs.manifest, found);
    (!takers.is_empty()).then(|| format!("changed by {}", takers.join(", ")))
}

impl Object {
    /// The deployment's objects of a kind in a namespace. An absent namespace or kind has none.
    async fn look(&self, (kubeconfig, kind, namespace, deployment): &ListKey) -> Result<Names, KubernetesError> {
        let selection = Selection { namespace: namespace.clone(), ..Selection::default() };
        self.list(kubeconfig, kind, &selection.labels(format!("{DEPLOYMENT_LABEL}={deployment}"))).await
    }

    /// The fields in which an object that somebody changed differs. Where it cannot be read, only that somebody did.
    async fn look_closer(&self, inputs: &Inputs, drift: Drift) -> Drift {
        match self.clients.get(&inputs.kubeconfig).get(&inputs.identity).await {
            Ok(Some(live)) => Drift { fields: drift::fields(&inputs.manifest, &live, &self.vault), ..drift },
            _ => drift,
        }
    }

    async fn list(&self, kubeconfig: &Path, kind: &Kind, selection: &Selection) -> Result<Names, KubernetesError> {
        match self.clients.get(kubeconfig).list_metadata(kind, selection).await {
            Ok(found) => {
                Ok(Names::new(found.into_iter().map(|found| (found.name.clone().unwrap_or_default(), found)).collect()))
            }
            Err(
                KubernetesError::NotFound(_)
                | KubernetesError::NamespaceNotFound(_)
                | KubernetesError::UnknownKind { .. },
            ) => Ok(Names::default()),
            Err(error) => Err(error),
        }
    }

    async fn make(&self, context: &Context, client: &Client, inputs: &Inputs) -> Result<Value, ObjectError> {
        let identity = &inputs.identity;
        let names = self
            .listings
            .recent(client, &identity.kind, identity.namespace.as_deref())
            .await
            .map_err(|source| ObjectError::apply(identity, source))?;
        if let Some(found) = names.get(&identity.name) {
            match owner(found, context.deployment()) {
                Owner::Nobody(_) if context.may_take_over() => {}
                Owner::Nobody(owner) | Owner::Deployment(owner) => {
                    return Err(ObjectError::Foreign { identity: identity.clone(), owner });
                }
                Owner::Us => {}
            }
            if found.deletion_timestamp.is_some() {
                leave::until_gone(context, client, identity, found.uid.as_deref().unwrap_or_default()).await?;
            }
        }
        let conflicts = if context.may_take_over() { Conflicts::AreOverridden } else { Conflicts::AreErrors };
        let mut manifest = self
            .vault
            .reveal(&inputs.manifest)
            .map_err(|source| ObjectError::Secret { identity: identity.clone(), source })?;
        annotate(&mut manifest, &inputs.manifest);
        let applied = client.patiently(|| client.apply(identity, &manifest, conflicts)).await;
        let metadata = applied.map_err(|source| ObjectError::apply(identity, source))?;
        let outputs = Outputs::of(metadata).with_address(client, identity, &inputs.manifest).await;
        Ok(json!(outputs.map_err(|source| ObjectError::apply(identity, source))?))
    }

    async fn remove(&self, context: &Context, client: &Client, inputs: &Inputs) -> Result<Vec<Gone>, ObjectError> {
        let identity = &inputs.identity;
        let delete = |source| ObjectError::Delete { identity: identity.clone(), source };
        let namespace = identity.namespace.as_deref();
        let names = match self.listings.recent(client, &identity.kind, namespace).await {
            Err(
                KubernetesError::NotFound(_)
                | KubernetesError::NamespaceNotFound(_)
                | KubernetesError::UnknownKind { .. },
            ) => Names::default(),
            other => other.map_err(delete)?,
        };
        // A list may be some seconds old: what it does not have is asked for once more.
        let found = match names.get(&identity.name) {
            Some(found) => Some(found.clone()),
            None => metadata(client, identity).await.map_err(delete)?,
        };
        // What somebody else made under this name in the meantime is not ours to delete: ours is gone.
        if let Some(found) = found.filter(|found| matches!(owner(found, context.deployment()), Owner::Us)) {
            let uid = found.uid.unwrap_or_default();
            let propagation = propagation(&identity.kind);
            match client.patiently(|| client.delete(identity, &uid, propagation)).await {
                // Another object has the name: the one with this uid is gone.
                Ok(()) | Err(KubernetesError::Changed(_)) => {}
                Err(source) => return Err(delete(source)),
            }
            leave::until_gone(context, client, identity, &uid).await?;
        }
        let mut gone = vec![gone(identity)];
        if identity.kind.kind == "StatefulSet" {
            gone.extend(self.remove_claims(context, client, inputs).await?);
        }
        Ok(gone)
    }

    /// Deletes the claims that the templates of a stateful set made: they outlive it, and nothing else would delete them.
    async fn remove_claims(
        &self,
        context: &Context,
        client: &Client,
        inputs: &Inputs,
    ) -> Result<Vec<Gone>, ObjectError> {
        let templates = inputs.manifest.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
        let prefixes: Vec<String> = templates
            .into_iter()
            .flatten()
            .filter_map(|template| {
                Some(format!("{}-{}-", template["metadata"]["name"].as_str()?, inputs.identity.name))
            })
            .collect();
        if prefixes.is_empty() {
            return Ok(Vec::new());
        }
        let kind = Kind::new("v1", "PersistentVolumeClaim");
        let key = (inputs.kubeconfig.clone(), kind, inputs.identity.namespace.clone(), context.deployment().to_owned());
        let claims = self
            .look(&key)
            .await
            .map_err(|source| ObjectError::Delete { identity: inputs.identity.clone(), source })?;
        let mut all = Vec::new();
        for (name, claim) in claims.iter().filter(|(name, _)| prefixes.iter().any(|prefix| is_numbered(name, prefix))) {
            let identity = Identity { kind: key.1.clone(), namespace: key.2.clone(), name: name.clone() };
            let uid = claim.uid.clone().unwrap_or_default();
            let deleted = client.delete(&identity, &uid, Propagation::Background).await;
            deleted.map_err(|source| ObjectError::Delete { identity: identity.clone(), source })?;
            leave::until_gone(context, client, &identity, &uid).await?;
            all.push(gone(&identity));
        }
        Ok(all)
    }
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

async fn metadata(client: &Client, identity: &Identity) -> Result<Option<ObjectMeta>, KubernetesError> {
    match client.get_metadata(identity).await {
        Err(KubernetesError::UnknownKind { .. }) => Ok(None),
        other => other,
    }
}

/// Owners of pods wait for their pods to be gone, so that "gone" includes them and their claims are free. For everything else the
/// garbage collector's round trip would only cost time.
fn propagation(kind: &Kind) -> Propagation {
    match kind.group() {
        "apps" | "batch" => Propagation::Foreground,
        _ => Propagation::Background,
    }
}

fn gone(identity: &Identity) -> Gone {
    let name = match &identity.namespace {
        Some(namespace) => format!("{namespace}/{}", identity.name),
        None => identity.name.clone(),
    };
    Gone::new(&identity.kind.kind, name)
}
