//! The documents of the OCI image format, as far as they are written here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::spec;

/// Media type of an image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of a layer as plain tar.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Media type of a layer as compressed tar.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What points at a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
}

/// What an image consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: u32,
    media_type: String,
    /// How it is run.
    pub config: Descriptor,
    /// Its file system, lowest first.
    pub layers: Vec<Descriptor>,
}

impl Manifest {
    /// The manifest of these parts.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: MANIFEST.to_owned(), config, layers }
    }

    /// The blobs of the image without the manifest itself.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.layers.iter().chain([&self.config])
    }
}

/// How an image is run, and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    architecture: String,
    os: String,
    /// User, entry point and so on, with the member names of the format.
    pub config: BTreeMap<String, Value>,
    rootfs: RootFilesystem,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RootFilesystem {
    #[serde(rename = "type")]
    kind: String,
    diff_ids: Vec<String>,
}

impl Configuration {
    /// A configuration for this machine's platform; `diff_ids` are the digests of the layers as plain tar, lowest first.
    /// It holds no time and no history: the same content gives the same digest.
    pub fn new(config: BTreeMap<String, Value>, diff_ids: Vec<String>) -> Self {
        let (os, architecture) = spec::platform();
        let rootfs = RootFilesystem { kind: "layers".to_owned(), diff_ids };
        Self { architecture: architecture.to_owned(), os: os.to_owned(), config, rootfs }
    }
}
