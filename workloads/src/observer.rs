use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use k8s_openapi::api::core::v1::{Event, Pod};
use providers::kubernetes::{Change, Client, Identity, Kind, KubernetesError, LogOptions, Selection};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::scene::{Cause, ContainerRun, Scene, Surroundings, typed};

/// How old nodes and claims may be before they are looked at again.
const SURROUNDINGS_AGE: Duration = Duration::from_secs(2);
/// A closer look must not hold up the wait.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// So many of a crashed container's last lines are shown.
const LOG_LINES: u32 = 10;
/// A watch that breaks and goes on is not worth a word; one that stays broken is.
const TROUBLE_AGE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
enum Source {
    Object,
    Pods,
    Events,
}

type Changes = BoxStream<'static, (Source, Result<Change, KubernetesError>)>;

/// Keeps a scene up to date by watching the object, its pods and the namespace's events.
pub(crate) struct Observer {
    client: Client,
    identity: Identity,
    pub(crate) scene: Scene,
    changes: SelectAll<Changes>,
    seen_object: bool,
    pods_watched: bool,
    surroundings_at: Option<Instant>,
    trouble: Option<(Instant, String)>,
    opened: Instant,
}

impl Observer {
    /// Begins to watch.
    pub(crate) async fn open(client: &Client, identity: &Identity) -> Result<Self, KubernetesError> {
        let mut observer = Self {
            client: client.clone(),
            identity: identity.clone(),
            scene: Scene::default(),
            changes: SelectAll::new(),
            seen_object: false,
            pods_watched: false,
            surroundings_at: None,
            trouble: None,
            opened: Instant::now(),
        };
        observer.watch_all().await?;
        Ok(observer)
    }

    async fn watch_all(&mut self) -> Result<(), KubernetesError> {
        self.changes.clear();
        self.pods_watched = false;
        self.opened = Instant::now();
        let kind = self.identity.kind.clone();
        self.watch(Source::Object, &kind, &Selection::object(&self.identity)).await?;
        if let Some(namespace) = self.identity.namespace.clone() {
            self.watch(Source::Events, &Kind::new("v1", "Event"), &Selection::namespace(&namespace)).await?;
        }
        self.watch_pods().await
    }

    /// Which pods are the object's is known only once the object is.
    async fn watch_pods(&mut self) -> Result<(), KubernetesError> {
        let Some(object) = self.scene.object.as_ref().filter(|_| !self.pods_watched) else { return Ok(()) };
        let selection = if self.identity.kind.kind == "Pod" {
            Selection::object(&self.identity)
        } else {
            let Some(labels) = label_selector(&object["spec"]["selector"]) else { return Ok(()) };
            Selection { namespace: self.identity.namespace.clone(), ..Selection::default() }.labels(labels)
        };
        self.watch(Source::Pods, &Kind::new("v1", "Pod"), &selection).await?;
        self.pods_watched = true;
        Ok(())
    }

    async fn watch(&mut self, source: Source, kind: &Kind, selection: &Selection) -> Result<(), KubernetesError> {
        let changes = self.client.watch(kind, selection).await?;
        self.changes.push(changes.map(move |change| (source, change)).boxed());
        Ok(())
    }

    /// Takes in the next change. May be dropped at any point: a change is taken whole or not at all.
    pub(crate) async fn changed(&mut self) {
        if let Err(error) = self.watch_pods().await {
            self.trouble = Some((Instant::now(), error.to_string()));
        }
        let Some((source, change)) = self.changes.next().await else { return std::future::pending().await };
        match change {
            Ok(change) => {
                self.trouble = None;
                self.take(source, change);
            }
            Err(error) => self.went_wrong(error).await,
        }
    }

    async fn went_wrong(&mut self, error: KubernetesError) {
        self.trouble = Some((Instant::now(), error.to_string()));
        // Renewed credentials are only seen by a new watch. A call reads the kubeconfig anew if it has changed.
        if matches!(error, KubernetesError::Unauthorized(_)) && self.opened.elapsed() > LOOK_LIMIT {
            let _ = self.client.get_metadata(&self.identity).await;
            if let Err(error) = self.watch_all().await {
                self.trouble = Some((Instant::now(), error.to_string()));
            }
        }
    }

    fn take(&mut self, source: Source, change: Change) {
        match source {
            Source::Object => {
                self.seen_object = true;
                self.scene.object = match change {
                    Change::All(objects) => objects.into_iter().next(),
                    Change::Set(object) => Some(object),
                    Change::Gone(_) => None,
                };
            }
            Source::Pods => update(&mut self.scene.pods, change, |pod: &Pod| pod.metadata.uid.as_deref()),
            Source::Events => update(&mut self.scene.events, change, |event: &Event| event.metadata.uid.as_deref()),
        }
    }

