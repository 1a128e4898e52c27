//! Events.

use crate::cause::Causes;
use crate::checks::{required_name, required_text};
use crate::edit::{has, text};
use crate::names;
use crate::node::Node;
use crate::rules::{Label, Rules};
use crate::shown::{self, NAME, column, or, wide};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules {
    columns: COLUMNS,
    cells,
    field_labels: &[
        Label("involvedObject.kind", "involvedObject.kind", ""),
        Label("involvedObject.namespace", "involvedObject.namespace", ""),
        Label("involvedObject.name", "involvedObject.name", ""),
        Label("involvedObject.uid", "involvedObject.uid", ""),
        Label("involvedObject.apiVersion", "involvedObject.apiVersion", ""),
        Label("involvedObject.resourceVersion", "involvedObject.resourceVersion", ""),
        Label("involvedObject.fieldPath", "involvedObject.fieldPath", ""),
        Label("reason", "reason", ""),
        Label("reportingComponent", "reportingComponent", ""),
        Label("source", "source.component", ""),
        Label("type", "type", ""),
    ],
    validate,
    ..Rules::NONE
};

const COLUMNS: &[Column] = &[
    column("Last Seen", "When it was seen last."),
    column("Type", "Normal or Warning."),
    column("Reason", "Why, in one word."),
    column("Object", "What it is about."),
    wide("Subobject", "Which part of that."),
    wide("Source", "Who tells it."),
    column("Message", "What happened."),
    wide("First Seen", "When it was seen first."),
    wide("Count", "How often it was seen."),
    Column { priority: 1, ..NAME },
];

fn cells(event: &Value, now: Timestamp) -> Vec<Value> {
    let (series, about, source) = (&event["series"], &event["involvedObject"], &event["source"]);
    let since = |time: &Value| shown::since(time, now);
    let first = if has(event, "firstTimestamp") { since(&event["firstTimestamp"]) } else { since(&event["eventTime"]) };
    let last = match (has(event, "series"), has(event, "lastTimestamp")) {
        (true, _) => since(&series["lastObservedTime"]),
        (false, true) => since(&event["lastTimestamp"]),
        (false, false) => first.clone(),
    };
    let count = if has(event, "series") { series["count"].as_i64() } else { event["count"].as_i64() };
    let (kind, name) = (text(about, "kind").to_lowercase(), text(about, "name"));
    let component = or(text(source, "component"), text(event, "reportingComponent"));
    let host = or(text(source, "host"), text(event, "reportingInstance"));
    vec![
        last.into(),
        text(event, "type").into(),
        text(event, "reason").into(),
        if name.is_empty() { kind.into() } else { format!("{kind}/{name}").into() },
        text(about, "fieldPath").into(),
        if host.is_empty() { component.into() } else { format!("{component}, {host}").into() },
        text(event, "message").trim().into(),
        first.into(),
        count.unwrap_or(1).max(i64::from(!has(event, "series"))).into(),
        shown::name(event),
    ]
}

fn validate(event: &Node, causes: &mut Causes) {
    let (about, metadata) = (event.get("involvedObject"), event.get("metadata"));
    let namespace = metadata.get("namespace").text();
    let about = about.get("namespace");
    let fits = match (event.get("eventTime").is_set(), about.text()) {
        (false, "") => matches!(namespace, "" | "default"),
        (false, other) => other == namespace,
        (true, "") => matches!(namespace, "default" | "kube-system"),
        (true, _) => true,
    };
    if !fits {
        causes.invalid_value(&about, about.text(), "does not match event.namespace");
    }
    if event.get("eventTime").is_set() {
        let component = event.get("reportingComponent");
        required_name(&component, names::qualified, causes);
        for field in ["reportingInstance", "action", "reason"] {
            let at = event.get(field);
            required_text(&at, causes);
            if at.text().len() > 128 {
                causes.invalid_value(&at, "", "can have at most 128 characters");
            }
        }
    }
}
