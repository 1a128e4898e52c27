//! Lets the Docker Engine build an image, and takes it into the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use providers::docker::{self, Build, Credentials, Docker};
use serde_json::json;

use crate::assemble::{self, Assembled};
use crate::context::{Context, ContextError};
use crate::layer::LayerError;
use crate::oci::{self, Descriptor};
use crate::saved::{self, SavedError};
use crate::spec::{DockerfileSource, Spec};
use crate::store::{Store, StoreError};
use crate::{declare, spec, stream};

/// An image cannot be built from a Dockerfile.
#[derive(Debug, thiserror::Error)]
pub enum DockerfileError {
    /// The build context.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// Docker.
    #[error(transparent)]
    Docker(#[from] docker::Error),
    /// The exported image.
    #[error(transparent)]
    Saved(#[from] SavedError),
    /// The layers of additional files.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image is for another platform.
    #[error("the Dockerfile gives an image for {found}, and {wanted} is needed")]
    Platform {
        /// The image's platform.
        found: String,
        /// The platform that the cluster runs on.
        wanted: String,
    },
    /// The engine exported an image without all of its layers.
    #[error("the exported image lacks layer {digest}")]
    Incomplete {
        /// The layer.
        digest: String,
    },
}

/// What tells one image of the engine from another.
pub struct Name<'a> {
    /// The deployment.
    pub deployment: &'a str,
    /// The fingerprint of all that goes in.
    pub fingerprint: &'a str,
    /// The specification.
    pub spec: &'a Spec,
}

impl Name<'_> {
    /// The reference in the engine.
    pub fn tag(&self) -> String {
        let fingerprint = self.fingerprint.trim_start_matches("sha256:");
        let short = fingerprint.get(..12).unwrap_or(fingerprint);
        format!("{}:{short}", declare::repository(self.deployment, &self.spec.name))
    }

    fn key(&self) -> String {
        format!("{}/{}/{}", self.deployment, self.spec.name, self.fingerprint)
    }
}

/// Builds an image, or finds in the store what was built of the same things before.
pub async fn build(
    store: &Arc<Store>,
    docker: &Docker,
    name: &Name<'_>,
    source: &DockerfileSource,
    credentials: &BTreeMap<String, Credentials>,
    line: impl FnMut(&str),
) -> Result<Assembled, DockerfileError> {
    let known = store.recall::<String>("built", &name.key());
    if let Some((digest, (manifest, _))) =
        known.and_then(|digest| Some((digest.clone(), store.manifest(&digest).ok()?)))
    {
        return Ok(Assembled { digest, layers: manifest.layers });
    }
    let tag = name.tag();
    let context = Context::read(source)?;
    let build = Build {
        tag: tag.clone(),
        dockerfile: context.dockerfile().to_owned(),
        arguments: source.arguments.clone(),
        target: source.target.clone().unwrap_or_default(),
        labels: assemble::labels(name.deployment, &name.spec.name),
    };
    let archive = stream::written(move |out| context.write(out));
    docker.build_image(&build, credentials, archive, line).await?;
    let mut layers = exported(store, docker, &tag).await?;
    let mut config = docker.image_configuration(&tag).await?;
    if let Some(user) = &name.spec.user {
        config.insert("User".to_owned(), json!(user));
    }
    if !name.spec.environment.is_empty() {
        let given = config.get("Env").and_then(|given| serde_json::from_value(given.clone()).ok()).unwrap_or_default();
        let given: Vec<String> = given;
        config.insert("Env".to_owned(), json!(assemble::environment(&given, &name.spec.environment)));
    }
    let (opened, files) = (store.clone(), name.spec.files.clone());
    let assembled = tokio::task::spawn_blocking(move || -> Result<Assembled, DockerfileError> {
        layers.extend(assemble::file_layers(&opened, &files)?);
        Ok(assemble::image(&opened, config, layers)?)
    });
    let assembled = assembled.await.expect("assembling does not panic")?;
    store.remember("built", &name.key(), &assembled.digest)?;
    Ok(assembled)
}

/// The layers of an image of the engine, in the store. Exported only when the store lacks one.
async fn exported(store: &Arc<Store>, docker: &Docker, tag: &str) -> Result<Vec<Descriptor>, DockerfileError> {
    let gone = || docker::Error::Missing { action: format!("inspect image {tag}") };
    let image = docker.image(tag).await?.ok_or_else(gone)?;
    let (os, architecture) = spec::platform();
    let wanted = format!("{os}/{architecture}");
    if image.platform != wanted {
        return Err(DockerfileError::Platform { found: image.platform, wanted });
    }
    let find = |digest: &String| {
        store.find(oci::LAYER, digest).ok_or_else(|| DockerfileError::Incomplete { digest: digest.clone() })
    };
    if let Ok(layers) = image.layers.iter().map(find).collect() {
        return Ok(layers);
    }
    let wanted: BTreeSet<String> = image.layers.iter().cloned().collect();
    let (sender, pieces) = stream::pieces();
    let opened = store.clone();
    let taken = tokio::task::spawn_blocking(move || saved::take_layers(&opened, pieces, &wanted));
    let sent = docker.export_image(tag, sender).await;
    let taken = taken.await.expect("taking layers does not panic");
    sent?;
    taken?;
    image.layers.iter().map(find).collect()
}
