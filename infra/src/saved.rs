//! A plan in a file: made now, carried out later, and only if everything is still as it was.
//!
//! A plan follows from the scenario, the journal and a look at the world. The file holds all three, the values of Secrets
//! excepted: apply reads and looks anew and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use engine::{Address, Existing, Inventory, Node, Observation, differences};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::arguments::{Provider, Target, Values};
use crate::prepare::{Basis, Prepared, Request, Selection};
use crate::report::{Exit, Problem};
use crate::view::change;

/// The version of the format.
const FORMAT: u32 = 1;
/// How each such file begins: no scenario does.
const BEGINNING: &str = "{\"infra_plan\":";
/// So many things that have moved on are named.
const NAMED: usize = 8;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedPlan {
    #[serde(rename = "infra_plan")]
    format: u32,
    made_at: Timestamp,
    /// The deployment's name.
    pub deployment: String,
    provider: String,
    /// The scenario's file, absolute.
    pub scenario: PathBuf,
    /// The program kind and its node image, where they were said.
    pub kind: Option<PathBuf>,
    node_image: Option<String>,
    /// What was said of the scenario's variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    set: Vec<(String, String)>,
    /// What was wanted beyond the scenario.
    pub selection: Selection,
    journal: JournalMark,
    /// What was seen in the world: of each thing a word, and a digest of the rest.
    seen: BTreeMap<Address, Seen>,
    graph_digest: String,
    graph: Vec<Node>,
    plan: Value,
}

/// Up to where the journal was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct JournalMark {
    last_number: u64,
    digest: String,
}

/// What was seen of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    word: String,
    digest: String,
}

/// The saved plan in a file; none where the file holds something else, or is no file.
pub fn read(file: &Path) -> Result<Option<SavedPlan>, Problem> {
    let Ok(text) = fs::read_to_string(file) else { return Ok(None) };
    if !text.starts_with(BEGINNING) {
        return Ok(None);
    }
    let damaged = |why: String| {
        let again = format!("make it again: `infra plan SCENARIO --save {}`", file.display());
        Problem::usage(format!("use the saved plan {}: {why}", file.display())).hint(again)
    };
    let value: Value = serde_json::from_str(&text).map_err(|error| damaged(format!("it is damaged: {error}")))?;
    if value["infra_plan"] != FORMAT {
        return Err(damaged(format!("its format is {}, and this program knows {FORMAT}", value["infra_plan"])));
    }
    let plan: SavedPlan = serde_json::from_value(value).map_err(|error| damaged(format!("it is damaged: {error}")))?;
    if digest(&plan.graph) != plan.graph_digest {
        return Err(damaged("it is damaged: its graph is not the one that was planned".to_owned()));
    }
    Ok(Some(plan))
}

impl SavedPlan {
    /// Of a plan that was just made.
    pub fn new(prepared: &Prepared, request: &Request, inventory: &Inventory) -> Result<Self, Problem> {
        let target = &request.target;
        let graph: Vec<Node> = prepared.basis.graph.nodes().cloned().collect();
        Ok(Self {
            format: FORMAT,
            made_at: Timestamp::now(),
            deployment: prepared.name.clone(),
            provider: prepared.provider.name().to_owned(),
            scenario: std::path::absolute(&request.scenario.file)?,
            kind: target.kind.clone(),
            node_image: target.node_image.clone(),
            set: request.values().set.clone(),
            selection: prepared.selection.clone(),
            journal: JournalMark::new(inventory),
            seen: seen(&prepared.basis),
            graph_digest: digest(&graph),
            graph,
            plan: serde_json::to_value(&prepared.plan)?,
        })
    }

