//! An image as an OCI layout in a tar archive, with only some of its blobs.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use serde_json::json;
use tar::{Builder, Header};

use crate::oci::{Descriptor, Manifest};
use crate::store::Store;
use crate::{spec, stream};

/// An image that is sent somewhere.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The name that the receiver gives it.
    pub reference: String,
    /// Its manifest.
    pub manifest: Descriptor,
    /// The blobs that are sent along, without the manifest, which always is.
    pub blobs: Vec<Descriptor>,
}

impl Parcel {
    /// The image with those blobs that the receiver lacks.
    pub fn new(reference: &str, manifest: &Manifest, descriptor: Descriptor, has: impl Fn(&str) -> bool) -> Self {
        let blobs = manifest.blobs().filter(|blob| !has(&blob.digest)).cloned().collect();
        Self { reference: reference.to_owned(), manifest: descriptor, blobs }
    }

    /// How many bytes of content are sent.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum::<u64>() + self.manifest.size
    }

    /// The archive, read from the store while it is sent.
    pub fn archive(self, store: Arc<Store>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::written(move |out| self.write(&store, out))
    }

    fn write(&self, store: &Store, out: &mut dyn Write) -> io::Result<()> {
        let mut archive = Builder::new(out);
        add(&mut archive, "oci-layout", 30, &br#"{"imageLayoutVersion":"1.0.0"}"#[..])?;
        for blob in self.blobs.iter().chain([&self.manifest]) {
            let file = store.open_blob(blob).map_err(io::Error::other)?;
            let name = format!("blobs/sha256/{}", blob.digest.trim_start_matches("sha256:"));
            add(&mut archive, &name, blob.size, io::Read::take(file, blob.size))?;
        }
        let (os, architecture) = spec::platform();
        let index = json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": self.manifest.media_type,
                "digest": self.manifest.digest,
                "size": self.manifest.size,
                "platform": { "os": os, "architecture": architecture },
                "annotations": { "io.containerd.image.name": self.reference },
            }],
        });
        let index = index.to_string();
        add(&mut archive, "index.json", index.len() as u64, index.as_bytes())?;
        archive.finish()
    }
}

fn add(archive: &mut Builder<&mut dyn Write>, name: &str, size: u64, content: impl io::Read) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(size);
    archive.append_data(&mut header, name, content)
}
