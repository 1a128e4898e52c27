//! Images that are fetched from registries, and those that were delivered.

use super::login::fitting;
use super::registry::{Descriptor, Manifest, RegistryError, Session, client};
use super::{
    Fetched, FolderImages, Image, ImageError, Images, PullPolicy, Reference, RegistryMirror, WantedImage, never_pulled,
    not_pulled, parse, read_image,
};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use unpack::Unpacking;

/// The file that tells which image was fetched under which name.
const PULLED: &str = "pulled.json";
/// How many layers are fetched at once.
const LAYERS_AT_ONCE: usize = 3;

/// Images of a folder, and of registries that have a mirror: those are fetched into the same folder, each once.
pub struct PulledImages {
    delivered: FolderImages,
    folder: PathBuf,
    mirrors: Vec<RegistryMirror>,
    client: Client,
    names: Mutex<BTreeMap<String, Pulled>>,
    /// One fetch of a name at a time: others wait for it.
    fetching: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// An image that was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pulled {
    /// The digest of its manifest, without `sha256:`: the name of its folder.
    hex: String,
    /// The digest that its name stood for, without `sha256:`: that of the manifest, or of an index of several.
    resolved: String,
}

impl PulledImages {
    /// The images below this folder, which need not be there yet, and those of these registries.
    ///
    /// # Errors
    /// There can be no client for them.
    pub fn new(folder: impl Into<PathBuf>, mirrors: Vec<RegistryMirror>) -> Result<Self, String> {
        let folder = folder.into();
        // What cannot be read is fetched again.
        let names = std::fs::read(folder.join(PULLED)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Ok(Self {
            delivered: FolderImages::new(&folder),
            folder,
            client: client(&mirrors)?,
            mirrors,
            names: Mutex::new(names.unwrap_or_default()),
            fetching: Mutex::default(),
        })
    }

    fn mirror(&self, reference: &Reference) -> Option<&RegistryMirror> {
        self.mirrors.iter().find(|mirror| mirror.host == reference.registry())
    }

    /// The image as it was fetched before, if it is still there.
    fn present(&self, reference: &Reference) -> Option<Image> {
        let pulled = self.names.lock().unwrap_or_else(PoisonError::into_inner).get(&reference.whole()).cloned()?;
        read_image(&self.folder.join(&pulled.hex), reference, &pulled.resolved).ok()
    }

    fn remember(&self, reference: &Reference, pulled: Pulled) -> std::io::Result<()> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.get(&reference.whole()) == Some(&pulled) {
            return Ok(());
        }
        names.insert(reference.whole(), pulled);
        let fresh = self.folder.join(format!("{PULLED}.new"));
        std::fs::write(&fresh, serde_json::to_vec_pretty(&*names)?)?;
        std::fs::rename(&fresh, self.folder.join(PULLED))
    }

    fn turn(&self, reference: &Reference) -> Arc<tokio::sync::Mutex<()>> {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        fetching.retain(|_, turn| Arc::strong_count(turn) > 1);
        fetching.entry(reference.whole()).or_default().clone()
    }

    /// Fetches with each login in turn, the pod's first, then the node's, and without any when there is none.
    async fn fetch(&self, mirror: &RegistryMirror, reference: &Reference, wanted: &WantedImage<'_>) -> Outcome {
        let mut logins: Vec<_> =
            fitting(wanted.logins, reference.repository()).into_iter().cloned().map(Some).collect();
        let mut last = None;
        if let Some(credential) = &mirror.credential {
            match credential.login(&self.client).await {
                Ok(login) => logins.push(Some(login)),
                Err(why) => {
                    last = Some(RegistryError::Other(format!(
                        "failed to get the node's token for {}: {why}",
                        mirror.host
                    )));
                }
            }
        }
        if logins.is_empty() && last.is_none() {
            logins.push(None);
        }
        for login in logins {
            let session = Session {
                client: &self.client,
                mirrors: &self.mirrors,
                mirror,
                repository: reference.path(),
                login,
                authorization: Mutex::default(),
            };
            match self.fetch_with(&session, reference).await {
                Err(error @ RegistryError::Unauthorized(_)) => last = Some(error),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| RegistryError::Unauthorized("there is no login".to_owned())))
    }

