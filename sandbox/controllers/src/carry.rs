//! Doing what a decision asks for.

use crate::action::{Action, Note};
use crate::hub::{Hub, Round};
use crate::index::Id;
use crate::meta::{self, remove_finalizer};
use apiserver::{DeleteOptions, Status};
use futures::future::join_all;
use jiff::Timestamp;
use kinds::Resource;
use serde_json::Value;
use std::sync::Arc;

/// The object that decisions are about, and who decides.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The controller's name, as its events tell it.
    pub component: &'static str,
    /// The object's resource.
    pub resource: &'static Resource,
    /// The object.
    pub object: &'a Value,
}

impl Hub {
    /// Does all actions in order. The first failure ends it.
    pub async fn carry_out(&self, about: About<'_>, actions: Vec<Action>) -> Result<Round, Status> {
        let mut again = None;
        let mut wrote = false;
        for action in actions {
            if let Action::Again(pause) = action {
                again = Some(again.map_or(pause, |before: std::time::Duration| before.min(pause)));
                continue;
            }
            wrote |= !matches!(action, Action::Tell(_));
            self.carry_out_one(about, action).await?;
        }
        Ok(if wrote { Round::More } else { Round::Done(again) })
    }

    async fn carry_out_one(&self, about: About<'_>, action: Action) -> Result<(), Status> {
        match action {
            Action::CreatePods(pods) => self.create_pods(about, pods).await,
            Action::DeletePods(pods) => self.delete_pods(about, &pods).await,
            Action::Create(resource, object) => self.create(resource, object).await.map(drop),
            Action::Replace(resource, object) => self.replace(resource, None, object).await.map(drop),
            Action::Status(resource, object) => self.replace(resource, Some("status"), object).await.map(drop),
            Action::Delete(id, uid) => {
                self.delete(&id, &DeleteOptions { uid: Some(uid), ..DeleteOptions::default() }).await
            }
            Action::Release(ids, finalizer) => self.release(&ids, finalizer).await,
            Action::Tell(note) => {
                self.tell(about, note);
                Ok(())
            }
            Action::Again(_) => Ok(()),
        }
    }

    /// Tells an event of the object.
    pub fn tell(&self, about: About<'_>, note: Note) {
        self.tell_of(about, note, self.now());
    }

    /// Tells what was decided at a time that is past.
    pub fn tell_of(&self, about: About<'_>, note: Note, at: Timestamp) {
        self.recorder.tell(about.component, about.resource, about.object, note, at);
    }

    /// One pod first, then twice as many each time, so that a full quota is met by one request and not by hundreds.
    async fn create_pods(&self, about: About<'_>, pods: Vec<Value>) -> Result<(), Status> {
        let mut rest = pods.into_iter();
        let mut batch = 1;
        loop {
            let pods: Vec<Value> = rest.by_ref().take(batch).collect();
            if pods.is_empty() {
                return Ok(());
            }
            let done = join_all(pods.into_iter().map(|pod| self.create_pod(about, pod))).await;
            done.into_iter().collect::<Result<(), Status>>()?;
            batch *= 2;
        }
    }

    async fn create_pod(&self, about: About<'_>, mut pod: Value) -> Result<(), Status> {
        pod["metadata"]["namespace"] = meta::namespace(about.object).into();
        match self.create(kinds::PODS, pod).await {
            Ok(pod) => {
                self.tell(about, Note::normal("SuccessfulCreate", format!("Created pod: {}", meta::name(&pod))));
                Ok(())
            }
            Err(status) if is_terminating_namespace(&status) => Ok(()),
            Err(status) => {
                self.tell(about, Note::warning("FailedCreate", format!("Error creating: {status}")));
                Err(status)
            }
        }
    }

    async fn delete_pods(&self, about: About<'_>, pods: &[Arc<Value>]) -> Result<(), Status> {
        let done = join_all(pods.iter().map(|pod| self.delete_pod(about, pod))).await;
        done.into_iter().collect()
    }

    async fn delete_pod(&self, about: About<'_>, pod: &Value) -> Result<(), Status> {
        let options = DeleteOptions { uid: Some(meta::uid(pod).to_owned()), ..DeleteOptions::default() };
        match self.delete(&Id::of(kinds::PODS, pod), &options).await {
            Ok(()) => {
                self.tell(about, Note::normal("SuccessfulDelete", format!("Deleted pod: {}", meta::name(pod))));
                Ok(())
            }
            Err(status) => {
                self.tell(about, Note::warning("FailedDelete", format!("Error deleting: {status}")));
                Err(status)
            }
        }
    }

    async fn release(&self, ids: &[Id], finalizer: &str) -> Result<(), Status> {
        let release = |id| self.modify(&self.writers.manager, id, None, |object| remove_finalizer(object, finalizer));
        let done = join_all(ids.iter().map(release)).await;
        let failed = done.into_iter().filter_map(Result::err).find(|status| !status.is_not_found());
        failed.map_or(Ok(()), Err)
    }
}

/// Whether a creation was refused because its namespace is going.
pub fn is_terminating_namespace(status: &Status) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == "NamespaceTerminating")
}
