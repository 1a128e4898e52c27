//! The store against a model, with the folder closed and opened in between.

use std::collections::BTreeMap;

use apiserver::{Api, DeleteOptions, ListOptions, WriteOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::served::{make_namespace, open, tester};

#[derive(Debug, Clone)]
enum Step {
    Create(u8, u8),
    Change(u8, u8),
    Delete(u8),
    Outdated(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..5u8;
    prop_oneof![
        4 => (name.clone(), any::<u8>()).prop_map(|(name, value)| Step::Create(name, value)),
        4 => (name.clone(), any::<u8>()).prop_map(|(name, value)| Step::Change(name, value)),
        2 => name.clone().prop_map(Step::Delete),
        1 => name.prop_map(Step::Outdated),
        1 => Just(Step::Reopen),
    ]
}

fn config_map(name: u8, value: u8) -> Value {
    json!({"metadata": {"name": format!("c{name}")}, "data": {"value": value.to_string()}})
}

/// Takes one step in both, and gives the value that the answer shows; none when it was refused.
async fn take(api: &Api, model: &mut BTreeMap<String, String>, step: &Step) {
    let (by, options) = (tester(), WriteOptions::default());
    match step {
        Step::Create(name, value) => {
            let made = api.create(&by, kinds::CONFIG_MAPS, "default", config_map(*name, *value), &options).await;
            let was_there = model.contains_key(&format!("c{name}"));
            assert_eq!(made.is_err_and(|status| status.is_already_exists()), was_there);
            model.entry(format!("c{name}")).or_insert(value.to_string());
        }
        Step::Change(name, value) => {
            let place = format!("c{name}");
            let changed = api.modify(&by, kinds::CONFIG_MAPS, None, ("default", &place), |object| {
                object["data"]["value"] = json!(value.to_string());
                true
            });
            assert_eq!(changed.await.is_ok(), model.contains_key(&place));
            model.entry(place).and_modify(|known| *known = value.to_string());
        }
        Step::Delete(name) => {
            let place = format!("c{name}");
            let gone = api.delete(&by, kinds::CONFIG_MAPS, ("default", &place), &DeleteOptions::default()).await;
            assert_eq!(gone.is_ok(), model.remove(&place).is_some());
        }
        Step::Outdated(name) => {
            let mut object = config_map(*name, 0);
            object["metadata"]["resourceVersion"] = json!("1");
            let place = format!("c{name}");
            let refused = api.update(&by, kinds::CONFIG_MAPS, None, ("default", &place), object, &options).await;
            let refused = refused.expect_err("nobody has that version");
            assert!(if model.contains_key(&place) { refused.is_conflict() } else { refused.is_not_found() });
        }
        Step::Reopen => {}
    }
}

fn shown(api: &Api) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = api.list(kinds::CONFIG_MAPS, Some("default"), &ListOptions::default()).expect("a list");
    list.items.iter().map(|it| (text(&it["metadata"]["name"]), text(&it["data"]["value"]))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map_that_survives_being_closed(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let mut api = open(folder.path());
            make_namespace(&api, "default").await;
            let mut model = BTreeMap::new();
            let mut revision = api.revision();
            for step in &steps {
                if matches!(step, Step::Reopen) {
                    drop(api);
                    api = open(folder.path());
                    assert_eq!(api.revision(), revision);
                }
                take(&api, &mut model, step).await;
                assert_eq!(shown(&api), model);
                assert!(api.revision() >= revision);
                revision = api.revision();
            }
        });
    }
}

#[tokio::test]
async fn a_list_in_chunks_shows_one_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let api = open(folder.path());
    make_namespace(&api, "default").await;
    let (by, options) = (tester(), WriteOptions::default());
    for name in 0..7 {
        api.create(&by, kinds::CONFIG_MAPS, "default", config_map(name, 0), &options).await.expect("it is new");
    }
    let chunk = |continue_| ListOptions { limit: Some(3), continue_, ..ListOptions::default() };
    let first = api.list(kinds::CONFIG_MAPS, Some("default"), &chunk(None)).expect("a chunk");
    assert_eq!((first.items.len(), first.remaining), (3, Some(4)));
    // What happens in between is not seen.
    api.delete(&by, kinds::CONFIG_MAPS, ("default", "c4"), &DeleteOptions::default()).await.expect("it was there");
    api.create(&by, kinds::CONFIG_MAPS, "default", config_map(9, 0), &options).await.expect("it is new");
    let second = api.list(kinds::CONFIG_MAPS, Some("default"), &chunk(first.continue_)).expect("a chunk");
    assert_eq!((second.items.len(), second.revision), (3, first.revision));
    let third = api.list(kinds::CONFIG_MAPS, Some("default"), &chunk(second.continue_)).expect("a chunk");
    let names: Vec<&Value> = third.items.iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["c6"]);
    assert_eq!(third.continue_, None);
}

#[tokio::test]
async fn a_pod_on_a_node_is_given_its_time_and_finalizers_hold() {
    let folder = tempfile::tempdir().expect("a folder");
    let api = open(folder.path());
    make_namespace(&api, "default").await;
    let (by, options) = (tester(), WriteOptions::default());
    let pod = json!({
        "metadata": {"name": "one", "finalizers": ["test/hold"]},
        "spec": {"nodeName": "sandbox", "containers": [{"name": "main", "image": "none"}]},
    });
    api.create(&by, kinds::PODS, "default", pod, &options).await.expect("it is new");
    let place = ("default", "one");
    let marked = api.delete(&by, kinds::PODS, place, &DeleteOptions::default()).await.expect("it is there");
    assert!(!marked.removed);
    assert_eq!(marked.object["metadata"]["deletionGracePeriodSeconds"], 30);
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    let held = api.delete(&by, kinds::PODS, place, &now).await.expect("it is there");
    assert!(!held.removed, "the finalizer holds it");
    let release = |object: &mut Value| {
        object["metadata"]["finalizers"] = json!([]);
        true
    };
    api.modify(&by, kinds::PODS, None, place, release).await.expect("it is there");
    assert!(api.get(kinds::PODS, "default", "one").expect_err("it is gone").is_not_found());
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let api = open(folder.path());
    make_namespace(&api, "default").await;
    let (by, options) = (tester(), WriteOptions::default());
    let container = json!({"name": "main", "image": "none", "ports": [{"containerPort": 80}]});
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}});
    let spec = json!({"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template});
    let job =
        json!({"template": {"spec": {"containers": [{"name": "main", "image": "none"}], "restartPolicy": "Never"}}});
    let service = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let table = [
        (kinds::DEPLOYMENTS, spec.clone()),
        (kinds::REPLICA_SETS, spec),
        (kinds::JOBS, job),
        (kinds::SERVICES, service),
        (kinds::PODS, json!({"containers": [{"name": "main", "image": "none"}]})),
        (kinds::PERSISTENT_VOLUME_CLAIMS, claim),
    ];
    for (resource, spec) in table {
        let object = json!({"metadata": {"name": "one"}, "spec": spec});
        let made = api.create(&by, resource, "default", object, &options).await.expect(resource.plural);
        for subresource in [None, Some("status")] {
            let place = ("default", "one");
            let same = api.modify(&by, resource, subresource, place, |_| true).await.expect(resource.plural);
            assert_eq!(same, made, "{} {subresource:?}", resource.plural);
        }
    }
}
