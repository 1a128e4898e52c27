//! Places for objects: buckets and folders.

use std::path::{self, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig};

use super::{Blob, Error};
use crate::retry::{Policy, Verdict, retry};

/// The longest that one request may take.
const REQUEST: Duration = Duration::from_secs(15);

/// A place for objects.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    place: String,
}

impl Blobs {
    /// The place of this name: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `file:///FOLDER`. Calls nobody yet.
    ///
    /// Keys and endpoints come from `variables`: those that begin with `AWS_` or `GOOGLE_`, as the tools of both clouds read them.
    pub fn new(place: &str, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        let wrong = |problem: &str| Error::Place { place: place.to_owned(), problem: problem.to_owned() };
        let (scheme, rest) = place.split_once("://").ok_or_else(|| wrong("it is no address"))?;
        if rest.contains(['@', '?', '#']) {
            // Not even repeated: it may be a key.
            let problem = "an address holds no keys and no options; those are read from the environment".to_owned();
            return Err(Error::Place { place: format!("{scheme}://..."), problem });
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = Path::parse(prefix.trim_matches('/')).map_err(|error| wrong(&error.to_string()))?;
        if scheme != "file" && bucket.is_empty() {
            return Err(wrong("it names no bucket"));
        }
        // The only user of this library's TLS may be this one; where another was first, it is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failed =
            |source: object_store::Error| Error::Call { action: "use", place: place.to_owned(), source: source.into() };
        let (store, prefix): (Arc<dyn ObjectStore>, Path) = match scheme {
            "s3" => (s3(bucket, variables).map_err(failed)?, prefix),
            "gs" => (gs(bucket, variables).map_err(failed)?, prefix),
            "file" if bucket.is_empty() && path::Path::new(rest).is_absolute() => {
                (folder(rest).map_err(failed)?, Path::default())
            }
            "file" => return Err(wrong("a folder's address is file:/// and its path from the root on")),
            _ => return Err(wrong("known are s3://, gs:// and file://")),
        };
        Ok(Self { store, prefix, place: place.trim_end_matches('/').to_owned() })
    }

    /// Objects that only this process sees, gone with it.
    pub fn in_memory() -> Self {
        let store = Arc::new(object_store::memory::InMemory::new());
        Self { store, prefix: Path::default(), place: "memory://".to_owned() }
    }

    /// The name of an object or of a folder of them, as a person would say it.
    pub fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }

    /// All objects in a folder and the folders within, by name.
    pub async fn list(&self, folder: &str) -> Result<Vec<Blob>, Error> {
        let within = self.path(folder);
        let found =
            self.call("list", folder, || async { self.store.list(Some(&within)).try_collect::<Vec<_>>().await });
        let skipped = self.prefix.parts().count();
        let mut blobs: Vec<Blob> = found
            .await?
            .into_iter()
            .map(|found| Blob {
                name: found.location.parts().skip(skipped).collect::<Path>().to_string(),
                bytes: found.size,
            })
            .collect();
        blobs.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(blobs)
    }

    /// An object's content; nothing where there is no such object.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, Error> {
        let path = self.path(name);
        self.call("read", name, || async {
            match self.store.get(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                found => found?.bytes().await.map(Some),
            }
        })
        .await
    }

    /// Makes an object of a name that is free; says whether it was. When it returns, the object is durable.
    ///
    /// Where an answer was lost, the same content under that name counts as this call's: callers write nothing twice.
    pub async fn create(&self, name: &str, content: impl Into<Bytes>) -> Result<bool, Error> {
        let (path, content) = (self.path(name), content.into());
        let options = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = || self.store.put_opts(&path, content.clone().into(), options());
        let made = self.call("write", name, || async {
            match put().await {
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
                made => made.map(|_| true),
            }
        });
        Ok(made.await? || (!content.is_empty() && self.get(name).await? == Some(content)))
    }

    /// Deletes an object, which need not be there.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        self.call("delete", name, || async {
            match self.store.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                deleted => deleted,
            }
        })
        .await
    }

    fn path(&self, name: &str) -> Path {
        let name = Path::from(name);
        self.prefix.parts().chain(name.parts()).collect()
    }

    async fn call<T, F>(&self, action: &'static str, name: &str, call: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let failed =
            |source: object_store::Error| Error::Call { action, place: self.place(name), source: source.into() };
        retry(&Policy::NETWORK, verdict, call).await.map_err(failed)
    }
}

/// Only what the library calls generic may heal: no answer, a broken one, or that of a server that is busy.
fn verdict(error: &object_store::Error) -> Verdict {
    match error {
        object_store::Error::Generic { store, .. } if *store != "LocalFileSystem" => Verdict::Again,
        _ => Verdict::Final,
    }
}

