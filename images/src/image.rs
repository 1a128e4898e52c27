//! The behaviour of the kind `image`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use engine::{Class, Context, Failure, Gone, Held, Observation, Remains, Resource};
use providers::credentials;
use providers::docker::Docker;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::assemble::{self, Assembled};
use crate::cargo::{self, CargoError};
use crate::dockerfile::{self, DockerfileError, Name};
use crate::layer::LayerError;
use crate::spec::{CargoSource, DockerfileSource, Source, Spec};
use crate::store::{Store, StoreError};
use crate::{Options, SharedStore, declare, find};

/// A program that is bigger than this was probably not meant to be.
const LARGE_PROGRAM_BYTES: u64 = 20_000_000;

/// Makes images.
pub struct Images {
    store: SharedStore,
    docker: Docker,
    options: Options,
}

#[derive(Deserialize)]
struct Inputs {
    deployment: String,
    fingerprint: String,
    spec: Spec,
}

impl Inputs {
    fn read(inputs: &Value) -> Result<Self, Failure> {
        Ok(serde_json::from_value(inputs.clone())?)
    }

    /// The image's name in the store's references.
    fn key(&self) -> String {
        format!("{}/{}", self.deployment, self.spec.name)
    }
}

impl Images {
    pub(crate) fn new(store: SharedStore, docker: Docker, options: Options) -> Self {
        Self { store, docker, options }
    }

    async fn cargo(
        &self,
        context: &Context,
        store: Arc<Store>,
        inputs: Inputs,
        source: &CargoSource,
    ) -> Result<Assembled, Failure> {
        let built = cargo::build(source, self.options.lock.clone(), |line| {
            match line.trim_start().strip_prefix("Compiling ") {
                Some(package) => {
                    context.progress(format!("compiling {}", package.split(" (").next().unwrap_or(package)));
                }
                None => context.output(line),
            }
        });
        let built = built.await.map_err(explain_cargo)?;
        context.progress("packing");
        let size = std::fs::metadata(&built.path).map_or(0, |found| found.len());
        if size > LARGE_PROGRAM_BYTES {
            context.output(format!("warning: program {} has {} MB", built.name, size / 1_000_000));
        }
        let assembled = tokio::task::spawn_blocking(move || {
            assemble::program(&store, &inputs.deployment, &inputs.spec, &built.path, &built.name)
        });
        assembled.await.expect("assembling does not panic").map_err(explain_layer)
    }

    async fn dockerfile(
        &self,
        context: &Context,
        store: Arc<Store>,
        inputs: &Inputs,
        source: &DockerfileSource,
    ) -> Result<Assembled, Failure> {
        let credentials = match &self.options.docker_config {
            Some(folder) => credentials::stored(folder)?,
            None => BTreeMap::new(),
        };
        let name = Name { deployment: &inputs.deployment, fingerprint: &inputs.fingerprint, spec: &inputs.spec };
        let built = dockerfile::build(&store, &self.docker, &name, source, &credentials, |line| {
            match line.strip_prefix("Step ") {
                Some(step) => context.progress(format!("step {step}")),
                None => context.output(line),
            }
        });
        let built = built.await.map_err(explain_dockerfile)?;
        self.remove_tags(inputs, Some(&name.tag())).await.map_err(explain_docker)?;
        Ok(built)
    }

    /// Removes what the engine has of an image, except for one reference.
    async fn remove_tags(&self, inputs: &Inputs, kept: Option<&str>) -> Result<Vec<String>, providers::docker::Error> {
        let mut removed = Vec::new();
        for image in find::in_docker(&self.docker, &inputs.deployment).await? {
            if image.name == inputs.spec.name && Some(image.reference.as_str()) != kept {
                self.docker.remove_image(&image.reference).await?;
                removed.push(image.reference);
            }
        }
        Ok(removed)
    }

    fn look(&self, held: &Held) -> Observation {
        let Ok(inputs) = Inputs::read(&held.node.inputs) else {
            return Observation::Unknown("its inputs are of another version".to_owned());
        };
        let store = match self.store.get() {
            Ok(store) => store,
            Err(error) => return Observation::Unknown(error.to_string()),
        };
        match store.recall::<String>("references", &inputs.key()) {
            Some(digest) if store.manifest(&digest).is_err() => Observation::Absent,
            Some(digest) if held.outputs["digest"] == digest.as_str() => Observation::AsRecorded,
            Some(_) => Observation::Changed("the image cache holds another one".into()),
            None => Observation::Absent,
        }
    }
}

