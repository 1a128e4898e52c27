//! What runs right now, as it happens: live lines on a terminal, plain lines where the output is piped, JSON where it is asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::{Address, Blocker, Event, Operation, Plan, Record, Sink};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

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
        let line = serde_json::to_string(record).expect("a record has only string keys");
        // A reader that went away is no reason to stop a run that changes the world.
        let _ = writeln!(io::stdout().lock(), "{line}");
    }
}

/// Keeps the record of the run: in a file, and in memory for the summary.
pub struct Recorder {
    file: Mutex<File>,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Recorder {
    /// Writes to a new file in the folder, named by the run's number. Returns it with the records as they come.
    pub fn new(folder: &Path) -> io::Result<(Self, Arc<Mutex<Vec<Record>>>)> {
        let last = std::fs::read_dir(folder)?
            .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str()?.parse::<u32>().ok())
            .max();
        let path = folder.join(format!("{:04}.jsonl", last.unwrap_or(0) + 1));
        let records = Arc::new(Mutex::new(Vec::new()));
        Ok((Self { file: Mutex::new(File::create(path)?), records: records.clone() }, records))
    }
}

impl Sink for Recorder {
    fn take(&self, record: &Record) {
        let mut line = serde_json::to_string(record).expect("a record has only string keys");
        line.push('\n');
        // The journal is what counts; a record that cannot be written (a full disk) shows in the journal's own error.
        let _ = self.file.lock().expect("no sink panics").write_all(line.as_bytes());
        // Programs' output is only for the file: it can be long.
        if !matches!(record.event, Event::StepOutput { .. }) {
            self.records.lock().expect("no sink panics").push(record.clone());
        }
    }
}

/// Tells a person what happens.
pub struct Progress {
    live: Option<MultiProgress>,
    titles: HashMap<Address, String>,
    sections: HashMap<Address, String>,
    lasting: HashSet<Address>,
    sums: Mutex<BTreeMap<String, Sum>>,
    bars: Mutex<HashMap<Address, Line>>,
    not_tried: AtomicUsize,
}

/// A section that is told in sums.
#[derive(Default)]
struct Sum {
    total: usize,
    ended: usize,
}

/// Where the output is piped, a running step says what it does at most this often.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// What is shown of a running step.
struct Line {
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Progress {
    /// For the steps of this plan.
    pub fn new(plan: &Plan) -> Self {
        let changing = || plan.steps.iter().filter(|step| step.action.is_change());
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for step in changing() {
            sums.entry(step.node.section.clone()).or_default().total += 1;
        }
        sums.retain(|_, sum| sum.total > TOLD_ONE_BY_ONE);
        Self {
            live: io::stderr().is_terminal().then(MultiProgress::new),
            titles: changing().map(|step| (step.node.address.clone(), step.node.title.clone())).collect(),
            sections: changing().map(|step| (step.node.address.clone(), step.node.section.clone())).collect(),
            lasting: changing().filter(|step| step.node.lasting).map(|step| step.node.address.clone()).collect(),
            sums: Mutex::new(sums),
            bars: Mutex::new(HashMap::new()),
            not_tried: AtomicUsize::new(0),
        }
    }

    fn say(&self, text: &str) {
        match &self.live {
            Some(live) => live.suspend(|| anstream::eprintln!("{text}")),
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

    fn began(&self, address: &Address, title: &str) {
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
        bars.insert(address.clone(), Line { bar, told: Instant::now() });
    }

    /// What a running step does: on its live line, or now and then as a line of its own.
    fn progress(&self, address: &Address, message: &str) {
        let mut bars = self.bars.lock().expect("no sink panics");
        let Some(line) = bars.get_mut(address) else { return };
        if let Some(bar) = &line.bar {
            bar.set_message(message.to_owned());
        } else if self.live.is_none() && line.told.elapsed() >= TOLD_EVERY {
            line.told = Instant::now();
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
        let told = self.not_tried.fetch_add(1, Ordering::Relaxed);
        if told < TOLD_NOT_TRIED {
            let why = because.map(|failed| self.title(failed)).map_or(String::new(), |failed| {
                // The wait for an object is called as that is.
                if failed == title { ": it failed before".to_owned() } else { format!(": {failed} failed") }
            });
            self.say(&format!("  {} {title:<48} {}", style::dim("·"), style::dim(format!("not tried{why}"))));
        }
    }

    /// What may heal is told like progress; what will not is told for good, with the container's last words.
    fn blocked(&self, address: &Address, blockers: &[Blocker]) {
        if let Some(blocker) = blockers.iter().find(|blocker| blocker.heals) {
            self.progress(address, &format!("{} ({}): {}", blocker.cause, blocker.subject, blocker.message));
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
    fn output(&self, address: &Address, line: &str) {
        if self.lasting.contains(address) {
            if self.live.is_some() {
                self.progress(address, line);
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
            Event::StepBegan { address, title, .. } => self.began(address, title),
            Event::StepProgress { address, message } => self.progress(address, message),
            Event::StepOutput { address, line } => self.output(address, line),
            Event::StepBlocked { address, blockers } => self.blocked(address, blockers),
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
