use std::collections::BTreeSet;

use futures::stream::{BoxStream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use providers::kubernetes::{Change, Client, Kind, KubernetesError, LogLine, LogOptions, Selection};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::manifest::DEPLOYMENT_LABEL;
use crate::scene::typed;

/// One line of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// When it was written.
    pub at: jiff::Timestamp,
    /// The line, without its end.
    pub text: String,
}

/// Which lines are wanted.
#[derive(Clone, Debug, Default)]
pub struct LogSelection {
    /// A part of the pods' names, or `kind/name` of a workload (its pods' names begin with its name); none for all of them.
    pub pods: Option<String>,
    /// Whether to go on with what is written from now on, also by new pods.
    pub follow: bool,
    /// Only this many of the last lines of each container.
    pub tail: Option<u32>,
}

/// Lines waiting to be read; a slow reader slows the reading from the cluster, nothing is lost.
const BUFFER: usize = 256;

/// The lines that a deployment's containers have written, pod by pod; with `follow` as they come.
pub async fn logs(
    client: &Client,
    deployment: &str,
    wanted: &LogSelection,
) -> Result<BoxStream<'static, Result<Line, KubernetesError>>, KubernetesError> {
    let client = client.clone();
    let ours = Selection::default().labels(format!("{DEPLOYMENT_LABEL}={deployment}"));
    let kind = Kind::new("v1", "Pod");
    if wanted.follow {
        let changes = client.watch(&kind, &ours).await?;
        let (sender, receiver) = mpsc::channel(BUFFER);
        tokio::spawn(follow(client, wanted.clone(), changes, sender));
        return Ok(futures::stream::unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await?, receiver))
        })
        .boxed());
    }
    let mut pods: Vec<Pod> = typed(client.list(&kind, &ours).await?);
    pods.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let containers: Vec<Source> = pods.iter().flat_map(|pod| sources(pod, wanted)).collect();
    let lines = futures::stream::iter(containers).then(move |source| {
        let client = client.clone();
        async move { source.written(&client).await }
    });
    Ok(lines.flat_map(futures::stream::iter).boxed())
}

/// Follows every container that starts, until nobody listens any more.
async fn follow(
    client: Client,
    wanted: LogSelection,
    mut changes: BoxStream<'static, Result<Change, KubernetesError>>,
    lines: mpsc::Sender<Result<Line, KubernetesError>>,
) {
    let mut known: BTreeSet<Source> = BTreeSet::new();
    loop {
        let change = tokio::select! {
            () = lines.closed() => return,
            change = changes.next() => change,
        };
        let pods: Vec<Pod> = match change {
            Some(Ok(Change::All(pods))) => typed(pods),
            Some(Ok(Change::Set(pod))) => typed(vec![pod]),
            Some(Ok(Change::Gone(_))) => continue,
            Some(Err(error)) => {
                // Only what waiting cannot heal is worth an end: the watch goes on by itself.
                let is_final = matches!(error, KubernetesError::Unauthorized(_) | KubernetesError::Forbidden(_));
                if is_final && lines.send(Err(error)).await.is_err() {
                    return;
                }
                continue;
            }
            None => return,
        };
        for source in pods.iter().flat_map(|pod| sources(pod, &wanted)) {
            if known.insert(source.clone()) {
                tokio::spawn(source.follow(client.clone(), lines.clone()));
            }
        }
    }
}

/// One run of a container of one pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    namespace: String,
    pod: String,
    uid: String,
    container: String,
    restarts: i32,
    tail: Option<u32>,
}

/// The containers of a pod that have written something, if the pod is wanted.
fn sources(pod: &Pod, wanted: &LogSelection) -> Vec<Source> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    if wanted.pods.as_deref().is_some_and(|wanted| !is_wanted(&name, wanted)) {
        return Vec::new();
    }
    let status = pod.status.clone().unwrap_or_default();
    let containers =
        status.init_container_statuses.into_iter().flatten().chain(status.container_statuses.into_iter().flatten());
    let started = containers.filter(|container| {
        container.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    });
    let sources = started.map(|container| Source {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        pod: name.clone(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        container: container.name,
        restarts: container.restart_count,
        tail: wanted.tail,
    });
    sources.collect()
}

fn is_wanted(pod: &str, wanted: &str) -> bool {
    match wanted.split_once('/') {
        Some((_, name)) => pod == name || pod.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')),
        None => pod.contains(wanted),
    }
}

impl Source {
    fn options(&self) -> LogOptions {
        LogOptions { container: Some(self.container.clone()), tail: self.tail, previous: false }
    }

    async fn written(self, client: &Client) -> Vec<Result<Line, KubernetesError>> {
        match client.log_lines(&self.namespace, &self.pod, &self.options()).await {
            Ok(lines) => lines.into_iter().map(|line| Ok(self.line(line))).collect(),
            Err(error) => vec![Err(error)],
        }
    }

    async fn follow(self, client: Client, lines: mpsc::Sender<Result<Line, KubernetesError>>) {
        let mut log = client.follow_log(&self.namespace, &self.pod, &self.options());
        loop {
            let line = tokio::select! {
                () = lines.closed() => return,
                line = log.next() => line,
            };
            // A container that goes away takes its log along; that is no error for the others.
            let Some(Ok(line)) = line else { return };
            if lines.send(Ok(self.line(line))).await.is_err() {
                return;
            }
        }
    }

    fn line(&self, line: LogLine) -> Line {
        Line {
            namespace: self.namespace.clone(),
            pod: self.pod.clone(),
            container: self.container.clone(),
            at: line.at,
            text: line.text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_chosen_by_part_of_their_name_or_by_their_workload() {
        assert!(is_wanted("server-5d8-x7k2p", "server"));
        assert!(is_wanted("server-5d8-x7k2p", "deployment/server"));
        assert!(!is_wanted("server2-5d8-x7k2p", "deployment/server"));
        assert!(!is_wanted("train-abc", "server"));
    }
}
