//! Lists in pieces, and lists of an earlier moment.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kinds::Resource;
use serde_json::{Value, json};

use crate::api::too_large;
use crate::store::State;
use crate::{List, ListOptions, Status, VersionMatch};

const EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new \
    list without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
    results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or \
    deleted between the time the first chunk was returned and now may show up in the list.";

/// One piece of a list. All pieces show the objects as they were when the first one was read.
pub(crate) fn list(
    state: &State,
    resource: &'static Resource,
    namespace: Option<&str>,
    options: &ListOptions,
) -> Result<List, Status> {
    let table = state.table(resource);
    let (revision, after) = match &options.continue_ {
        Some(token) => read(token)?,
        None if options.version_match == VersionMatch::Exact => (options.revision.unwrap_or_default(), None),
        None => (state.revision, None),
    };
    if revision > state.revision {
        return Err(too_large(revision, state.revision));
    }
    let chosen = |object: &Arc<Value>| {
        options.labels.matches(&object["metadata"]["labels"]) && options.fields.matches(resource, object)
    };
    let limit = options.limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let revision = if revision == 0 { state.revision } else { revision };
    if revision < table.forgotten() {
        return Err(expired(options, revision, table.forgotten()));
    }
    let (items, last, left) = if table.changed_after(revision) {
        let objects = table.at(revision);
        let inside = |key: &str| {
            namespace.is_none_or(|namespace| key.split_once('/').is_some_and(|(first, _)| first == namespace))
                && after.as_deref().is_none_or(|after| key > after)
        };
        take(objects.iter().filter(|(key, _)| inside(key)), chosen, limit)
    } else {
        take(table.range(namespace, after.as_deref()), chosen, limit)
    };
    let everything = options.labels.is_everything() && options.fields.is_everything();
    let cut = left > 0;
    Ok(List {
        items,
        revision,
        continue_: last.filter(|_| cut).map(|last| write(revision, &last)),
        remaining: Some(left).filter(|_| cut && everything),
    })
}

type Piece = (Vec<Arc<Value>>, Option<String>, usize);

/// The first so many chosen objects, the place of the last of them, and how many are left.
fn take<'a>(
    objects: impl Iterator<Item = (&'a String, &'a Arc<Value>)>,
    chosen: impl Fn(&Arc<Value>) -> bool,
    limit: usize,
) -> Piece {
    let mut chosen = objects.filter(|(_, object)| chosen(object));
    let mut items = Vec::new();
    let mut last = None;
    for (key, object) in chosen.by_ref().take(limit) {
        items.push(Arc::clone(object));
        last = Some(key.clone());
    }
    (items, last, chosen.count())
}

fn write(revision: u64, after: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": after}).to_string())
}

fn read(token: &str) -> Result<(u64, Option<String>), Status> {
    let bad = |why: &str| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|cause| bad(&cause.to_string()))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| {
        let first = bytes.first().copied().map_or('\0', char::from);
        let shown = if first.is_ascii_graphic() { first.to_string() } else { format!("\\u{:04x}", u32::from(first)) };
        bad(&format!("invalid character '{shown}' looking for beginning of value"))
    })?;
    let start = value["start"].as_str().ok_or_else(|| bad("no start"))?;
    Ok((value["rv"].as_u64().ok_or_else(|| bad("no revision"))?, Some(start.to_owned())))
}

fn expired(options: &ListOptions, revision: u64, forgotten: u64) -> Status {
    if options.continue_.is_some() {
        return Status::expired(EXPIRED);
    }
    Status::expired(format!("The resourceVersion for the provided list is too old: {revision} ({forgotten})"))
}
