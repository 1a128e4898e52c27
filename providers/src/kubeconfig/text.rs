//! Changes a kubeconfig as text: only the lines of the changed entries are touched.

use std::iter::{self, Peekable};
use std::path::Path;
use std::vec::IntoIter;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::Value;

use super::{Error, MARK, yaml};

/// Why a text cannot be changed.
#[derive(Debug, PartialEq)]
pub(super) enum Problem {
    /// It is not YAML, or not a kubeconfig.
    Broken(String),
    /// It is written in an unusual form.
    Form(String),
    /// An entry of this name exists that is not ours.
    Foreign(String),
}

impl Problem {
    pub(super) fn in_file(self, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Self::Broken(reason) => Error::Broken { path, reason },
            Self::Form(reason) => Error::Form { path, reason },
            Self::Foreign(name) => Error::Foreign { path, name },
        }
    }
}

/// A part of the text with its place. Lines count from 0; `last` is its last line with content.
#[derive(Clone, Debug)]
struct Part {
    content: Content,
    first: usize,
    last: usize,
}

#[derive(Clone, Debug)]
enum Content {
    /// A text as it is written, and whether it stands in quotes.
    Scalar(String, bool),
    List(Vec<Part>),
    Map(Vec<(Part, Part)>),
    Alias,
}

/// A kubeconfig as text, together with the places of its parts.
#[derive(Debug)]
pub(super) struct Document {
    text: String,
    root: Part,
}

impl Document {
    /// Finds the parts of a text.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut events = Vec::new();
        for event in Parser::new_from_str(text) {
            events.push(event.map_err(|error| Problem::Broken(innermost(&error)))?);
        }
        if events.iter().filter(|(event, _)| matches!(event, Event::DocumentStart(_))).count() != 1 {
            return Err(Problem::Broken("it is not one YAML document".to_owned()));
        }
        let mut events = events.into_iter().peekable();
        while events.next_if(|(event, _)| !matches!(event, Event::DocumentStart(_))).is_some() {}
        events.next();
        let root = part(&mut events);
        if !matches!(root.content, Content::Map(_)) {
            return Err(Problem::Broken(
                "it is not a kubeconfig: expected keys such as clusters, contexts, users".to_owned(),
            ));
        }
        if text.lines().nth(root.first).is_some_and(|line| line.trim_start().starts_with('{')) {
            return Err(Problem::Form("it is written as JSON".to_owned()));
        }
        Ok(Self { text: text.to_owned(), root })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The contexts to go back to when one is taken out again that is merged in now, the last one first.
    pub(super) fn previous_for(&self, context: &str) -> Vec<String> {
        match self.root.member("current-context").and_then(|(_, value)| value.text()) {
            None | Some("") => Vec::new(),
            Some(current) if current == context => self.previous_of(current),
            // The current one may itself be taken out before.
            Some(current) => [current.to_owned()].into_iter().chain(self.previous_of(current)).collect(),
        }
    }

    /// The contexts to go back to from this one, as infra's mark remembers them.
    pub(super) fn previous_of(&self, context: &str) -> Vec<String> {
        let items = self.root.member("contexts").map(|(_, value)| value.items()).unwrap_or_default();
        let mark = items.iter().find(|item| item.name() == Some(context)).and_then(Part::mark);
        let previous = mark.and_then(|mark| mark.member("previous")).map(|(_, previous)| previous.items());
        previous.unwrap_or_default().iter().filter_map(Part::text).map(ToOwned::to_owned).collect()
    }

    /// Whether it has no entries and no current context.
    pub(super) fn is_empty(&self) -> bool {
        let empty = |key| self.root.member(key).is_none_or(|(_, value)| value.is_empty());
        ["clusters", "contexts", "users", "current-context"].into_iter().all(empty)
    }

    /// The same with an item in one of the lists, in the place of an earlier one of this name if that is ours.
    pub(super) fn with_item(self, list: &str, deployment: &str, name: &str, item: &Value) -> Result<Self, Problem> {
        let mut lines = self.lines();
        let Some((key, value)) = self.root.member(list) else {
            lines.push(format!("{list}:"));
            lines.extend(yaml::item(item));
            return Self::parse(&joined(&lines));
        };
        let Content::List(items) = &value.content else {
            return if value.is_empty() { self.with_first_item(key.first, list, item) } else { Err(not_a_list(list)) };
        };
        if value.is_empty() {
            return self.with_first_item(key.first, list, item);
        }
        let dash = self.dash(value, list)?;
        let indented = yaml::item(item).into_iter().map(|line| format!("{}{line}", " ".repeat(dash)));
        match items.iter().find(|item| item.name() == Some(name)) {
            Some(old) if old.is_marked(deployment) => {
                lines.splice(self.item_start(old)..=old.last, indented);
            }
            Some(_) => return Err(Problem::Foreign(name.to_owned())),
            None => {
                let end = value.last + 1;
                lines.splice(end..end, indented);
            }
        }
        Self::parse(&joined(&lines))
    }

