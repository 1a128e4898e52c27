//! A plan as a person reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use engine::{Action, Drift, Drifted, FieldChange, InTheWay, Observation, Plan, Step};

use crate::view::change::{self, shown_path};
use crate::view::{count, style};

/// The section of the variables that are not the default.
const VARIABLES: &str = "variables";
/// The order in which the sections are shown; others follow.
const SECTIONS: [&str; 7] = [VARIABLES, "cluster", "images", "volumes", "objects", "waits", "checks"];
/// A section with more changes of one sort than this shows only the first and how many more.
const SHOWN_OF_A_SORT: usize = 12;
/// So many fields of one thing are shown.
const SHOWN_FIELDS: usize = 6;
/// A title that is longer than this moves its remark to the right.
const TITLE_WIDTH: usize = 48;

/// How many steps of each sort a plan has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lasting things that are made.
    pub create: usize,
    /// Things of somebody else that are taken over.
    pub adopt: usize,
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
            Action::Adopt { .. } => counts.adopt += 1,
            Action::Update { .. } => counts.update += 1,
            Action::Replace { .. } => counts.replace += 1,
            Action::Delete | Action::GoesWith { .. } => counts.delete += 1,
        }
    }
    counts
}

/// The whole plan as text.
pub fn render(heading: &str, plan: &Plan) -> String {
    let mut text = format!("{}\n{}", style::bold(heading), outside(plan));
    if !plan.in_the_way.is_empty() {
        let _ = writeln!(text, "\n  {}", style::dim("already there, not made by infra"));
        render_lines(&mut text, plan.in_the_way.iter().map(in_the_way).collect());
    }
    if !plan.moved.is_empty() {
        let _ = writeln!(text, "\n  {}", style::dim("moved"));
        for moved in &plan.moved {
            let _ = writeln!(text, "    {} {} is {} from now on", style::change("→"), moved.from, moved.to);
        }
    }
    let mut sections: Vec<&str> = SECTIONS.to_vec();
    for step in &plan.steps {
        if !sections.contains(&step.node.section.as_str()) {
            sections.push(&step.node.section);
        }
    }
    for section in sections {
        let steps = plan.steps.iter().filter(|step| step.node.section == section && is_shown(step));
        let lines: Vec<Line> = steps.map(line).collect();
        if !lines.is_empty() {
            let _ = writeln!(text, "\n  {}", style::dim(section));
            render_lines(&mut text, lines);
        }
    }
    let _ = writeln!(text, "\n{}", sums(plan));
    text
}

/// What somebody else did to what is held; empty where nobody did anything.
pub fn outside(plan: &Plan) -> String {
    let mut text = String::new();
    let changed: Vec<Line> = plan.drifted.iter().filter_map(drifted).collect();
    if !changed.is_empty() {
        let _ = writeln!(text, "\n  {}", style::dim("changed outside of infra"));
        render_lines(&mut text, changed);
    }
    let mut unseen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Drifted { title, observation, .. } in &plan.drifted {
        if let Observation::Unknown(why) = observation {
            unseen.entry(why).or_default().push(title);
        }
    }
    if !unseen.is_empty() {
        let _ = writeln!(text, "\n  {}", style::dim("could not be looked at"));
    }
    for (why, titles) in unseen {
        let more = titles.len() - 1;
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let _ = writeln!(text, "    {} {}{more}  {}", style::change("?"), titles[0], style::dim(why));
    }
    text
}

/// The variables that are not the default, to be said where nothing is to be done.
pub fn variables(plan: &Plan) -> String {
    let steps = plan.steps.iter().filter(|step| step.node.section == VARIABLES);
    let titles: Vec<&str> = steps.map(|step| step.node.title.as_str()).collect();
    if titles.is_empty() { String::new() } else { format!(", with {}", titles.join(", ")) }
}

fn sums(plan: &Plan) -> String {
    let Counts { create, adopt, update, replace, delete } = counts(plan);
    let mut parts = vec![format!("{create} to make"), format!("{update} to change")];
    parts.extend((adopt > 0).then(|| format!("{adopt} to adopt")));
    parts.extend((replace > 0).then(|| format!("{replace} to make anew")));
    parts.push(format!("{delete} to remove"));
    parts.join(", ")
}

fn is_shown(step: &Step) -> bool {
    match step.action {
        // What a deployment is told from its scenario by is always said.
        _ if step.node.section == VARIABLES => true,
        Action::Keep => false,
        // What only waited or checked leaves nothing to remove.
        Action::Delete | Action::GoesWith { .. } => step.node.lasting,
        _ => true,
    }
}

/// One thing with its sign, what is to be said of it, and the fields that differ.
struct Line<'a> {
    sign: String,
    title: &'a str,
    remark: String,
    fields: Vec<&'a FieldChange>,
    /// The field that forces a replacement.
    forcing: Option<&'a str>,
}

