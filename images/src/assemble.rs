//! Puts layers together into an image.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::layer::{Layer, LayerError};
use crate::oci::{self, Configuration, Descriptor, Manifest};
use crate::spec::{FileEntry, Spec};
use crate::store::{Store, StoreError};

/// The user of an image that is assembled here: nobody in particular, and not root.
const USER: &str = "65532:65532";

/// The label with the deployment's name.
pub const DEPLOYMENT_LABEL: &str = "infra.deployment";
/// The label with the image's name within its deployment.
pub const NAME_LABEL: &str = "infra.image";

/// An image that is complete in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// The digest of its manifest.
    pub digest: String,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
}

impl Assembled {
    /// The size of all layers together, uncompressed.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }
}

/// The labels that every image carries.
pub fn labels(deployment: &str, name: &str) -> BTreeMap<String, String> {
    [(DEPLOYMENT_LABEL, deployment), (NAME_LABEL, name)].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// An image that holds one static program and the files of its specification, and nothing else that could be run.
pub fn program(
    store: &Store,
    deployment: &str,
    spec: &Spec,
    program: &Path,
    name: &str,
) -> Result<Assembled, LayerError> {
    let mut layers = vec![base().store(store)?];
    layers.extend(file_layers(store, &spec.files)?);
    layers.push(Layer::default().file(store, program, name, 0o755)?.store(store)?);
    let config = [
        ("User", json!(spec.user.as_deref().unwrap_or(USER))),
        ("Env", json!(environment(&["PATH=/".to_owned()], &spec.environment))),
        ("Entrypoint", json!([format!("/{name}")])),
        ("WorkingDir", json!("/")),
        ("Labels", json!(labels(deployment, &spec.name))),
    ];
    let config = config.map(|(key, value)| (key.to_owned(), value)).into();
    Ok(image(store, config, layers)?)
}

/// The environment of an image: what it has, and what is said of it besides. Of one name the latter counts.
pub fn environment(given: &[String], said: &BTreeMap<String, String>) -> Vec<String> {
    let is_said = |entry: &&String| said.contains_key(entry.split('=').next().unwrap_or_default());
    let given = given.iter().filter(|entry| !is_said(entry)).cloned();
    given.chain(said.iter().map(|(name, value)| format!("{name}={value}"))).collect()
}

/// The layers of files, in the order of the specification.
pub fn file_layers(store: &Store, files: &[FileEntry]) -> Result<Vec<Descriptor>, LayerError> {
    files.iter().map(|entry| Layer::entry(store, entry)?.store(store)).collect()
}

/// An image of layers that are plain tar in the store.
pub fn image(store: &Store, config: BTreeMap<String, Value>, layers: Vec<Descriptor>) -> Result<Assembled, StoreError> {
    let diff_ids = layers.iter().map(|layer| layer.digest.clone()).collect();
    let configuration = Configuration::new(config, diff_ids);
    let configuration = serde_json::to_vec(&configuration).expect("maps with text as keys");
    let configuration = store.put(oci::CONFIG, &configuration)?;
    let manifest = serde_json::to_vec(&Manifest::new(configuration, layers.clone())).expect("plain structures");
    let digest = store.put(oci::MANIFEST, &manifest)?.digest;
    Ok(Assembled { digest, layers })
}

/// What programs expect of any system: names for users, how names of hosts are looked up, a folder for temporary files.
fn base() -> Layer {
    Layer::default()
        .text("etc/passwd", "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")
        .text("etc/group", "root:x:0:\nnonroot:x:65532:\n")
        .text("etc/nsswitch.conf", "hosts: files dns\n")
        .folder("tmp", 0o1777)
}
