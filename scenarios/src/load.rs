//! From the text of a scenario file to a checked [`Scenario`].

mod checks;
mod cluster;
mod gke;
mod images;
mod moved;
mod services;
mod steps;
mod uses;

pub(crate) use uses::without_tag;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::manifest::Manifest;
use crate::problems::{Problems, Source, did_you_mean};
use crate::reader::{Field, Marked, Reader, Table};
use crate::report::{Problem, Report};
use crate::scenario::{Provider, Scenario};
use crate::vars::{Values, Variables};
use crate::words::{check_dns_label, deployment_name, dns_label};
use crate::yaml::{self, Mark, Node};
use crate::{files, load::services::Services};

/// The name of the file in a scenario's folder.
const FILE_NAME: &str = "scenario.yaml";
/// The version of the schema that is read here.
const VERSION: u64 = 1;

/// Reads a scenario, given its folder or its file, with everything that it names.
///
/// Reads files only; asks neither Docker nor a cluster nor the network.
///
/// # Errors
///
/// A report with every problem of the scenario file and its manifests. Where the scenario file itself is not YAML, has a version
/// that is not known here, or leaves open what the value of a variable is, only that is reported.
pub fn load(path: &Path) -> Result<Scenario, Report> {
    load_with(path, &Values::default())
}

/// The same, with values for the scenario's variables.
///
/// # Errors
///
/// Those of [`load`]. A value that does not fit is a problem at the place that declares the variable.
pub fn load_with(path: &Path, values: &Values) -> Result<Scenario, Report> {
    let mut problems = Problems::default();
    let file = if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() };
    let scenario = load_file(&file, values, &mut problems);
    let report = problems.into_report(&file);
    match scenario {
        Some(scenario) if report.problems.is_empty() => Ok(Scenario { warnings: report.warnings, ..scenario }),
        _ => Err(report),
    }
}

fn load_file(file: &Path, values: &Values, problems: &mut Problems) -> Option<Scenario> {
    if !file.is_file() {
        problems.add(missing(file));
        return None;
    }
    let text = files::read_text(file, problems)?;
    let source = Source::new(file, &text);
    let (documents, mistakes) = yaml::parse(&text);
    for mistake in mistakes {
        problems.add(source.problem(mistake.mark, mistake.message, mistake.help));
    }
    let mut reader = Reader { source: &source, problems };
    let document = only_document(&mut reader, &documents)?;
    let folder = file.parent().map(Path::to_owned).unwrap_or_default();
    let (variables, document) = filled(&mut reader, document, values)?;
    scenario(&mut reader, &document, file, &folder, variables)
}

/// What to say when there is no scenario file.
fn missing(file: &Path) -> Problem {
    let folder = file.parent().unwrap_or(Path::new(""));
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let help = match files::neighbour(folder, &name) {
        Some(neighbour) => format!("there is `{neighbour}` beside it: name that file, or rename it"),
        None => format!("name a folder that holds a `{FILE_NAME}`, or the file itself"),
    };
    Problem::of_file(file, "there is no such file", Some(help))
}

fn only_document<'n>(reader: &mut Reader<'_>, documents: &'n [Node]) -> Option<&'n Node> {
    let start = Mark { line: 1, column: 1, length: 1 };
    match documents {
        [] if reader.problems.any() => None,
        [] => reader.problem(start, "this file is empty", "begin with `version: 1`, `name:` and `images:`".to_owned()),
        [document] if document.is_null() => {
            reader.problem(start, "this file is empty", "begin with `version: 1`, `name:` and `images:`".to_owned())
        }
        [document] => Some(document),
        [_, second, ..] => {
            let help = "a scenario is one document; manifests are files of their own".to_owned();
            reader.problem(second.mark, "a second document begins here", help)
        }
    }
}

/// The variables, and the scenario with their values in it.
fn filled(reader: &mut Reader<'_>, document: &Node, values: &Values) -> Option<(Variables, Node)> {
    let mut table = reader.table(&Field { name: String::new(), node: document })?;
    let mut variables = Variables::read(reader, &mut table, values)?;
    let mut document = document.clone();
    variables.fill_scenario(reader, &mut document);
    Some((variables, document))
}

