use std::collections::BTreeSet;
use std::time::Duration;

use engine::Context;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use providers::kubernetes::{Client, Identity, LogOptions};
use tokio::task::JoinSet;

use crate::vault::Vault;

/// How long the last lines may take to arrive after a pod has ended.
const FINISH_LIMIT: Duration = Duration::from_secs(3);

/// Passes on what the containers of a Job print while it is waited for.
pub(crate) struct Followers {
    context: Context,
    client: Client,
    vault: Vault,
    /// None for workloads that are no Jobs: a server's log is nothing to wait for.
    namespace: Option<String>,
    known: BTreeSet<(String, String)>,
    tasks: JoinSet<()>,
}

impl Followers {
    pub(crate) fn new(context: &Context, client: &Client, vault: &Vault, identity: &Identity) -> Self {
        let namespace = identity.namespace.clone().filter(|_| identity.kind.kind == "Job");
        Self {
            context: context.clone(),
            client: client.clone(),
            vault: vault.clone(),
            namespace,
            known: BTreeSet::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Begins to follow containers that have started since the last look.
    pub(crate) fn see(&mut self, pods: &[Pod]) {
        let Some(namespace) = self.namespace.clone() else { return };
        let is_alone = pods.len() + self.known.len() <= 2 && pods.iter().all(|pod| containers(pod).count() <= 1);
        for pod in pods {
            let (Some(name), Some(uid)) = (pod.metadata.name.clone(), pod.metadata.uid.clone()) else { continue };
            for container in containers(pod).filter(|container| has_started(container)) {
                if !self.known.insert((uid.clone(), container.name.clone())) {
                    continue;
                }
                let prefix = if is_alone { String::new() } else { format!("{name}: ") };
                let options = LogOptions { container: Some(container.name.clone()), ..LogOptions::default() };
                let mut lines = self.client.follow_log(&namespace, &name, &options);
                let (context, vault) = (self.context.clone(), self.vault.clone());
                self.tasks.spawn(async move {
                    // A log that cannot be read is no reason to fail: the wait itself says what is wrong with the pod.
                    while let Some(Ok(line)) = lines.next().await {
                        context.output(format!("{prefix}{}", vault.hide(line.text)));
                    }
                });
            }
        }
    }

    /// Lets the last lines arrive.
    pub(crate) async fn finish(&mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FINISH_LIMIT, all).await;
        self.tasks.abort_all();
    }
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses).flatten())
}

fn has_started(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}