    async fn fetch_with(&self, session: &Session<'_>, reference: &Reference) -> Outcome {
        let resolved = session.manifest(reference.version()).await?;
        let manifest = match resolved.value["manifests"].as_array() {
            Some(all) => session.manifest(&for_this_machine(all)?).await?,
            None => Manifest { digest: resolved.digest.clone(), value: resolved.value },
        };
        let plain = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
        let pulled = Pulled { hex: plain(&manifest.digest), resolved: plain(&resolved.digest) };
        let other = |why: String| RegistryError::Other(why);
        let unreadable =
            |error: serde_json::Error| other(format!("the manifest {} is no image's: {error}", manifest.digest));
        let config = Descriptor::deserialize(&manifest.value["config"]).map_err(unreadable)?;
        let layers = Vec::<Descriptor>::deserialize(&manifest.value["layers"]).map_err(unreadable)?;
        let size_bytes = layers.iter().chain([&config]).map(|blob| blob.size).sum();
        let begun = Unpacking::begin(&self.folder, &pulled.hex).map_err(|error| other(error.to_string()))?;
        let Some(unpacking) = begun else { return Ok((pulled, size_bytes)) };
        let fetch = |blob: Descriptor| async move { session.blob(&blob, &self.folder).await };
        let mut blobs = stream::iter(layers.clone().into_iter().chain([config]))
            .map(fetch)
            .buffered(LAYERS_AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let config = blobs.pop();
        let unpacked = tokio::task::spawn_blocking(move || {
            let mut text = Vec::new();
            if let Some(mut config) = config {
                std::io::Read::read_to_end(&mut config, &mut text).map_err(|error| error.to_string())?;
            }
            for (layer, blob) in layers.iter().zip(blobs) {
                unpacking
                    .layer(&layer.digest, &layer.media_type, blob)
                    .map_err(|error| super::registry::described(&error))?;
            }
            unpacking.finish(&text).map_err(|error| super::registry::described(&error))
        });
        unpacked.await.map_err(|error| other(error.to_string()))?.map_err(other)?;
        Ok((pulled, size_bytes))
    }
}

/// What was fetched, and its size in bytes.
type Outcome = Result<(Pulled, u64), RegistryError>;

/// The digest of the manifest for this machine, of an index's manifests.
fn for_this_machine(manifests: &[Value]) -> Result<String, RegistryError> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let fits = |each: &&Value| each["platform"]["os"] == "linux" && each["platform"]["architecture"] == architecture;
    let found = manifests.iter().find(fits).and_then(|each| each["digest"].as_str());
    found
        .map(str::to_owned)
        .ok_or_else(|| RegistryError::NotFound(format!(": no match for platform linux/{architecture}")))
}

#[async_trait]
impl Images for PulledImages {
    async fn find(
        &self,
        wanted: &WantedImage<'_>,
        begin: &(dyn Fn() + Sync),
    ) -> Result<(Image, Option<Fetched>), ImageError> {
        let reference = parse(wanted.reference)?;
        let Some(mirror) = self.mirror(&reference) else { return self.delivered.find(wanted, begin).await };
        if let Some(image) = self.delivered.delivered(&reference)? {
            return Ok((image, None));
        }
        let since = Instant::now();
        let turn = self.turn(&reference);
        let _alone = turn.lock().await;
        // What is named by its digest cannot have changed.
        let may_differ = wanted.policy == PullPolicy::Always && reference.digest().is_none();
        if let Some(image) = self.present(&reference).filter(|_| !may_differ) {
            return Ok((image, None));
        }
        if wanted.policy == PullPolicy::Never {
            return Err(never_pulled(wanted.reference));
        }
        begin();
        let whole = reference.whole();
        let failed = |why: String| not_pulled(format!("failed to pull and unpack image \"{whole}\": {why}"));
        let (pulled, size_bytes) = self.fetch(mirror, &reference, wanted).await.map_err(|error| {
            failed(match error {
                RegistryError::Other(why) => why,
                other => format!("failed to resolve reference \"{whole}\": {whole}: {other}"),
            })
        })?;
        let folder = self.folder.join(&pulled.hex);
        let image = read_image(&folder, &reference, &pulled.resolved).map_err(failed)?;
        self.remember(&reference, pulled).map_err(|error| failed(error.to_string()))?;
        Ok((image, Some(Fetched { took: since.elapsed(), size_bytes })))
    }
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