    /// Writes the file, readable by its owner only. It is there whole or not at all.
    pub fn write(&self, file: &Path) -> Result<(), Problem> {
        let failed = |error: std::io::Error| Problem::usage(format!("write the plan {}: {error}", file.display()));
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut written = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        serde_json::to_writer(&mut written, self)?;
        written.write_all(b"\n").and_then(|()| written.as_file().sync_all()).map_err(failed)?;
        written.persist(file).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Where it was planned for.
    pub fn provider(&self) -> Result<Provider, Problem> {
        let known = Provider::from_str(&self.provider, false);
        known.map_err(|_| Problem::usage(format!("use the saved plan: there is no provider {}", self.provider)))
    }

    /// The options that it was made with.
    pub fn target(&self) -> Target {
        Target { kind: self.kind.clone(), node_image: self.node_image.clone() }
    }

    /// What was said of the scenario's variables.
    pub fn values(&self) -> Values {
        Values { set: self.set.clone() }
    }

    /// Refuses what was made anew from the same scenario, if anything has moved on since.
    pub fn check(&self, prepared: &Prepared, inventory: &Inventory) -> Result<(), Problem> {
        let mut moved_on = Vec::new();
        let journal = JournalMark::new(inventory);
        if journal != self.journal {
            moved_on.push(match (self.journal.last_number, journal.last_number) {
                (then, now) if now > then => format!("the journal: {} more entries", now - then),
                (then, now) => format!("the journal: it ended with entry {then}, and ends with {now}"),
            });
        }
        moved_on.extend(self.changed_inputs(&prepared.basis));
        moved_on.extend(changed_world(&self.seen, &seen(&prepared.basis)));
        if moved_on.is_empty() && serde_json::to_value(&prepared.plan)? != self.plan {
            moved_on.push("this program: it would do something else now".to_owned());
        }
        if moved_on.is_empty() {
            return Ok(());
        }
        let more = moved_on.len().saturating_sub(NAMED);
        moved_on.truncate(NAMED);
        moved_on.extend((more > 0).then(|| format!("and {more} more")));
        let since = self.made_at.strftime("%Y-%m-%d %H:%M:%S UTC");
        let mut problem = Problem::usage(format!("carry out the plan of {since}: things have moved on since"));
        problem.causes.extend(moved_on);
        Err(problem.exit(Exit::Failed).hint("make a new plan, and look at it"))
    }

    /// What the scenario means otherwise than then.
    fn changed_inputs(&self, basis: &Basis) -> Vec<String> {
        let then: BTreeMap<&Address, &Node> = self.graph.iter().map(|node| (&node.address, node)).collect();
        let now: BTreeMap<&Address, &Node> = basis.graph.nodes().map(|node| (&node.address, node)).collect();
        let all: BTreeSet<&&Address> = then.keys().chain(now.keys()).collect();
        let told = |address: &&&Address| {
            let what = match (then.get(**address), now.get(**address)) {
                (Some(then), Some(now)) if then == now => return None,
                (Some(then), Some(now)) => match differences(&then.inputs, &now.inputs).first() {
                    Some(field) => plain(&change::render(field).join(" ")),
                    None => "its place in the graph".to_owned(),
                },
                (None, _) => "is new".to_owned(),
                (_, None) => "is wanted no more".to_owned(),
            };
            Some(format!("the scenario: {address} {what}"))
        };
        all.iter().filter_map(told).collect()
    }
}

impl JournalMark {
    fn new(inventory: &Inventory) -> Self {
        let held: Vec<_> = inventory.iter().collect();
        Self { last_number: inventory.last_number(), digest: digest(&held) }
    }
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Everything that was seen and is not simply as recorded. Values are not kept: they may be secrets.
fn seen(basis: &Basis) -> BTreeMap<Address, Seen> {
    let observed = basis.observed.iter().filter_map(|(address, observation)| {
        let word = match observation {
            Observation::AsRecorded => return None,
            Observation::Absent => "gone".to_owned(),
            Observation::Changed(drift) => drift.what.clone(),
            Observation::Unknown(_) => "not to be seen".to_owned(),
        };
        // Why something could not be looked at may be said in other words each time.
        let digest = if let Observation::Unknown(_) = observation { digest(&word) } else { digest(observation) };
        Some((address.clone(), Seen { word, digest }))
    });
    let existing = basis.existing.iter().filter_map(|(address, existing)| {
        let Existing::Foreign { owner, .. } = existing else { return None };
        Some((address.clone(), Seen { word: format!("there already: it {owner}"), digest: digest(existing) }))
    });
    observed.chain(existing).collect()
}

fn changed_world(then: &BTreeMap<Address, Seen>, now: &BTreeMap<Address, Seen>) -> Vec<String> {
    let all: BTreeSet<&Address> = then.keys().chain(now.keys()).collect();
    let word = |seen: Option<&Seen>| seen.map_or("as recorded".to_owned(), |seen| seen.word.clone());
    let told = |address: &&Address| {
        let (then, now) = (then.get(*address), now.get(*address));
        match (word(then), word(now)) {
            _ if then == now => None,
            (then, now) if then == now => Some(format!("the world: {address} has changed once more ({now})")),
            (then, now) => Some(format!("the world: {address} was {then}, and is {now}")),
        }
    };
    all.iter().filter_map(told).collect()
}

fn digest(value: &impl Serialize) -> String {
    let bytes = serde_json::to_vec(value).expect("it has only string keys");
    Sha256::digest(&bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
