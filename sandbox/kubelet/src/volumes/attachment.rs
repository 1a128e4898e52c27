//! On which node a volume is that only one node may have.

use super::list;
use crate::read::{namespace, text, uid};
use crate::shared::Shared;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// The volumes that are attached to one node alone.
#[derive(Debug, Default)]
pub struct Attachments {
    by_volume: Mutex<HashMap<String, Attached>>,
}

#[derive(Debug, Default)]
struct Attached {
    node: String,
    /// The pods that have it there, by id, with their names.
    pods: BTreeMap<String, String>,
}

impl Attachments {
    /// Gives a volume to a pod on this node, or tells which pods have it on another one.
    fn attach(&self, volume: &str, node: &str, (pod, pod_name): (&str, &str)) -> Result<(), String> {
        let mut volumes = self.by_volume.lock().unwrap_or_else(PoisonError::into_inner);
        let attached = volumes.entry(volume.to_owned()).or_default();
        if !attached.pods.is_empty() && attached.node != node {
            let users = attached.pods.values().cloned().collect::<Vec<_>>().join(", ");
            return Err(format!("Multi-Attach error for volume \"{volume}\" Volume is already used by pod(s) {users}"));
        }
        node.clone_into(&mut attached.node);
        attached.pods.insert(pod.to_owned(), pod_name.to_owned());
        Ok(())
    }

    /// Takes all volumes from a pod.
    pub fn detach(&self, pod: &str) {
        let mut volumes = self.by_volume.lock().unwrap_or_else(PoisonError::into_inner);
        volumes.retain(|_, attached| {
            attached.pods.remove(pod);
            !attached.pods.is_empty()
        });
    }
}

/// Attaches the volumes of a pod's claims to its node; the words of the event where one is elsewhere.
///
/// A volume that is bound to a claim in a mode for many nodes needs no attachment, and neither does one that is not there yet.
pub fn attach(shared: &Shared, pod: &Value) -> Result<(), String> {
    let node = text(&pod["spec"], "nodeName");
    for volume in list(&pod["spec"]["volumes"]) {
        let name = text(&volume["persistentVolumeClaim"], "claimName");
        let Ok(claim) = shared.api.get(kinds::PERSISTENT_VOLUME_CLAIMS, namespace(pod), name) else { continue };
        let many =
            list(&claim["spec"]["accessModes"]).iter().any(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany");
        let bound = text(&claim["spec"], "volumeName");
        if !many && !bound.is_empty() {
            shared.attachments.attach(bound, node, (uid(pod), crate::read::name(pod)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_on_one_node_until_its_last_pod_there_is_gone() {
        let attachments = Attachments::default();
        let attach = |node, pod| attachments.attach("v", node, (pod, pod));
        assert_eq!([attach("n", "a"), attach("n", "b"), attach("n", "a")], [Ok(()), Ok(()), Ok(())]);
        let told = attach("m", "c").expect_err("it is elsewhere");
        assert_eq!(told, "Multi-Attach error for volume \"v\" Volume is already used by pod(s) a, b");
        attachments.detach("a");
        attach("m", "c").expect_err("one is left");
        attachments.detach("b");
        assert_eq!((attach("m", "c"), attach("n", "a").is_err()), (Ok(()), true));
    }
}
