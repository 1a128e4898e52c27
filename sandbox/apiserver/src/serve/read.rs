//! Reading over HTTP: get, list, watch.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use kinds::Resource;
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::{self, Form};
use super::guard::Call;
use super::table::{self, Include};
use crate::streams::Body;
use crate::streams::query::Query;
use crate::watch::Follower;
use crate::write::revision_of;
use crate::{EventKind, FieldSelector, List, ListOptions, Selector, Status, VersionMatch, WatchEvent, WatchOptions};

/// A watch that asks for no end gets one after this time, as the real server's do.
const WATCH_SECONDS: i64 = 3000;

/// Answers a get, list or watch.
pub(super) async fn answer(call: Call<'_>) -> Result<Response<Body>, Status> {
    let form = answer::form(call.accept())?;
    let api = &call.server.api;
    let (target, resource) = (&call.target, call.target.resource);
    let include = Include::read(call.query.first("includeObject"));
    match call.verb {
        "get" => {
            let object = api.get(resource, target.namespace(), &target.name)?;
            api.durable(revision_of(&object)).await?;
            Ok(answer::json(200, &*table::one(form, resource, &object, include)))
        }
        "list" => {
            let list = api.list(resource, target.namespace.as_deref(), &list_options(&call.query)?)?;
            api.durable(list.revision).await?;
            Ok(answer_list(form, resource, &list, include))
        }
        _ => watch(&call, form, include),
    }
}

/// Reads the parameters of a list.
pub(super) fn list_options(query: &Query) -> Result<ListOptions, Status> {
    let limit = query.number("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    let version_match = match query.first("resourceVersionMatch") {
        None => VersionMatch::Unset,
        Some("NotOlderThan") => VersionMatch::NotOlderThan,
        Some("Exact") => VersionMatch::Exact,
        Some(other) => {
            let why = format!("Unsupported value: \"{other}\": supported values: \"Exact\", \"NotOlderThan\", \"\"");
            return Err(answer::invalid_options("ListOptions", "FieldValueNotSupported", "resourceVersionMatch", why));
        }
    };
    let revision = revision(query)?;
    check_match(query, version_match, revision)?;
    Ok(ListOptions {
        labels: Selector::parse(query.first("labelSelector").unwrap_or_default())?,
        fields: FieldSelector::parse(query.first("fieldSelector").unwrap_or_default())?,
        limit,
        continue_: query.first("continue").map(str::to_owned),
        revision,
        version_match,
    })
}

/// The revision's match must make sense, for lists and for watches.
fn check_match(query: &Query, version_match: VersionMatch, revision: Option<u64>) -> Result<(), Status> {
    let (set, has_revision) = (version_match != VersionMatch::Unset, query.first("resourceVersion").is_some());
    let initial_events = query.first("sendInitialEvents").is_some();
    let is_watch = query.flag("watch");
    if initial_events && !is_watch {
        return Err(refused("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    let why = if is_watch && initial_events && version_match != VersionMatch::NotOlderThan {
        "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    } else if is_watch && set && !initial_events {
        "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
    } else if !is_watch && set && !has_revision {
        "resourceVersionMatch is forbidden unless resourceVersion is provided"
    } else if !is_watch && set && query.first("continue").is_some() {
        "resourceVersionMatch is forbidden when continue is provided"
    } else if !is_watch && version_match == VersionMatch::Exact && revision == Some(0) {
        "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""
    } else {
        return Ok(());
    };
    Err(refused("resourceVersionMatch", why))
}

fn refused(field: &str, why: &str) -> Status {
    answer::invalid_options("ListOptions", "FieldValueForbidden", field, format!("Forbidden: {why}"))
}

fn revision(query: &Query) -> Result<Option<u64>, Status> {
    let Some(text) = query.first("resourceVersion") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let why = format!("strconv.ParseUint: parsing \"{text}\": invalid syntax");
        if query.flag("watch") {
            return Status::new(500, "", format!("resourceVersion: Invalid value: \"{text}\": {why}"));
        }
        Status::bad_request(format!("Invalid value: \"{text}\": {why}"))
    })
}

