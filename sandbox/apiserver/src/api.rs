//! The API in process.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use kinds::Resource;
use serde_json::Value;

use crate::authentication::Webhook;
use crate::credentials::{Credentials, CredentialsError};
use crate::store::{Changes, DiskError, State, Store};
use crate::{List, ListOptions, Notice, Status, VersionMatch, Watch, WatchOptions};

/// The API in process: cheap to clone, and the same objects for all clones.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    credentials: Credentials,
    webhook: Option<Webhook>,
    volume_drivers: Vec<String>,
    version: Option<String>,
    /// Goes last, when the store is closed.
    open: Arc<()>,
}

/// An API that is being closed.
#[derive(Debug)]
pub struct Closing(Weak<()>);

impl Closing {
    /// Resolves when nobody has it any more and its store is closed, or after five seconds.
    pub async fn done(self) {
        for _ in 0..1000 {
            if self.0.strong_count() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// How to open the API.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Names and addresses, beyond the usual ones, that the server's certificate is for.
    pub names: Vec<String>,
    /// Where bearer tokens are reviewed that are none of the sandbox's own: the address of a webhook that answers a `TokenReview`
    /// (`authentication.k8s.io/v1`).
    pub token_review: Option<String>,
    /// The CSI drivers whose volumes it takes; `nfs` for those of file servers.
    pub volume_drivers: Vec<String>,
    /// The version that it says, as `v1.35.5`; that whose behaviour it has if not said.
    pub version: Option<String>,
    /// Where it says what goes wrong.
    pub notice: Notice,
}

/// Why the API cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The objects on disk.
    #[error("open the sandbox's objects")]
    Store(#[from] DiskError),
    /// The credentials on disk.
    #[error("open the sandbox's credentials")]
    Credentials(#[from] CredentialsError),
    /// The webhook that reviews tokens cannot be asked.
    #[error("review tokens at {url}: {why}")]
    TokenReview {
        /// Its address.
        url: String,
        /// Why.
        why: String,
    },
}

impl Api {
    /// Opens the API whose state is in this folder, or makes it. Only one process can have it open.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, OpenError> {
        let store = Store::open(folder)?;
        let credentials = Credentials::open(folder, &options.names)?;
        let webhook = options.token_review.as_deref().map(|url| {
            let webhook = Webhook::new(url, options.notice.clone());
            webhook.map_err(|why| OpenError::TokenReview { url: url.to_owned(), why })
        });
        let (webhook, volume_drivers) = (webhook.transpose()?, options.volume_drivers.clone());
        let version = options.version.clone();
        Ok(Self {
            inner: Arc::new(Inner { store, credentials, webhook, volume_drivers, version, open: Arc::default() }),
        })
    }

    /// What tells when it is closed: when this handle and all others are dropped.
    pub fn closing(&self) -> Closing {
        Closing(Arc::downgrade(&self.inner.open))
    }

    /// The version that it was asked to say.
    pub(crate) fn version(&self) -> Option<&str> {
        self.inner.version.as_deref()
    }

    /// The certificates and keys.
    pub fn credentials(&self) -> &Credentials {
        &self.inner.credentials
    }

    pub(crate) fn volume_drivers(&self) -> &[String] {
        &self.inner.volume_drivers
    }

    pub(crate) fn webhook(&self) -> Option<&Webhook> {
        self.inner.webhook.as_ref()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// One object; the namespace of cluster-scoped ones is empty.
    pub fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Result<Arc<Value>, Status> {
        let found = self.store().read().table(resource).get(namespace, name);
        found.ok_or_else(|| Status::not_found(resource, name))
    }

    /// Objects of one namespace or of all.
    pub fn list(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<List, Status> {
        options.fields.check(resource)?;
        let state = self.store().read();
        if options.limit.is_some() || options.continue_.is_some() || options.version_match == VersionMatch::Exact {
            return crate::chunks::list(&state, resource, namespace, options);
        }
        if options.revision.is_some_and(|revision| revision > state.revision) {
            return Err(too_large(options.revision.unwrap_or_default(), state.revision));
        }
        let items = select(&state, resource, namespace, options);
        Ok(List { items, revision: state.revision, continue_: None, remaining: None })
    }

    /// The objects that name this uid as an owner.
    pub fn owned_by(&self, uid: &str) -> Vec<(&'static Resource, Arc<Value>)> {
        self.store().read().owned_by(uid)
    }

    /// How many objects of a resource there are in all namespaces.
    pub fn count(&self, resource: &'static Resource) -> usize {
        self.store().read().table(resource).len()
    }

    /// The last write's number.
    pub fn revision(&self) -> u64 {
        self.store().read().revision
    }

    /// Follows the objects of one namespace or of all.
    pub fn watch(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
        options: WatchOptions,
    ) -> Result<Watch, Status> {
        options.fields.check(resource)?;
        Ok(crate::watch::follow(self, resource, namespace, options))
    }

    /// From now on, every change, in order. Told as soon as it is accepted.
    pub fn changes(&self) -> Changes {
        self.store().changes()
    }

    /// Returns once everything up to this revision is on disk.
    pub async fn durable(&self, revision: u64) -> Result<(), Status> {
        self.store().durable(revision).await
    }
}

/// What a list selects, from the smallest index there is.
pub(crate) fn select(
    state: &State,
    resource: &'static Resource,
    namespace: Option<&str>,
    options: &ListOptions,
) -> Vec<Arc<Value>> {
    let chosen = |object: &Arc<Value>| {
        options.labels.matches(&object["metadata"]["labels"]) && options.fields.matches(resource, object)
    };
    if let Some(node) = options.fields.exact("spec.nodeName").filter(|node| resource == kinds::PODS && !node.is_empty())
    {
        let here = |pod: &Arc<Value>| namespace.is_none_or(|namespace| pod["metadata"]["namespace"] == namespace);
        return state.pods_on(node).into_iter().filter(here).filter(chosen).collect();
    }
    if let (Some(name), Some(namespace)) = (options.fields.exact("metadata.name"), namespace) {
        return state.table(resource).get(namespace, name).into_iter().filter(chosen).collect();
    }
    let objects = state.table(resource).range(namespace, None).map(|(_, object)| object);
    objects.filter(|object| chosen(object)).cloned().collect()
}

pub(crate) fn too_large(wanted: u64, current: u64) -> Status {
    let mut status = Status::new(504, "Timeout", format!("Too large resource version: {wanted}, current: {current}"));
    status.details = Some(Box::new(crate::Details {
        causes: vec![kinds::Cause {
            reason: "ResourceVersionTooLarge",
            field: String::new(),
            message: "Too large resource version".to_owned(),
        }],
        retry_after_seconds: 1,
        ..crate::Details::default()
    }));
    status
}
