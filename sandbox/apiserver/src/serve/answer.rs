//! Answers: objects, refusals, warnings, and the forms that clients ask for.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WARNING};
use hyper::{Response, StatusCode};
use kinds::Cause;
use serde::Serialize;
use serde_json::{Value, json};

use crate::streams::Body;
use crate::{Details, Status};

const ACCEPTED: &str = "application/json, application/yaml";

/// The form in which a client wants objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are.
    Whole,
    /// As rows of a table.
    Table,
    /// Only their metadata.
    Metadata,
}

/// Finds the first form in `Accept` that there is. Entries for protobuf and the like are passed over.
pub(super) fn form(accept: &str) -> Result<Form, Status> {
    if accept.trim().is_empty() {
        return Ok(Form::Whole);
    }
    for entry in accept.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        if !matches!(kind, "application/json" | "application/*" | "*/*") {
            continue;
        }
        let wanted = parts.filter_map(|part| part.split_once('=')).find(|(key, _)| *key == "as");
        match wanted.map(|(_, value)| value) {
            None => return Ok(Form::Whole),
            Some("Table") => return Ok(Form::Table),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => return Ok(Form::Metadata),
            Some(_) => {}
        }
    }
    let message = format!("only the following media types are accepted: {ACCEPTED}");
    Err(Status::new(406, "NotAcceptable", message))
}

/// A request's options make no sense.
pub(super) fn invalid_options(options: &str, reason: &'static str, field: &str, message: String) -> Status {
    let mut status = Status::new(422, "Invalid", format!("{options}.meta.k8s.io \"\" is invalid: {field}: {message}"));
    let cause = Cause { reason, field: field.to_owned(), message };
    let details = Details {
        group: "meta.k8s.io".to_owned(),
        kind: options.to_owned(),
        causes: vec![cause],
        ..Details::default()
    };
    status.details = Some(Box::new(details));
    status
}

/// An answer in plain words, as the real server's router gives it.
pub(super) fn plain(code: u16, text: &'static str) -> Response<Body> {
    bytes_of(code, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

/// The body is of a form that is not read here.
pub(super) fn unsupported(accepted: &str) -> Status {
    let message =
        format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
    Status::new(415, "UnsupportedMediaType", message)
}

/// An answer in JSON.
pub(super) fn json<T: Serialize + ?Sized>(code: u16, value: &T) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            bytes_of(code, "application/json", bytes.into())
        }
        Err(cause) => status(&Status::internal(cause)),
    }
}

/// An answer of this type.
pub(super) fn bytes_of(code: u16, kind: &'static str, bytes: Bytes) -> Response<Body> {
    body(code, kind, Full::new(bytes).map_err(|never| match never {}).boxed_unsync())
}

/// An answer with this body.
pub(super) fn body(code: u16, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert("cache-control", HeaderValue::from_static("no-cache, private"));
    response
}

/// A refusal.
pub(super) fn status(status: &Status) -> Response<Body> {
    let mut response = json(status.code, &status.to_value());
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if seconds > 0 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// That it is done, where there is no object to show.
pub(super) fn success(code: u16, details: Option<Value>) -> Response<Body> {
    let mut wire = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    if let Some(details) = details {
        wire["details"] = details;
    } else {
        wire["code"] = json!(code);
    }
    json(code, &wire)
}

/// Adds what the client should know.
pub(super) fn warn(mut response: Response<Body>, warnings: &[String]) -> Response<Body> {
    for warning in warnings {
        let text: String = warning.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_there_is_is_taken() {
        let kubectl =
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1,application/json";
        let table = [
            ("", Some(Form::Whole)),
            ("*/*", Some(Form::Whole)),
            (kubectl, Some(Form::Table)),
            ("application/vnd.kubernetes.protobuf,application/json", Some(Form::Whole)),
            ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", Some(Form::Metadata)),
            ("application/vnd.kubernetes.protobuf", None),
            ("text/html", None),
        ];
        for (accept, expected) in table {
            assert_eq!(form(accept).ok(), expected, "{accept}");
        }
    }
}
