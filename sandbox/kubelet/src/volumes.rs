//! Volumes of pods: where their files are, and how they get there.

mod attachment;
mod contents;
mod disks;
mod exported;
mod place;
mod writer;

use crate::fields::Facts;
use crate::objects::missing;
use crate::read::{list, name, namespace, text, uid};
use crate::shared::Shared;
pub use attachment::{Attachments, attach};
pub use contents::token_seconds;
use contents::{Sources, TokenWish, contents};
pub use disks::Disks;
use place::Place;
use runtime::{Mount, MountKind};
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where a pod's volumes are.
#[derive(Clone, Debug, Default)]
pub struct Volumes {
    by_name: HashMap<String, Volume>,
}

#[derive(Clone, Debug)]
struct Volume {
    place: Place,
    read_only: bool,
}

/// A volume that could not be made, in the kubelet's words.
pub struct Failure {
    /// Its name.
    pub volume: String,
    /// Why.
    pub why: String,
}

impl Failure {
    /// The text of the event.
    pub fn message(&self) -> String {
        format!("MountVolume.SetUp failed for volume \"{}\" : {}", self.volume, self.why)
    }
}

/// Makes all volumes of a pod.
pub async fn set_up(shared: &Shared, pod: &Value) -> Result<Volumes, Failure> {
    let mut volumes = Volumes::default();
    for volume in list(&pod["spec"]["volumes"]) {
        let name = text(volume, "name").to_owned();
        match make(shared, pod, volume, &name).await {
            Ok(made) => drop(volumes.by_name.insert(name, made)),
            Err(why) => return Err(Failure { volume: name, why }),
        }
    }
    Ok(volumes)
}

/// Writes the volumes that are made from objects once more. What is missing now stays as it was.
pub async fn refresh(shared: &Shared, pod: &Value, address: Option<Ipv4Addr>) -> Vec<Failure> {
    let mut failures = Vec::new();
    for volume in list(&pod["spec"]["volumes"]) {
        let volume_name = text(volume, "name");
        if let Some(Err(why)) = write(shared, pod, volume, volume_name, address).await {
            failures.push(Failure { volume: volume_name.to_owned(), why });
        }
    }
    failures
}

async fn make(shared: &Shared, pod: &Value, volume: &Value, volume_name: &str) -> Result<Volume, String> {
    if let Some(written) = write(shared, pod, volume, volume_name, None).await {
        return written.map(|place| Volume { place, read_only: true });
    }
    let empty = volume.get("emptyDir");
    if let Some(empty) = empty {
        return empty_dir(shared, pod, volume_name, empty).await;
    }
    if volume["hostPath"].is_object() {
        let path = host_path(shared, &volume["hostPath"])?;
        return Ok(Volume { place: Place::on_disk(path), read_only: false });
    }
    if volume["persistentVolumeClaim"].is_object() {
        return claim(shared, pod, &volume["persistentVolumeClaim"]).await;
    }
    let kind = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).find(|key| *key != "name");
    Err(format!(
        "volumes of type {} are not supported by the sandbox; use emptyDir, configMap, secret, projected, downwardAPI, \
         hostPath or persistentVolumeClaim",
        kind.unwrap_or("unknown")
    ))
}

fn folder(shared: &Shared, pod: &Value, volume_name: &str) -> PathBuf {
    shared.pod_folder(uid(pod)).join("volumes").join(volume_name)
}

async fn write(
    shared: &Shared,
    pod: &Value,
    volume: &Value,
    volume_name: &str,
    address: Option<Ipv4Addr>,
) -> Option<Result<Place, String>> {
    let own = namespace(pod);
    let find = |resource: &'static kinds::Resource, wanted: &str| shared.api.get(resource, own, wanted).ok();
    let account = pod["spec"]["serviceAccountName"].as_str().filter(|name| !name.is_empty()).unwrap_or("default");
    let tokens = |wish: &TokenWish<'_>| {
        let request = apiserver::TokenRequest {
            audiences: Some(wish.audience)
                .filter(|audience| !audience.is_empty())
                .map(str::to_owned)
                .into_iter()
                .collect(),
            expires_seconds: wish.expires_seconds,
            pod: Some((name(pod).to_owned(), uid(pod).to_owned())),
        };
        let token = apiserver::service_account_token(&shared.api, own, account, &request);
        token.map(|token| token.token).map_err(|status| format!("failed to fetch token: {status}"))
    };
    let facts = shared.facts(pod, address);
    let files = match contents(volume, &Sources { find: &find, tokens: &tokens, facts })? {
        Ok(files) => files,
        Err(why) => return Some(Err(why)),
    };
    Some(keep(shared, pod, volume, volume_name, &files).await)
}

