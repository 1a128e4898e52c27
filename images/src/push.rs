//! The behaviour of the kind `push`: images at a registry.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use engine::{Class, Context, Failure, Gone, Held, Observation, Resource};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{TryStreamExt, stream};
use providers::credentials;
use providers::docker::Credentials;
use providers::registry::{self, Blob, Logins, Repository};
use providers::retry::{Policy, Verdict, retry};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use crate::image::{explain_store, megabytes};
use crate::oci::{self, Descriptor, Manifest};
use crate::store::{Store, StoreError};
use crate::{Options, SharedStore};

/// Pushes images.
pub struct Pushes {
    store: SharedStore,
    docker_config: Option<PathBuf>,
    logins: Option<Arc<dyn Logins>>,
}

#[derive(Deserialize)]
struct Inputs {
    to: String,
    digest: String,
}

impl Pushes {
    pub(crate) fn new(store: SharedStore, options: &Options) -> Self {
        Self { store, docker_config: options.docker_config.clone(), logins: options.logins.clone() }
    }

    /// Pushes; once more with another login where a cloud's was refused, and some times more while the connection breaks.
    async fn push(
        &self,
        to: &str,
        manifest: &Manifest,
        bytes: Bytes,
        store: &Arc<Store>,
    ) -> Result<(String, u64), Failure> {
        let digest = crate::digest::of_bytes(&bytes);
        let blobs: Vec<Blob> =
            manifest.blobs().map(|blob| Blob { digest: blob.digest.clone(), size: blob.size }).collect();
        let open = |wanted: &Blob| {
            let blob = manifest.blobs().find(|blob| blob.digest == wanted.digest).expect("it is one of them");
            content(store.clone(), blob.clone())
        };
        let (blobs, digest, open) = (&blobs, &digest, &open);
        let push = |login: Option<Credentials>| {
            let bytes = bytes.clone();
            async move {
                // A registry may collect what no tag refers to.
                let repository = self.repository(to, &digest[7..19], login.as_ref())?;
                repository.push(blobs, (bytes, oci::MANIFEST, digest), open).await
            }
        };
        let again = |error: &registry::Error| if error.is_passing() { Verdict::Again } else { Verdict::Final };
        let login = self.login(to).await?;
        let pushed = retry(&Policy::SHORT, again, || push(login.clone())).await;
        let renewed = match (&pushed, &self.logins, &login) {
            (Err(registry::Error::Unauthorized { .. }), Some(logins), Some(login)) => logins.was_refused(login).await,
            _ => false,
        };
        if !renewed {
            return pushed.map_err(explain);
        }
        let login = self.login(to).await?;
        retry(&Policy::SHORT, again, || push(login.clone())).await.map_err(explain)
    }

    /// The repository as it is spoken to.
    fn repository(&self, to: &str, tag: &str, login: Option<&Credentials>) -> Result<Repository, registry::Error> {
        let registry = registry::registry_of(to)?;
        let stands_in = self.logins.as_ref().and_then(|logins| logins.stands_in(&registry));
        let spoken_to = match (stands_in, to.strip_prefix(&registry)) {
            (Some(address), Some(path)) => format!("{address}{path}"),
            _ => to.to_owned(),
        };
        Repository::new(&spoken_to, tag, login)
    }

    async fn login(&self, repository: &str) -> Result<Option<Credentials>, Failure> {
        let registry = registry::registry_of(repository).map_err(explain)?;
        if let Some(logins) = &self.logins
            && let Some(login) =
                logins.login(&registry).await.map_err(|error| Failure::from(error).class(Class::Missing))?
        {
            return Ok(Some(login));
        }
        match &self.docker_config {
            Some(folder) => Ok(credentials::find(folder, &registry)
                .await
                .map_err(|error| Failure::from(error).nothing_remains())?),
            None => Ok(None),
        }
    }

