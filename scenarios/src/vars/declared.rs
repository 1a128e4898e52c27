use regex_lite::Regex;
use serde_json::{Number, Value, json};

use super::{as_text, placeholder};
use crate::reader::{Field, Marked, Reader};
use crate::words::choice;
use crate::yaml::{Data, Mark, to_json};

/// What a scenario says of one variable.
#[derive(Debug)]
pub(super) struct Declared {
    pub name: String,
    pub mark: Mark,
    /// Fits all that is said of it.
    pub default: Value,
    sort: Sort,
    minimum: Option<f64>,
    maximum: Option<f64>,
    pattern: Option<Regex>,
    choices: Vec<Value>,
}

/// The sort of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Text,
    WholeNumber,
    Number,
    Truth,
}

/// The sorts in the words of JSON schemas.
const SORTS: [(&str, Sort); 4] =
    [("string", Sort::Text), ("integer", Sort::WholeNumber), ("number", Sort::Number), ("boolean", Sort::Truth)];

/// Reads `vars:`; `None` where a variable is declared in a way that leaves open what its value is.
pub(super) fn read(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<Declared>> {
    let Data::Table(entries) = &field.node.data else {
        return reader.wrong(field, "a table of names", Some("for example `vars: { workers: 3 }`".to_owned()));
    };
    let named = reader.named(field);
    let mut sound = named.len() == entries.len();
    let mut declared = Vec::new();
    for (name, field) in named {
        match variable(reader, name, &field) {
            Some(variable) => declared.push(variable),
            None => sound = false,
        }
    }
    sound.then_some(declared)
}

fn variable(reader: &mut Reader<'_>, name: Marked<String>, field: &Field<'_>) -> Option<Declared> {
    let Marked { value: name, mark } = name;
    if !placeholder::is_name(&name) {
        let help = "letters, digits, `-` and `_`, at most 63, beginning with a letter".to_owned();
        return reader.problem(mark, format!("`{name}` is not a valid name for a variable"), help);
    }
    match &field.node.data {
        Data::Scalar { .. } => {
            let default = scalar(reader, field)?;
            let sort = Sort::of(&default);
            let (minimum, maximum, pattern, choices) = (None, None, None, Vec::new());
            Some(Declared { name, mark, default, sort, minimum, maximum, pattern, choices })
        }
        Data::Table(_) => table(reader, name, mark, field),
        Data::List(_) => reader.wrong(
            field,
            "its default, or a table with `default`",
            Some(format!("for example `{name}: {{ default: 3, minimum: 1 }}`")),
        ),
    }
}

/// A variable with everything that can be said of one.
fn table(reader: &mut Reader<'_>, name: String, mark: Mark, field: &Field<'_>) -> Option<Declared> {
    let mut table = reader.table(field)?;
    let default = table.required(reader, "default", "3", |reader, field| {
        Some(Marked { value: scalar(reader, field)?, mark: field.node.mark })
    });
    let said = table.optional(reader, "type", |reader, field| choice(reader, field, &SORTS));
    let minimum = table.optional(reader, "minimum", number);
    let maximum = table.optional(reader, "maximum", number);
    let pattern = table.optional(reader, "pattern", pattern);
    let choices = table.optional(reader, "choices", choices);
    table.optional(reader, "description", Reader::text);
    let is_badly_typed = table.has("type") && said.is_none();
    let limits = ["minimum", "maximum", "pattern", "choices"].map(|name| (name, table.has(name), table.key_mark(name)));
    table.close(reader);
    let default = default?;
    if is_badly_typed {
        return None;
    }
    let sort = said.unwrap_or_else(|| Sort::of(&default.value));
    for (limit, is_there, mark) in limits {
        if is_there && !sort.knows(limit) {
            let message = format!("`{limit}` says nothing of {}", sort.described());
            reader.problem::<()>(mark, message, "leave it out".to_owned());
        }
    }
    let choices = choices.unwrap_or_default();
    for choice in choices.iter().filter(|choice| !sort.has(&choice.value)) {
        let message = format!("the variable `{name}` is {}, and `{}` is not", sort.described(), as_text(&choice.value));
        reader.problem::<()>(choice.mark, message, None);
    }
    let choices = choices.into_iter().map(|choice| choice.value).collect();
    let declared = Declared { name, mark, default: default.value, sort, minimum, maximum, pattern, choices };
    if !declared.takes(&declared.default) {
        let text = as_text(&declared.default);
        let quotes = sort == Sort::Text && !declared.default.is_string();
        let help = quotes.then(|| "put it into quotes if it is meant as a text".to_owned());
        let message = format!("the default of `{}` must be {}, not `{text}`", declared.name, declared.wanted());
        return reader.problem(default.mark, message, help);
    }
    Some(declared)
}

/// A text, a number or a truth value.
fn scalar(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Value> {
    if let Data::Scalar { .. } = field.node.data
        && let Ok(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) = to_json(field.node)
    {
        return Some(value);
    }
    reader.wrong(field, "a text, a number or a truth value", None)
}

fn number(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<f64> {
    match scalar(reader, field)?.as_f64() {
        Some(number) => Some(number),
        None => reader.wrong(field, "a number", None),
    }
}

/// A regular expression for the whole text.
fn pattern(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Regex> {
    let text = reader.text(field)?;
    match Regex::new(&format!("^(?:{})$", text.value)) {
        Ok(pattern) => Some(pattern),
        Err(error) => reader.problem(text.mark, format!("this is no regular expression: {error}"), None),
    }
}

fn choices(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<Marked<Value>>> {
    let items = reader.items(field);
    if items.is_empty() && matches!(field.node.data, Data::List(_)) {
        return reader.problem(field.node.mark, "`choices` is empty", "name them, or leave it out".to_owned());
    }
    let read = |item: &Field<'_>| Some(Marked { value: scalar(reader, item)?, mark: item.node.mark });
    Some(items.iter().filter_map(read).collect())
}

impl Sort {
    /// What a value is where nobody says it.
    fn of(value: &Value) -> Self {
        match value {
            Value::Bool(_) => Self::Truth,
            Value::Number(number) if number.is_f64() => Self::Number,
            Value::Number(_) => Self::WholeNumber,
            _ => Self::Text,
        }
    }

    fn has(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::WholeNumber => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Truth => value.is_boolean(),
        }
    }

    fn knows(self, limit: &str) -> bool {
        match limit {
            "minimum" | "maximum" => matches!(self, Self::WholeNumber | Self::Number),
            "pattern" => self == Self::Text,
            _ => self != Self::Truth,
        }
    }

    fn described(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::WholeNumber => "a whole number",
            Self::Number => "a number",
            Self::Truth => "`true` or `false`",
        }
    }
}

impl Declared {
    /// The value that a person wrote, of the variable's type.
    pub fn parse(&self, written: &str) -> Option<Value> {
        match self.sort {
            Sort::Text => Some(json!(written)),
            Sort::WholeNumber => written.parse::<i64>().ok().map(|number| json!(number)),
            Sort::Number => {
                let whole = written.parse::<i64>().ok().map(Number::from);
                whole.or_else(|| Number::from_f64(written.parse().ok()?)).map(Value::Number)
            }
            Sort::Truth => written.parse::<bool>().ok().map(|truth| json!(truth)),
        }
    }

    /// Whether the value fits all that is said of the variable.
    pub fn takes(&self, value: &Value) -> bool {
        let number = value.as_f64();
        self.sort.has(value)
            && self.minimum.is_none_or(|minimum| number.is_none_or(|number| number >= minimum))
            && self.maximum.is_none_or(|maximum| number.is_none_or(|number| number <= maximum))
            && self.pattern.as_ref().is_none_or(|it| value.as_str().is_none_or(|text| it.is_match(text)))
            && (self.choices.is_empty() || self.choices.contains(value))
    }

    /// What it takes, in words.
    pub fn wanted(&self) -> String {
        if !self.choices.is_empty() {
            let choices: Vec<String> = self.choices.iter().map(|choice| format!("`{}`", as_text(choice))).collect();
            return format!("one of {}", choices.join(", "));
        }
        let sort = self.sort.described();
        match (self.minimum, self.maximum, &self.pattern) {
            (Some(minimum), Some(maximum), _) => format!("{sort} from {minimum} to {maximum}"),
            (Some(minimum), None, _) => format!("{sort} of at least {minimum}"),
            (None, Some(maximum), _) => format!("{sort} of at most {maximum}"),
            (None, None, Some(pattern)) => {
                let written = pattern.as_str().trim_start_matches("^(?:").trim_end_matches(")$");
                format!("{sort} that `{written}` matches")
            }
            (None, None, None) => sort.to_owned(),
        }
    }
}
