//! Below an object: status, scale, binding, eviction, finalize, token, and the streams of pods.

use hyper::Response;
use serde_json::{Value, json};

use super::answer;
use super::guard::Call;
use super::table::{self, Include};
use super::{body, write};
use crate::streams::Body;
use crate::write::Written;
use crate::{Status, authentication, rbac, scale, streams};

const SCALE: (&str, &str, &str) = ("autoscaling", "v1", "Scale");

/// Answers a request for a subresource.
pub(super) async fn answer(mut call: Call<'_>) -> Result<Response<Body>, Status> {
    let api = &call.server.api;
    let target = call.target.clone();
    let resource = target.resource;
    let object = api.get(resource, target.namespace(), &target.name);
    if matches!(target.subresource.as_str(), "log" | "exec" | "attach" | "portforward") {
        let request = call.whole_request().ok_or_else(|| Status::internal("the body was read before"))?;
        return streams::serve(&call.server.streams, object?, &target.subresource, request).await;
    }
    let form = answer::form(call.accept())?;
    let (content_type, options) = (call.content_type().to_owned(), call.write_options()?);
    let validation = write::validation(&call)?;
    let bytes = call.bytes().await?;
    let request = write::request(&call, &options, validation);
    let is_scale = target.subresource == "scale";
    let kind = if is_scale { SCALE } else { body::kind_of(resource) };
    let written = match (call.verb, target.subresource.as_str()) {
        ("get", _) => {
            let object = object?;
            api.durable(crate::write::revision_of(&object)).await?;
            Written { object, created: false, warnings: Vec::new() }
        }
        ("create", "binding") => return bind(&call, &bytes, &content_type).await,
        ("create", "eviction") => return evict(&call, &bytes, &content_type).await,
        ("create", "token") => return token(&call, &bytes, &content_type),
        ("update", _) => {
            let (value, mut warnings) = body::check(kind, body::object(&bytes, &content_type, kind.2)?, validation)?;
            let mut written = if is_scale {
                api.scale_with(&request, |_| Ok(value)).await?
            } else {
                api.update_with(&request, value).await?
            };
            warnings.append(&mut written.warnings);
            Written { warnings, ..written }
        }
        ("patch", _) => {
            let patch = write::patch(&bytes, &content_type, &call)?;
            if is_scale {
                api.scale_with(&request, |scale| scale::patched(scale, &patch)).await?
            } else {
                api.patch_with(&request, &patch).await?
            }
        }
        _ => return Err(Status::method_not_allowed()),
    };
    let code = if written.created { 201 } else { 200 };
    let response = if is_scale {
        answer::json(code, &scale::of(&written.object))
    } else {
        answer::json(code, &*table::one(form, resource, &written.object, Include::Metadata))
    };
    Ok(answer::warn(response, &written.warnings))
}

async fn bind(call: &Call<'_>, bytes: &[u8], content_type: &str) -> Result<Response<Body>, Status> {
    let binding = body::read(bytes, content_type)?.value;
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    let place = (call.target.namespace(), call.target.name.as_str());
    call.server.api.bind(&call.user, place, node).await?;
    Ok(answer::success(201, None))
}

async fn evict(call: &Call<'_>, bytes: &[u8], content_type: &str) -> Result<Response<Body>, Status> {
    let eviction = body::read(bytes, content_type)?.value;
    let options = write::read_delete_options(call, &eviction["deleteOptions"])?;
    let place = (call.target.namespace(), call.target.name.as_str());
    call.server.api.delete(&call.user, kinds::PODS, place, &options).await?;
    Ok(answer::success(201, None))
}

fn token(call: &Call<'_>, bytes: &[u8], content_type: &str) -> Result<Response<Body>, Status> {
    let body = body::read(bytes, content_type)?.value;
    let made = authentication::create_token(&call.server.api, call.target.namespace(), &call.target.name, &body)?;
    Ok(answer::json(201, &made))
}

/// Answers the questions that are asked by creating an object which is not kept.
pub(super) async fn review(call: &Call<'_>, object: &Value) -> Option<Response<Body>> {
    let resource = call.target.resource;
    let answered = if resource == kinds::SELF_SUBJECT_REVIEWS {
        authentication::review_self(&call.user)
    } else if resource == kinds::TOKEN_REVIEWS {
        authentication::review_token(&call.server.api, object).await
    } else if resource == kinds::SELF_SUBJECT_ACCESS_REVIEWS {
        let mut answered = object.clone();
        answered["kind"] = json!(resource.kind);
        answered["apiVersion"] = json!(resource.api_version());
        answered["status"] = access(call, &object["spec"]);
        answered
    } else {
        return None;
    };
    Some(answer::json(201, &answered))
}

fn access(call: &Call<'_>, spec: &Value) -> Value {
    let (about, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
    let (verb, group, plural) = (text(&about["verb"]), text(&about["group"]), text(&about["resource"]));
    let (sub, namespace, name) = (text(&about["subresource"]), text(&about["namespace"]), text(&about["name"]));
    let (path_verb, path) = (text(&path["verb"]), text(&path["path"]));
    let asked = crate::Attributes {
        verb: if about.is_object() { &verb } else { &path_verb },
        group: &group,
        resource: &plural,
        subresource: &sub,
        namespace: &namespace,
        name: &name,
        path: &path,
    };
    let decision = rbac::allowed(&call.server.api, &call.user, &asked);
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        status["reason"] = json!(decision.reason);
    }
    status
}