    async fn look(&self, held: &Held) -> Result<Observation, Failure> {
        let inputs: Inputs = serde_json::from_value(held.node.inputs.clone())?;
        let digest = held.outputs["digest"].as_str().unwrap_or_default();
        let login = self.login(&inputs.to).await?;
        let repository = self.repository(&inputs.to, "latest", login.as_ref()).map_err(explain)?;
        let there = repository.has(digest).await.map_err(explain)?;
        Ok(if there { Observation::AsRecorded } else { Observation::Absent })
    }
}

/// The same image with compressed layers, in the store. What was compressed before is not compressed again.
fn compressed(store: &Store, manifest: &Manifest) -> Result<(Manifest, Vec<u8>), StoreError> {
    let mut layers = Vec::new();
    for layer in &manifest.layers {
        let known = store.recall::<Descriptor>("compressed", &layer.digest).filter(|known| store.has(known));
        layers.push(match known {
            Some(known) => known,
            None => compress(store, layer)?,
        });
    }
    let manifest = Manifest::new(manifest.config.clone(), layers);
    let bytes = serde_json::to_vec(&manifest).expect("plain structures");
    Ok((manifest, bytes))
}

fn compress(store: &Store, layer: &Descriptor) -> Result<Descriptor, StoreError> {
    let mut content = store.open_blob(layer)?;
    // The header holds neither name nor time, so the same layer gives the same bytes.
    let mut encoder = GzEncoder::new(store.writer()?, Compression::default());
    std::io::copy(&mut content, &mut encoder).map_err(|source| store.write_error(source))?;
    let writer = encoder.finish().map_err(|source| store.write_error(source))?;
    let blob = writer.commit(oci::LAYER_GZIP)?;
    store.remember("compressed", &layer.digest, &blob)?;
    Ok(blob)
}

/// A blob as a stream, opened when it is first read.
fn content(
    store: Arc<Store>,
    blob: Descriptor,
) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let open = async move {
        let file = tokio::task::spawn_blocking(move || store.open_blob(&blob)).await?;
        let file = tokio::fs::File::from_std(file.map_err(std::io::Error::other)?);
        Ok::<_, std::io::Error>(ReaderStream::with_capacity(file, 256 * 1024))
    };
    stream::once(open).try_flatten()
}

#[async_trait]
impl Resource for Pushes {
    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let looks = held.iter().map(|held| async move {
            self.look(held).await.unwrap_or_else(|failure| Observation::Unknown(failure.causes().join(": ")))
        });
        futures::future::join_all(looks).await
    }

    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let inputs: Inputs = serde_json::from_value(inputs.clone())?;
        let store = self.store.get().map_err(explain_store)?;
        let (opened, digest) = (store.clone(), inputs.digest.clone());
        context.progress("compressing");
        let prepared = tokio::task::spawn_blocking(move || {
            let (manifest, _) = opened.manifest(&digest)?;
            compressed(&opened, &manifest)
        });
        let (manifest, bytes) = prepared.await.expect("compressing does not panic").map_err(explain_store)?;
        context.progress(format!("pushing to {}", inputs.to));
        let (digest, sent) = self.push(&inputs.to, &manifest, bytes.into(), &store).await?;
        context.progress(format!("{:.1} MB sent", megabytes(sent)));
        Ok(json!({ "reference": format!("{}@{digest}", inputs.to), "digest": digest, "sent_bytes": sent }))
    }

    /// What a registry was given stays there: others may use it by now.
    async fn delete(&self, _context: &Context, _inputs: &Value) -> Result<Vec<Gone>, Failure> {
        Ok(Vec::new())
    }
}

fn explain(error: registry::Error) -> Failure {
    let hint = error.hint();
    let missing = matches!(error, registry::Error::Unauthorized { .. } | registry::Error::Unreachable { .. });
    let mut failure = Failure { hint, ..Failure::from(error) };
    if missing {
        failure = failure.class(Class::Missing);
    }
    failure
}
