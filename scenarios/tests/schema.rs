//! The JSON schema and the loader are two readings of one file: here they are held against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use scenarios::{Report, SCHEMA, load};
use serde_json::{Map, Value, json};

/// The scenario that uses every field. What it names exists beside it.
const EVERYTHING: &str = "tests/fixtures/good-everything/scenario.yaml";

/// Bad fixtures whose mistake is in the shape of the file: the schema must refuse them, and no others.
const OF_SHAPE: &[&str] = &[
    "bad-apply",
    "bad-cargo-package",
    "bad-checks",
    "bad-datasets",
    "bad-durations",
    "bad-empty",
    "bad-empty-fields",
    "bad-gke",
    "bad-image-paths",
    "bad-image-settings",
    "bad-image-source",
    "bad-local-ports",
    "bad-moved",
    "bad-name-too-long",
    "bad-names",
    "bad-not-a-table",
    "bad-numbers",
    "bad-provider-later",
    "bad-provider-unknown",
    "bad-step-names",
    "bad-steps-empty",
    "bad-unknown-fields",
    "bad-vars-declared",
    "bad-version",
    "bad-version-missing",
    "bad-wrong-types",
];

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is JSON")
}

struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    /// Fails where the schema is none of its own draft.
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("scenario.json", schema()).expect("a schema");
        let index = compiler.compile("scenario.json", &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
        Self { schemas, index }
    }

    fn validate(&self, scenario: &Value) -> Result<(), String> {
        self.schemas.validate(scenario, self.index).map_err(|error| error.to_string())
    }
}

/// The only document of a scenario file, where it is YAML at all.
fn document(file: &Path) -> Option<Value> {
    serde_saphyr::from_str(&fs::read_to_string(file).ok()?).ok()
}

fn everything() -> Value {
    document(Path::new(EVERYTHING)).expect("it is YAML")
}

fn fixtures(verdict: &str) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir("tests/fixtures").expect("the fixtures are there");
    let folders = entries.map(|entry| entry.expect("a fixture").path());
    let named = folders.map(|folder| (folder.file_name().expect("a name").to_string_lossy().into_owned(), folder));
    let chosen = named.filter(|(name, _)| name.starts_with(verdict));
    chosen.map(|(name, folder)| (name, folder.join("scenario.yaml"))).collect()
}

/// Every place in a value, as a JSON pointer; the whole is the empty one.
fn places(value: &Value, here: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                places(value, format!("{here}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, format!("{here}/{index}"), found);
            }
        }
        _ => {}
    }
    found.push(here);
}

/// What the loader says of a scenario that stands somewhere else than what it names.
fn loaded(scenario: &Value) -> Result<(), Report> {
    let here = Path::new(EVERYTHING).parent().expect("a folder").canonicalize().expect("the fixture is there");
    let outside = here.parent().expect("a folder above").display().to_string();
    let text = scenario.to_string().replace("\"manifests/", &format!("\"{}/manifests/", here.display()));
    let text = text.replace("../", &format!("{outside}/")).replace("\"..\"", &format!("\"{outside}\""));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("scenario.yaml");
    fs::write(&file, text).expect("a file in a temporary folder");
    load(&file).map(drop)
}

/// The fields that the loader knows at a place, from its answer to one that it does not know.
fn known_to_the_loader(mut scenario: Value, place: &str) -> Option<BTreeSet<String>> {
    scenario.pointer_mut(place)?.as_object_mut()?.insert("zzzzzzzz".to_owned(), json!(1));
    let report = loaded(&scenario).err()?;
    let problem = report.problems.iter().find(|problem| problem.message.ends_with("has no field `zzzzzzzz`"))?;
    let known = problem.help.as_deref()?.strip_prefix("known here: ")?;
    Some(known.split(", ").map(|name| name.trim_matches('`').to_owned()).collect())
}

/// The fields of every table of the schema that knows all of its fields.
fn tables(schema: &Value, found: &mut BTreeSet<BTreeSet<String>>) {
    if let (Some(properties), Value::Bool(false)) = (schema["properties"].as_object(), &schema["additionalProperties"])
    {
        found.insert(properties.keys().cloned().collect());
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|value| tables(value, found)),
        Value::Array(items) => items.iter().for_each(|item| tables(item, found)),
        _ => {}
    }
}

