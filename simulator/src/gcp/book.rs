//! The book behind the ledger: what exists and existed, and since when.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::clock::{Clock, Moment};
use crate::ledger::{Call, Entry};

/// How many calls are kept.
const CALLS: usize = 20_000;

/// An entry of the book.
#[derive(Debug, Clone)]
struct Line {
    kind: String,
    name: String,
    labels: BTreeMap<String, String>,
    description: String,
    made_by: String,
    made_for: String,
    since: Moment,
    until: Option<Moment>,
    rate: f64,
    /// What it cost until `rated`.
    cost: f64,
    rated: Moment,
    struck: bool,
}

/// What exists and existed, and the calls.
#[derive(Debug, Default)]
pub(crate) struct Book {
    lines: Vec<Line>,
    calls: std::collections::VecDeque<Call>,
    calls_total: u64,
}

/// Who makes something, and what for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Maker {
    pub by: String,
    pub purpose: String,
}

fn hours(time: Moment) -> f64 {
    time.as_secs_f64() / 3600.0
}

/// The labels of a resource, wherever its kind has them.
fn labels(body: &Value) -> BTreeMap<String, String> {
    let found = ["labels", "resourceLabels"].iter().find_map(|field| body[*field].as_object());
    let found = found.or_else(|| body["config"]["resourceLabels"].as_object());
    let each = found.into_iter().flatten();
    each.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

impl Book {
    /// Writes down that something exists from now on. Gives its line.
    pub fn open(&mut self, kind: &str, name: &str, body: &Value, maker: &Maker, now: Moment, rate: f64) -> usize {
        self.lines.push(Line {
            kind: kind.to_owned(),
            name: name.to_owned(),
            labels: labels(body),
            description: body["description"].as_str().unwrap_or_default().to_owned(),
            made_by: maker.by.clone(),
            made_for: maker.purpose.clone(),
            since: now,
            until: None,
            rate,
            cost: 0.0,
            rated: now,
            struck: false,
        });
        self.lines.len() - 1
    }

    /// Writes down that it is another way from now on.
    pub fn change(&mut self, line: usize, body: &Value, now: Moment, rate: f64) {
        let line = &mut self.lines[line];
        line.cost += line.rate * hours(now.saturating_sub(line.rated));
        line.rated = now;
        line.rate = rate;
        line.labels = labels(body);
        body["description"].as_str().unwrap_or_default().clone_into(&mut line.description);
    }

    /// Writes down that it exists no longer.
    pub fn close(&mut self, line: usize, now: Moment) {
        let line = &mut self.lines[line];
        line.cost += line.rate * hours(now.saturating_sub(line.rated));
        line.rated = now;
        line.until = Some(now);
    }

    /// Takes back a line that should not have been written.
    pub fn strike(&mut self, line: usize) {
        self.lines[line].struck = true;
    }

    /// Writes down a call.
    pub fn call(&mut self, call: Call) {
        if self.calls.len() == CALLS {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
        self.calls_total += 1;
    }

    /// The calls that are kept, and how many there were.
    pub fn calls(&self) -> (Vec<Call>, u64) {
        (self.calls.iter().cloned().collect(), self.calls_total)
    }

    /// The entries as they are told.
    pub fn entries(&self, clock: &Clock, now: Moment) -> Vec<Entry> {
        let told = self.lines.iter().filter(|line| !line.struck).map(|line| Entry {
            kind: line.kind.clone(),
            name: line.name.clone(),
            labels: line.labels.clone(),
            description: line.description.clone(),
            made_by: line.made_by.clone(),
            made_for: line.made_for.clone(),
            since: clock.timestamp(line.since),
            until: line.until.map(|until| clock.timestamp(until)),
            cost_per_hour: line.rate,
            cost: line.cost + line.until.map_or(line.rate * hours(now.saturating_sub(line.rated)), |_| 0.0),
        });
        told.collect()
    }
}
