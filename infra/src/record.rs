//! The record of a run: a file of JSON lines that tells, alone, what was asked, decided, done and answered.
//!
//! It lies beside the receipts, not in the deployment's folder, so that a destroy has one too. The journal is what counts: nothing is
//! decided by a record, and one that cannot be written stops nothing.

mod command_line;
pub mod follow;
mod kept;
mod recorder;
pub mod story;

pub use command_line::without_secrets;
pub use kept::{Kept, choose, find, runs, scenario};
pub use recorder::Recorder;

use std::collections::BTreeMap;

use engine::{Action, Address, Held, Inventory, Need, Node, Plan, Record, State, Step};
use jiff::Timestamp;
use scenarios::ServiceAddress;
use serde::{Deserialize, Serialize};

use crate::google;

/// The version of the lines.
pub const VERSION: u32 = 1;
/// So many records of a deployment are kept; a new run takes the place of the oldest.
pub const KEPT_RUNS: usize = 20;
/// What programs print is recorded until the file is this large; the rest of the record has no bound but the plan's own size.
const OUTPUT_BYTES: u64 = 16 << 20;

/// One line of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// What happened, as `--json` prints it.
    Event(Record),
    /// What stands around the events.
    Note(Note),
}

/// A line that is no event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Note {
    /// The first line.
    Begin(Begin),
    /// What was decided, before anything of it is done.
    Plan(Decided),
    /// Programs printed more than is kept.
    OutputLeftOut {},
    /// The last line. A record without it is that of a run that is under way or was killed.
    End(End),
}

/// Who asked for what, when, of which program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The version of the lines.
    pub version: u32,
    /// Counts the runs of a deployment.
    pub run: u32,
    /// The deployment's name.
    pub deployment: String,
    /// `apply`, `destroy` or `check`.
    pub command: String,
    /// What was typed, without secrets.
    pub command_line: String,
    /// The scenario's file, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// The version of this program.
    pub infra: String,
    /// The person's name on that machine.
    pub user: String,
    /// The machine's name.
    pub host: String,
    /// The process there.
    pub process: u32,
    /// When.
    pub at: Timestamp,
}

/// What a run is about to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// Where the deployment is.
    pub provider: String,
    /// How many nodes are as wanted.
    pub kept: usize,
    /// Everything else, each after what it needs; deletions last.
    pub steps: Vec<Planned>,
    /// Where Services answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Answering>,
}

/// One step that is about to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The node.
    pub address: Address,
    /// What a person reads.
    pub title: String,
    /// The group that a plan shows it in.
    pub section: String,
    /// Whether it leaves something in the world.
    pub lasting: bool,
    /// `create`, `update`, `adopt`, `replace`, `delete` or `goes_with`.
    pub action: String,
    /// Why it is made anew, or what somebody else changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The fields that change: names only, values can be secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// What it waits for; on deletion the other way round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
}

/// Where a Service answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answering {
    /// The Service, with its port where it has several.
    pub service: String,
    /// For example `http://127.0.0.1:8080`.
    pub url: String,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// The exit code.
    pub exit_code: u8,
    /// Time from the record's begin.
    pub seconds: f64,
    /// Why it ended outside of any step, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What the person can do about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The images that were there at the end, with their digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// How many things of each sort were looked up after their deletion and found gone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gone: BTreeMap<String, usize>,
}

/// An image and what it is exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// For example `image web (cargo)`.
    pub title: String,
    /// `sha256:...`.
    pub digest: String,
}

impl Decided {
    /// A plan without what stays as it is.
    pub fn new(provider: &str, plan: &Plan, addresses: &[ServiceAddress]) -> Self {
        let steps = Planned::all(plan);
        let answering =
            |address: &ServiceAddress| Answering { service: address.service.clone(), url: address.url.clone() };
        Self {
            provider: provider.to_owned(),
            kept: plan.steps.len() - steps.len(),
            steps,
            addresses: addresses.iter().map(answering).collect(),
        }
    }
}

impl Decided {
    /// These are asked again.
    pub fn of_held(provider: &str, held: &[&Held]) -> Self {
        let steps = held.iter().map(|held| Planned::new(&held.node, "create")).collect();
        Self { provider: provider.to_owned(), steps, ..Self::default() }
    }
}

impl Planned {
    /// The steps of a plan that do anything.
    pub fn all(plan: &Plan) -> Vec<Self> {
        plan.steps.iter().filter_map(Self::of).collect()
    }

    fn of(step: &Step) -> Option<Self> {
        let (action, because, changes) = match &step.action {
            Action::Keep => return None,
            Action::Create { because } => ("create", because.clone(), &[][..]),
            Action::Update { changes, drift, .. } => {
                ("update", drift.as_ref().map(|drift| drift.what.clone()), &changes[..])
            }
            Action::Adopt { owner } => ("adopt", Some(owner.clone()), &[][..]),
            Action::Replace { because, changes } => ("replace", Some(because.clone()), &changes[..]),
            Action::Delete => ("delete", None, &[][..]),
            Action::GoesWith { .. } => ("goes_with", None, &[][..]),
        };
        let fields = changes.iter().map(|change| change.path.clone()).collect();
        Some(Self { because, fields, ..Self::new(&step.node, action) })
    }

    fn new(node: &Node, action: &str) -> Self {
        Self {
            address: node.address.clone(),
            title: node.title.clone(),
            section: node.section.clone(),
            lasting: node.lasting,
            action: action.to_owned(),
            because: None,
            fields: Vec::new(),
            needs: node.needs.clone(),
        }
    }
}

/// Where a deployment is, by the sort of its cluster; empty where it has none.
pub fn provider(inventory: &Inventory) -> &str {
    let kinds = || inventory.iter().map(|held| held.node.address.kind());
    let of_cluster = kinds().find_map(|kind| kind.strip_suffix("-cluster"));
    // What is kept of a cluster in a cloud tells which cloud that was.
    of_cluster.or_else(|| kinds().find(|kind| google::is_google(kind)).map(|_| "gke")).unwrap_or_default()
}

/// The images of a deployment that are known by their digest.
fn images(inventory: &Inventory) -> Vec<Image> {
    let present = inventory.iter().filter(|held| held.state == State::Present);
    let images = present.filter(|held| matches!(held.node.address.kind(), "image" | "push"));
    let known = images.filter_map(|held| {
        Some(Image { title: held.node.title.clone(), digest: held.outputs["digest"].as_str()?.to_owned() })
    });
    known.collect()
}
