//! What the tables of several kinds have in common.

use crate::edit::{has, list, text};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The object's name.
pub(crate) const NAME: Column = Column { format: "name", ..column("Name", "Name of the object.") };
/// How long ago the object was made.
pub(crate) const AGE: Column = column("Age", "Time since the object was made.");
/// The time when the object was made, for kinds without a table of their own.
pub(crate) const CREATED_AT: Column = Column { kind: "date", ..column("Created At", "Time when the object was made.") };
/// Names of a template's containers.
pub(crate) const CONTAINERS: Column = wide("Containers", "Names of the containers in the template.");
/// Images of a template's containers.
pub(crate) const IMAGES: Column = wide("Images", "Images of the containers in the template.");
/// What is selected.
pub(crate) const SELECTOR: Column = wide("Selector", "Labels that are selected.");

/// A column of text that is always shown.
pub(crate) const fn column(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 0 }
}

/// A column of whole numbers that is always shown.
pub(crate) const fn number(name: &'static str, description: &'static str) -> Column {
    Column { kind: "integer", ..column(name, description) }
}

/// A column of text that only wide tables show.
pub(crate) const fn wide(name: &'static str, description: &'static str) -> Column {
    Column { priority: 1, ..column(name, description) }
}

/// The columns of kinds without a table of their own.
pub(crate) const PLAIN: &[Column] = &[NAME, CREATED_AT];

/// The cells of [`PLAIN`].
pub(crate) fn plain(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![name(object), object["metadata"]["creationTimestamp"].clone()]
}

/// The cell of [`NAME`].
pub(crate) fn name(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

/// The cell of [`AGE`].
pub(crate) fn age(object: &Value, now: Timestamp) -> Value {
    since(&object["metadata"]["creationTimestamp"], now).into()
}

/// The cells of [`CONTAINERS`] and [`IMAGES`].
pub(crate) fn containers(object: &Value) -> [Value; 2] {
    let containers = list(&object["spec"]["template"]["spec"], "containers");
    ["name", "image"].map(|field| {
        let texts: Vec<&str> = containers.iter().map(|container| text(container, field)).collect();
        texts.join(",").into()
    })
}

/// How long ago a time of an object was; `<unknown>` when there is none.
pub(crate) fn since(time: &Value, now: Timestamp) -> String {
    time.as_str()
        .and_then(read_time)
        .map_or_else(|| "<unknown>".to_owned(), |time| duration(now.as_second() - time.as_second()))
}

/// Reads a time of an object.
pub(crate) fn read_time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// The text, or this one when it is empty.
pub(crate) fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// `Terminating` while the object is being deleted, else its phase.
pub(crate) fn phase(object: &Value) -> Value {
    if has(&object["metadata"], "deletionTimestamp") {
        return "Terminating".into();
    }
    text(&object["status"], "phase").into()
}

/// A span of seconds as the API server shows ages: two units at most, and one when the first is large.
pub fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |first: i64, unit: &str, rest: i64, rest_unit: &str| match rest {
        0 => format!("{first}{unit}"),
        _ => format!("{first}{unit}{rest}{rest_unit}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => two(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ if days < 2920 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// Labels as a selector shows them; `<none>` without any.
pub(crate) fn labels(labels: &Value) -> Value {
    or(&pairs(labels).join(","), "<none>").into()
}

fn pairs(labels: &Value) -> Vec<String> {
    let mut pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    pairs
}

/// A label selector as text; `<none>` when it selects nothing or everything.
pub(crate) fn selector(selector: &Value) -> Value {
    or(&selector_text(selector), "<none>").into()
}

/// A label selector as text.
pub(crate) fn selector_text(selector: &Value) -> String {
    let mut parts: Vec<(String, String)> = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        parts.push((key.clone(), format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    for expression in list(selector, "matchExpressions") {
        let key = text(expression, "key");
        let mut values: Vec<&str> = list(expression, "values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let shown = match text(expression, "operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        parts.push((key.to_owned(), shown));
    }
    // Labels stand before expressions of the same key.
    parts.sort_by(|one, other| one.0.cmp(&other.0));
    parts.into_iter().map(|(_, shown)| shown).collect::<Vec<_>>().join(",")
}

/// Access modes in their short forms.
pub(crate) fn access_modes(modes: &Value) -> Value {
    const SHORT: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |long: &str| modes.as_array().is_some_and(|modes| modes.iter().any(|mode| mode == long));
    let short: Vec<&str> = SHORT.iter().filter(|(long, _)| has(long)).map(|(_, short)| *short).collect();
    json!(short.join(","))
}

/// Up to three items, and how many more there are.
pub(crate) fn first_three(items: &[String]) -> String {
    let shown = items[..items.len().min(3)].join(",");
    match items.len() {
        0 => "<unset>".to_owned(),
        1..=3 => shown,
        more => format!("{shown} + {} more...", more - 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units_at_most() {
        let cases = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (130, "2m10s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (300_000_000, "9y"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(duration(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn selectors_are_sorted_by_key() {
        let given = json!({
            "matchLabels": {"b": "1", "a": "2"},
            "matchExpressions": [
                {"key": "c", "operator": "In", "values": ["y", "x"]},
                {"key": "aa", "operator": "DoesNotExist"},
                {"key": "d", "operator": "Exists"},
            ],
        });
        assert_eq!(selector(&given), "a=2,!aa,b=1,c in (x,y),d");
        assert_eq!(selector(&json!({})), "<none>");
    }

    #[test]
    fn long_lists_are_cut_after_three() {
        let items: Vec<String> = (1..=5).map(|number| number.to_string()).collect();
        assert_eq!(first_three(&items), "1,2,3 + 2 more...");
        assert_eq!(first_three(&items[..3]), "1,2,3");
        assert_eq!(first_three(&[]), "<unset>");
    }
}
