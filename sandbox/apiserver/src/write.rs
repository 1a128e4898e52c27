//! Writes: create, update, patch, and read-change-write.
//!
//! A whole write happens under the store's write lock: what it read is what it replaces, and what admission counted is
//! what there is. Only reading and writing of the wire and of the disk happen outside.

use std::sync::Arc;

use kinds::Resource;
use schema::Type;
use serde_json::Value;

use crate::patched::patched;
use crate::store::Writing;
use crate::{Api, Attempt, Operation, Patch, Status, User, Validation, WriteOptions, admission, metadata};

/// What a write did.
pub(crate) struct Written {
    pub object: Arc<Value>,
    /// It is new.
    pub created: bool,
    pub warnings: Vec<String>,
}

/// One write on its way.
pub(crate) struct Request<'a> {
    pub by: &'a User,
    pub resource: &'static Resource,
    pub subresource: Option<&'a str>,
    pub namespace: &'a str,
    pub name: &'a str,
    pub options: &'a WriteOptions,
    pub validation: Validation,
}

impl Request<'_> {
    pub fn manager(&self) -> &str {
        self.options.field_manager.as_deref().unwrap_or_else(|| self.by.manager())
    }

    fn attempt<'a>(&'a self, operation: Operation, old: Option<&'a Value>) -> Attempt<'a> {
        Attempt {
            by: self.by,
            operation,
            resource: self.resource,
            subresource: self.subresource,
            namespace: self.namespace,
            old,
            dry_run: self.options.dry_run,
        }
    }
}

