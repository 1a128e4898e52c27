use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Names;
use crate::files::{self, NotFound};
use crate::manifest::{self, Manifest};
use crate::problems::did_you_mean;
use crate::reader::{Field, Marked, Reader, Table};
use crate::report::Problem;
use crate::scenario::Step;
use crate::vars::Variables;
use crate::words::{dns_label, duration};
use crate::yaml::Data;

/// The folder whose manifests are applied where a scenario names no steps.
const MANIFESTS_FOLDER: &str = "manifests";
/// How long an object of a step may take until it is ready, unless the step says otherwise.
const TIMEOUT: Duration = Duration::from_mins(10);

/// Reads `steps:` with their manifests; without it, the folder `manifests` is the only step.
pub(super) fn read(
    reader: &mut Reader<'_>,
    table: &mut Table<'_>,
    folder: &Path,
    namespace: &str,
    variables: &mut Variables,
) -> Vec<Step> {
    let mut steps = if table.has("steps") {
        let mut cache = Cache { read: BTreeMap::new(), variables };
        let steps =
            table.field(reader, "steps").map(|field| listed(reader, &field, folder, &mut cache)).unwrap_or_default();
        warn_unused(reader, &cache, folder);
        steps
    } else {
        vec![default_step(reader, table, folder, variables)]
    };
    let mut manifests: Vec<&mut Manifest> = steps.iter_mut().flat_map(|step| &mut step.manifests).collect();
    manifest::settle_namespaces(&mut manifests, namespace);
    steps
}

fn default_step(reader: &mut Reader<'_>, table: &Table<'_>, folder: &Path, variables: &mut Variables) -> Step {
    let files = files::manifests(folder, MANIFESTS_FOLDER).unwrap_or_else(|_| {
        let help = format!(
            "put manifests into the folder `{MANIFESTS_FOLDER}`, or name them: `steps: [{{ name: all, apply: FILE }}]`"
        );
        reader.problem::<()>(
            table.mark,
            format!("there is nothing to apply: no `steps`, and no manifest in `{MANIFESTS_FOLDER}`"),
            help,
        );
        Vec::new()
    });
    let manifests = files.iter().flat_map(|file| manifest::read(file, reader.problems, variables)).collect();
    Step { name: MANIFESTS_FOLDER.to_owned(), manifests, timeout: TIMEOUT, after: Vec::new() }
}

fn listed(reader: &mut Reader<'_>, field: &Field<'_>, folder: &Path, cache: &mut Cache<'_>) -> Vec<Step> {
    let mut names = Names::of("steps");
    let mut steps: Vec<Step> = Vec::new();
    let mut afters: Vec<Vec<Marked<String>>> = Vec::new();
    let mut sound = true;
    for item in reader.items(field) {
        let previous = steps.last().map(|step| step.name.clone());
        let Some((step, after)) = step(reader, &item, folder, &mut names, cache, previous) else {
            sound = false;
            continue;
        };
        steps.push(step);
        afters.push(after);
    }
    if matches!(&field.node.data, Data::List(items) if items.is_empty()) {
        reader.problem::<()>(
            field.node.mark,
            "`steps` is empty",
            "leave it out to apply the folder `manifests`".to_owned(),
        );
    }
    // A step that could not be read may be the one that is meant: its own problem comes first.
    if sound {
        check_after(reader, &steps, &afters);
    }
    steps
}

/// The manifests of each file that was read. A file in two steps is read once, so that its problems are told once.
struct Cache<'a> {
    read: BTreeMap<PathBuf, Vec<Manifest>>,
    variables: &'a mut Variables,
}

impl Cache<'_> {
    fn manifests(&mut self, file: PathBuf, reader: &mut Reader<'_>) -> Vec<Manifest> {
        let read = self.read.entry(file);
        read.or_insert_with_key(|file| manifest::read(file, reader.problems, self.variables)).clone()
    }
}

fn step(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    folder: &Path,
    names: &mut Names,
    cache: &mut Cache<'_>,
    previous: Option<String>,
) -> Option<(Step, Vec<Marked<String>>)> {
    let mut table = reader.table(field)?;
    let name = names.read(reader, &mut table, "storage");
    let mut manifests = Vec::new();
    if let Some(files) =
        table.required(reader, "apply", "manifests/storage.yaml", |reader, field| apply(reader, field, folder))
    {
        manifests.extend(files.into_iter().flat_map(|file| cache.manifests(file, reader)));
    }
    let timeout = table.optional(reader, "timeout", duration).unwrap_or(TIMEOUT);
    let says_after = table.has("after");
    let after: Vec<Marked<String>> = match table.field(reader, "after") {
        Some(field) => reader.one_or_many(&field).iter().filter_map(|item| dns_label(reader, item)).collect(),
        None => Vec::new(),
    };
    table.close(reader);
    let earlier: Vec<String> =
        if says_after { after.iter().map(|step| step.value.clone()).collect() } else { previous.into_iter().collect() };
    Some((Step { name: name?.value, manifests, timeout, after: earlier }, after))
}

