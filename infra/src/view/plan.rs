//! A plan as a person reads it.

use std::fmt::Write as _;

use engine::{Action, FieldChange, Plan, Step};
use serde_json::Value;

use crate::view::{count, style};

/// The order in which the sections are shown; others follow.
const SECTIONS: [&str; 6] = ["cluster", "images", "volumes", "objects", "waits", "checks"];
/// A section with more changes of one sort than this shows only the first and how many more.
const SHOWN_OF_A_SORT: usize = 12;
/// A value longer than this is cut.
const SHOWN_CHARACTERS: usize = 60;

/// How many steps of each sort a plan has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lasting things that are made.
    pub create: usize,
    /// Things that are changed in place.
    pub update: usize,
    /// Things that are made anew.
    pub replace: usize,
    /// Things that are deleted.
    pub delete: usize,
}

/// Counts what lasts; waits and checks are not counted.
pub fn counts(plan: &Plan) -> Counts {
    let mut counts = Counts::default();
    for step in plan.steps.iter().filter(|step| step.node.lasting) {
        match step.action {
            Action::Keep => {}
            Action::Create { .. } => counts.create += 1,
            Action::Update { .. } => counts.update += 1,
            Action::Replace { .. } => counts.replace += 1,
            Action::Delete | Action::GoesWith { .. } => counts.delete += 1,
        }
    }
    counts
}

/// The whole plan as text.
pub fn render(heading: &str, plan: &Plan) -> String {
    let mut text = format!("{}\n", style::bold(heading));
    let mut sections: Vec<&str> = SECTIONS.to_vec();
    for step in &plan.steps {
        if !sections.contains(&step.node.section.as_str()) {
            sections.push(&step.node.section);
        }
    }
    for section in sections {
        let steps: Vec<&Step> =
            plan.steps.iter().filter(|step| step.node.section == section && is_shown(step)).collect();
        if steps.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n  {}", style::dim(section));
        render_section(&mut text, &steps);
    }
    let counts = counts(plan);
    let mut parts = vec![format!("{} to make", counts.create), format!("{} to change", counts.update)];
    if counts.replace > 0 {
        parts.push(format!("{} to make anew", counts.replace));
    }
    parts.push(format!("{} to remove", counts.delete));
    let _ = writeln!(text, "\n{}", parts.join(", "));
    text
}

fn is_shown(step: &Step) -> bool {
    match step.action {
        Action::Keep => false,
        // What only waited or checked leaves nothing to remove.
        Action::Delete | Action::GoesWith { .. } => step.node.lasting,
        _ => true,
    }
}

fn render_section(text: &mut String, steps: &[&Step]) {
    let width = steps.iter().take(60).map(|step| step.node.title.chars().count()).max().unwrap_or(0).min(48);
    let mut shown = 0;
    for step in steps {
        shown += 1;
        if shown > SHOWN_OF_A_SORT && steps.len() > SHOWN_OF_A_SORT + 3 {
            let _ = writeln!(text, "    {}", style::dim(format!("... and {} more", steps.len() - SHOWN_OF_A_SORT)));
            return;
        }
        let (sign, remark, changes) = describe(step);
        let note = step.node.note.clone().filter(|_| !matches!(step.action, Action::Delete | Action::GoesWith { .. }));
        let remark = [remark, note].into_iter().flatten().collect::<Vec<_>>().join("; ");
        if remark.is_empty() {
            let _ = writeln!(text, "    {sign} {}", step.node.title);
        } else {
            let _ = writeln!(text, "    {sign} {:width$}  {}", step.node.title, style::dim(remark));
        }
        for change in changes.iter().take(6) {
            let _ = writeln!(text, "        {}", render_change(change));
        }
        if changes.len() > 6 {
            let _ =
                writeln!(text, "        {}", style::dim(format!("... and {}", count(changes.len() - 6, "more field"))));
        }
    }
}

fn describe(step: &Step) -> (String, Option<String>, &[FieldChange]) {
    match &step.action {
        Action::Keep => (" ".to_owned(), None, &[]),
        Action::Create { because } => (style::good("+"), because.clone(), &[]),
        Action::Update { changes, drift } => (style::change("~"), drift.clone(), changes),
        Action::Replace { because, changes } => (style::change("±"), Some(format!("made anew: {because}")), changes),
        Action::Delete => (style::bad("-"), None, &[]),
        Action::GoesWith { container } => (style::bad("-"), Some(format!("goes with {}", container.name())), &[]),
    }
}

fn render_change(change: &FieldChange) -> String {
    let old = change.old.as_ref().map_or_else(|| "(none)".to_owned(), render_value);
    let new = change.new.as_ref().map_or_else(|| "(none)".to_owned(), render_value);
    format!("{}: {old} {} {new}", change.path, style::dim("->"))
}

fn render_value(value: &Value) -> String {
    if let Some(reference) = value.get("$output").and_then(|pair| pair.get(0)).and_then(Value::as_str) {
        return style::dim(format!("(known after {reference})"));
    }
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= SHOWN_CHARACTERS {
        return text;
    }
    // The end of a digest or an address tells as much as its beginning.
    let start: String = text.chars().take(SHOWN_CHARACTERS / 2).collect();
    let end: String = text.chars().skip(text.chars().count() - SHOWN_CHARACTERS / 3).collect();
    format!("{start}...{end}")
}