/// Writes the files of a volume where they are to be.
async fn keep(
    shared: &Shared,
    pod: &Value,
    volume: &Value,
    volume_name: &str,
    files: &contents::Files,
) -> Result<Place, String> {
    let path = folder(shared, pod, volume_name);
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    // Only what is no secret to anybody may reach a disk.
    let place = if volume["configMap"].is_object() {
        writer::make_folder(&path).map_err(failed)?;
        Place::on_disk(path.clone())
    } else {
        Place::in_memory(&shared.node, path.clone(), None).await?
    };
    let wrote = writer::write(place.view(&shared.node).await?.path(), files).map_err(failed)?;
    if wrote {
        let group = fs_group(pod);
        let mode = group.map(|_| 0o440);
        shared.node.give(&path, Some(0), group, mode).await.map_err(|error| error.to_string())?;
    }
    Ok(place)
}

fn fs_group(pod: &Value) -> Option<u32> {
    pod["spec"]["securityContext"]["fsGroup"].as_u64().and_then(|group| u32::try_from(group).ok())
}

async fn empty_dir(shared: &Shared, pod: &Value, volume_name: &str, empty: &Value) -> Result<Volume, String> {
    let path = folder(shared, pod, volume_name);
    if text(empty, "medium") == "Memory" {
        let size = kinds::quantity::from_value(&empty["sizeLimit"]).ok();
        let size_bytes = size.and_then(|size| u64::try_from(size.units()).ok()).filter(|size| *size > 0);
        let place = Place::in_memory(&shared.node, path, size_bytes).await?;
        let group = fs_group(pod);
        let given = shared.node.give(place.path(), Some(0), group, group.map(|_| 0o660)).await;
        given.map_err(|error| error.to_string())?;
        return Ok(Volume { place, read_only: false });
    }
    open_folder(shared, &path, fs_group(pod)).await?;
    Ok(Volume { place: Place::on_disk(path), read_only: false })
}

