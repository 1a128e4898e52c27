//! How a verb is to be carried out.

use std::sync::Arc;

use serde_json::Value;

use crate::{FieldSelector, Selector};

/// How to write.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WriteOptions {
    /// Whose fields these are; the caller's plain name when there is none.
    pub field_manager: Option<String>,
    /// Everything but the writing.
    pub dry_run: bool,
}

impl WriteOptions {
    /// Writes as this field manager.
    pub fn by(manager: &str) -> Self {
        Self { field_manager: Some(manager.to_owned()), dry_run: false }
    }
}

/// What is done about fields that a kind does not have. They are never kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Validation {
    /// Nothing.
    #[default]
    Ignore,
    /// The client is told.
    Warn,
    /// The request is refused.
    Strict,
}

/// A change to an object, in one of the four forms.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// Strategic merge patch.
    Strategic(Value),
    /// Server-side apply.
    Apply {
        /// What the manager wants of the object.
        config: Value,
        /// Take fields from other managers.
        force: bool,
    },
}

/// What becomes of the objects that an object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They go after it.
    Background,
    /// They go before it.
    Foreground,
    /// They stay.
    Orphan,
}

/// How to delete.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeleteOptions {
    /// Seconds for a pod to end by itself; its own wish when there is none.
    pub grace_period_seconds: Option<i64>,
    /// What becomes of owned objects.
    pub propagation: Option<Propagation>,
    /// Only this very object.
    pub uid: Option<String>,
    /// Only this very version.
    pub resource_version: Option<String>,
    /// Everything but the deleting.
    pub dry_run: bool,
}

/// What a deletion did.
#[derive(Debug, Clone, PartialEq)]
pub struct Deleted {
    /// The object as it was last, or as it is now that it is marked.
    pub object: Arc<Value>,
    /// It is gone; otherwise finalizers or its grace period hold it.
    pub removed: bool,
}

/// How a list's revision is to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VersionMatch {
    /// Not said.
    #[default]
    Unset,
    /// This revision or a later one.
    NotOlderThan,
    /// This very revision.
    Exact,
}

/// What to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListOptions {
    /// By labels.
    pub labels: Selector,
    /// By fields.
    pub fields: FieldSelector,
    /// At most so many; `continue_` goes on from there.
    pub limit: Option<usize>,
    /// Where an earlier list stopped.
    pub continue_: Option<String>,
    /// Revision the caller knows of.
    pub revision: Option<u64>,
    /// How to read it.
    pub version_match: VersionMatch,
}

impl ListOptions {
    /// Everything with such labels.
    pub fn labelled(labels: Selector) -> Self {
        Self { labels, ..Self::default() }
    }

    /// Everything with such fields.
    pub fn with_fields(fields: FieldSelector) -> Self {
        Self { fields, ..Self::default() }
    }
}

/// Objects at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// In order of namespace and name.
    pub items: Vec<Arc<Value>>,
    /// The moment: a watch from here misses nothing.
    pub revision: u64,
    /// How to go on when the list was cut.
    pub continue_: Option<String>,
    /// How many are left after the cut, when that is known.
    pub remaining: Option<usize>,
}

/// What to watch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WatchOptions {
    /// After this revision; otherwise begins with what there is.
    pub from: Option<u64>,
    /// Tells the revision now and then.
    pub bookmarks: bool,
    /// Begins with what there is and marks the end of that with a bookmark.
    pub initial_events: bool,
    /// By labels.
    pub labels: Selector,
    /// By fields.
    pub fields: FieldSelector,
}