fn render_lines(text: &mut String, lines: Vec<Line>) {
    let width = lines.iter().map(|line| line.title.chars().count()).filter(|width| *width <= TITLE_WIDTH).max();
    let width = width.unwrap_or(0);
    let total = lines.len();
    for (index, line) in lines.into_iter().enumerate() {
        if index >= SHOWN_OF_A_SORT && total > SHOWN_OF_A_SORT + 3 {
            let _ = writeln!(text, "    {}", style::dim(format!("... and {} more", total - SHOWN_OF_A_SORT)));
            return;
        }
        if line.remark.is_empty() {
            let _ = writeln!(text, "    {} {}", line.sign, line.title);
        } else {
            let _ = writeln!(text, "    {} {:width$}  {}", line.sign, line.title, style::dim(&line.remark));
        }
        render_fields(text, &line);
    }
}

/// The fields that differ, those that force a replacement first.
fn render_fields(text: &mut String, line: &Line) {
    let forces = |field: &FieldChange| {
        let rest = line.forcing.and_then(|forcing| field.path.strip_prefix(forcing));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let mut fields = line.fields.clone();
    fields.sort_by_key(|field| !forces(field));
    for field in fields.iter().take(SHOWN_FIELDS) {
        let mut lines = change::render(field);
        if forces(field) {
            let _ = write!(lines[0], "  {}", style::change("forces it"));
        }
        for line in lines {
            let _ = writeln!(text, "        {line}");
        }
    }
    if fields.len() > SHOWN_FIELDS {
        let more = count(fields.len() - SHOWN_FIELDS, "more field");
        let _ = writeln!(text, "        {}", style::dim(format!("... and {more}")));
    }
}

fn drifted(drifted: &Drifted) -> Option<Line<'_>> {
    let (remark, fields) = match &drifted.observation {
        Observation::Absent => ("gone".to_owned(), Vec::new()),
        Observation::Changed(Drift { what, fields }) => (what.clone(), fields.iter().collect()),
        Observation::AsRecorded | Observation::Unknown(_) => return None,
    };
    Some(Line { sign: style::change("!"), title: &drifted.title, remark, fields, forcing: None })
}

fn in_the_way(found: &InTheWay) -> Line<'_> {
    let remark = if found.may_be_adopted {
        "--adopt takes it over".to_owned()
    } else {
        format!("{}: it is never taken over", found.owner)
    };
    Line { sign: style::bad("!"), title: &found.title, remark, fields: Vec::new(), forcing: None }
}

fn line(step: &Step) -> Line<'_> {
    let (sign, remark, fields, forcing) = describe(step);
    let note = step.node.note.clone().filter(|_| !matches!(step.action, Action::Delete | Action::GoesWith { .. }));
    let remark = [remark, note].into_iter().flatten().collect::<Vec<_>>().join("; ");
    Line { sign, title: &step.node.title, remark, fields: fields.iter().collect(), forcing }
}

fn describe(step: &Step) -> (String, Option<String>, &[FieldChange], Option<&str>) {
    match &step.action {
        Action::Keep => (" ".to_owned(), None, &[], None),
        Action::Create { because } => (style::good("+"), because.clone(), &[], None),
        Action::Adopt { owner } => {
            let remark = format!("adopted: it {owner}; destroy will delete it");
            (style::change("»"), Some(remark), &[], None)
        }
        Action::Update { changes, may_force, drift } => {
            let may_force = may_force.as_ref();
            let anew = may_force.map(|field| format!("made anew if {} turns out to differ", shown_path(field)));
            let remark = [drift.as_ref().map(put_back), anew].into_iter().flatten().collect::<Vec<_>>().join("; ");
            let again = || format!("again{}", after(changes)).into();
            match remark.as_str() {
                // What only waits or checks does it again because something else has changed; how is of no interest.
                _ if !step.node.lasting && changes.iter().all(is_revision) => (style::change("~"), again(), &[], None),
                "" => (style::change("~"), None, changes, None),
                _ => (style::change("~"), Some(remark), changes, None),
            }
        }
        // What leaves nothing in the world is not made anew, but done again.
        Action::Replace { because, .. } if !step.node.lasting => {
            (style::change("~"), Some(format!("again: {because}")), &[], None)
        }
        Action::Replace { because, changes } => {
            let remark = format!("made anew: {}", shown_path(because));
            (style::change("±"), Some(remark), changes, Some(because))
        }
        Action::Delete if step.node.section == VARIABLES => {
            (style::bad("-"), Some("the default again".to_owned()), &[], None)
        }
        Action::Delete => (style::bad("-"), None, &[], None),
        Action::GoesWith { container } => (style::bad("-"), Some(format!("goes with {}", container.name())), &[], None),
    }
}

fn is_revision(change: &FieldChange) -> bool {
    change.path.starts_with("revision")
}

/// What something waits for, in the words of the others' addresses.
fn after(changes: &[FieldChange]) -> String {
    let source = |change: &'_ FieldChange| Some(change.new.as_ref()?.pointer("/$output/0")?.as_str()?.to_owned());
    let sources: Vec<String> = changes.iter().filter_map(source).collect();
    match sources.as_slice() {
        [] => String::new(),
        [source] => format!(" after {source}"),
        [source, more @ ..] => format!(" after {source} and {} more", more.len()),
    }
}

/// What is done about what somebody else changed.
fn put_back(drift: &Drift) -> String {
    match drift.fields.as_slice() {
        [] => format!("put right: {}", drift.what),
        [field] => format!("puts back {}", shown_path(&field.path)),
        fields => format!("puts back {}", count(fields.len(), "field")),
    }
}
