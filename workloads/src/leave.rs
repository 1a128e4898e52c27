//! Waiting until a deleted object is gone, and saying what keeps it.

use std::time::Duration;

use engine::{Blocker, Context};
use futures::StreamExt;
use providers::kubernetes::{Change, Client, Identity, Kind, KubernetesError, Selection};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::failure::ObjectError;

const LIMIT: Duration = Duration::from_mins(5);
/// Nothing is said of a deletion that is faster than this.
const QUIET: Duration = Duration::from_secs(2);

/// Waits until no object with this uid has the identity's name. Says what keeps it when that takes longer than two seconds, and
/// gives up after five minutes.
pub(crate) async fn until_gone(
    context: &Context,
    client: &Client,
    identity: &Identity,
    uid: &str,
) -> Result<(), ObjectError> {
    let delete = |source| ObjectError::Delete { identity: identity.clone(), source };
    match client.get_metadata(identity).await {
        Ok(found) if found.as_ref().and_then(|found| found.uid.as_deref()) != Some(uid) => return Ok(()),
        Ok(_) => {}
        Err(KubernetesError::UnknownKind { .. }) => return Ok(()),
        Err(error) => return Err(delete(error)),
    }
    let mut changes = client.watch(&identity.kind, &Selection::object(identity)).await.map_err(delete)?;
    let begin = Instant::now();
    let mut next_look = begin + QUIET;
    let mut latest = Value::Null;
    let mut reported: Vec<Blocker> = Vec::new();
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(Ok(Change::All(objects))) => match objects.into_iter().find(|object| has_uid(object, uid)) {
                    Some(object) => latest = object,
                    None => break,
                },
                Some(Ok(Change::Set(object))) if has_uid(&object, uid) => latest = object,
                // Another object has the name now, or nobody has.
                Some(Ok(Change::Set(_) | Change::Gone(_))) | None => break,
                // The watch goes on by itself; a deadline bounds it.
                Some(Err(_)) => {}
            },
            () = sleep_until(next_look) => {
                let blockers = keepers(client, identity, &latest).await;
                if begin.elapsed() >= LIMIT {
                    let reason = blockers.iter().map(|blocker| blocker.message.clone()).collect::<Vec<_>>().join("; ");
                    return Err(ObjectError::Stays { identity: identity.clone(), seconds: LIMIT.as_secs(), reason });
                }
                if blockers != reported {
                    context.blocked(blockers.clone());
                    reported = blockers;
                }
                next_look = Instant::now() + QUIET;
            }
        }
    }
    if !reported.is_empty() {
        context.blocked(Vec::new());
    }
    Ok(())
}

fn has_uid(object: &Value, uid: &str) -> bool {
    object["metadata"]["uid"] == uid
}

/// What keeps an object that is being deleted.
async fn keepers(client: &Client, identity: &Identity, object: &Value) -> Vec<Blocker> {
    let mut messages = Vec::new();
    if identity.kind.kind == "Namespace" {
        messages.extend(namespace_remains(object));
    }
    for finalizer in object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        messages.push(match finalizer {
            "foregroundDeletion" => ("dependents".to_owned(), "what it owns is being deleted".to_owned()),
            "kubernetes.io/pvc-protection" => ("in use".to_owned(), claim_users(client, identity).await),
            other => ("finalizer".to_owned(), format!("its finalizer {other} has not been removed")),
        });
    }
    if messages.is_empty()
        && object["metadata"]["deletionGracePeriodSeconds"].as_u64().is_some_and(|seconds| seconds > 0)
    {
        messages.push(("grace period".into(), "its containers are shutting down".into()));
    }
    let blockers = messages.into_iter().map(|(cause, message)| Blocker {
        subject: identity.to_string(),
        cause,
        message,
        hint: None,
        heals: true,
        log: Vec::new(),
    });
    blockers.collect()
}

/// A namespace says in its conditions which objects and finalizers remain in it.
fn namespace_remains(namespace: &Value) -> Vec<(String, String)> {
    let conditions = namespace["status"]["conditions"].as_array().into_iter().flatten();
    let remaining = conditions.filter(|condition| condition["status"] == "True").filter_map(|condition| {
        Some((condition["type"].as_str()?.to_owned(), condition["message"].as_str()?.to_owned()))
    });
    remaining.collect()
}

async fn claim_users(client: &Client, claim: &Identity) -> String {
    let selection = Selection { namespace: claim.namespace.clone(), ..Selection::default() };
    let pods = client.list(&Kind::new("v1", "Pod"), &selection).await.unwrap_or_default();
    let uses = |pod: &&Value| {
        let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        volumes.any(|volume| volume["persistentVolumeClaim"]["claimName"] == claim.name.as_str())
    };
    let names: Vec<&str> = pods.iter().filter(uses).filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    if names.is_empty() { "it is still in use".into() } else { format!("used by pod {}", names.join(", ")) }
}
