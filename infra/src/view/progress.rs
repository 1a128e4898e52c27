//! What runs right now, as it happens: live lines on a terminal, plain lines where the output is piped, JSON where it is asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use engine::{Address, Blocker, Event, Operation, Record, Sink};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::record::Planned;
use crate::view::{duration, style};

/// A section with more steps than this is told in sums, not step by step.
const TOLD_ONE_BY_ONE: usize = 25;
/// So many steps that were not tried are told by name.
pub const TOLD_NOT_TRIED: usize = 12;
/// At most so many live lines at once.
const LIVE_LINES: usize = 12;

/// Prints every record as one line of JSON on standard output.
pub struct JsonLines;

impl Sink for JsonLines {
    fn take(&self, record: &Record) {
        print_json(record);
    }
}

/// Prints one line of JSON on standard output.
pub fn print_json(line: &impl Serialize) {
    let line = serde_json::to_string(line).expect("it has only string keys");
    // A reader that went away is no reason to stop a run that changes the world.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Tells a person what happens.
pub struct Progress {
    live: Option<MultiProgress>,
    /// Whether it is told on standard output: where it is the answer, and not what happens besides.
    is_answer: bool,
    titles: HashMap<Address, String>,
    sections: HashMap<Address, String>,
    lasting: HashSet<Address>,
    sums: Mutex<BTreeMap<String, Sum>>,
    bars: Mutex<HashMap<Address, Line>>,
    /// The lines of what was not tried: an object and the wait for it have the same.
    not_tried: Mutex<HashSet<String>>,
}

/// A section that is told in sums.
#[derive(Default)]
struct Sum {
    total: usize,
    ended: usize,
}

/// Where the output is piped, a running step says what it does at most this often.
const TOLD_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// What is shown of a running step.
struct Line {
    bar: Option<ProgressBar>,
    /// By the clock of the events, so that a recorded run is told in the same lines.
    told: Timestamp,
}

impl Progress {
    /// For these steps, on standard error: live where that is a terminal.
    pub fn new(steps: &[Planned]) -> Self {
        Self { live: io::stderr().is_terminal().then(MultiProgress::new), is_answer: false, ..Self::plain(steps) }
    }

    /// For these steps, in plain lines on standard output.
    pub fn plain(steps: &[Planned]) -> Self {
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for step in steps {
            sums.entry(step.section.clone()).or_default().total += 1;
        }
        sums.retain(|_, sum| sum.total > TOLD_ONE_BY_ONE);
        Self {
            live: None,
            is_answer: true,
            titles: steps.iter().map(|step| (step.address.clone(), step.title.clone())).collect(),
            sections: steps.iter().map(|step| (step.address.clone(), step.section.clone())).collect(),
            lasting: steps.iter().filter(|step| step.lasting).map(|step| step.address.clone()).collect(),
            sums: Mutex::new(sums),
            bars: Mutex::new(HashMap::new()),
            not_tried: Mutex::new(HashSet::new()),
        }
    }

    fn say(&self, text: &str) {
        match &self.live {
            Some(live) => live.suspend(|| anstream::eprintln!("{text}")),
            // A reader that has seen enough (`head`) is no error.
            None if self.is_answer => drop(writeln!(anstream::stdout(), "{text}")),
            None => anstream::eprintln!("{text}"),
        }
    }

    fn title(&self, address: &Address) -> String {
        self.titles.get(address).cloned().unwrap_or_else(|| address.to_string())
    }

    fn is_told_in_sums(&self, address: &Address) -> bool {
        self.sections
            .get(address)
            .is_some_and(|section| self.sums.lock().expect("no sink panics").contains_key(section))
    }

    fn began(&self, at: Timestamp, address: &Address, title: &str) {
        if self.is_told_in_sums(address) {
            return;
        }
        let mut bars = self.bars.lock().expect("no sink panics");
        let room = bars.len() < LIVE_LINES;
        let bar = self.live.as_ref().filter(|_| room).map(|live| {
            let bar = live.add(ProgressBar::new_spinner());
            bar.set_style(
                ProgressStyle::with_template("  {spinner:.cyan} {prefix}  {elapsed:>4.dim}  {wide_msg:.dim}")
                    .expect("a fixed template"),
            );
            bar.set_prefix(format!("{title:<40}"));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bars.insert(address.clone(), Line { bar, told: at });
    }

    /// What a running step does: on its live line, or now and then as a line of its own.
    fn progress(&self, at: Timestamp, address: &Address, message: &str) {
        let mut bars = self.bars.lock().expect("no sink panics");
        let Some(line) = bars.get_mut(address) else { return };
        if let Some(bar) = &line.bar {
            bar.set_message(message.to_owned());
        } else if self.live.is_none() && at.duration_since(line.told) >= TOLD_EVERY {
            line.told = at;
            self.say(&format!("    {}: {message}", self.title(address)));
        }
    }

    fn ended(&self, address: &Address, operation: Operation, seconds: f64, unchanged: bool) {
        self.clear(address);
        if operation == Operation::Delete && !self.lasting.contains(address) {
            // A wait or check left nothing that could be removed.
        } else if let Some(line) = self.count(address) {
            self.say(&line);
        } else if !self.is_told_in_sums(address) {
            let word = match operation {
                Operation::Delete => "  removed",
                _ if unchanged => "  unchanged",
                _ => "",
            };
            self.say(&format!(
                "  {} {:<48} {:>8}{}",
                style::good("✓"),
                self.title(address),
                duration(seconds),
                style::dim(word)
            ));
        }
    }

    /// Counts a step of a section that is told in sums; a line for every tenth of it.
    fn count(&self, address: &Address) -> Option<String> {
        let section = self.sections.get(address)?;
        let mut sums = self.sums.lock().expect("no sink panics");
        let sum = sums.get_mut(section)?;
        sum.ended += 1;
        let told = sum.ended == sum.total || sum.ended.is_multiple_of((sum.total / 10).max(1));
        let mark = if sum.ended == sum.total { style::good("✓") } else { " ".to_owned() };
        told.then(|| format!("  {mark} {section}: {} of {}", sum.ended, sum.total))
    }

    fn failed(&self, address: &Address, seconds: f64, causes: &[String], hint: Option<&str>) {
        self.clear(address);
        let mut text = format!("  {} {:<48} {:>8}", style::bad("✗"), self.title(address), duration(seconds));
        for cause in causes {
            for line in cause.lines() {
                let _ = write!(text, "\n      {line}");
            }
        }
        if let Some(hint) = hint {
            let _ = write!(text, "\n      {} {hint}", style::hint("hint:"));
        }
        self.say(&text);
    }

    /// What was not tried is told once, at the end of the run: the first of them by name, with what they waited for.
    fn not_tried(&self, address: &Address, title: &str, because: Option<&Address>) {
        self.clear(address);
        let why = because.map(|failed| self.title(failed)).map_or(String::new(), |failed| {
            // The wait for an object is called as that is.
            if failed == title { ": it failed before".to_owned() } else { format!(": {failed} failed") }
        });
        let line = format!("  {} {title:<48} {}", style::dim("·"), style::dim(format!("not tried{why}")));
        let mut told = self.not_tried.lock().expect("no panic with it");
        if told.len() < TOLD_NOT_TRIED && told.insert(line.clone()) {
            self.say(&line);
        }
    }

    /// What may heal is told like progress; what will not is told for good, with the container's last words.
    fn blocked(&self, at: Timestamp, address: &Address, blockers: &[Blocker]) {
        if let Some(blocker) = blockers.iter().find(|blocker| blocker.heals) {
            self.progress(at, address, &format!("{} ({}): {}", blocker.cause, blocker.subject, blocker.message));
        }
        for blocker in blockers.iter().filter(|blocker| !blocker.heals) {
            let mut text =
                format!("  {} {}: {} ({})", style::change("!"), self.title(address), blocker.cause, blocker.subject);
            if !blocker.message.is_empty() {
                let _ = write!(text, "\n      {}", blocker.message);
            }
            for line in &blocker.log {
                let _ = write!(text, "\n      {} {line}", style::dim("|"));
            }
            self.say(&text);
        }
    }

    /// What a program printed. Of builds only the latest line is shown, where lines live; the record of the run has them all,
    /// and a failure repeats the last ones.
    fn output(&self, at: Timestamp, address: &Address, line: &str) {
        if self.lasting.contains(address) {
            if self.live.is_some() {
                self.progress(at, address, line);
            }
            return;
        }
        let workload = address.name().rsplit('/').next().unwrap_or_default();
        self.say(&format!("    {} {line}", style::dim(format!("{workload} |"))));
    }

    fn clear(&self, address: &Address) {
        if let Some(Line { bar: Some(bar), .. }) = self.bars.lock().expect("no sink panics").remove(address) {
            bar.finish_and_clear();
        }
    }
}

impl Sink for Progress {
    fn take(&self, record: &Record) {
        match &record.event {
            Event::StepBegan { address, title, .. } => self.began(record.at, address, title),
            Event::StepProgress { address, message } => self.progress(record.at, address, message),
            Event::StepOutput { address, line } => self.output(record.at, address, line),
            Event::StepBlocked { address, blockers } => self.blocked(record.at, address, blockers),
            Event::StepEnded { address, operation, seconds, unchanged } => {
                self.ended(address, *operation, *seconds, *unchanged);
            }
            Event::StepFailed { address, seconds, causes, hint, .. } => {
                self.failed(address, *seconds, causes, hint.as_deref());
            }
            Event::StepNotTried { address, title, because } => self.not_tried(address, title, because.as_ref()),
            Event::RunBegan { .. } | Event::StepMilestone { .. } | Event::RunEnded { .. } => {}
        }
    }
}
