//! What one kind does at each step of a request: a row of functions, so that the steps need not know the kinds.

use crate::cause::Causes;
use crate::names;
use crate::node::Node;
use crate::shown;
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

/// The behaviour of one kind. [`Rules::NONE`] has the common behaviour; a kind overrides what differs.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Fills what was left out.
    pub default: fn(&mut Value),
    /// Sets what only the server may set, after metadata is complete.
    pub prepare_create: fn(&mut Value),
    /// Keeps what the request may not change; status has been dealt with already.
    pub prepare_update: fn(&Value, &mut Value),
    /// Keeps what a request for the subresource `status` may not change; everything but metadata and status is kept.
    pub prepare_status: fn(&Value, &mut Value),
    /// Whether `metadata.generation` counts changes.
    pub has_generation: bool,
    /// Whether a change counts.
    pub is_new_generation: fn(&Value, &Value) -> bool,
    /// Whether `status` belongs to a subresource.
    pub has_status: bool,
    /// Whether a new object may come with a status.
    pub has_status_from_start: bool,
    /// The rule for `metadata.name`.
    pub name: fn(&str) -> Vec<String>,
    /// All but metadata, on create and on update.
    pub validate: fn(&Node, &mut Causes),
    /// What only a new object may not have.
    pub validate_new: fn(&Node, &mut Causes),
    /// What may not change; the arguments are the old and the new object.
    pub validate_update: fn(&Node, &Node, &mut Causes),
    /// Columns of tables.
    pub columns: &'static [Column],
    /// A row's cells, as many as columns.
    pub cells: fn(&Value, Timestamp) -> Vec<Value>,
    /// What field selectors can name beyond `metadata.name` and `metadata.namespace`.
    pub field_labels: &'static [Label],
}

/// A field selector's name, the way to the field, and what it reads when there is nothing.
#[derive(Debug)]
pub(crate) struct Label(pub &'static str, pub &'static str, pub &'static str);

impl Rules {
    /// A kind with metadata only.
    pub const NONE: Rules = Rules {
        default: |_| {},
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        prepare_status: |_, _| {},
        has_generation: false,
        is_new_generation: |old, new| old.get("spec") != new.get("spec"),
        has_status: false,
        has_status_from_start: false,
        name: names::subdomain,
        validate: |_, _| {},
        validate_new: |_, _| {},
        validate_update: |_, _, _| {},
        columns: shown::PLAIN,
        cells: shown::plain,
        field_labels: &[],
    };
}
