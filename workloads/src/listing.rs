use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use providers::kubernetes::{Client, Kind, KubernetesError, ObjectMeta, Selection};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Objects of one kind in one namespace, by name.
pub(crate) type Names = Arc<BTreeMap<String, ObjectMeta>>;

/// How old a list may be. Long enough that a thousand objects share a few lists, short enough that an object which somebody else made
/// earlier in a long run is seen.
const MAX_AGE: Duration = Duration::from_secs(10);

type Key = (PathBuf, Kind, Option<String>);
type Slot = Arc<Mutex<Option<(Instant, Names)>>>;

/// Metadata lists by kind and namespace, so that looking at many objects takes one call and not one each.
#[derive(Clone, Default)]
pub(crate) struct Listings(Arc<Mutex<HashMap<Key, Slot>>>);

impl Listings {
    /// What is there, at most ten seconds ago. Calls at the same time share one request.
    pub(crate) async fn recent(
        &self,
        client: &Client,
        kind: &Kind,
        namespace: Option<&str>,
    ) -> Result<Names, KubernetesError> {
        let key = (client.kubeconfig().to_owned(), kind.clone(), namespace.map(str::to_owned));
        let slot = self.0.lock().await.entry(key).or_default().clone();
        let mut slot = slot.lock().await;
        if let Some((at, names)) = slot.as_ref().filter(|(at, _)| at.elapsed() < MAX_AGE) {
            let _ = at;
            return Ok(names.clone());
        }
        let selection = Selection { namespace: namespace.map(str::to_owned), ..Selection::default() };
        let at = Instant::now();
        let found = client.patiently(|| client.list_metadata(kind, &selection)).await?;
        let names: Names =
            Arc::new(found.into_iter().map(|found| (found.name.clone().unwrap_or_default(), found)).collect());
        *slot = Some((at, names.clone()));
        Ok(names)
    }
}
