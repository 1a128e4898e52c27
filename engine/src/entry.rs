use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Address, Node, Remains};

/// What is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Make it, or adopt what an interrupted create made.
    Create,
    /// Change it in place.
    Update,
    /// Remove it.
    Delete,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        })
    }
}

/// One line of the journal: what was about to happen to a resource, or what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The format's version.
    #[serde(rename = "v")]
    pub version: u32,
    /// Counts from 1 without gaps.
    #[serde(rename = "n")]
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The resource.
    pub address: Address,
    /// What happened.
    #[serde(flatten)]
    pub change: Change,
}

/// What a journal entry says of its resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// An operation is about to be called. On disk before the call.
    Began {
        /// What is about to be done.
        operation: Operation,
        /// The node with all inputs known; absent for a delete, which uses what the journal holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<Box<Node>>,
    },
    /// The operation is done.
    Ended {
        /// What was done.
        operation: Operation,
        /// What it returned.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        outputs: Value,
    },
    /// The operation failed.
    Failed {
        /// What was tried.
        operation: Operation,
        /// What it left behind.
        remains: Remains,
        /// The error, for people.
        error: String,
    },
    /// The resource is there, without a call: found by its labels, or held with other needs than before.
    Found {
        /// The node, its references filled as far as they are known.
        node: Box<Node>,
        /// What its create would have returned; without, what is held keeps what it has.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        outputs: Value,
    },
    /// What was held under another address is held under this one, without a call: in the world nothing has changed.
    Moved {
        /// The address before.
        from: Address,
    },
}

impl Change {
    /// The oldest version of the format that knows this sort of change.
    pub(crate) fn version(&self) -> u32 {
        if matches!(self, Self::Moved { .. }) { 2 } else { 1 }
    }
}
