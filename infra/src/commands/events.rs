//! `infra events`: what happens in a run, from another terminal or afterwards.

use std::fmt::Write as _;
use std::future::ready;
use std::io::Write as _;
use std::time::Duration;

use engine::Sink;
use providers::wait::{Probe, WaitError, until};

use crate::arguments;
use crate::record::follow::Follower;
use crate::record::{Begin, End, Kept, Line, Note, choose, find};
use crate::report::{Exit, Problem};
use crate::session::next_signal;
use crate::settings::Settings;
use crate::view::progress::{Progress, print_json};
use crate::view::{duration, style};

/// How often a record that grows is looked at: as often as a person sees a difference.
const EVERY: Duration = Duration::from_millis(200);
/// Longer than any run.
const FOREVER: Duration = Duration::from_hours(24 * 365);

/// Runs the command. It needs nothing but the record, and disturbs nobody.
pub async fn run(command: &arguments::Events, settings: &Settings) -> Result<Exit, Problem> {
    let name = choose(&command.which, settings).await?;
    let kept = find(settings, &name, command.run)?;
    let mut told = Telling { as_json: settings.json, progress: None, end: None };
    let mut follower = Follower::open(&kept)?;
    if !command.follow {
        let is_running = kept.is_being_written()?;
        follower.lines(|line| told.take(line))?;
        return Ok(told.so_far(&name, &kept, is_running));
    }
    let watching = until("the run", FOREVER, EVERY, || {
        // In this order: a writer that ends meanwhile has written its last line.
        let alive = kept.is_being_written();
        ready(alive.and_then(|is_running| {
            follower.lines(|line| told.take(line))?;
            let is_over = told.end.is_some() || !is_running;
            Ok(if is_over { Probe::Ready(()) } else { Probe::Pending("its end".to_owned()) })
        }))
    });
    tokio::select! {
        ended = watching => ended.map_err(|error: WaitError<std::io::Error>| Problem::from(error))?,
        _ = next_signal() => return Ok(Exit::Interrupted),
    }
    match &told.end {
        Some(end) => Ok(Exit::of_code(end.exit_code)),
        None => {
            Err(Problem::usage(format!("follow the run {} of {name} to its end: its process is gone", kept.number))
                .exit(Exit::Failed)
                .hint("it was killed: the same command goes on from where it was"))
        }
    }
}

/// What is told, and how it ended.
struct Telling {
    /// As JSON, line by line as it stands in the record; else as the run itself tells it where its output is piped.
    as_json: bool,
    /// Known once the plan is.
    progress: Option<Progress>,
    end: Option<End>,
}

impl Telling {
    fn take(&mut self, line: &Line) {
        match line {
            Line::Event(_) | Line::Note(_) if self.as_json => print_json(line),
            Line::Note(Note::Begin(begin)) => say(&heading(begin)),
            Line::Note(Note::Plan(decided)) => self.progress = Some(Progress::plain(&decided.steps)),
            Line::Event(record) => {
                self.progress.get_or_insert_with(|| Progress::plain(&[])).take(record);
            }
            Line::Note(Note::OutputLeftOut {}) => {
                say(&style::dim("    what programs print from here on is not in the record"));
            }
            Line::Note(Note::End(end)) => say(&ending(end)),
        }
        if let Line::Note(Note::End(end)) = line {
            self.end = Some(end.clone());
        }
    }

    /// How far a run has come that is not followed.
    fn so_far(&self, name: &str, kept: &Kept, is_running: bool) -> Exit {
        if self.end.is_none() && is_running {
            anstream::eprintln!("it goes on: `infra events --follow --name {name}` follows it");
        } else if self.end.is_none() {
            let text = format!("the process of run {} is gone: it was killed", kept.number);
            anstream::eprintln!("{} {text}; the same command goes on from there", style::bad("ended:"));
        }
        Exit::Done
    }
}

fn heading(begin: &Begin) -> String {
    let Begin { command_line, run, deployment, at, .. } = begin;
    let when = at.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!("{}  {}", style::bold(command_line), style::dim(format!("run {run} of {deployment}, began {when}")))
}

fn ending(end: &End) -> String {
    let mut text = String::new();
    for (index, cause) in end.causes.iter().enumerate() {
        let word = if index == 0 { format!("{} failed to", style::bad("error:")) } else { "  because".to_owned() };
        let _ = writeln!(text, "{word} {cause}");
    }
    if let Some(hint) = &end.hint {
        let _ = writeln!(text, "{} {hint}", style::hint("hint:"));
    }
    let word = if end.exit_code == 0 { style::good("done") } else { style::bad("not done") };
    text + &format!("{word} in {}, exit code {}", duration(end.seconds), end.exit_code)
}

fn say(text: &str) {
    // A reader that has seen enough (`head`) is no error.
    let _ = writeln!(anstream::stdout(), "{text}");
}