impl Api {
    /// Creates an object. Resolves once it is durable.
    pub async fn create(
        &self,
        by: &User,
        resource: &'static Resource,
        namespace: &str,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Value>, Status> {
        let request =
            Request { by, resource, subresource: None, namespace, name: "", options, validation: Validation::Ignore };
        Ok(self.create_with(&request, object).await?.object)
    }

    /// Replaces an object, or its `status` or `scale`. Resolves once that is durable.
    pub async fn update(
        &self,
        by: &User,
        resource: &'static Resource,
        subresource: Option<&str>,
        (namespace, name): (&str, &str),
        object: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Value>, Status> {
        let request = Request { by, resource, subresource, namespace, name, options, validation: Validation::Ignore };
        Ok(self.update_with(&request, object).await?.object)
    }

    /// Patches an object, or its `status` or `scale`; server-side apply creates it when it is not there. Resolves once
    /// that is durable.
    pub async fn patch(
        &self,
        by: &User,
        resource: &'static Resource,
        subresource: Option<&str>,
        (namespace, name): (&str, &str),
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Arc<Value>, Status> {
        let request = Request { by, resource, subresource, namespace, name, options, validation: Validation::Ignore };
        Ok(self.patch_with(&request, patch).await?.object)
    }

    /// Reads an object, changes it and writes it, with nobody in between. When `change` answers false nothing is
    /// written and the object comes back as it is. Resolves once the write is durable.
    pub async fn modify(
        &self,
        by: &User,
        resource: &'static Resource,
        subresource: Option<&str>,
        (namespace, name): (&str, &str),
        mut change: impl FnMut(&mut Value) -> bool,
    ) -> Result<Arc<Value>, Status> {
        let options = WriteOptions::default();
        let request =
            Request { by, resource, subresource, namespace, name, options: &options, validation: Validation::Ignore };
        let written = self.locked(&request, |writing| {
            let old = writing.get(resource, namespace, name).ok_or_else(|| Status::not_found(resource, name))?;
            let mut new = (*old).clone();
            if change(&mut new) {
                self.replace(writing, &request, &old, new, true)
            } else {
                Ok(Written { object: old, created: false, warnings: Vec::new() })
            }
        });
        Ok(written.await?.object)
    }

    pub(crate) async fn create_with(&self, request: &Request<'_>, object: Value) -> Result<Written, Status> {
        admission::settle(self, request.resource, request.namespace, &object).await;
        self.locked(request, |writing| self.insert(writing, request, object, true)).await
    }

    pub(crate) async fn update_with(&self, request: &Request<'_>, object: Value) -> Result<Written, Status> {
        let (resource, namespace, name) = (request.resource, request.namespace, request.name);
        self.locked(request, |writing| {
            let old = writing.get(resource, namespace, name).ok_or_else(|| Status::not_found(resource, name))?;
            self.replace(writing, request, &old, object, true)
        })
        .await
    }

    pub(crate) async fn patch_with(&self, request: &Request<'_>, patch: &Patch) -> Result<Written, Status> {
        let (resource, namespace, name) = (request.resource, request.namespace, request.name);
        if let Patch::Apply { config, .. } = patch {
            admission::settle(self, resource, namespace, config).await;
        }
        self.locked(request, |writing| {
            let old = writing.get(resource, namespace, name);
            let mut warnings = Vec::new();
            let new = patched(request, old.as_deref(), patch, &mut warnings)?;
            let record = !matches!(patch, Patch::Apply { .. });
            let mut written = match old {
                Some(old) => self.replace(writing, request, &old, new, record)?,
                None => self.insert(writing, request, new, record)?,
            };
            written.warnings.splice(0..0, warnings);
            Ok(written)
        })
        .await
    }

    /// Runs a write under the lock and waits until it is durable.
    pub(crate) async fn locked(
        &self,
        request: &Request<'_>,
        write: impl FnOnce(&Writing<'_>) -> Result<Written, Status>,
    ) -> Result<Written, Status> {
        let written = write(&self.store().begin())?;
        if !request.options.dry_run {
            self.store().durable(revision_of(&written.object)).await?;
        }
        Ok(written)
    }

    /// A new object, all the way.
    fn insert(
        &self,
        writing: &Writing<'_>,
        request: &Request<'_>,
        mut object: Value,
        record: bool,
    ) -> Result<Written, Status> {
        let resource = request.resource;
        metadata::stamp(resource, &mut object)?;
        metadata::fill_new(resource, request.namespace, &mut object)?;
        let name = metadata::text(&object, "name").to_owned();
        check_namespace(writing, request, &name)?;
        complete(resource, &mut object);
        if record && let Some(ty) = type_of(resource) {
            patches::record_update(ty, None, &mut object, request.manager(), &metadata::now(), None);
        }
        let mut warnings = Vec::new();
        admission::admit(self, &request.attempt(Operation::Create, None), &mut object, &mut warnings)?;
        kinds::prepare_create(resource, &mut object);
        // What is read back is defaulted again: labels that preparing made may stand for others that were left out.
        kinds::default(resource, &mut object);
        let causes = kinds::validate_create(resource, &object);
        if !causes.is_empty() {
            return Err(Status::invalid(resource, &name, causes));
        }
        admission::review(self, &request.attempt(Operation::Create, None), &object, &mut warnings)?;
        // The name comes last: an object that is refused for itself is refused so, whatever is there.
        if writing.get(resource, request.namespace, &name).is_some() {
            return Err(Status::already_exists(resource, &name));
        }
        let object = if request.options.dry_run {
            Arc::new(object)
        } else {
            writing.put(resource, request.namespace, &name, object)
        };
        Ok(Written { object, created: true, warnings })
    }

    /// A changed object, all the way. Without a difference nothing is written.
    pub(crate) fn replace(
        &self,
        writing: &Writing<'_>,
        request: &Request<'_>,
        old: &Arc<Value>,
        mut new: Value,
        record: bool,
    ) -> Result<Written, Status> {
        let (resource, subresource) = (request.resource, request.subresource);
        metadata::stamp(resource, &mut new)?;
        metadata::keep(resource, old, &mut new)?;
        complete(resource, &mut new);
        if record && let Some(ty) = type_of(resource) {
            patches::record_update(ty, Some(old), &mut new, request.manager(), &metadata::now(), subresource);
        }
        kinds::prepare_update(resource, old, &mut new, subresource);
        let mut warnings = Vec::new();
        admission::admit(self, &request.attempt(Operation::Update, Some(old)), &mut new, &mut warnings)?;
        let bound = subresource == Some("binding");
        let causes = if bound { Vec::new() } else { kinds::validate_update(resource, old, &new) };
        if !causes.is_empty() {
            return Err(Status::invalid(resource, request.name, causes));
        }
        admission::review(self, &request.attempt(Operation::Update, Some(old)), &new, &mut warnings)?;
        let written = |object| Ok(Written { object, created: false, warnings });
        if patches::same_but_times(old, &new) {
            return written(Arc::clone(old));
        }
        if request.options.dry_run {
            return written(Arc::new(new));
        }
        if metadata::is_deleted(&new) && crate::delete::may_go(resource, &new) {
            return written(writing.remove(resource, request.namespace, request.name, new));
        }
        written(writing.put(resource, request.namespace, request.name, new))
    }
}

/// The object's revision.
pub(crate) fn revision_of(object: &Value) -> u64 {
    metadata::text(object, "resourceVersion").parse().unwrap_or_default()
}

/// The form in which objects of this kind are stored, with everything that was left out.
fn complete(resource: &Resource, object: &mut Value) {
    if let Some(ty) = type_of(resource) {
        schema::normalize(ty, object);
    }
    kinds::default(resource, object);
}

pub(crate) fn type_of(resource: &Resource) -> Option<&'static Type> {
    schema::kind(resource.group, resource.version, resource.kind)
}

/// New objects need a namespace that is there to stay.
fn check_namespace(writing: &Writing<'_>, request: &Request<'_>, name: &str) -> Result<(), Status> {
    if !request.resource.namespaced {
        return Ok(());
    }
    let namespace = request.namespace;
    let Some(found) = writing.get(kinds::NAMESPACES, "", namespace) else {
        return Err(Status::not_found(kinds::NAMESPACES, namespace));
    };
    if !metadata::is_deleted(&found) {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = Status::forbidden(request.resource, name, &why);
    status.details.get_or_insert_default().causes = vec![kinds::Cause {
        reason: "NamespaceTerminating",
        field: "metadata.namespace".to_owned(),
        message: format!("namespace {namespace} is being terminated"),
    }];
    Err(status)
}
