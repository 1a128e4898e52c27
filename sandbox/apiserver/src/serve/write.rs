//! Writing over HTTP: create, update, patch, delete.

use hyper::Response;
use serde_json::{Value, json};

use super::answer::{self, Form};
use super::guard::{Call, dry_run};
use super::table::{self, Include};
use super::{body, read};
use crate::streams::Body;
use crate::write::{Request, Written};
use crate::{DeleteOptions, Patch, Propagation, Status, Validation, WriteOptions, metadata};

/// Answers a create, update, patch, delete or deletecollection.
pub(super) async fn answer(mut call: Call<'_>) -> Result<Response<Body>, Status> {
    let form = answer::form(call.accept())?;
    let (content_type, options) = (call.content_type().to_owned(), call.write_options()?);
    let validation = validation(&call)?;
    let bytes = call.bytes().await?;
    let target = &call.target;
    let api = &call.server.api;
    let request = request(&call, &options, validation);
    let written = match call.verb {
        "create" | "update" => {
            let read = body::object(&bytes, &content_type, target.resource.kind)?;
            let (object, mut warnings) = body::check(body::kind_of(target.resource), read, validation)?;
            if let Some(answer) = super::subresource::review(&call, &object).await {
                return Ok(answer);
            }
            let mut written = if call.verb == "create" {
                api.create_with(&request, object).await?
            } else {
                api.update_with(&request, object).await?
            };
            warnings.append(&mut written.warnings);
            Written { warnings, ..written }
        }
        "patch" => {
            let patch = patch(&bytes, &content_type, &call)?;
            api.patch_with(&request, &patch).await?
        }
        "delete" => return delete(&call, &bytes, &content_type, form).await,
        _ => return delete_collection(&call, &bytes, &content_type).await,
    };
    let code = if written.created { 201 } else { 200 };
    let include = Include::read(call.query.first("includeObject"));
    let response = answer::json(code, &*table::one(form, target.resource, &written.object, include));
    Ok(answer::warn(response, &written.warnings))
}

/// The write that a call asks for.
pub(super) fn request<'a>(call: &'a Call<'_>, options: &'a WriteOptions, validation: Validation) -> Request<'a> {
    Request {
        by: &call.user,
        resource: call.target.resource,
        subresource: Some(call.target.subresource.as_str()).filter(|name| !name.is_empty()),
        namespace: call.target.namespace(),
        name: &call.target.name,
        options,
        validation,
    }
}