/// Reads the whole scenario. Every part is read even where another one is wrong.
fn scenario(
    reader: &mut Reader<'_>,
    document: &Node,
    file: &Path,
    folder: &Path,
    mut variables: Variables,
) -> Option<Scenario> {
    let mut table = reader.table(&Field { name: String::new(), node: document })?;
    table.required(reader, "version", "1", version)?;
    let name = table.required(reader, "name", &example_name(folder), deployment_name);
    let provider = table.optional(reader, "provider", provider);
    // They were read before everything else.
    table.has("vars");
    let namespace = table.optional(reader, "namespace", dns_label);
    let images = table.field(reader, "images").map(|field| images::read(reader, &field, folder)).unwrap_or_default();
    let datasets = table.field(reader, "datasets").map(|field| datasets(reader, &field, folder)).unwrap_or_default();
    let default_namespace = namespace.as_ref().map_or("default", |namespace| namespace.value.as_str()).to_owned();
    let mut steps = steps::read(reader, &mut table, folder, &default_namespace, &mut variables);
    let services = Services::of(steps.iter().flat_map(|step| &step.manifests), &default_namespace);
    let manifests: Vec<&Manifest> = steps.iter().flat_map(|step| &step.manifests).collect();
    let cluster = table
        .optional(reader, "cluster", |reader, field| cluster::read(reader, field, &manifests, &services))
        .unwrap_or_default();
    let checks = table.field(reader, "checks").map(|field| checks::read(reader, &field, &services)).unwrap_or_default();
    let local_ports = table
        .field(reader, "local_ports")
        .map(|field| services::local_ports(reader, &field, &services))
        .unwrap_or_default();
    let names: Vec<&str> = checks.iter().map(|check| check.value.name.as_str()).collect();
    let moved = table.field(reader, "moved").map(|field| moved::read(reader, &field, &names)).unwrap_or_default();
    table.close(reader);

    uses::namespaces(reader, namespace.as_ref(), &steps);
    uses::identities(reader, &steps);
    uses::images(reader, &images, &steps);
    uses::datasets(reader, &datasets, &images, &checks);
    steps::sort_after(&mut steps);
    let vars = variables.finish(reader);
    Some(Scenario {
        file: file.to_owned(),
        folder: folder.to_owned(),
        name: name?.value,
        provider,
        vars,
        namespace: default_namespace,
        cluster,
        images: images.into_iter().map(|image| image.image).collect(),
        datasets: datasets.into_iter().map(|(name, folder)| (name, folder.value)).collect(),
        steps,
        checks: checks.into_iter().map(|check| check.value).collect(),
        local_ports,
        moved,
        warnings: Vec::new(),
    })
}

/// A name for the example, from the folder's.
fn example_name(folder: &Path) -> String {
    folder.file_name().map_or_else(|| "my-scenario".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The version; `None` ends the reading, because another version's fields mean something else.
fn version(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<()> {
    match field.node.text() {
        Some("1") => Some(()),
        _ => reader.wrong(
            field,
            &format!("the version of the schema, which is {VERSION}"),
            format!("write `version: {VERSION}`"),
        ),
    }
}

fn provider(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Provider> {
    let text = reader.text(field)?;
    match text.value.as_str() {
        "kind" => Some(Provider::Kind),
        "sandbox" => Some(Provider::Sandbox),
        "gke" => Some(Provider::Gke),
        later @ ("eks" | "minikube") => reader.problem(
            text.mark,
            format!("the provider `{later}` is not supported yet"),
            "for now there are `gke`, `kind` and `sandbox`".to_owned(),
        ),
        other => reader.problem(
            text.mark,
            format!("there is no provider `{other}`"),
            did_you_mean(other, ["gke", "kind", "sandbox"]),
        ),
    }
}

/// The folders of data sets.
fn datasets(reader: &mut Reader<'_>, field: &Field<'_>, folder: &Path) -> BTreeMap<String, Marked<PathBuf>> {
    let mut datasets = BTreeMap::new();
    for (name, field) in reader.named(field) {
        let Some(name) = check_dns_label(reader, "datasets", name) else { continue };
        let Some(mut table) = reader.table(&field) else { continue };
        let path =
            table.required(reader, "folder", "../data/mnist", |reader, field| existing_folder(reader, field, folder));
        table.close(reader);
        if let Some(value) = path {
            datasets.insert(name.value, Marked { value, mark: name.mark });
        }
    }
    datasets
}

/// A folder that exists, relative to the scenario's.
fn existing_folder(reader: &mut Reader<'_>, field: &Field<'_>, folder: &Path) -> Option<PathBuf> {
    let path = existing_path(reader, field, folder)?;
    if path.is_dir() { Some(path) } else { reader.wrong(field, "a folder", "this is a file".to_owned()) }
}

/// A file that exists, relative to the scenario's folder.
fn existing_file(reader: &mut Reader<'_>, field: &Field<'_>, folder: &Path) -> Option<PathBuf> {
    let path = existing_path(reader, field, folder)?;
    if path.is_file() { Some(path) } else { reader.wrong(field, "a file", "this is a folder".to_owned()) }
}

/// A file or folder that exists, relative to the scenario's folder.
fn existing_path(reader: &mut Reader<'_>, field: &Field<'_>, folder: &Path) -> Option<PathBuf> {
    let text = reader.text(field)?;
    let path = folder.join(&text.value);
    if path.exists() {
        return Some(path);
    }
    let help = match files::neighbour(folder, &text.value) {
        Some(neighbour) => format!("did you mean `{neighbour}`?"),
        None => "paths are relative to the scenario's folder".to_owned(),
    };
    reader.problem(text.mark, format!("there is no `{}`", text.value), help)
}

/// Items of a list that have names, without those whose name stands there before. Tells where the first one is.
struct Names {
    what: &'static str,
    lines: BTreeMap<String, usize>,
}

impl Names {
    fn of(what: &'static str) -> Self {
        Self { what, lines: BTreeMap::new() }
    }

    /// Reads the `name` of an item; `None` where it lacks a good one of its own.
    fn read(&mut self, reader: &mut Reader<'_>, table: &mut Table<'_>, example: &str) -> Option<Marked<String>> {
        let name = table.required(reader, "name", example, dns_label)?;
        if let Some(line) = self.lines.get(&name.value) {
            let message = format!("there are two {} named `{}`", self.what, name.value);
            return reader.problem(
                name.mark,
                message,
                format!("the other one is on line {line}: give each a name of its own"),
            );
        }
        self.lines.insert(name.value.clone(), name.mark.line);
        Some(name)
    }
}
