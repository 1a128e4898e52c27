//! What a wait sees of the cluster, and what it concludes from it.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::Blocker;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Node, PersistentVolumeClaim, Pod, ResourceQuota};
use providers::kubernetes::{Client, Kind, KubernetesError, Selection};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Everything that a judgement looks at: one moment of one object and of what stands around it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    /// When it was looked at.
    pub now: Timestamp,
    /// The object; none where it is not there.
    pub object: Option<Value>,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// The namespace's events.
    pub events: Vec<Event>,
    /// What only some judgements need; none while it was not looked at.
    pub surroundings: Option<Surroundings>,
    /// The last lines of containers that ended badly.
    pub logs: BTreeMap<ContainerRun, Vec<String>>,
}

/// The nodes, and the namespace's claims, quotas and pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    pub nodes: Vec<Node>,
    pub claims: Vec<PersistentVolumeClaim>,
    pub quotas: Vec<ResourceQuota>,
    /// All pods of the namespace, also those of others.
    pub neighbours: Vec<Pod>,
}

/// One run of one container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ContainerRun {
    pub pod: String,
    pub container: String,
    /// Whether it is the run before the current one.
    pub previous: bool,
    /// How often it was restarted before: tells runs apart.
    pub restarts: i32,
}

/// What a scene says of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is ready; says how.
    Ready(String),
    /// It is not ready yet; says how far it is, and what blocks it.
    Waiting(String, Vec<Cause>),
    /// It will not be ready.
    Failed(Vec<Cause>),
}

/// Something that keeps an object from being ready.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cause {
    pub blocker: Blocker,
    /// A cause that lasts this long ends the wait; none never does.
    pub patience: Option<Duration>,
    /// The container whose last lines tell more, and are not known yet.
    pub wants_log: Option<ContainerRun>,
    /// Whether the nodes and claims would tell more.
    pub wants_surroundings: bool,
}

impl Cause {
    /// A cause that waiting may heal.
    pub fn heals(subject: &str, cause: &str, message: impl Into<String>) -> Self {
        let blocker = Blocker {
            subject: subject.to_owned(),
            cause: cause.to_owned(),
            message: message.into(),
            hint: None,
            heals: true,
            log: Vec::new(),
        };
        Self { blocker, patience: None, wants_log: None, wants_surroundings: false }
    }

    /// A cause that will not heal; it is believed when it has lasted for some seconds, because the first moments of a pod or a cluster can
    /// look worse than they are.
    pub fn lasts(subject: &str, cause: &str, message: impl Into<String>, seconds: u64) -> Self {
        let mut lasting = Self::heals(subject, cause, message);
        lasting.blocker.heals = false;
        lasting.patience = Some(Duration::from_secs(seconds));
        lasting
    }

    /// A cause that may heal, but is waited for only so long.
    pub fn heals_within(subject: &str, cause: &str, message: impl Into<String>, seconds: u64) -> Self {
        let mut bounded = Self::heals(subject, cause, message);
        bounded.patience = Some(Duration::from_secs(seconds));
        bounded
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.blocker.hint = Some(hint.into());
        self
    }

    /// What makes it the same cause from one moment to the next.
    pub fn key(&self) -> (String, String) {
        (self.blocker.subject.clone(), self.blocker.cause.clone())
    }
}

impl Surroundings {
    /// Looks at the nodes and at a namespace.
    pub async fn look(client: &Client, namespace: &str) -> Result<Self, KubernetesError> {
        let everywhere = Selection::default();
        let here = Selection::namespace(namespace);
        let kinds = ["Node", "PersistentVolumeClaim", "ResourceQuota", "Pod"].map(|kind| Kind::new("v1", kind));
        let (nodes, claims, quotas, pods) = futures::try_join!(
            client.list(&kinds[0], &everywhere),
            client.list(&kinds[1], &here),
            client.list(&kinds[2], &here),
            client.list(&kinds[3], &here)
        )?;
        Ok(Self { nodes: typed(nodes), claims: typed(claims), quotas: typed(quotas), neighbours: typed(pods) })
    }
}

/// The objects as their own type; what cannot be one is left out.
pub(crate) fn typed<T: DeserializeOwned>(values: Vec<Value>) -> Vec<T> {
    values.into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect()
}

/// The newest of an object's events, by its uid.
pub(crate) fn newest_event<'a>(
    events: &'a [Event],
    uid: Option<&str>,
    accept: impl Fn(&Event) -> bool,
) -> Option<&'a Event> {
    let of_object = events.iter().filter(|event| event.involved_object.uid.as_deref() == uid && accept(event));
    of_object.max_by_key(|event| {
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
        let first = event.event_time.as_ref().map(|time| time.0);
        // Times of events are in whole seconds; the version tells what came later within one.
        let version: u64 =
            event.metadata.resource_version.as_ref().and_then(|version| version.parse().ok()).unwrap_or(0);
        (last.max(series).max(first), version)
    })
}

/// A message without what repeats the subject, at most 240 characters long.
pub(crate) fn brief(message: &str) -> String {
    let text = message.rsplit_once("desc = ").map_or(message, |(_, text)| text).trim();
    if text.chars().count() <= 240 {
        return text.to_owned();
    }
    let cut: String = text.chars().take(239).collect();
    format!("{cut}…")
}
