//! What a record tells, put in order: each step with its span, the failures, the longest chain, how it ended.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;

use engine::{Address, Blocker, Event, Operation, Record, Remains, Timed, timing_of};
use jiff::Timestamp;
use serde::Serialize;

use super::kept::Kept;
use super::{Begin, Decided, End, Line, Note, VERSION};

/// So many of the last lines that a program printed explain the step that failed.
const LAST_LINES: usize = 20;

/// A run, as its record tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Story {
    /// Who asked for what.
    pub begin: Begin,
    /// What was decided, unless the run ended before.
    pub decided: Option<Decided>,
    /// Everything that was begun, in that order. A replacement is two of them.
    pub steps: Vec<Told>,
    /// What was not tried.
    pub not_tried: Vec<NotTried>,
    /// How it ended, unless it was killed or goes on.
    pub end: Option<End>,
    /// What became of it.
    pub outcome: Outcome,
    /// From the first event to the last, in seconds: what the spans of the steps are told in.
    pub seconds: f64,
    /// The length of the longest chain of steps of which each had to wait for the one before.
    pub chain_seconds: f64,
    /// How many lines could not be understood; the last one of a killed run may be torn.
    pub unread_lines: usize,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything is done.
    Done,
    /// Everything was as wanted already.
    NothingToDo,
    /// Something failed.
    Failed,
    /// The person stopped it.
    Interrupted,
    /// Its process ended without a word.
    Killed,
    /// It is under way.
    Running,
}

/// What came of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is done.
    Done,
    /// There turned out to be nothing to change.
    Unchanged,
    /// It failed.
    Failed,
    /// It was given up because of another failure or an interrupt.
    GivenUp,
    /// It was under way at the end of the record.
    UnderWay,
}

/// One step as it went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// The node.
    pub address: Address,
    /// What a person reads.
    pub title: String,
    /// The group that a plan shows it in.
    pub section: String,
    /// Whether it leaves something in the world.
    pub lasting: bool,
    /// What was done.
    pub operation: Operation,
    /// When it began, in seconds since the run's begin.
    pub began: f64,
    /// How long it took, in seconds; until the end of the record where it did not end.
    pub seconds: f64,
    /// What came of it.
    pub verdict: Verdict,
    /// Whether it is on the longest chain.
    pub is_on_chain: bool,
    /// The milestones that it announced, in seconds since the run's begin.
    pub milestones: Vec<(String, f64)>,
    /// The error and its causes, outermost first.
    pub causes: Vec<String>,
    /// What the person can do.
    pub hint: Option<String>,
    /// What a failure left behind.
    pub remains: Option<Remains>,
    /// What it waited for last; each sort of cause once.
    pub blockers: Vec<Blocker>,
    /// What it said last of itself: for a check, the answer.
    pub said: Option<String>,
    /// The last lines of what a program printed.
    pub output: Vec<String>,
}

/// One step that was not tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotTried {
    /// What a person reads.
    pub title: String,
    /// The step whose failure kept it from being tried.
    pub because: Option<String>,
}

/// Why there is no story.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file cannot be read.
    #[error("read the record {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The first line is not that of a record.
    #[error("read the record {0}: its first line is not that of a record")]
    NoRecord(String),
    /// Its lines have another form.
    #[error("read the record {0}: a newer version of this program wrote it")]
    Newer(String),
}

/// Reads a record. One whose writer is alive tells what there is so far.
pub fn read(kept: &Kept) -> Result<Story, Unreadable> {
    let path = || kept.path.display().to_string();
    let failed = |source| Unreadable::File { path: path(), source };
    // In this order: a writer that ends meanwhile has written its last line.
    let is_running = kept.is_being_written().map_err(failed)?;
    let text = fs::read_to_string(&kept.path).map_err(failed)?;
    match tell(&text, is_running) {
        Some(story) if story.begin.version > VERSION => Err(Unreadable::Newer(path())),
        Some(story) => Ok(story),
        None => Err(Unreadable::NoRecord(path())),
    }
}

