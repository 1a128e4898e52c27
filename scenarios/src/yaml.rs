//! YAML as a tree in which every part knows its place.

mod value;

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

pub(crate) use value::to_json;

/// What to do with a file full of double braces.
pub(crate) const TEMPLATE_HELP: &str = "this looks like a template: render it first, infra reads plain YAML";

/// Deeper nesting than this is refused, so that walking a tree cannot exhaust the stack.
const MAX_DEPTH: usize = 64;
/// More parts than this are refused, so that aliases of aliases cannot exhaust the memory.
const MAX_PARTS: usize = 500_000;

/// A place in a text: line and column counted from 1, and a length, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub line: usize,
    pub column: usize,
    pub length: usize,
}

impl Mark {
    fn of(span: Span) -> Self {
        let length =
            if span.start.line() == span.end.line() { span.end.col().saturating_sub(span.start.col()) } else { 1 };
        Self { length: length.max(1), ..Self::at(span.start) }
    }

    fn at(marker: Marker) -> Self {
        Self { line: marker.line().max(1), column: marker.col() + 1, length: 1 }
    }
}

/// A part of a document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub mark: Mark,
    pub data: Data,
}

/// What a part is.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// A text, number, truth value or nothing; `plain` without quotes.
    Scalar { text: String, plain: bool },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the text; a key that stands there twice is reported and only its first value kept.
    Table(Vec<(Node, Node)>),
}

impl Node {
    /// Whether nothing stands there: an empty value, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        if let Data::Scalar { text, .. } = &self.data { Some(text) } else { None }
    }

    /// The value of a key of a table.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Data::Table(entries) = &self.data else { return None };
        entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// The parts of a list; nothing where it is none.
    pub fn items(&self) -> &[Node] {
        if let Data::List(items) = &self.data { items } else { &[] }
    }

    /// The parts of a table; nothing where it is none.
    pub fn entries(&self) -> &[(Node, Node)] {
        if let Data::Table(entries) = &self.data { entries } else { &[] }
    }
}

/// Text that is not YAML, or a key that stands twice in a table.
#[derive(Debug, PartialEq)]
pub(crate) struct Mistake {
    pub mark: Mark,
    pub message: String,
    pub help: Option<String>,
}

/// The documents of a text, and what is wrong in it. After a mistake in the grammar the rest of the text is not read.
pub(crate) fn parse(text: &str) -> (Vec<Node>, Vec<Mistake>) {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let taken = match next {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(explain(text, &error)),
        };
        if let Err(mistake) = taken {
            builder.mistakes.push(mistake);
            break;
        }
    }
    (builder.documents, builder.mistakes)
}

/// A mistake in the grammar, in words for a person.
fn explain(text: &str, error: &ScanError) -> Mistake {
    let mark = Mark::at(*error.marker());
    let line = text.lines().nth(mark.line - 1).unwrap_or_default();
    let indentation = &line[..line.len() - line.trim_start().len()];
    if let Some(tab) = indentation.find('\t') {
        let mark = Mark { line: mark.line, column: tab + 1, length: 1 };
        return Mistake {
            mark,
            message: "a tab in the indentation".into(),
            help: Some("YAML is indented with spaces".into()),
        };
    }
    let help = if line.contains("{{") {
        TEMPLATE_HELP
    } else {
        "check the indentation, the quotes and the colons around here"
    };
    Mistake { mark, message: format!("this is not YAML: {}", error.info()), help: Some(help.into()) }
}

/// A list or table that is being read.
struct Open {
    anchor: usize,
    mark: Mark,
    part: OpenPart,
}

enum OpenPart {
    List(Vec<Node>),
    Table(OpenTable),
}

#[derive(Default)]
struct OpenTable {
    entries: Vec<(Node, Node)>,
    /// The line and column of each key.
    places: BTreeMap<String, (usize, usize)>,
    /// The key whose value comes next.
    key: Option<Node>,
}