/// Retries are made here, not by the library.
const ONCE: RetryConfig = RetryConfig {
    backoff: object_store::BackoffConfig { init_backoff: Duration::ZERO, max_backoff: Duration::ZERO, base: 1.0 },
    max_retries: 0,
    retry_timeout: REQUEST,
};

fn client() -> ClientOptions {
    ClientOptions::new().with_timeout(REQUEST).with_connect_timeout(REQUEST / 3)
}

fn s3(
    bucket: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::new().with_client_options(client()).with_retry(ONCE);
    for (name, value) in variables.into_iter().filter(|(name, _)| name.starts_with("AWS_")) {
        let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() else { continue };
        // Who writes http:// means it: a server in one's own network, or of a test.
        let is_plain = matches!(key, AmazonS3ConfigKey::Endpoint) && value.starts_with("http://");
        builder = builder.with_config(key, value);
        if is_plain {
            builder = builder.with_allow_http(true);
        }
    }
    Ok(Arc::new(builder.with_bucket_name(bucket).build()?))
}

fn gs(
    bucket: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(client()).with_retry(ONCE);
    for (name, value) in variables.into_iter().filter(|(name, _)| name.starts_with("GOOGLE_")) {
        if name == "GOOGLE_APPLICATION_CREDENTIALS" {
            builder = builder.with_application_credentials(value);
        } else if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    Ok(Arc::new(builder.with_bucket_name(bucket).build()?))
}

fn folder(path: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
    let path = PathBuf::from(path);
    std::fs::create_dir_all(&path)
        .map_err(|source| object_store::Error::Generic { store: "LocalFileSystem", source: source.into() })?;
    Ok(Arc::new(LocalFileSystem::new_with_prefix(path)?.with_fsync(true).with_automatic_cleanup(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Vec<(String, String)> {
        Vec::new()
    }

    fn places() -> (tempfile::TempDir, [Blobs; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let place = format!("file://{}/team", folder.path().display());
        (folder, [Blobs::in_memory(), Blobs::new(&place, none()).unwrap()])
    }

    #[tokio::test]
    async fn a_name_is_created_once_only() {
        let (_folder, places) = places();
        for place in places {
            assert!(place.create("a/1", "one").await.unwrap());
            assert!(!place.create("a/1", "two").await.unwrap());
            assert_eq!(place.get("a/1").await.unwrap().as_deref(), Some(&b"one"[..]));
            place.delete("a/1").await.unwrap();
            assert!(place.create("a/1", "two").await.unwrap());
        }
    }

    #[tokio::test]
    async fn of_many_that_create_a_name_at_once_one_has_it() {
        let (_folder, places) = places();
        for place in places {
            let all = (0..16).map(|number| place.create("a", format!("{number}")));
            let made = futures::future::try_join_all(all).await.unwrap();
            assert_eq!(made.iter().filter(|made| **made).count(), 1);
        }
    }

    #[tokio::test]
    async fn a_create_whose_answer_was_lost_counts_when_it_is_made_again() {
        let (_folder, places) = places();
        for place in places {
            assert!(place.create("a", "the same").await.unwrap());
            assert!(place.create("a", "the same").await.unwrap());
            // What has no content cannot be told from what another one made.
            assert!(place.create("b", "").await.unwrap());
            assert!(!place.create("b", "").await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_list_is_in_order_and_of_one_folder() {
        let (_folder, places) = places();
        for place in places {
            assert_eq!(place.list("a").await.unwrap(), []);
            for name in ["a/10", "a/2/x", "ab/1"] {
                place.create(name, "four").await.unwrap();
            }
            let blob = |name: &str| Blob { name: name.to_owned(), bytes: 4 };
            assert_eq!(place.list("a").await.unwrap(), [blob("a/10"), blob("a/2/x")]);
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_nothing_to_read_and_nothing_to_delete() {
        let (_folder, places) = places();
        for place in places {
            assert_eq!(place.get("a").await.unwrap(), None);
            place.delete("a").await.unwrap();
        }
    }

    #[test]
    fn an_address_that_cannot_be_used_says_why() {
        let wrong = |place: &str| Blobs::new(place, none()).unwrap_err().to_string();
        assert_eq!(wrong("ftp://a/b"), "use ftp://a/b: known are s3://, gs:// and file://");
        assert_eq!(wrong("s3:///b"), "use s3:///b: it names no bucket");
        let relative = "use file://a/b: a folder's address is file:/// and its path from the root on";
        assert_eq!(wrong("file://a/b"), relative);
        let with_key = wrong("s3://name:secret@bucket/b");
        assert!(!with_key.contains("secret") && with_key.contains("no keys"), "{with_key}");
    }
}