/// The files that `apply` means, each once, in the order in which they are named.
fn apply(reader: &mut Reader<'_>, field: &Field<'_>, folder: &Path) -> Option<Vec<PathBuf>> {
    let items = reader.one_or_many(field);
    if items.is_empty() && !field.node.items().is_empty() {
        return None;
    }
    if items.is_empty() {
        return reader.problem(
            field.node.mark,
            "`apply` names nothing",
            "name files, folders or patterns such as `manifests/*.yaml`".to_owned(),
        );
    }
    let mut files = Vec::new();
    for item in items {
        let Some(pattern) = reader.text(&item) else { continue };
        match files::manifests(folder, &pattern.value) {
            Ok(found) => found.into_iter().for_each(|file| {
                if !files.contains(&file) {
                    files.push(file);
                }
            }),
            Err(not_found) => {
                let (message, help) = explain(&pattern.value, not_found);
                reader.problem::<()>(pattern.mark, message, help);
            }
        }
    }
    Some(files)
}

fn explain(pattern: &str, not_found: NotFound) -> (String, String) {
    let relative = "paths are relative to the scenario's folder".to_owned();
    match not_found {
        NotFound::Missing(Some(neighbour)) => {
            (format!("there is no `{pattern}`"), format!("did you mean `{neighbour}`?"))
        }
        NotFound::Missing(None) => (format!("there is no `{pattern}`"), relative),
        NotFound::Nothing(why) => (format!("`{pattern}`: {why}"), relative),
        NotFound::TooMany => (
            format!("`{pattern}` holds more files than infra looks through"),
            "name the folder that holds the manifests".to_owned(),
        ),
        NotFound::Pattern(why) => (
            format!("`{pattern}` is no pattern: {why}"),
            "`*`, `?`, `[ab]`, `{a,b}` and `**` have a meaning in patterns".to_owned(),
        ),
    }
}

/// Checks that `after` names steps, and that no step comes after itself.
fn check_after(reader: &mut Reader<'_>, steps: &[Step], afters: &[Vec<Marked<String>>]) {
    let mut sound = true;
    for after in afters.iter().flatten() {
        if !steps.iter().any(|step| step.name == after.value) {
            sound = false;
            let message = format!("there is no step `{}`", after.value);
            reader.problem::<()>(
                after.mark,
                message,
                did_you_mean(&after.value, steps.iter().map(|step| step.name.as_str())),
            );
        }
    }
    let circle = circle(steps);
    if let (true, Some(first)) = (sound, circle.first()) {
        let index = steps.iter().position(|step| step.name == *first).unwrap_or_default();
        let in_circle = afters[index].iter().find(|after| circle.contains(&after.value.as_str()));
        // The first step of a circle names its `after`: only a later step takes the one before it by default.
        if let Some(after) =
            in_circle.or_else(|| afters.iter().flatten().find(|after| circle.contains(&after.value.as_str())))
        {
            let message = format!("these steps wait for each other: {}", circle.join(", "));
            reader.problem::<()>(
                after.mark,
                message,
                "a step without `after` comes after the one before it; `after: []` lifts that".to_owned(),
            );
        }
    }
}

/// The steps that wait for each other or for such ones, in the order of the file; none where there is no circle.
fn circle(steps: &[Step]) -> Vec<&str> {
    let mut left: Vec<&Step> = steps.iter().collect();
    loop {
        let names: BTreeSet<&str> = left.iter().map(|step| step.name.as_str()).collect();
        let before = left.len();
        left.retain(|step| step.after.iter().any(|after| names.contains(after.as_str())));
        if left.len() == before {
            break;
        }
    }
    // What only waits for the circle is no part of it.
    loop {
        let waited_for: BTreeSet<&str> = left.iter().flat_map(|step| &step.after).map(String::as_str).collect();
        let before = left.len();
        left.retain(|step| waited_for.contains(step.name.as_str()));
        if left.len() == before {
            return left.into_iter().map(|step| step.name.as_str()).collect();
        }
    }
}

/// Warns of manifests in the folder `manifests` that no step applies.
fn warn_unused(reader: &mut Reader<'_>, applied: &Cache<'_>, folder: &Path) {
    // Where some file is missing or wrong, the unused one may be the one that was meant.
    if reader.problems.any() {
        return;
    }
    let applied: BTreeSet<PathBuf> = applied.read.keys().filter_map(|file| file.canonicalize().ok()).collect();
    for file in files::manifests(folder, MANIFESTS_FOLDER).unwrap_or_default() {
        if file.canonicalize().is_ok_and(|path| !applied.contains(&path)) {
            reader.problems.warn(Problem::of_file(file, "no step applies this manifest", None));
        }
    }
}

/// Puts the steps into an order in which each comes after those that it waits for.
pub(super) fn sort_after(steps: &mut Vec<Step>) {
    let mut left = std::mem::take(steps);
    while let Some(next) =
        left.iter().position(|step| !step.after.iter().any(|after| left.iter().any(|step| step.name == *after)))
    {
        steps.push(left.remove(next));
    }
    // Steps in a circle are reported elsewhere; none is lost here.
    steps.append(&mut left);
}