/// Makes a story of a record's text. Pure.
pub fn tell(text: &str, is_running: bool) -> Option<Story> {
    let mut lines = text.lines().map(serde_json::from_str::<Line>);
    let Some(Ok(Line::Note(Note::Begin(begin)))) = lines.next() else { return None };
    let (mut records, mut decided, mut end, mut unread_lines) = (Vec::new(), None, None, 0);
    for line in lines {
        match line {
            Ok(Line::Event(record)) => records.push(record),
            Ok(Line::Note(Note::Plan(plan))) => decided = Some(plan),
            Ok(Line::Note(Note::End(last))) => end = Some(last),
            Ok(Line::Note(Note::Begin(_) | Note::OutputLeftOut {})) => {}
            Err(_) => unread_lines += 1,
        }
    }
    let outcome = outcome(end.as_ref(), &records, is_running);
    let mut teller = Teller::new(&records, decided.as_ref());
    for record in &records {
        teller.take(record);
    }
    let Teller { mut steps, not_tried, .. } = teller;
    let planned = decided.iter().flat_map(|decided| &decided.steps);
    let timed = planned.map(|step| Timed { address: &step.address, title: &step.title, needs: &step.needs });
    let timing = timing_of(timed, &records);
    let chain: HashSet<&Address> = timing.chain.iter().map(|link| &link.address).collect();
    let open = if end.is_some() { Verdict::GivenUp } else { Verdict::UnderWay };
    for step in &mut steps {
        step.is_on_chain = chain.contains(&step.address);
        if step.verdict == Verdict::UnderWay {
            step.seconds = (timing.total_seconds - step.began).max(0.0);
            step.verdict = open;
        }
    }
    Some(Story {
        begin,
        steps,
        not_tried,
        outcome,
        seconds: timing.total_seconds,
        chain_seconds: timing.chain_seconds(),
        decided,
        end,
        unread_lines,
    })
}

fn outcome(end: Option<&End>, records: &[Record], is_running: bool) -> Outcome {
    match end.map(|end| end.exit_code) {
        None if is_running => Outcome::Running,
        None => Outcome::Killed,
        Some(0) if records.is_empty() => Outcome::NothingToDo,
        Some(0) => Outcome::Done,
        Some(130) => Outcome::Interrupted,
        Some(_) => Outcome::Failed,
    }
}

/// Goes through the events.
struct Teller<'a> {
    began: Timestamp,
    sections: HashMap<&'a Address, (&'a str, bool)>,
    steps: Vec<Told>,
    /// The span that is under way, or was last, by its node.
    last: HashMap<&'a Address, usize>,
    not_tried: Vec<NotTried>,
}

impl<'a> Teller<'a> {
    fn new(records: &'a [Record], decided: Option<&'a Decided>) -> Self {
        let planned = decided.into_iter().flat_map(|decided| &decided.steps);
        Self {
            began: records.first().map_or(Timestamp::UNIX_EPOCH, |record| record.at),
            sections: planned.map(|step| (&step.address, (&*step.section, step.lasting))).collect(),
            steps: Vec::new(),
            last: HashMap::new(),
            not_tried: Vec::new(),
        }
    }

    fn take(&mut self, record: &'a Record) {
        let at = record.at.duration_since(self.began).as_secs_f64().max(0.0);
        match &record.event {
            Event::StepBegan { address, title, operation } => self.begin(address, title, *operation, at),
            Event::StepNotTried { title, because, .. } => {
                let because = because.as_ref().and_then(|address| self.last.get(address));
                let because = because.map(|index| self.steps[*index].label());
                self.not_tried.push(NotTried { title: title.clone(), because });
            }
            Event::RunBegan { .. } | Event::RunEnded { .. } => {}
            Event::StepProgress { address, .. }
            | Event::StepOutput { address, .. }
            | Event::StepBlocked { address, .. }
            | Event::StepMilestone { address, .. }
            | Event::StepEnded { address, .. }
            | Event::StepFailed { address, .. } => {
                if let Some(index) = self.last.get(address) {
                    self.steps[*index].take(&record.event, at);
                }
            }
        }
    }

    fn begin(&mut self, address: &'a Address, title: &str, operation: Operation, at: f64) {
        let (section, lasting) = self.sections.get(address).copied().unwrap_or(("steps", true));
        self.last.insert(address, self.steps.len());
        self.steps.push(Told {
            address: address.clone(),
            title: title.to_owned(),
            section: section.to_owned(),
            lasting,
            operation,
            began: at,
            seconds: 0.0,
            verdict: Verdict::UnderWay,
            is_on_chain: false,
            milestones: Vec::new(),
            causes: Vec::new(),
            hint: None,
            remains: None,
            blockers: Vec::new(),
            said: None,
            output: Vec::new(),
        });
    }
}

