//! All that ever existed in the simulated cloud, and every call that was made.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Something that exists or existed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What it is, in the interface's words: `disks`, `clusters`, `nodePools`, `forwardingRules`.
    pub kind: String,
    /// Its path within its interface: `projects/P/zones/Z/disks/D`.
    pub name: String,
    /// Its labels, as they were last.
    pub labels: BTreeMap<String, String>,
    /// Its description, as it was last.
    pub description: String,
    /// Who made it: the client's user agent, or `gke`, `kubernetes` for what controllers make.
    pub made_by: String,
    /// The call or the resource that it was made for.
    pub made_for: String,
    /// Since when, in simulated time (RFC 3339).
    pub since: String,
    /// Until when, in simulated time (RFC 3339). `None`: it exists.
    pub until: Option<String>,
    /// What it costs in US dollars each hour by the list prices of us-central1, as it is now or was last.
    pub cost_per_hour: f64,
    /// What it cost so far, or did in all.
    pub cost: f64,
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// When, in simulated time (RFC 3339).
    pub at: String,
    /// The method's identifier: `container.projects.locations.clusters.create`. Otherwise the verb and the path.
    pub method: String,
    /// What it was about.
    pub target: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The fault that it met, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// An operation that ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    /// The service: `container`.
    pub service: String,
    /// Its type: `CREATE_CLUSTER`, `insert`.
    pub kind: String,
    /// The path of what it changed, within its interface.
    pub target: String,
    /// When it began, in seconds since the simulator's start.
    pub began_seconds: f64,
    /// When it ended.
    pub ended_seconds: f64,
}

/// The busiest minute for a sort of calls to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// The service: `compute`.
    pub service: String,
    /// The sort of calls, in the words of its quota.
    pub metric: String,
    /// How many of one project there were in one minute of simulated time, at most.
    pub most: u32,
    /// How many Google takes by default, where that is known.
    pub limit: Option<u32>,
}

/// What the simulator tells of itself.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Now, in simulated time (RFC 3339).
    pub now: String,
    /// Everything that ever existed, oldest first. What a project has from the start is not among it.
    pub entries: Vec<Entry>,
    /// The last calls, oldest first.
    pub calls: Vec<Call>,
    /// How many calls there were in all.
    pub calls_total: u64,
    /// The busiest minute of each sort of calls.
    pub rates: Vec<Rate>,
    /// Answers of the simulator that Google could not have given. Empty, or the simulator is wrong.
    pub problems: Vec<String>,
    /// Operations under way, as their service tells them.
    pub operations: Vec<Value>,
    /// Operations that ended, in the order of their beginnings.
    pub finished: Vec<Finished>,
}

impl Ledger {
    /// What still exists.
    pub fn left(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.until.is_none())
    }

    /// What everything cost so far, in US dollars.
    pub fn cost(&self) -> f64 {
        self.entries.iter().map(|entry| entry.cost).sum()
    }
}