/// What is done about fields that are not known.
pub(super) fn validation(call: &Call<'_>) -> Result<Validation, Status> {
    match call.query.first("fieldValidation") {
        Some("Strict") => Ok(Validation::Strict),
        Some("Ignore") => Ok(Validation::Ignore),
        None | Some("Warn") => Ok(Validation::Warn),
        Some(other) => {
            let why =
                format!("Unsupported value: \"{other}\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"");
            Err(answer::invalid_options(call.options(), "FieldValueNotSupported", "fieldValidation", why))
        }
    }
}

/// Reads a patch of any kind.
pub(super) fn patch(bytes: &[u8], content_type: &str, call: &Call<'_>) -> Result<Patch, Status> {
    let value = || body::json(bytes).map(|read| read.value);
    let refused =
        |reason, field, why: &str| Err(answer::invalid_options("PatchOptions", reason, field, why.to_owned()));
    let is_apply = content_type == "application/apply-patch+yaml";
    if is_apply && call.query.first("fieldManager").is_none() {
        return refused("FieldValueRequired", "fieldManager", "Required value: is required for apply patch");
    }
    if !is_apply && call.query.first("force").is_some() {
        return refused("FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch");
    }
    match content_type {
        "application/json-patch+json" => Ok(Patch::Json(value()?)),
        "application/merge-patch+json" => Ok(Patch::Merge(value()?)),
        "application/strategic-merge-patch+json" => Ok(Patch::Strategic(value()?)),
        "application/apply-patch+yaml" => {
            Ok(Patch::Apply { config: body::either(bytes)?.value, force: call.query.flag("force") })
        }
        // The words of the real server's router, which refuses such a patch before anybody looks at it.
        _ => Err(Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type")),
    }
}

async fn delete(call: &Call<'_>, bytes: &[u8], content_type: &str, form: Form) -> Result<Response<Body>, Status> {
    let options = delete_options(call, bytes, content_type)?;
    let (target, resource) = (&call.target, call.target.resource);
    let api = &call.server.api;
    let deleted = api.delete(&call.user, resource, (target.namespace(), &target.name), &options).await?;
    let foreground = options.propagation == Some(Propagation::Foreground);
    let code = if !deleted.removed && foreground { 202 } else { 200 };
    if deleted.removed && !shows_deleted(resource.plural) {
        let mut details = json!({"name": target.name});
        if !resource.group.is_empty() {
            details["group"] = json!(resource.group);
        }
        details["kind"] = json!(resource.plural);
        details["uid"] = json!(metadata::text(&deleted.object, "uid"));
        return Ok(answer::success(code, Some(details)));
    }
    Ok(answer::json(code, &*table::one(form, resource, &deleted.object, Include::Metadata)))
}

/// The real server answers with the object for these, with a success for the others.
fn shows_deleted(plural: &str) -> bool {
    matches!(
        plural,
        "pods"
            | "services"
            | "serviceaccounts"
            | "persistentvolumes"
            | "persistentvolumeclaims"
            | "resourcequotas"
            | "storageclasses"
            | "namespaces"
    )
}

async fn delete_collection(call: &Call<'_>, bytes: &[u8], content_type: &str) -> Result<Response<Body>, Status> {
    let options = delete_options(call, bytes, content_type)?;
    let (target, resource) = (&call.target, call.target.resource);
    let api = &call.server.api;
    let selection = read::list_options(&call.query)?;
    let items = api.delete_collection(&call.user, resource, target.namespace.as_deref(), &selection, &options).await?;
    Ok(answer::json(
        200,
        &json!({
            "kind": format!("{}List", resource.kind),
            "apiVersion": resource.api_version(),
            "metadata": {"resourceVersion": api.revision().to_string()},
            "items": table::values(&items).collect::<Vec<_>>(),
        }),
    ))
}

/// Reads the options of a deletion from its body, or from the parameters where there is none.
pub(super) fn delete_options(call: &Call<'_>, bytes: &[u8], content_type: &str) -> Result<DeleteOptions, Status> {
    let wire = if bytes.is_empty() { Value::Null } else { body::read(bytes, content_type)?.value };
    read_delete_options(call, &wire)
}

pub(super) fn read_delete_options(call: &Call<'_>, wire: &Value) -> Result<DeleteOptions, Status> {
    let query = &call.query;
    let propagation = wire["propagationPolicy"].as_str().or(query.first("propagationPolicy"));
    let orphan = wire["orphanDependents"].as_bool();
    let refused = |reason, why: String| Err(answer::invalid_options("DeleteOptions", reason, "propagationPolicy", why));
    let propagation = match (propagation, orphan) {
        (Some(policy), Some(_)) => {
            let why =
                format!("Invalid value: \"{policy}\": orphanDependents and deletionPropagation cannot be both set");
            return refused("FieldValueInvalid", why);
        }
        (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
        (Some("Foreground"), _) => Some(Propagation::Foreground),
        (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
        (None, None) => None,
        (Some(other), _) => {
            let supported = "\"Foreground\", \"Background\", \"Orphan\", \"nil\"";
            return refused(
                "FieldValueNotSupported",
                format!("Unsupported value: \"{other}\": supported values: {supported}"),
            );
        }
    };
    let tries = wire["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(DeleteOptions {
        grace_period_seconds: wire["gracePeriodSeconds"].as_i64().or(query.number("gracePeriodSeconds")?),
        propagation,
        uid: wire["preconditions"]["uid"].as_str().map(str::to_owned),
        resource_version: wire["preconditions"]["resourceVersion"].as_str().map(str::to_owned),
        dry_run: dry_run("DeleteOptions", tries.chain(query.all("dryRun")))?,
    })
}
