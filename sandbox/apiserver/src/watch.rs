//! Watches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use kinds::Resource;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::api::{select, too_large};
use crate::store::Change;
use crate::{Api, ListOptions, Status, WatchOptions};

/// How often a watch that wants bookmarks gets one.
const BOOKMARKS: Duration = Duration::from_mins(1);
/// How long before its end it gets the last one.
const FAREWELL: Duration = Duration::from_secs(2);

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It is new, or newly selected.
    Added,
    /// It changed.
    Modified,
    /// It is gone, or no longer selected.
    Deleted,
    /// Nothing: only the revision so far.
    Bookmark,
    /// The watch is over; the object is a `metav1.Status`.
    Error,
}

impl EventKind {
    /// The wire's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }
}

/// One event of a watch.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchEvent {
    /// What happened.
    pub kind: EventKind,
    /// The object after it; for `Deleted` as it was last.
    pub object: Arc<Value>,
}

/// Events in the order in which they happened, each once. Ends only after an `Error` event.
pub type Watch = BoxStream<'static, WatchEvent>;

/// The events of a follower, one by one.
pub(crate) fn follow(api: &Api, resource: &'static Resource, namespace: Option<&str>, options: WatchOptions) -> Watch {
    let follower = Follower::new(api, resource, namespace, options);
    futures::stream::unfold((follower, VecDeque::new()), |(mut follower, mut events)| async move {
        loop {
            if let Some(event) = events.pop_front() {
                return Some((event, (follower, events)));
            }
            events.extend(follower.next().await?);
        }
    })
    .boxed()
}

/// Follows one resource.
pub(crate) struct Follower {
    api: Api,
    resource: &'static Resource,
    namespace: Option<String>,
    options: WatchOptions,
    bell: watch::Receiver<u64>,
    /// Everything up to this revision has been told; none before the beginning.
    seen: Option<u64>,
    ended: bool,
    /// When the client wants to be told the last revision before its watch ends.
    farewell: Option<Instant>,
}

impl Follower {
    pub fn new(api: &Api, resource: &'static Resource, namespace: Option<&str>, options: WatchOptions) -> Self {
        Self {
            api: api.clone(),
            resource,
            namespace: namespace.map(str::to_owned),
            seen: options.from.filter(|from| *from > 0 && !options.initial_events),
            bell: api.store().bell(resource),
            options,
            ended: false,
            farewell: None,
        }
    }

    /// The watch will be ended after this time: a bookmark is due shortly before.
    pub fn ending_after(mut self, time: Duration) -> Self {
        self.farewell = time.checked_sub(FAREWELL).map(|time| Instant::now() + time);
        self
    }

    /// Everything up to this revision has been told.
    pub fn seen(&self) -> u64 {
        self.seen.unwrap_or_default()
    }

    /// Waits for the next events; none after an error.
    pub async fn next(&mut self) -> Option<Vec<WatchEvent>> {
        if self.ended {
            return None;
        }
        if self.seen.is_none() {
            let events = self.beginning();
            if !events.is_empty() {
                return Some(events);
            }
        }
        loop {
            // Marked as heard first: what happens from here on rings again.
            self.bell.borrow_and_update();
            let events = self.collect();
            if !events.is_empty() {
                return Some(events);
            }
            let mut quiet = Instant::now() + BOOKMARKS;
            if let Some(farewell) = self.farewell.filter(|farewell| *farewell < quiet) {
                quiet = farewell;
            }
            match tokio::time::timeout_at(quiet, self.bell.changed()).await {
                Ok(Ok(())) => {}
                // The store is closed.
                Ok(Err(_)) => return None,
                Err(_) if self.options.bookmarks => {
                    self.farewell = self.farewell.filter(|farewell| *farewell > Instant::now());
                    return Some(vec![self.bookmark(false)]);
                }
                Err(_) => self.farewell = None,
            }
        }
    }

    /// What there is, as if it were new.
    fn beginning(&mut self) -> Vec<WatchEvent> {
        let selection = ListOptions {
            labels: self.options.labels.clone(),
            fields: self.options.fields.clone(),
            ..ListOptions::default()
        };
        let api = self.api.clone();
        let state = api.store().read();
        if let Some(from) = self.options.from.filter(|from| *from > state.revision) {
            return self.end(&too_large(from, state.revision));
        }
        self.seen = Some(state.revision);
        let objects = select(&state, self.resource, self.namespace.as_deref(), &selection);
        let events = objects.into_iter().map(|object| WatchEvent { kind: EventKind::Added, object });
        let mut events: Vec<WatchEvent> = events.collect();
        if self.options.initial_events && self.options.bookmarks {
            events.push(self.bookmark(true));
        }
        events
    }

    /// What happened since the last time.
    fn collect(&mut self) -> Vec<WatchEvent> {
        let api = self.api.clone();
        let state = api.store().read();
        let seen = self.seen();
        if seen > state.revision {
            return self.end(&too_large(seen, state.revision));
        }
        let table = state.table(self.resource);
        let Some(changes) = table.since(seen) else {
            let why = format!("too old resource version: {seen} ({})", table.forgotten());
            return self.end(&Status::expired(why));
        };
        let events = changes.filter_map(|change| self.event(change)).collect();
        self.seen = Some(state.revision);
        events
    }

    fn end(&mut self, why: &Status) -> Vec<WatchEvent> {
        self.ended = true;
        vec![WatchEvent { kind: EventKind::Error, object: Arc::new(why.to_value()) }]
    }

    /// The change as this follower sees it, if it does.
    fn event(&self, change: &Change) -> Option<WatchEvent> {
        if let Some(namespace) = &self.namespace
            && change.key.split_once('/').is_none_or(|(first, _)| first != namespace)
        {
            return None;
        }
        let selected = |object: &Value| {
            self.options.labels.matches(&object["metadata"]["labels"])
                && self.options.fields.matches(self.resource, object)
        };
        let before = change.previous.as_deref().is_some_and(selected);
        let after = !change.removed && selected(&change.object);
        let event = |kind, object| Some(WatchEvent { kind, object });
        match (before, after) {
            (false, false) => None,
            (false, true) => event(EventKind::Added, Arc::clone(&change.object)),
            (true, true) => event(EventKind::Modified, Arc::clone(&change.object)),
            (true, false) if change.removed => event(EventKind::Deleted, Arc::clone(&change.object)),
            (true, false) => {
                let mut last = change.previous.as_deref().cloned().unwrap_or_default();
                last["metadata"]["resourceVersion"] = Value::String(change.revision.to_string());
                event(EventKind::Deleted, Arc::new(last))
            }
        }
    }

    fn bookmark(&self, end_of_beginning: bool) -> WatchEvent {
        let mut object = json!({
            "kind": self.resource.kind,
            "apiVersion": self.resource.api_version(),
            "metadata": {"resourceVersion": self.seen().to_string()},
        });
        if end_of_beginning {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        WatchEvent { kind: EventKind::Bookmark, object: Arc::new(object) }
    }
}