#[test]
fn the_loader_and_the_schema_know_the_same_fields() {
    let scenario = everything();
    let (mut everywhere, mut written) = (Vec::new(), BTreeSet::new());
    places(&scenario, String::new(), &mut everywhere);
    let read: BTreeSet<_> =
        everywhere.iter().filter_map(|place| known_to_the_loader(scenario.clone(), place)).collect();
    tables(&schema(), &mut written);
    assert_eq!(read, written);
}

#[test]
fn every_scenario_that_loads_is_valid() {
    let validator = Validator::new();
    let own = ["mnist-rnn", "mnist-distributed"].map(|name| (name.to_owned(), Path::new(name).join("scenario.yaml")));
    for (name, file) in fixtures("good-").into_iter().chain(fixtures("warn-")).chain(own) {
        assert_eq!(validator.validate(&document(&file).expect(&name)), Ok(()), "{name}");
    }
}

#[test]
fn a_bad_scenario_is_invalid_where_its_mistake_is_in_its_shape() {
    let validator = Validator::new();
    let of_yaml = fixtures("bad-").into_iter().filter_map(|(name, file)| Some((name, document(&file)?)));
    let refused: Vec<String> =
        of_yaml.filter(|(_, document)| validator.validate(document).is_err()).map(|(name, _)| name).collect();
    assert_eq!(refused, OF_SHAPE);
}

/// The scenario without what is at a place.
fn without(mut scenario: Value, place: &str) -> Value {
    let (parent, key) = place.rsplit_once('/').expect("a place has a parent");
    match scenario.pointer_mut(parent).expect("the place is there") {
        Value::Object(fields) => drop(fields.shift_remove(&key.replace("~1", "/").replace("~0", "~"))),
        Value::Array(items) => drop(items.remove(key.parse().expect("an index"))),
        _ => unreachable!("only tables and lists have places"),
    }
    scenario
}

/// Whether a report tells of something that the file alone shows.
fn is_of_shape(report: &Report) -> bool {
    let words = [
        "lacks `",
        "has neither `",
        "has both `",
        "does not say what",
        "takes a table",
        "takes a list",
        "takes a whole number",
        "takes a number from",
        "is empty",
    ];
    report.problems.iter().any(|problem| words.iter().any(|words| problem.message.contains(words)))
}

#[test]
fn whatever_is_changed_the_schema_is_never_stricter_and_sees_what_is_missing_or_of_the_wrong_type() {
    let (validator, scenario, mut everywhere) = (Validator::new(), everything(), Vec::new());
    assert!(loaded(&scenario).is_ok(), "the scenario loads where it was moved to");
    places(&scenario, String::new(), &mut everywhere);
    let values = [
        json!(7),
        json!(-1),
        json!(0.5),
        json!(70_000),
        json!(true),
        json!(""),
        json!("x"),
        json!("A b"),
        json!(["x"]),
        json!([]),
        json!({}),
        json!({"x": 1}),
        json!(null),
    ];
    for place in everywhere.iter().filter(|place| !place.is_empty()) {
        let changed = values.iter().map(|value| {
            let mut changed = scenario.clone();
            *changed.pointer_mut(place).expect("the place is there") = value.clone();
            changed
        });
        for scenario in changed.chain([without(scenario.clone(), place)]) {
            match (loaded(&scenario), validator.validate(&scenario)) {
                (Ok(()), Err(error)) => panic!("only the schema refuses a change of {place}: {error}\n{scenario}"),
                (Err(report), Ok(())) if is_of_shape(&report) => {
                    panic!("only the loader refuses a change of {place}: {report}\n{scenario}")
                }
                _ => {}
            }
        }
    }
}

#[test]
fn every_field_says_what_it_is_for() {
    let schema = schema();
    let is_described = |field: &Value| {
        let target = field["$ref"].as_str().and_then(|to| schema.pointer(to.trim_start_matches('#')));
        [Some(field), target].into_iter().flatten().any(|value| value["description"].is_string())
    };
    let tables = schema["$defs"].as_object().expect("a table").values().chain([&schema]);
    let fields = tables.filter_map(|table| table["properties"].as_object()).flat_map(Map::iter);
    let silent: Vec<&String> = fields.filter(|(_, field)| !is_described(field)).map(|(name, _)| name).collect();
    assert_eq!(silent, Vec::<&String>::new());
}
