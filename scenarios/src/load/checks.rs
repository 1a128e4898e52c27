use std::time::Duration;

use super::Names;
use super::services::Services;
use crate::reader::{Field, Marked, Reader, Table};
use crate::scenario::{Check, CheckKind, ServicePort};
use crate::words::{dns_label, duration, request_path};

/// How long a check may take until it is true, unless it says otherwise.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Reads `checks:`; each with the place of the data set that it names, or else of its name.
pub(super) fn read(reader: &mut Reader<'_>, field: &Field<'_>, services: &Services) -> Vec<Marked<Check>> {
    let mut names = Names::of("checks");
    let items = reader.items(field);
    items.iter().filter_map(|item| check(reader, item, &mut names, services)).collect()
}

fn check(reader: &mut Reader<'_>, field: &Field<'_>, names: &mut Names, services: &Services) -> Option<Marked<Check>> {
    let mut table = reader.table(field)?;
    let name = names.read(reader, &mut table, "page");
    let (has_http, has_accuracy) = (table.has("http"), table.has("accuracy"));
    let http = table.optional(reader, "http", |reader, field| http(reader, field, services));
    let accuracy = table.optional(reader, "accuracy", |reader, field| accuracy(reader, field, services));
    let timeout = table.optional(reader, "timeout", duration).unwrap_or(TIMEOUT);
    if has_http && has_accuracy {
        let message = format!("{} has both `http` and `accuracy`", table.called());
        reader.problem::<()>(
            table.key_mark("accuracy"),
            message,
            "a check looks at one thing: make two of it".to_owned(),
        );
    } else if !has_http && !has_accuracy {
        let message = format!("{} does not say what to look at", table.called());
        reader.problem::<()>(
            table.mark,
            message,
            "add `http: { service: NAME }` or `accuracy: { service: NAME, .. }`".to_owned(),
        );
    }
    table.close(reader);
    let name = name?;
    let (kind, mark) = match (http, accuracy) {
        (Some(kind), _) => (kind, name.mark),
        (None, accuracy) => accuracy.map(|accuracy| (accuracy.value, accuracy.mark))?,
    };
    Some(Marked { value: Check { name: name.value, kind, timeout }, mark })
}

fn http(reader: &mut Reader<'_>, field: &Field<'_>, services: &Services) -> Option<CheckKind> {
    let mut table = reader.table(field)?;
    let target = target(reader, &mut table, services);
    let path = table.optional(reader, "path", request_path);
    let status = table.optional(reader, "status", |reader, field| reader.whole_number(field, 100..=599));
    let contains = table.optional(reader, "contains", Reader::text).map(|text| text.value);
    table.close(reader);
    Some(CheckKind::Http {
        target: target?,
        path: path.unwrap_or_else(|| "/".to_owned()),
        status: status.and_then(|status| u16::try_from(status).ok()).unwrap_or(200),
        contains,
    })
}

fn accuracy(reader: &mut Reader<'_>, field: &Field<'_>, services: &Services) -> Option<Marked<CheckKind>> {
    let mut table = reader.table(field)?;
    let target = target(reader, &mut table, services);
    let path = table.optional(reader, "path", request_path);
    let dataset = table.required(reader, "dataset", "mnist", dns_label);
    let images = table.optional(reader, "images", |reader, field| reader.whole_number(field, 1..=1_000_000));
    let at_least = table.required(reader, "at_least", "0.9", |reader, field| reader.number(field, 0.0..=1.0));
    table.close(reader);
    let dataset = dataset?;
    let kind = CheckKind::Accuracy {
        target: target?,
        path: path.unwrap_or_else(|| "/predict".to_owned()),
        dataset: dataset.value,
        images: images.unwrap_or(1000),
        at_least: at_least?,
    };
    Some(Marked { value: kind, mark: dataset.mark })
}

/// The port of the Service that `service` and `port` name.
fn target(reader: &mut Reader<'_>, table: &mut Table<'_>, services: &Services) -> Option<ServicePort> {
    let name = table.required(reader, "service", "server", Reader::text);
    let names_port = table.has("port");
    let port = table.optional(reader, "port", |reader, field| match field.node.text() {
        Some(text) => Some(Marked { value: text.to_owned(), mark: field.node.mark }),
        None => reader.wrong(field, "the number or name of a port", None),
    });
    let name = name?;
    let service = services.find(reader, &name)?;
    if names_port {
        service.port(reader, &port?)
    } else {
        service.only_port(reader, &name, "say which one with `port:`")
    }
}