    /// Whether it is known if the object is there.
    pub(crate) fn has_seen_object(&self) -> bool {
        self.seen_object
    }

    /// What keeps the cluster from being watched.
    pub(crate) fn trouble(&self) -> Vec<Cause> {
        let recent = self.trouble.as_ref().filter(|(at, _)| at.elapsed() < TROUBLE_AGE);
        recent.map(|(_, error)| Cause::heals("API server", "Unreachable", error.clone())).into_iter().collect()
    }

    /// Lists the pods once more; says whether that worked.
    pub(crate) async fn look_at_pods(&mut self) -> bool {
        let selector = self.scene.object.as_ref().and_then(|object| label_selector(&object["spec"]["selector"]));
        let (Some(labels), Some(namespace)) = (selector, self.identity.namespace.as_deref()) else { return false };
        let selection = Selection::namespace(namespace).labels(labels);
        let kind = Kind::new("v1", "Pod");
        match timeout(LOOK_LIMIT, self.client.list(&kind, &selection)).await {
            Ok(Ok(pods)) => {
                self.scene.pods = typed(pods);
                true
            }
            _ => false,
        }
    }

    /// Fetches what the causes say would tell more; says whether something new is known.
    pub(crate) async fn look_closer(&mut self, causes: &[Cause]) -> bool {
        let mut learned = false;
        for run in causes.iter().filter_map(|cause| cause.wants_log.as_ref()) {
            if let Ok(Some(lines)) = timeout(LOOK_LIMIT, last_lines(&self.client, &self.identity, run)).await {
                self.scene.logs.insert(run.clone(), lines);
                learned = true;
            }
        }
        let is_old = self.surroundings_at.is_none_or(|at| at.elapsed() >= SURROUNDINGS_AGE);
        if is_old
            && causes.iter().any(|cause| cause.wants_surroundings)
            && let Ok(Ok(surroundings)) = timeout(
                LOOK_LIMIT,
                Box::pin(Surroundings::look(&self.client, self.identity.namespace.as_deref().unwrap_or_default())),
            )
            .await
        {
            self.scene.surroundings = Some(surroundings);
            self.surroundings_at = Some(Instant::now());
            learned = true;
        }
        learned
    }
}

async fn last_lines(client: &Client, identity: &Identity, run: &ContainerRun) -> Option<Vec<String>> {
    let options = LogOptions { container: Some(run.container.clone()), tail: Some(LOG_LINES), previous: run.previous };
    match client.log(identity.namespace.as_deref()?, &run.pod, &options).await {
        Ok(lines) => Some(lines),
        // A container that never started has no log, and never will have one.
        Err(KubernetesError::Invalid { .. } | KubernetesError::NotFound(_)) => Some(Vec::new()),
        Err(_) => None,
    }
}

fn update<T: DeserializeOwned>(all: &mut Vec<T>, change: Change, uid: impl Fn(&T) -> Option<&str>) {
    match change {
        Change::All(values) => *all = typed(values),
        Change::Set(value) => {
            let Ok(new) = serde_json::from_value::<T>(value) else { return };
            match all.iter_mut().find(|old| uid(old) == uid(&new)) {
                Some(old) => *old = new,
                None => all.push(new),
            }
        }
        Change::Gone(value) => {
            if let Ok(gone) = serde_json::from_value::<T>(value) {
                all.retain(|old| uid(old) != uid(&gone));
            }
        }
    }
}

/// A workload's selector in the API's own syntax; none where it selects nothing.
pub(crate) fn label_selector(selector: &Value) -> Option<String> {
    let mut parts = Vec::new();
    for (name, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        parts.push(format!("{name}={}", value.as_str()?));
    }
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let name = expression["key"].as_str()?;
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str()? {
            "In" => format!("{name} in ({})", values.join(",")),
            "NotIn" => format!("{name} notin ({})", values.join(",")),
            "Exists" => name.to_owned(),
            "DoesNotExist" => format!("!{name}"),
            _ => return None,
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_is_written_in_the_api_s_syntax() {
        let selector = json!({"matchLabels": {"app": "a"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["x", "y"]}, {"key": "old", "operator": "DoesNotExist"}]});
        assert_eq!(label_selector(&selector).as_deref(), Some("app=a,tier in (x,y),!old"));
        assert_eq!(label_selector(&json!({})), None);
    }
}