#[async_trait]
impl Resource for Images {
    fn parallelism(&self) -> usize {
        4
    }

    fn may_be_given_up(&self) -> bool {
        true
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        held.iter().map(|held| self.look(held)).collect()
    }

    async fn create(&self, context: &Context, as_given: &Value) -> Result<Value, Failure> {
        let inputs = Inputs::read(as_given)?;
        let store = self.store.get().map_err(explain_store)?;
        let (key, name) = (inputs.key(), inputs.spec.name.clone());
        let deployment = inputs.deployment.clone();
        let image = match inputs.spec.source.clone() {
            Source::Cargo(source) => self.cargo(context, store.clone(), inputs, &source).await?,
            Source::Dockerfile(source) => self.dockerfile(context, store.clone(), &inputs, &source).await?,
        };
        store.remember("inputs", &key, as_given).map_err(explain_store)?;
        store.remember("references", &key, &image.digest).map_err(explain_store)?;
        store.digests().save();
        context.progress(format!("{:.1} MB in {} layers", megabytes(image.bytes()), image.layers.len()));
        Ok(outputs(&deployment, &name, &image.digest, image.layers.len(), image.bytes()))
    }

    async fn delete(&self, _context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let inputs = Inputs::read(inputs)?;
        let mut gone = Vec::new();
        if matches!(inputs.spec.source, Source::Dockerfile(_)) {
            for tag in self.remove_tags(&inputs, None).await.map_err(explain_docker)? {
                if self.docker.image(&tag).await.map_err(explain_docker)?.is_some() {
                    return Err(Failure::from(format!("image {tag} is still there after its removal")));
                }
                gone.push(Gone::new("image in Docker", tag));
            }
        }
        let store = self.store.get().map_err(explain_store)?;
        store.forget("inputs", &inputs.key()).map_err(explain_store)?;
        store.forget("references", &inputs.key()).map_err(explain_store)?;
        if store.recall::<String>("references", &inputs.key()).is_none() {
            gone.push(Gone::new("image", declare::repository(&inputs.deployment, &inputs.spec.name)));
        }
        Ok(gone)
    }
}

/// What an image node gives.
pub(crate) fn outputs(deployment: &str, name: &str, digest: &str, layers: usize, bytes: u64) -> Value {
    json!({
        "reference": format!("{}@{digest}", declare::repository(deployment, name)),
        "digest": digest,
        "layers": layers,
        "bytes": bytes,
    })
}

/// For people: millions of bytes.
#[allow(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

pub(crate) fn explain_store(error: StoreError) -> Failure {
    let full = matches!(&error, StoreError::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull);
    let failure = Failure::from(error).nothing_remains();
    if full {
        failure.hint("free some space, or put the cache elsewhere (XDG_CACHE_HOME)").class(Class::Missing)
    } else {
        failure
    }
}

fn explain_layer(error: LayerError) -> Failure {
    match error {
        LayerError::Store(error) => explain_store(error),
        error @ LayerError::Changed { .. } => Failure::from(error).nothing_remains().hint("run the same command again"),
        error => Failure::from(error).nothing_remains(),
    }
}

fn explain_cargo(error: CargoError) -> Failure {
    let hint = error.hint();
    let missing = matches!(error, CargoError::Program(providers::program::Error::NotFound { .. }));
    let mut failure = Failure { hint, ..Failure::from(error).nothing_remains() };
    if missing {
        failure.class = Class::Missing;
    }
    failure
}

fn explain_dockerfile(error: DockerfileError) -> Failure {
    match error {
        DockerfileError::Docker(error) => explain_docker(error),
        DockerfileError::Store(error) | DockerfileError::Saved(crate::saved::SavedError::Store(error)) => {
            // The engine may have an image by now.
            Failure { remains: Remains::Unknown, ..explain_store(error) }
        }
        DockerfileError::Context(error) => {
            let hint = error.hint();
            Failure { hint, ..Failure::from(error).nothing_remains() }
        }
        error => Failure::from(error),
    }
}

pub(crate) fn explain_docker(error: providers::docker::Error) -> Failure {
    let (hint, missing) = (error.hint(), error.is_no_engine());
    let mut failure = Failure { hint, ..Failure::from(error) };
    if missing {
        failure = failure.nothing_remains().class(Class::Missing);
    }
    failure
}