/// A folder that everybody may write to, owned by the pods' root.
async fn open_folder(shared: &Shared, path: &Path, group: Option<u32>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if !path.exists() {
        fs::create_dir_all(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).map_err(failed)?;
        let mode = group.map(|_| 0o660);
        shared.node.give(path, Some(0), group, mode).await.map_err(|error| error.to_string())?;
    } else if let Some(group) = group {
        shared.node.give(path, None, Some(group), Some(0o660)).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn host_path(shared: &Shared, source: &Value) -> Result<PathBuf, String> {
    let asked = text(source, "path");
    let path = PathBuf::from(asked);
    let allowed = |path: &Path| shared.host_folders.iter().any(|folder| path.starts_with(folder));
    let has_parents = path.components().any(|part| part == std::path::Component::ParentDir);
    if !allowed(&path) || has_parents {
        let folders = shared.host_folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>();
        return Err(format!(
            "hostPath {asked} is not below a folder that the sandbox was allowed to use ({}); start the sandbox with that \
             folder allowed, or use a PersistentVolumeClaim",
            if folders.is_empty() { "there is none".to_owned() } else { folders.join(", ") }
        ));
    }
    let kind = text(source, "type");
    let made = match kind {
        "DirectoryOrCreate" => fs::create_dir_all(&path),
        "FileOrCreate" => fs::OpenOptions::new().create(true).append(true).open(&path).map(drop),
        _ => Ok(()),
    };
    made.map_err(|error| format!("{asked}: {error}"))?;
    // Links may lead out of what is allowed.
    let real = path.canonicalize().map_err(|_| match kind {
        "File" => format!("hostPath type check failed: {asked} is not a file"),
        _ => format!("hostPath type check failed: {asked} is not a directory"),
    })?;
    let real_allowed = shared.host_folders.iter().filter_map(|folder| folder.canonicalize().ok());
    if !real_allowed.into_iter().any(|folder| real.starts_with(folder)) {
        return Err(format!("hostPath {asked} leads out of the folders that the sandbox was allowed to use"));
    }
    match kind {
        "Directory" | "DirectoryOrCreate" if !real.is_dir() => {
            Err(format!("hostPath type check failed: {asked} is not a directory"))
        }
        "File" | "FileOrCreate" if !real.is_file() => Err(format!("hostPath type check failed: {asked} is not a file")),
        _ => Ok(real),
    }
}

async fn claim(shared: &Shared, pod: &Value, source: &Value) -> Result<Volume, String> {
    let claim_name = text(source, "claimName");
    let claims = kinds::PERSISTENT_VOLUME_CLAIMS;
    let claim = shared.api.get(claims, namespace(pod), claim_name).map_err(|_| missing(claims, claim_name))?;
    let volume_name = text(&claim["spec"], "volumeName");
    if text(&claim["status"], "phase") != "Bound" || volume_name.is_empty() {
        return Err(format!("PVC {}/{claim_name} is not bound", namespace(pod)));
    }
    let volumes = kinds::PERSISTENT_VOLUMES;
    let volume = shared.api.get(volumes, "", volume_name).map_err(|_| missing(volumes, volume_name))?;
    let spec = &volume["spec"];
    let read_only = source["readOnly"] == true || spec["csi"]["readOnly"] == true || spec["nfs"]["readOnly"] == true;
    if let Some(found) = exported::folder_of(shared, &volume) {
        return Ok(Volume { place: Place::on_disk(found?), read_only });
    }
    if let Some(path) = shared.disks.folder_of(&volume) {
        open_folder(shared, &path, fs_group(pod)).await?;
        return Ok(Volume { place: Place::on_disk(path), read_only });
    }
    let path = spec["local"]["path"].as_str().or_else(|| spec["hostPath"]["path"].as_str());
    let path = path.ok_or_else(|| format!("PersistentVolume {volume_name} has no folder that the sandbox can use"))?;
    let path = PathBuf::from(path);
    if path.starts_with(&shared.own_folder) {
        open_folder(shared, &path, fs_group(pod)).await?;
    } else {
        host_path(shared, &serde_json::json!({ "path": path, "type": spec["hostPath"]["type"] }))?;
    }
    Ok(Volume { place: Place::on_disk(path), read_only })
}

/// Where the files of a claim are, as far as they are on this machine's disk.
fn folder_of_claim(shared: &Shared, namespace: &str, claim_name: &str) -> Option<PathBuf> {
    let claim = shared.api.get(kinds::PERSISTENT_VOLUME_CLAIMS, namespace, claim_name).ok()?;
    let volume = shared.api.get(kinds::PERSISTENT_VOLUMES, "", text(&claim["spec"], "volumeName")).ok()?;
    let path = || volume["spec"]["local"]["path"].as_str().or_else(|| volume["spec"]["hostPath"]["path"].as_str());
    shared.disks.folder_of(&volume).or_else(|| path().map(PathBuf::from))
}

impl Volumes {
    /// The mounts of a container; `expand` replaces variables in `subPathExpr`.
    pub async fn mounts(
        &self,
        node: &runtime::Node,
        container: &Value,
        expand: impl Fn(&str) -> String,
    ) -> Result<Vec<Mount>, String> {
        let mut mounts = Vec::new();
        for mount in list(&container["volumeMounts"]) {
            mounts.push(self.mount(node, mount, &expand).await?);
        }
        Ok(mounts)
    }

    async fn mount(
        &self,
        node: &runtime::Node,
        mount: &Value,
        expand: impl Fn(&str) -> String,
    ) -> Result<Mount, String> {
        let volume_name = text(mount, "name");
        let volume = self.by_name.get(volume_name).ok_or_else(|| format!("volume \"{volume_name}\" not found"))?;
        let sub_path = match mount["subPathExpr"].as_str() {
            Some(expression) if !expression.is_empty() => expand(expression),
            _ => text(mount, "subPath").to_owned(),
        };
        let kind = MountKind::Bind { source: volume.place.below(node, &sub_path, volume_name).await? };
        let read_only = volume.read_only || mount["readOnly"] == true;
        Ok(Mount { kind, target: text(mount, "mountPath").to_owned(), read_only })
    }
}

impl Shared {
    /// What fields of a pod are taken from.
    pub fn facts<'a>(&'a self, pod: &'a Value, address: Option<Ipv4Addr>) -> Facts<'a> {
        let told = || text(&pod["status"], "podIP").parse().ok();
        let place = self.place(pod);
        Facts {
            pod,
            seen: self.seen(uid(pod)),
            address: address.or_else(told),
            host_address: place.address.clone(),
            allocatable: place.allocatable.clone(),
        }
    }
}
