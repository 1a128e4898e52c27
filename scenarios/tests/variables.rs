//! Values from outside: what is said of a scenario's variables, and what it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use scenarios::{Provider, Report, Scenario, Target, Values, load_with, lower};
use serde_json::{Value, json};

const FOLDER: &str = "tests/fixtures/good-vars";

fn values(said: &[(&str, &str)], kept: &[(&str, Value)]) -> Values {
    Values {
        said: said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        kept: kept.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    }
}

fn loaded(said: &[(&str, &str)], kept: &[(&str, Value)]) -> Scenario {
    load_with(Path::new(FOLDER), &values(said, kept)).unwrap_or_else(|report| panic!("{report}"))
}

fn refused(said: &[(&str, &str)], kept: &[(&str, Value)]) -> Report {
    load_with(Path::new(FOLDER), &values(said, kept)).expect_err("it does not fit")
}

fn value(scenario: &Scenario, name: &str) -> Value {
    scenario.vars.iter().find(|variable| variable.name == name).expect("it is declared").value.clone()
}

async fn graph(scenario: &Scenario) -> engine::Graph {
    let cache = tempfile::tempdir().expect("a folder");
    let target = Target {
        deployment: "demo".to_owned(),
        deployment_folder: PathBuf::from("/state/deployments/demo"),
        cache: cache.path().to_owned(),
        provider: Provider::Sandbox,
        kind: None,
        node_image: None,
        gcp: None,
        kubeconfig: PathBuf::from("/home/somebody/.kube/config"),
        held: BTreeMap::new(),
    };
    // What goes into its images is not there.
    let scenario = Scenario { images: Vec::new(), checks: Vec::new(), ..scenario.clone() };
    lower(&scenario, &target).await.expect("a graph").graph
}

#[test]
fn what_is_said_goes_before_what_was_said_and_that_before_the_default() {
    let scenario = loaded(&[("workers", "4"), ("workers", "5")], &[("workers", json!(7)), ("rate", json!(0.25))]);
    assert_eq!((value(&scenario, "workers"), value(&scenario, "rate")), (json!(5), json!(0.25)));
    assert_eq!((scenario.cluster.nodes, value(&scenario, "dataset")), (5, json!("mnist")));
    let job = &scenario.steps[0].manifests[0].value;
    assert_eq!((&job["spec"]["parallelism"], &job["metadata"]["labels"]["workers"]), (&json!(5), &json!("5")));
    let set: Vec<&str> = scenario.vars.iter().filter(|it| it.is_set()).map(|it| it.name.as_str()).collect();
    assert_eq!(set, ["workers", "rate"]);
    let gone = loaded(&[], &[("of-another-time", json!(1))]);
    assert!(gone.vars.iter().all(|variable| !variable.is_set()), "a variable that is gone is nobody's concern");
}

#[test]
fn a_value_has_the_type_of_its_variable() {
    let scenario = loaded(&[("rate", "1"), ("tag", "true"), ("fast", "true"), ("feature", "fast")], &[]);
    assert_eq!((value(&scenario, "rate"), value(&scenario, "tag")), (json!(1), json!("true")));
    let job = &scenario.steps[0].manifests[0].value;
    assert_eq!((&job["metadata"]["name"], &job["spec"]["suspend"]), (&json!("train-true"), &json!(true)));
}

#[test]
fn values_that_do_not_fit_are_reported_at_the_place_of_their_variable() {
    let said =
        [("worker", "4"), ("workers", "21"), ("rate", "nan"), ("dataset", "mnits"), ("tag", "A"), ("fast", "yes")];
    insta::assert_snapshot!("said", refused(&said, &[]));
    insta::assert_snapshot!("kept", refused(&[], &[("workers", json!(21)), ("tag", json!(7))]));
    let none = load_with(Path::new("tests/fixtures/good-smallest"), &values(&[("workers", "3")], &[]));
    insta::assert_snapshot!("without", none.expect_err("there is no variable"));
}

#[tokio::test]
async fn a_value_changes_what_uses_it_and_is_remembered_where_it_is_not_the_default() {
    let before = graph(&loaded(&[], &[])).await;
    let after = graph(&loaded(&[("workers", "5")], &[])).await;
    let addresses = |graph: &engine::Graph| graph.nodes().map(|node| node.address.clone()).collect::<BTreeSet<_>>();
    let all: BTreeSet<_> = addresses(&before).union(&addresses(&after)).cloned().collect();
    let changed = all.iter().filter(|address| before.get(address) != after.get(address)).map(ToString::to_string);
    let expected = [
        "object/configmap/default/settings",
        "object/job/default/train-stable",
        "sandbox-cluster/infra-demo",
        "variable/workers",
    ];
    assert_eq!(changed.collect::<Vec<_>>(), expected);
    let node = after.get(&"variable/workers".parse().expect("an address")).expect("it is remembered");
    assert_eq!((node.title.as_str(), node.note.as_deref()), ("workers = 5", Some("default 3")));
    assert_eq!((&node.inputs, node.lasting), (&json!({ "value": 5 }), false));
}