/// An object as it stands in a list, which tells the kind once for all.
struct Item<'a>(&'a Value);

impl Serialize for Item<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => serializer
                .collect_map(fields.iter().filter(|(name, _)| !matches!(name.as_str(), "kind" | "apiVersion"))),
            other => other.serialize(serializer),
        }
    }
}

#[derive(Serialize)]
struct Wire<T> {
    kind: String,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: Value,
    items: Vec<T>,
}

fn answer_list(form: Form, resource: &Resource, list: &List, include: Include) -> Response<Body> {
    let mut metadata = json!({"resourceVersion": list.revision.to_string()});
    if let Some(token) = &list.continue_ {
        metadata["continue"] = json!(token);
    }
    if let Some(remaining) = list.remaining {
        metadata["remainingItemCount"] = json!(remaining);
    }
    let objects = table::values(&list.items);
    match form {
        Form::Whole => answer::json(
            200,
            &Wire {
                kind: format!("{}List", resource.kind),
                api_version: resource.api_version(),
                metadata,
                items: objects.map(Item).collect(),
            },
        ),
        Form::Table => answer::json(200, &table::table(resource, objects, &metadata, include, true)),
        Form::Metadata => {
            let items: Vec<Value> = objects.map(table::metadata).collect();
            let kind = "PartialObjectMetadataList".to_owned();
            let api_version = "meta.k8s.io/v1".to_owned();
            answer::json(200, &Wire { kind, api_version, metadata, items })
        }
    }
}

fn watch(call: &Call<'_>, form: Form, include: Include) -> Result<Response<Body>, Status> {
    let (query, resource) = (&call.query, call.target.resource);
    let api = &call.server.api;
    let list = list_options(query)?;
    let initial_events = query.flag("sendInitialEvents");
    list.fields.check(resource)?;
    let options = WatchOptions {
        from: list.revision,
        bookmarks: query.flag("allowWatchBookmarks"),
        initial_events,
        labels: list.labels,
        fields: list.fields,
    };
    let seconds = query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0).unwrap_or(WATCH_SECONDS);
    let time = Duration::from_secs(seconds.unsigned_abs());
    let follower = Follower::new(api, resource, call.target.namespace.as_deref(), options).ending_after(time);
    let api = api.clone();
    let mut first = true;
    let lines = futures::stream::unfold(follower, |mut follower| async {
        let events = follower.next().await?;
        Some(((events, follower.seen()), follower))
    });
    let lines = lines.then(move |(events, seen)| {
        let api = api.clone();
        let mut bytes = Vec::new();
        for event in &events {
            write_line(&mut bytes, event, form, resource, include, &mut first);
        }
        async move {
            // What is not on disk yet may still be lost: nobody outside hears of it.
            api.durable(seen).await.map_err(std::io::Error::other)?;
            Ok(Frame::data(Bytes::from(bytes)))
        }
    });
    let end = tokio::time::sleep(time);
    let body = BodyExt::boxed_unsync(StreamBody::new(lines.take_until(end)));
    let kind = match form {
        Form::Whole => "application/json",
        _ => "application/json;stream=watch",
    };
    Ok(answer::body(200, kind, body))
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    object: &'a Value,
}

fn write_line(
    bytes: &mut Vec<u8>,
    event: &WatchEvent,
    form: Form,
    resource: &Resource,
    include: Include,
    first: &mut bool,
) {
    let plain = form == Form::Whole || event.kind == EventKind::Error;
    let shown = match form {
        _ if plain => std::borrow::Cow::Borrowed(&*event.object),
        Form::Table if event.kind != EventKind::Bookmark => {
            let version = json!({"resourceVersion": event.object["metadata"]["resourceVersion"]});
            let with_columns = std::mem::take(first);
            std::borrow::Cow::Owned(table::table(resource, [&*event.object], &version, include, with_columns))
        }
        _ => std::borrow::Cow::Owned(table::metadata(&event.object)),
    };
    let line = Line { kind: event.kind.as_str(), object: &shown };
    // Values of JSON can always be written as JSON.
    if serde_json::to_writer(&mut *bytes, &line).is_ok() {
        bytes.push(b'\n');
    }
}
