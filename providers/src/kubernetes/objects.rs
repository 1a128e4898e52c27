use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy, ValidationDirective};
use kube::core::DynamicObject;
use serde_json::Value;

use super::client::Connection;
use super::kinds::Resource;
use super::{Client, Identity, Kind, KubernetesError, ObjectMeta};

/// The name under which fields are owned.
pub const FIELD_MANAGER: &str = "infra";

const PAGE: u32 = 500;

/// Which objects of a kind a list or a watch is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only this namespace; none for all of them, and for kinds of the whole cluster.
    pub namespace: Option<String>,
    /// A label selector in the API's own syntax.
    pub labels: Option<String>,
    /// A field selector in the API's own syntax.
    pub fields: Option<String>,
}

/// What happens to what an object owns when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// What it owns goes first; the object stays until then.
    Foreground,
    /// The object goes at once, what it owns afterwards.
    Background,
}

impl Selection {
    /// One object by name.
    pub fn object(identity: &Identity) -> Self {
        Self {
            namespace: identity.namespace.clone(),
            labels: None,
            fields: Some(format!("metadata.name={}", identity.name)),
        }
    }

    /// Everything in a namespace.
    pub fn namespace(namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..Self::default() }
    }

    /// Only what has these labels.
    #[must_use]
    pub fn labels(mut self, labels: impl Into<String>) -> Self {
        self.labels = Some(labels.into());
        self
    }
}

pub(super) fn api(connection: &Connection, resource: &Resource, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace.filter(|_| resource.namespaced) {
        Some(namespace) => Api::namespaced_with(connection.sdk.clone(), namespace, &resource.api),
        None => Api::all_with(connection.sdk.clone(), &resource.api),
    }
}

/// What it means that another manager owns a field that is applied with another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflicts {
    /// The call is refused.
    AreErrors,
    /// The field becomes ours.
    AreOverridden,
}

impl Client {
    /// Server-side apply under [`FIELD_MANAGER`]; unknown fields are errors. Returns the metadata afterwards.
    pub async fn apply(
        &self,
        identity: &Identity,
        manifest: &Value,
        conflicts: Conflicts,
    ) -> Result<ObjectMeta, KubernetesError> {
        let resource = self.resource(&identity.kind).await?;
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            force: conflicts == Conflicts::AreOverridden,
            ..PatchParams::default()
        };
        let patch = Patch::Apply(manifest);
        let (resource, parameters, patch) = (&resource, &parameters, &patch);
        let applied = self
            .call(|connection| async move {
                let api = api(&connection, resource, identity.namespace.as_deref());
                api.patch_metadata(&identity.name, parameters, patch).await
            })
            .await?;
        Ok(applied.metadata)
    }

    /// Changes what a JSON merge patch says, under [`FIELD_MANAGER`]. That the object is not there is success.
    pub async fn merge(&self, identity: &Identity, patch: &Value) -> Result<(), KubernetesError> {
        let resource = &self.resource(&identity.kind).await?;
        let parameters = &PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = &Patch::Merge(patch);
        let patched = self
            .call(|connection| async move {
                api(&connection, resource, identity.namespace.as_deref())
                    .patch_metadata(&identity.name, parameters, patch)
                    .await
            })
            .await;
        match patched {
            Ok(_) | Err(KubernetesError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The object, or none where it (or its namespace) is not there.
    pub async fn get(&self, identity: &Identity) -> Result<Option<Value>, KubernetesError> {
        let resource = &self.resource(&identity.kind).await?;
        let found = self
            .call(|connection| async move {
                api(&connection, resource, identity.namespace.as_deref()).get_opt(&identity.name).await
            })
            .await?;
        found.map(to_value).transpose()
    }

    /// The object's metadata, or none where it (or its namespace) is not there.
    pub async fn get_metadata(&self, identity: &Identity) -> Result<Option<ObjectMeta>, KubernetesError> {
        let resource = &self.resource(&identity.kind).await?;
        let found = self
            .call(|connection| async move {
                api(&connection, resource, identity.namespace.as_deref()).get_metadata_opt(&identity.name).await
            })
            .await?;
        Ok(found.map(|found| found.metadata))
    }

    /// All objects of a kind, read page by page.
    pub async fn list(&self, kind: &Kind, selection: &Selection) -> Result<Vec<Value>, KubernetesError> {
        let resource = &self.resource(kind).await?;
        let mut found = Vec::new();
        let mut parameters = first_page(selection);
        loop {
            let page = {
                let parameters = &parameters;
                self.call(|connection| async move {
                    api(&connection, resource, selection.namespace.as_deref()).list(parameters).await
                })
                .await?
            };
            for mut object in page.items {
                // Items of a list do not say what they are.
                object.types =
                    Some(kube::core::TypeMeta { api_version: kind.api_version.clone(), kind: kind.kind.clone() });
                found.push(to_value(object)?);
            }
            parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if parameters.continue_token.is_none() {
                return Ok(found);
            }
        }
    }

    /// The metadata of all objects of a kind, read page by page.
    pub async fn list_metadata(&self, kind: &Kind, selection: &Selection) -> Result<Vec<ObjectMeta>, KubernetesError> {
        let resource = &self.resource(kind).await?;
        let mut found = Vec::new();
        let mut parameters = first_page(selection);
        loop {
            let page = {
                let parameters = &parameters;
                self.call(|connection| async move {
                    api(&connection, resource, selection.namespace.as_deref()).list_metadata(parameters).await
                })
                .await?
            };
            found.extend(page.items.into_iter().map(|item| item.metadata));
            parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if parameters.continue_token.is_none() {
                return Ok(found);
            }
        }
    }

    /// Asks for the deletion of the object with this uid. It may still be there afterwards (finalizers, grace periods). That it is
    /// not there is success; that another object has its name is [`KubernetesError::Changed`].
    pub async fn delete(
        &self,
        identity: &Identity,
        uid: &str,
        propagation: Propagation,
    ) -> Result<(), KubernetesError> {
        let resource = &self.resource(&identity.kind).await?;
        let parameters = &DeleteParams {
            propagation_policy: Some(match propagation {
                Propagation::Foreground => PropagationPolicy::Foreground,
                Propagation::Background => PropagationPolicy::Background,
            }),
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        let deleted = self
            .call(|connection| async move {
                api(&connection, resource, identity.namespace.as_deref()).delete(&identity.name, parameters).await
            })
            .await;
        match deleted {
            Ok(_) | Err(KubernetesError::NotFound(_) | KubernetesError::NamespaceNotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The events that are about the object with this uid, in no certain order.
    pub async fn events(&self, namespace: &str, uid: &str) -> Result<Vec<Value>, KubernetesError> {
        let selection =
            Selection { fields: Some(format!("involvedObject.uid={uid}")), ..Selection::namespace(namespace) };
        self.list(&Kind::new("v1", "Event"), &selection).await
    }
}

fn first_page(selection: &Selection) -> ListParams {
    ListParams {
        label_selector: selection.labels.clone(),
        field_selector: selection.fields.clone(),
        limit: Some(PAGE),
        ..ListParams::default()
    }
}

pub(super) fn to_value(object: DynamicObject) -> Result<Value, KubernetesError> {
    serde_json::to_value(object).map_err(|error| KubernetesError::Protocol(Box::new(error)))
}