    /// The same without the item of this name in one of the lists, if that is ours.
    pub(super) fn without_item(self, list: &str, deployment: &str, name: &str) -> Result<Self, Problem> {
        let Some((key, value)) = self.root.member(list) else { return Ok(self) };
        let Content::List(items) = &value.content else { return Ok(self) };
        let Some(item) = items.iter().find(|item| item.name() == Some(name) && item.is_marked(deployment)) else {
            return Ok(self);
        };
        self.dash(value, list)?;
        let mut lines = self.lines();
        lines.drain(self.item_start(item)..=item.last);
        if items.len() == 1 {
            lines[key.first] = format!("{list}: []");
        }
        Self::parse(&joined(&lines))
    }

    /// The same with another current context.
    pub(super) fn with_current_context(self, context: &str) -> Result<Self, Problem> {
        let line =
            format!("current-context: {}", if context.is_empty() { "\"\"".to_owned() } else { yaml::scalar(context) });
        let mut lines = self.lines();
        match self.root.member("current-context") {
            Some((_, value)) if value.text() == Some(context) => return Ok(self),
            Some((key, value)) => {
                lines.splice(key.first..=value.last.max(key.first), [line]);
            }
            None => lines.push(line),
        }
        Self::parse(&joined(&lines))
    }

    /// The same with the first of the previous contexts that still exists, if `context` still is the current one.
    pub(super) fn without_current_context(self, context: &str, previous: &[String]) -> Result<Self, Problem> {
        if self.root.member("current-context").and_then(|(_, value)| value.text()) != Some(context) {
            return Ok(self);
        }
        let contexts = self.root.member("contexts").map(|(_, value)| value.items()).unwrap_or_default();
        let exists = |name: &&String| contexts.iter().any(|item| item.name() == Some(name.as_str()));
        let previous = previous.iter().find(exists).map_or("", String::as_str);
        self.with_current_context(previous)
    }

    fn with_first_item(&self, key_line: usize, list: &str, item: &Value) -> Result<Self, Problem> {
        let mut lines = self.lines();
        let item = [format!("{list}:")].into_iter().chain(yaml::item(item));
        lines.splice(key_line..=key_line, item);
        Self::parse(&joined(&lines))
    }

    /// The column of the dashes of a list, which must be a block with a line for each item.
    fn dash(&self, list: &Part, name: &str) -> Result<usize, Problem> {
        let dashes: Vec<Option<usize>> = list.items().iter().map(|item| self.dash_of(self.item_start(item))).collect();
        match dashes.first() {
            Some(Some(column)) if dashes.iter().all(|dash| dash == &Some(*column)) => Ok(*column),
            _ => Err(Problem::Form(format!("{name} is not written with a line of its own for each entry"))),
        }
    }

    fn dash_of(&self, line: usize) -> Option<usize> {
        let line = self.text.lines().nth(line)?;
        line.find(|one: char| one != ' ').filter(|column| line[*column..].starts_with('-'))
    }

    /// The line with an item's dash: that of its content, or the one above where nothing else stands beside the dash.
    fn item_start(&self, item: &Part) -> usize {
        let alone = |line: usize| self.text.lines().nth(line).is_some_and(|line| line.trim() == "-");
        if item.first > 0 && self.dash_of(item.first).is_none() && alone(item.first - 1) {
            item.first - 1
        } else {
            item.first
        }
    }

    fn lines(&self) -> Vec<String> {
        self.text.lines().map(ToOwned::to_owned).collect()
    }
}

impl Part {
    fn member(&self, key: &str) -> Option<&(Part, Part)> {
        let Content::Map(members) = &self.content else { return None };
        members.iter().find(|(name, _)| name.text() == Some(key))
    }

    fn items(&self) -> &[Part] {
        if let Content::List(items) = &self.content { items } else { &[] }
    }

    fn text(&self) -> Option<&str> {
        if let Content::Scalar(text, _) = &self.content { Some(text) } else { None }
    }

    fn name(&self) -> Option<&str> {
        self.member("name")?.1.text()
    }

