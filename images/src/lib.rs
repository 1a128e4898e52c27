//! Images: made, kept, delivered.
//!
//! An image is a `cargo:` program, which is built statically and put into layers here, or a `dockerfile:`, which the Docker
//! Engine builds. Both end in a local [`Store`] in the OCI format, and from there go into the nodes of a cluster, layer by layer
//! as far as a node lacks them, or to a registry.
//!
//! [`fingerprint`] looks at everything that goes into an image, [`declare`] adds the nodes to a graph (pure), [`register`]
//! sets their behaviour.

mod assemble;
mod cargo;
mod context;
mod declare;
mod delivery;
pub mod digest;
mod discover;
mod dockerfile;
mod dockerignore;
mod find;
mod fingerprint;
mod image;
mod includes;
mod layer;
mod layout;
pub mod oci;
mod push;
mod saved;
mod spec;
mod store;
mod stream;
mod unpack;
mod unpacked;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use engine::Registry;
use providers::docker::Docker;
use providers::registry::Logins;

pub use assemble::Assembled;
pub use cargo::{Built, CargoError, target};
pub use context::ContextError;
pub use declare::{Declared, Delivery, declare};
pub use discover::discover;
pub use dockerfile::DockerfileError;
pub use dockerignore::{InvalidPattern, Rules};
pub use find::find;
pub use fingerprint::{FingerprintError, fingerprint};
pub use layer::{Layer, LayerError};
pub use spec::{CargoSource, DockerfileSource, FileEntry, Libc, Source, Spec, platform};
pub use store::{BlobWriter, KeptImage, Pruned, Store, StoreError, Usage};

/// What the behaviour needs besides Docker.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The folder of the [`Store`], for example `$XDG_CACHE_HOME/infra/images`. It is made when it is first needed.
    pub cache: PathBuf,
    /// The deployment's lock file, which a running cargo holds open.
    pub lock: Option<Arc<File>>,
    /// The folder of Docker's `config.json` with the logins at registries, for example `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// Who knows the logins at registries of a cloud; asked before Docker's own.
    pub logins: Option<Arc<dyn Logins>>,
}

/// The store, opened when it is first needed and then shared.
#[derive(Clone)]
pub(crate) struct SharedStore {
    folder: PathBuf,
    opened: Arc<OnceLock<Arc<Store>>>,
}

impl SharedStore {
    fn new(folder: PathBuf) -> Self {
        Self { folder, opened: Arc::default() }
    }

    pub(crate) fn get(&self) -> Result<Arc<Store>, StoreError> {
        if let Some(store) = self.opened.get() {
            return Ok(store.clone());
        }
        let store = Arc::new(Store::open(&self.folder)?);
        Ok(self.opened.get_or_init(|| store).clone())
    }
}

/// Sets the behaviour of the kinds `image`, `delivery`, `unpacked-image` and `push`.
pub fn register(registry: &mut Registry, docker: &Docker, options: &Options) {
    let store = SharedStore::new(options.cache.clone());
    registry.register(declare::IMAGE, image::Images::new(store.clone(), docker.clone(), options.clone()));
    registry.register(declare::DELIVERY, delivery::Deliveries::new(store.clone(), docker.clone()));
    registry.register(declare::UNPACKED, unpacked::UnpackedImages::new(store.clone()));
    registry.register(declare::PUSH, push::Pushes::new(store, options));
}