impl Told {
    fn take(&mut self, event: &Event, at: f64) {
        match event {
            Event::StepProgress { message, .. } => self.said = Some(message.clone()),
            Event::StepOutput { line, .. } => {
                if self.output.len() == LAST_LINES {
                    self.output.remove(0);
                }
                self.output.push(line.clone());
            }
            // An empty list says that nothing blocks any more: what did is still worth telling.
            Event::StepBlocked { blockers, .. } if !blockers.is_empty() => self.blockers.clone_from(blockers),
            Event::StepMilestone { milestone, .. } => self.milestones.push((milestone.clone(), at)),
            Event::StepEnded { seconds, unchanged, .. } => {
                self.seconds = *seconds;
                self.verdict = if *unchanged { Verdict::Unchanged } else { Verdict::Done };
            }
            Event::StepFailed { seconds, causes, hint, remains, .. } => {
                (self.seconds, self.verdict) = (*seconds, Verdict::Failed);
                (self.causes, self.hint, self.remains) = (causes.clone(), hint.clone(), Some(*remains));
            }
            _ => {}
        }
    }

    /// What a person reads where steps of all sorts stand together.
    pub fn label(&self) -> String {
        let is_wait = !self.lasting && !matches!(self.address.kind(), "check" | "variable");
        if is_wait { format!("wait for {}", self.title) } else { self.title.clone() }
    }

    /// The causes that will not heal and that no cause of the failure names.
    pub fn untold_blockers(&self) -> impl Iterator<Item = &Blocker> {
        let is_told = |blocker: &Blocker| self.causes.iter().any(|cause| cause.contains(&blocker.subject));
        self.blockers.iter().filter(move |blocker| !blocker.heals && !is_told(blocker))
    }

    /// The last lines of crashed containers, each with whose they are.
    pub fn logs(&self) -> impl Iterator<Item = (&str, &[String])> {
        let logs = self.blockers.iter().filter(|blocker| !blocker.heals && !blocker.log.is_empty());
        logs.map(|blocker| (blocker.subject.as_str(), &blocker.log[..]))
    }

    /// Whether it asks the running system something.
    pub fn is_check(&self) -> bool {
        self.address.kind() == "check"
    }
}

impl Story {
    /// The steps that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Told> {
        self.steps.iter().filter(|step| step.verdict == Verdict::Failed)
    }

    /// The steps that were under way when the run ended without a word, or are now.
    pub fn under_way(&self) -> impl Iterator<Item = &Told> {
        self.steps.iter().filter(|step| step.verdict == Verdict::UnderWay)
    }

    /// What was done and lasts, by what was done: `created`, `changed`, `made anew`, `removed`.
    pub fn changes(&self) -> BTreeMap<&'static str, Vec<&Told>> {
        let mut changes: BTreeMap<&'static str, Vec<&Told>> = BTreeMap::new();
        for step in self.steps.iter().filter(|step| step.lasting && step.verdict == Verdict::Done) {
            let word = match step.operation {
                Operation::Create => "made",
                Operation::Update => "changed",
                Operation::Delete => "removed",
            };
            changes.entry(word).or_default().push(step);
        }
        changes
    }

    /// The fields that were to change with a step.
    pub fn fields(&self, step: &Told) -> Vec<&str> {
        let steps = self.decided.iter().flat_map(|decided| &decided.steps);
        let planned = steps.filter(|planned| planned.address == step.address && step.operation == Operation::Update);
        planned.flat_map(|planned| &planned.fields).map(String::as_str).collect()
    }

    /// Where the deployment is, as far as the run got to know.
    pub fn provider(&self) -> Option<&str> {
        self.decided.as_ref().map(|decided| decided.provider.as_str()).filter(|provider| !provider.is_empty())
    }

    /// How long it took from its first line on, in seconds.
    pub fn whole_seconds(&self) -> f64 {
        self.end.as_ref().map_or(self.seconds, |end| end.seconds)
    }
}
