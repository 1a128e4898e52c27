//! A run as text: failures first, then what changed, what answered, and where the time went.

use std::fmt::Write as _;

use engine::Remains;

use crate::record::story::{Outcome, Story, Told, Verdict};
use crate::view::{count, duration, style};

/// So many steps are told one by one; of the rest only how many they are.
const SHOWN_STEPS: usize = 20;
/// How wide the timeline is, in letters.
const WIDTH: u32 = 28;

/// The whole report.
pub fn render(story: &Story) -> String {
    let mut text = head(story);
    problem(&mut text, story);
    for step in story.failures() {
        text += "\n";
        failure(&mut text, step);
    }
    under_way(&mut text, story);
    not_tried(&mut text, story);
    changes(&mut text, story);
    checks(&mut text, story);
    timeline(&mut text, story);
    facts(&mut text, story);
    text
}

/// What became of a run, in one word or two.
pub fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::NothingToDo => "nothing to do",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
        Outcome::Killed => "killed",
        Outcome::Running => "under way",
    }
}

/// A run in one line, for a list.
pub fn line(story: &Story) -> String {
    let begin = &story.begin;
    let when = begin.at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let word = format!("{:<13}", outcome(story.outcome));
    let seconds = duration(story.whole_seconds());
    let first = story.failures().next().map_or(String::new(), |step| format!("  {}", style::dim(&step.title)));
    format!("{:>5}  {when}  {:<8} {}  {seconds:>11}{first}\n", begin.run, begin.command, paint(story.outcome, word))
}

fn paint(outcome: Outcome, word: impl std::fmt::Display) -> String {
    match outcome {
        Outcome::Done | Outcome::NothingToDo => style::good(word),
        Outcome::Running | Outcome::Interrupted => style::change(word),
        Outcome::Failed | Outcome::Killed => style::bad(word),
    }
}

fn head(story: &Story) -> String {
    let begin = &story.begin;
    let place = story.provider().map_or(String::new(), |provider| format!(" on {provider}"));
    let title = style::bold(format!("{} of {}{place}", begin.command, begin.deployment));
    let mut text = format!("{title}: {}\n", paint(story.outcome, outcome(story.outcome)));
    let when = begin.at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let took = duration(story.whole_seconds());
    let who = format!("{}@{}, infra {}", begin.user, begin.host, begin.infra);
    let _ = writeln!(text, "  {}", begin.command_line);
    let _ = writeln!(text, "  {}", style::dim(format!("run {}, began {when}, took {took}, {who}", begin.run)));
    text
}

/// Why the run ended outside of any step.
fn problem(text: &mut String, story: &Story) {
    if story.outcome == Outcome::Killed {
        let _ = writeln!(
            text,
            "\n{} its process ended without a word; the same command goes on from there",
            style::bad("killed:")
        );
    }
    let Some(end) = &story.end else { return };
    for (index, cause) in end.causes.iter().enumerate() {
        let word = if index == 0 { format!("\n{} failed to", style::bad("error:")) } else { "  because".to_owned() };
        let _ = writeln!(text, "{word} {cause}");
    }
    if let Some(hint) = &end.hint {
        let _ = writeln!(text, "{} {hint}", style::hint("hint:"));
    }
}

fn failure(text: &mut String, step: &Told) {
    let _ =
        writeln!(text, "{} {:<50} {:>8}", style::bad("✗"), style::bold(wide(&step.label())), duration(step.seconds));
    for line in step.causes.iter().flat_map(|cause| cause.lines()) {
        let _ = writeln!(text, "    {line}");
    }
    for blocker in step.untold_blockers() {
        let _ = writeln!(text, "    {}: {}", blocker.subject, blocker.cause);
    }
    for line in step.logs().flat_map(|(_, lines)| lines).chain(&step.output) {
        let _ = writeln!(text, "    {} {line}", style::dim("|"));
    }
    if let Some(hint) = &step.hint {
        let _ = writeln!(text, "    {} {hint}", style::hint("hint:"));
    }
    if step.lasting && step.remains.is_some_and(|remains| remains != Remains::Nothing) {
        let _ = writeln!(text, "    {}", style::dim("it may be there in part; the same command looks for it first"));
    }
}

fn wide(title: &str) -> String {
    format!("{title:<50}")
}

