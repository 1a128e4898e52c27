//! What a patch asks for.

use kinds::{Cause, Resource};
use patches::{Apply, ApplyError, PatchError};
use schema::Problem;
use serde_json::{Value, json};

use crate::write::{Request, type_of};
use crate::{Details, Patch, Status, Validation, metadata};

/// The object that a patch asks for.
///
/// Fields that the kind does not have are refused or told, as the request wants it.
pub(crate) fn patched(
    request: &Request<'_>,
    old: Option<&Value>,
    patch: &Patch,
    warnings: &mut Vec<String>,
) -> Result<Value, Status> {
    let (resource, name) = (request.resource, request.name);
    if let Patch::Apply { config, force } = patch {
        let given = metadata::text(config, "name");
        if !given.is_empty() && given != name {
            let why = format!("the name of the object ({given}) does not match the name on the URL ({name})");
            return Err(Status::bad_request(why));
        }
        let ty = type_of(resource).ok_or_else(|| Status::internal("the kind has no schema"))?;
        let applied = patches::apply(Apply {
            ty,
            live: old,
            config,
            manager: request.manager(),
            force: *force,
            now: &metadata::now(),
            subresource: request.subresource,
        });
        let mut new = applied.map_err(refusal_of_apply)?;
        if old.is_none() && metadata::text(&new, "name").is_empty() {
            metadata::of(&mut new)?.insert("name".to_owned(), json!(name));
        }
        return Ok(new);
    }
    let old = old.ok_or_else(|| Status::not_found(resource, name))?;
    let (new, shown) = match patch {
        Patch::Json(patch) => (patches::json_patch(old, patch).map_err(refusal)?, None),
        Patch::Merge(patch) | Patch::Strategic(patch) if !patch.is_object() => return Err(no_table(patch)),
        Patch::Merge(patch) => (patches::merge_patch(old, patch), None),
        Patch::Strategic(patch) => {
            let ty = type_of(resource).ok_or_else(|| Status::internal("the kind has no schema"))?;
            (patches::strategic_merge(ty, old, patch).map_err(refusal)?, Some(patch))
        }
        Patch::Apply { .. } => return Err(Status::internal("apply is done above")),
    };
    check_identity(resource, old, &new)?;
    check(resource, &new, shown, request.validation, warnings)?;
    Ok(new)
}

/// A patch cannot make another object of this one.
fn check_identity(resource: &Resource, old: &Value, new: &Value) -> Result<(), Status> {
    let (api_version, kind) = (&new["apiVersion"], new["kind"].as_str().unwrap_or_default());
    let version = api_version.as_str().unwrap_or_default();
    if version != resource.api_version() || kind != resource.kind {
        let scheme = "pkg/runtime/scheme.go:110";
        let why = format!("no kind \"{kind}\" is registered for version \"{version}\" in scheme \"{scheme}\"");
        return Err(invalid_patch(&new.to_string(), &why));
    }
    let (uid, before) = (metadata::text(new, "uid"), metadata::text(old, "uid"));
    if uid.is_empty() || uid == before {
        return Ok(());
    }
    let cause = Cause {
        reason: "FieldValueInvalid",
        field: "metadata.uid".to_owned(),
        message: format!("Invalid value: \"{uid}\": field is immutable"),
    };
    // The real server finds it twice.
    Err(Status::invalid(resource, metadata::text(old, "name"), vec![cause.clone(), cause]))
}

/// Checks the patched object against its kind.
fn check(
    resource: &Resource,
    new: &Value,
    shown: Option<&Value>,
    validation: Validation,
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    let problems = schema::check(resource.group, resource.version, resource.kind, new);
    let shown = || shown.map_or_else(|| new.to_string(), patches::go_text);
    if let Some(wrong) = problems.iter().find(|problem| matches!(problem, Problem::WrongType { .. })) {
        return Err(invalid_patch(&shown(), &wrong.to_string()));
    }
    let unknown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    match validation {
        Validation::Strict if !unknown.is_empty() => {
            Err(invalid_patch(&shown(), &format!("strict decoding error: {}", unknown.join(", "))))
        }
        Validation::Warn => {
            warnings.extend(unknown);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn invalid_patch(patch: &str, why: &str) -> Status {
    let message = format!("Invalid value: {patch:?}: {why}");
    let mut status = Status::new(422, "Invalid", format!(" \"\" is invalid: patch: {message}"));
    let causes = vec![Cause { reason: "FieldValueInvalid", field: "patch".to_owned(), message }];
    status.details = Some(Box::new(Details { causes, ..Details::default() }));
    status
}

fn no_table(patch: &Value) -> Status {
    let given = match patch {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    };
    let go = "Go value of type map[string]interface {}";
    Status::bad_request(format!("error decoding patch: json: cannot unmarshal {given} into {go}"))
}

fn refusal(error: PatchError) -> Status {
    match error {
        PatchError::Malformed(why) => Status::bad_request(why),
        // The real server keeps the reason to itself.
        PatchError::Unprocessable(_) => {
            let mut status = Status::unprocessable("the server rejected our request due to an error in our request");
            status.details = Some(Box::default());
            status
        }
        PatchError::TooLarge(why) => Status::new(413, "RequestEntityTooLarge", why),
        PatchError::Unmergeable(why) => Status::new(500, "", why),
    }
}

fn refusal_of_apply(error: ApplyError) -> Status {
    let message = error.to_string();
    match error {
        ApplyError::Conflicts(conflicts) => {
            let causes = conflicts.into_iter().map(|conflict| kinds::Cause {
                reason: "FieldManagerConflict",
                message: format!("conflict with {}", conflict.manager),
                field: conflict.field_path,
            });
            let mut status = Status::new(409, "Conflict", message);
            status.details.get_or_insert_default().causes = causes.collect();
            status
        }
        ApplyError::BadRequest(why) => Status::bad_request(why),
        ApplyError::Schema(why) => Status::new(500, "", why),
    }
}
