//! What a file server in the cluster exports: the folder that the server's own pod has there.
//!
//! The sandbox mounts no NFS. Where the server of a volume is a service of this cluster, what a pod would see through it is what the
//! server's pod has at that path, and it is seen only while that pod is ready.

use super::{folder_of_claim, list};
use crate::read::{name, namespace, text};
use crate::shared::Shared;
use apiserver::{ListOptions, Selector};
use serde_json::Value;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The folder of a volume whose server is a service of this cluster; none where it is no such volume.
pub fn folder_of(shared: &Shared, volume: &Value) -> Option<Result<PathBuf, String>> {
    let nfs = &volume["spec"]["nfs"];
    let (server, path) = (nfs["server"].as_str()?, text(nfs, "path"));
    let service = service(shared, server)?;
    Some(exported(shared, &service, path).ok_or_else(|| {
        // What mount.nfs says of a server that does not answer, in the kubelet's frame.
        format!(
            "mount failed: exit status 32\nMounting command: mount\nMounting arguments: -t nfs {server}:{path}\nOutput: \
             mount.nfs: Connection refused"
        )
    }))
}

/// The service that a server's address or name is of.
fn service(shared: &Shared, server: &str) -> Option<Arc<Value>> {
    let named = || {
        let mut parts = server.split('.');
        let (service, space) = (parts.next()?, parts.next()?);
        let rest: Vec<&str> = parts.collect();
        let is_name = matches!(&rest[..], [] | ["svc"] | ["svc", "cluster", "local"]);
        is_name.then(|| shared.api.get(kinds::SERVICES, space, service).ok()).flatten()
    };
    let all = shared.api.list(kinds::SERVICES, None, &ListOptions::default()).ok()?;
    let addressed = all.items.into_iter().find(|service| text(&service["spec"], "clusterIP") == server);
    addressed.or_else(named)
}

/// Where the files are that a ready pod of the service has at this path.
fn exported(shared: &Shared, service: &Value, path: &str) -> Option<PathBuf> {
    let selector = Selector::of_labels(&service["spec"]["selector"]);
    if selector.is_everything() {
        return None;
    }
    let pods = shared.api.list(kinds::PODS, Some(namespace(service)), &ListOptions::default()).ok()?;
    let serves = |pod: &&Arc<Value>| {
        selector.matches(&pod["metadata"]["labels"]) && kinds::pod::is_ready(pod) && !kinds::pod::is_terminating(pod)
    };
    let mut serving: Vec<&Arc<Value>> = pods.items.iter().filter(serves).collect();
    serving.sort_by_key(|pod| name(pod));
    serving.into_iter().find_map(|pod| at(shared, pod, path))
}

/// The folder that one of a pod's claims has at this path: below the longest of its mounts, or below its only one.
fn at(shared: &Shared, pod: &Value, path: &str) -> Option<PathBuf> {
    let mounts = list(&pod["spec"]["containers"]).iter().flat_map(|container| list(&container["volumeMounts"]));
    let claimed = mounts.filter_map(|mount| {
        let wanted = text(mount, "name");
        let volume = list(&pod["spec"]["volumes"]).iter().find(|volume| text(volume, "name") == wanted)?;
        let claim = volume["persistentVolumeClaim"]["claimName"].as_str()?;
        Some((text(mount, "mountPath"), claim))
    });
    let mut claimed: Vec<(&str, &str)> = claimed.collect();
    claimed.sort_by_key(|(mount, _)| std::cmp::Reverse(mount.len()));
    let below = claimed.iter().find_map(|(mount, claim)| Some((Path::new(path).strip_prefix(mount).ok()?, *claim)));
    let (rest, claim) = match (below, &claimed[..]) {
        (Some(found), _) => found,
        // A server that calls its folder otherwise than it is called in its pod: `/` for `/exports`.
        (None, [(_, only)]) => (Path::new(path.trim_start_matches('/')), *only),
        _ => return None,
    };
    if rest.components().any(|part| !matches!(part, Component::Normal(_))) {
        return None;
    }
    let folder = folder_of_claim(shared, namespace(pod), claim)?.join(rest);
    // A folder that the server does not have is not made by who mounts it.
    folder.is_dir().then_some(folder)
}