    fn is_empty(&self) -> bool {
        match &self.content {
            Content::Scalar(text, quoted) => {
                text.is_empty() || !quoted && ["~", "null", "Null", "NULL"].contains(&text.as_str())
            }
            Content::List(items) => items.is_empty(),
            Content::Map(members) => members.is_empty(),
            Content::Alias => false,
        }
    }

    /// The mark that infra left on an entry which it made.
    fn mark(&self) -> Option<&Part> {
        let (_, inner) = ["cluster", "context", "user"].into_iter().find_map(|key| self.member(key))?;
        let (_, extensions) = inner.member("extensions")?;
        let mark = extensions.items().iter().find(|extension| extension.name() == Some(MARK))?;
        Some(&mark.member("extension")?.1)
    }

    /// Whether infra made an entry for this deployment.
    fn is_marked(&self, deployment: &str) -> bool {
        let owner = self.mark().and_then(|mark| mark.member("deployment"));
        owner.is_some_and(|(_, owner)| owner.text() == Some(deployment))
    }

    /// Whether two parts say the same, wherever they stand.
    fn same(&self, other: &Self) -> bool {
        match (&self.content, &other.content) {
            (Content::Scalar(one, quoted), Content::Scalar(two, also_quoted)) => one == two && quoted == also_quoted,
            (Content::List(one), Content::List(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.same(two))
            }
            (Content::Map(one), Content::Map(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.0.same(&two.0) && one.1.same(&two.1))
            }
            (Content::Alias, Content::Alias) => true,
            _ => false,
        }
    }
}

/// Makes sure that a change left everything alone that is not named `name`.
pub(super) fn check_others(old: &str, new: &str, name: &str) -> Result<(), Problem> {
    let (old, new) = (Document::parse(old)?, Document::parse(new)?);
    for list in ["clusters", "contexts", "users"] {
        let others = |document: &Document| -> Vec<Part> {
            let items = document.root.member(list).map(|(_, value)| value.items()).unwrap_or_default();
            items.iter().filter(|item| item.name() != Some(name)).cloned().collect()
        };
        let (before, after) = (others(&old), others(&new));
        if before.len() != after.len() || !before.iter().zip(&after).all(|(before, after)| before.same(after)) {
            return Err(Problem::Form(format!("the other entries of {list} would change")));
        }
    }
    let changing = ["clusters", "contexts", "users", "current-context"];
    let rest = |document: &Document| -> Vec<(Part, Part)> {
        let Content::Map(members) = &document.root.content else { return Vec::new() };
        members.iter().filter(|(key, _)| !key.text().is_some_and(|key| changing.contains(&key))).cloned().collect()
    };
    let (before, after) = (rest(&old), rest(&new));
    let same = before.len() == after.len()
        && before.iter().zip(&after).all(|(one, two)| one.0.same(&two.0) && one.1.same(&two.1));
    if same { Ok(()) } else { Err(Problem::Form("other keys would change".to_owned())) }
}

/// What the parser says, in order.
type Events<'a> = Peekable<IntoIter<(Event<'a>, Span)>>;

/// The part that begins with the next event.
fn part(events: &mut Events) -> Part {
    let (event, span) = events.next().expect("the parser closes what it opens");
    let first = span.start.line() - 1;
    match event {
        Event::Scalar(text, style, ..) => {
            // A block text ends at the start of the line that follows it.
            let past = span.end.col() == 0 && span.end.line() > span.start.line();
            let last = (span.end.line() - 1 - usize::from(past)).max(first);
            Part { content: Content::Scalar(text.into_owned(), style != ScalarStyle::Plain), first, last }
        }
        Event::SequenceStart(..) => {
            let items = until_end(events);
            Part { first, last: last_line(&items, first), content: Content::List(items) }
        }
        Event::MappingStart(..) => {
            let parts = until_end(events);
            let last = last_line(&parts, first);
            let mut parts = parts.into_iter();
            let members = iter::from_fn(|| Some((parts.next()?, parts.next()?))).collect();
            Part { first, last, content: Content::Map(members) }
        }
        _ => Part { content: Content::Alias, first, last: first },
    }
}

/// All parts up to the end of the list or map that has begun.
fn until_end(events: &mut Events) -> Vec<Part> {
    let mut parts = Vec::new();
    while events.next_if(|(event, _)| matches!(event, Event::SequenceEnd | Event::MappingEnd)).is_none() {
        parts.push(part(events));
    }
    parts
}

fn last_line(parts: &[Part], first: usize) -> usize {
    parts.iter().map(|part| part.last).fold(first, usize::max)
}

fn not_a_list(name: &str) -> Problem {
    Problem::Broken(format!("{name} is not a list"))
}

fn joined(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

/// The text of the last cause, which says where and why.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
