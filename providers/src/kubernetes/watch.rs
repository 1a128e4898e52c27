use futures::stream::{BoxStream, StreamExt};
use kube::core::{DynamicObject, TypeMeta};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::Value;

use super::objects::{api, to_value};
use super::{Client, Kind, KubernetesError, Selection};

/// What a watch tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Everything that is there now, at the beginning and again after every break: whatever is not in it is gone.
    All(Vec<Value>),
    /// An object is new or has changed.
    Set(Value),
    /// An object is gone.
    Gone(Value),
}

impl Client {
    /// Watches objects of a kind.
    ///
    /// The stream survives dropped connections, a version that is too old, and an API server that is away: errors are passed on, and
    /// it goes on after a pause. It never ends by itself.
    pub async fn watch(
        &self,
        kind: &Kind,
        selection: &Selection,
    ) -> Result<BoxStream<'static, Result<Change, KubernetesError>>, KubernetesError> {
        let resource = self.resource(kind).await?;
        let connection = self.connection().await?;
        let api = api(&connection, &resource, selection.namespace.as_deref());
        let config = watcher::Config {
            label_selector: selection.labels.clone(),
            field_selector: selection.fields.clone(),
            ..watcher::Config::default()
        };
        let server = connection.server.clone();
        let types = TypeMeta { api_version: kind.api_version.clone(), kind: kind.kind.clone() };
        let changes = watcher(api, config).default_backoff().scan(Vec::new(), move |all, event| {
            let change = event
                .map_err(|error| from_watch(&server, error))
                .and_then(|event| change(&types, all, event))
                .transpose();
            std::future::ready(Some(change))
        });
        Ok(changes.filter_map(std::future::ready).boxed())
    }
}

/// The change that an event makes known, if any; `all` collects a first list until it is complete.
fn change(
    types: &TypeMeta,
    all: &mut Vec<Value>,
    event: watcher::Event<DynamicObject>,
) -> Result<Option<Change>, KubernetesError> {
    let to_value = |object| named(types, object);
    Ok(match event {
        watcher::Event::Init => {
            all.clear();
            None
        }
        watcher::Event::InitApply(object) => {
            all.push(to_value(object)?);
            None
        }
        watcher::Event::InitDone => Some(Change::All(std::mem::take(all))),
        watcher::Event::Apply(object) => Some(Change::Set(to_value(object)?)),
        watcher::Event::Delete(object) => Some(Change::Gone(to_value(object)?)),
    })
}

/// An object that says what it is: items of a list do not.
fn named(types: &TypeMeta, mut object: DynamicObject) -> Result<Value, KubernetesError> {
    object.types.get_or_insert_with(|| types.clone());
    to_value(object)
}

fn from_watch(server: &str, error: watcher::Error) -> KubernetesError {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => KubernetesError::from_sdk(server, error),
        watcher::Error::WatchError(status) => KubernetesError::from_status(&status),
        watcher::Error::NoResourceVersion => KubernetesError::Protocol(Box::new(watcher::Error::NoResourceVersion)),
    }
}