/// Makes trees out of events.
#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    mistakes: Vec<Mistake>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    parts: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Mistake> {
        let mark = Mark::of(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain =
                    style == ScalarStyle::Plain && known_tag(tag.as_deref(), mark)?.is_none_or(|tag| tag != "str");
                self.count((1, 0), mark)?;
                self.close(anchor, Node { mark, data: Data::Scalar { text: text.into_owned(), plain } });
            }
            Event::SequenceStart(anchor, tag) => {
                known_tag(tag.as_deref(), mark)?;
                self.open(anchor, Mark { length: 1, ..mark }, OpenPart::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                known_tag(tag.as_deref(), mark)?;
                self.open(anchor, Mark { length: 1, ..mark }, OpenPart::Table(OpenTable::default()))?;
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { anchor, mark, part: OpenPart::List(items) }) => {
                    self.close(anchor, Node { mark, data: Data::List(items) });
                }
                Some(Open { anchor, mark, part: OpenPart::Table(table) }) => {
                    self.close(anchor, Node { mark, data: Data::Table(table.entries) });
                }
                None => {}
            },
            Event::Alias(anchor) => {
                let Some(size) = self.anchors.get(&anchor).map(size) else {
                    return Err(Mistake {
                        mark,
                        message: "this alias stands inside of what it names".into(),
                        help: None,
                    });
                };
                self.count(size, mark)?;
                let data = self.anchors[&anchor].data.clone();
                self.close(0, Node { mark, data });
            }
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, mark: Mark, part: OpenPart) -> Result<(), Mistake> {
        self.count((1, 1), mark)?;
        self.open.push(Open { anchor, mark, part });
        Ok(())
    }

    /// Adds to what was read, and refuses what is too much.
    fn count(&mut self, (parts, depth): (usize, usize), mark: Mark) -> Result<(), Mistake> {
        self.parts += parts;
        let too_much = if self.open.len() + depth > MAX_DEPTH {
            format!("nested more than {MAX_DEPTH} levels deep")
        } else if self.parts > MAX_PARTS {
            format!("more than {MAX_PARTS} parts, aliases counted in full")
        } else {
            return Ok(());
        };
        Err(Mistake { mark, message: too_much, help: None })
    }

    /// Puts a finished part where it belongs.
    fn close(&mut self, anchor: usize, node: Node) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.part) {
            None => self.documents.push(node),
            Some(OpenPart::List(items)) => items.push(node),
            Some(OpenPart::Table(table)) => match table.key.take() {
                None => table.key = Some(node),
                Some(key) => self.mistakes.extend(table.add(key, node)),
            },
        }
    }
}

impl OpenTable {
    /// Adds an entry, unless its key stands there already.
    fn add(&mut self, key: Node, value: Node) -> Option<Mistake> {
        if let Some(name) = key.text() {
            if let Some((line, column)) = self.places.get(name) {
                let help = Some(format!("the first one is at {line}:{column}: keep one of them"));
                return Some(Mistake { mark: key.mark, message: format!("`{name}` stands here twice"), help });
            }
            self.places.insert(name.to_owned(), (key.mark.line, key.mark.column));
        }
        self.entries.push((key, value));
        None
    }
}

/// The name of a tag of YAML's own set; any other tag means nothing here.
fn known_tag(tag: Option<&Tag>, mark: Mark) -> Result<Option<String>, Mistake> {
    match tag {
        None => Ok(None),
        Some(tag) if tag.is_yaml_core_schema() => Ok(Some(tag.suffix.clone())),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(Some("str".to_owned())),
        Some(tag) => Err(Mistake {
            mark,
            message: format!("the tag `{tag}` means nothing here"),
            help: Some("leave it out".into()),
        }),
    }
}

/// How many parts a tree has, and how deep it is.
fn size(node: &Node) -> (usize, usize) {
    match &node.data {
        Data::Scalar { .. } => (1, 0),
        Data::List(items) => add(items.iter().map(size)),
        Data::Table(entries) => add(entries.iter().flat_map(|(key, value)| [size(key), size(value)])),
    }
}

fn add(sizes: impl Iterator<Item = (usize, usize)>) -> (usize, usize) {
    let (parts, depth) = sizes.fold((1, 0), |(parts, depth), (more, below)| (parts + more, depth.max(below)));
    (parts, depth + 1)
}