fn under_way(text: &mut String, story: &Story) {
    let steps: Vec<&Told> = story.under_way().collect();
    if steps.is_empty() {
        return;
    }
    let heading = if story.outcome == Outcome::Running { "under way" } else { "under way when it was killed" };
    let _ = writeln!(text, "\n{}", style::dim(heading));
    for step in steps.iter().take(SHOWN_STEPS) {
        let said = step.said.as_deref().unwrap_or_default();
        let line = format!(
            "  {} {:<48} {:>8}  {}",
            style::change("…"),
            step.label(),
            duration(step.seconds),
            style::dim(said)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    more(text, steps.len());
}

fn not_tried(text: &mut String, story: &Story) {
    if story.not_tried.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{}", style::dim("not tried"));
    for step in story.not_tried.iter().take(SHOWN_STEPS) {
        let because = step.because.as_ref().map_or(String::new(), |because| format!("because of {because}"));
        let line = format!("  {} {:<48} {}", style::dim("·"), step.title, style::dim(because));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    more(text, story.not_tried.len());
}

fn more(text: &mut String, all: usize) {
    if all > SHOWN_STEPS {
        let _ = writeln!(text, "  {}", style::dim(format!("... and {} more", all - SHOWN_STEPS)));
    }
}

fn changes(text: &mut String, story: &Story) {
    let changes = story.changes();
    if changes.is_empty() {
        return;
    }
    let sums: Vec<String> = changes.iter().map(|(word, steps)| format!("{} {word}", steps.len())).collect();
    let kept = story.decided.as_ref().map_or(0, |decided| decided.kept);
    let kept = if kept == 0 { String::new() } else { format!(", {kept} as they were") };
    let _ = writeln!(text, "\n{}", style::dim(format!("what changed: {}{kept}", sums.join(", "))));
    let all: Vec<(&str, &Told)> =
        changes.iter().flat_map(|(word, steps)| steps.iter().map(move |step| (*word, *step))).collect();
    for (word, step) in all.iter().take(SHOWN_STEPS) {
        let sign = match *word {
            "made" => style::good("+"),
            "removed" => style::bad("-"),
            _ => style::change("~"),
        };
        let fields = story.fields(step).join(", ");
        let line = format!("  {sign} {:<48} {}", step.title, style::dim(fields));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    more(text, all.len());
}

fn checks(text: &mut String, story: &Story) {
    let checks: Vec<&Told> = story.steps.iter().filter(|step| step.is_check()).collect();
    if checks.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{}", style::dim("checks"));
    for step in checks {
        let (sign, said) = match step.verdict {
            Verdict::Failed => (style::bad("✗"), step.causes.join(": ")),
            _ => (style::good("✓"), step.said.clone().unwrap_or_default()),
        };
        let line = format!("  {sign} {:<48} {:>8}  {}", step.title, duration(step.seconds), style::dim(said));
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// The longest steps in the order in which they began, each with its span; those of the longest chain are marked.
fn timeline(text: &mut String, story: &Story) {
    let mut longest: Vec<&Told> = story.steps.iter().collect();
    longest.sort_by(|left, right| {
        (right.is_on_chain && right.seconds >= 0.1, right.seconds)
            .partial_cmp(&(left.is_on_chain && left.seconds >= 0.1, left.seconds))
            .expect("no step takes a time that is no number")
    });
    longest.truncate(SHOWN_STEPS);
    longest.sort_by(|left, right| left.began.total_cmp(&right.began));
    if longest.is_empty() {
        return;
    }
    let heading = "where the time went, ● on the longest chain";
    let ends = format!("0 s {:>width$}", duration(story.seconds), width = WIDTH as usize - 4);
    let _ = writeln!(text, "\n{} {:>14}{}", style::dim(heading), "", style::dim(ends).trim_end());
    for step in longest {
        let mark = if step.is_on_chain { style::hint("●") } else { " ".to_owned() };
        let span = bar(step.began, step.seconds, story.seconds);
        let span = match (step.verdict, step.is_on_chain) {
            (Verdict::Failed, _) => style::bad(span),
            (Verdict::UnderWay | Verdict::GivenUp, _) => style::change(span),
            (_, true) => style::hint(span),
            (_, false) => style::dim(span),
        };
        let _ = writeln!(text, "  {mark} {:<44} {:>9}  {span}", step.label(), duration(step.seconds));
    }
    let rest = story.steps.len().saturating_sub(SHOWN_STEPS);
    if rest > 0 {
        let _ = writeln!(text, "    {}", style::dim(format!("{}, shorter than these", count(rest, "more step"))));
    }
    let _ = writeln!(text, "    {:<44} {:>9}", "the longest chain", duration(story.chain_seconds));
    let _ = writeln!(text, "    {} {:>9}", style::bold(format!("{:<44}", "in all")), duration(story.seconds));
}

/// A span as letters; the shortest is one letter wide.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are between 0 and the width")]
fn bar(began: f64, seconds: f64, all: f64) -> String {
    let all = all.max(1e-9);
    let place = |at: f64| (at / all * f64::from(WIDTH)).round().clamp(0.0, f64::from(WIDTH)) as usize;
    let start = place(began).min(WIDTH as usize - 1);
    let end = place(began + seconds).max(start + 1);
    " ".repeat(start) + &"█".repeat(end - start)
}

fn facts(text: &mut String, story: &Story) {
    let Some(end) = &story.end else { return };
    if !end.images.is_empty() {
        let _ = writeln!(text, "\n{}", style::dim("images"));
        for image in &end.images {
            let _ = writeln!(text, "  {:<48} {}", image.title, style::dim(&image.digest));
        }
    }
    if !end.gone.is_empty() {
        let _ = writeln!(text, "\n{}", style::dim("looked up and found gone"));
        for (what, number) in &end.gone {
            let _ = writeln!(text, "  {} {number:>4} {what}", style::good("✓"));
        }
    }
    let addresses = story.decided.iter().flat_map(|decided| &decided.addresses);
    let addresses: Vec<_> = addresses.filter(|_| end.exit_code == 0).collect();
    if !addresses.is_empty() {
        let _ = writeln!(text, "\n{}", style::dim("addresses"));
        for address in addresses {
            let _ = writeln!(text, "  {:<48} {}", address.service, style::hint(&address.url));
        }
    }
}
