//! What must hold of every object.

use patches::{Apply, ApplyError, apply, merge_patch, record_update, same_but_times};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use schema::Type;
use serde_json::{Map, Value, json};

const NOW: &str = "2026-01-01T00:00:00Z";
const LATER: &str = "2026-01-01T00:01:00Z";

fn deployment() -> &'static Type {
    schema::kind("apps", "v1", "Deployment").expect("Deployment")
}

fn texts() -> impl Strategy<Value = Map<String, Value>> {
    btree_map("[a-c]", "[xy]", 0..3)
        .prop_map(|entries| entries.into_iter().map(|(name, value)| (name, Value::String(value))).collect())
}

fn container() -> impl Strategy<Value = Value> {
    let ports = btree_map((1..4_i32, prop::sample::select(vec!["TCP", "UDP"])), 0..3_i32, 0..3);
    (texts(), prop::option::of("[ij]"), ports, vec("[pq]", 0..3)).prop_map(|(env, image, ports, args)| {
        let env: Vec<Value> = env.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let ports: Vec<Value> = ports
            .into_iter()
            .map(|((port, protocol), host)| json!({ "containerPort": port, "protocol": protocol, "hostPort": host }))
            .collect();
        let mut container = json!({ "env": env, "ports": ports, "args": args });
        if let Some(image) = image {
            container["image"] = json!(image);
        }
        container
    })
}

fn config() -> impl Strategy<Value = Value> {
    let containers = btree_map("[a-c]", container(), 0..3);
    (texts(), prop::option::of(0..3_i32), containers, texts(), prop::collection::btree_set("[f-h]/z", 0..3)).prop_map(|(labels, replicas, containers, selector, finalizers)| {
        let containers: Vec<Value> = containers
            .into_iter()
            .map(|(name, mut container)| {
                container["name"] = json!(name);
                container
            })
            .collect();
        let mut config = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d", "labels": labels, "finalizers": finalizers },
            "spec": { "selector": { "matchLabels": selector }, "template": { "spec": { "containers": containers } } },
        });
        if let Some(replicas) = replicas {
            config["spec"]["replicas"] = json!(replicas);
        }
        config
    })
}

fn applied(live: Option<&Value>, config: &Value, manager: &str, force: bool, now: &str) -> Result<Value, ApplyError> {
    apply(Apply { ty: deployment(), live, config, manager, force, now, subresource: None })
}

/// As the API server stores it: with an identity.
fn stored(mut object: Value) -> Value {
    object["metadata"]["uid"] = json!("1");
    object
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (0..3_i32).prop_map(Value::from),
        "[ab]".prop_map(Value::String)
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            btree_map("[a-c]", inner, 0..3).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(_, inner)| !inner.is_null())
                .map(|(name, inner)| (name.clone(), without_nulls(inner)))
                .collect(),
        ),
        _ => value.clone(),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
        _ => false,
    }
}

/// Whether everything that the configuration says is so in the object; what is empty says nothing.
fn says(object: &Value, config: &Value) -> bool {
    match (object, config) {
        (Value::Object(object), Value::Object(config)) => config
            .iter()
            .all(|(name, value)| says_nothing(value) || object.get(name).is_some_and(|found| says(found, value))),
        (Value::Array(object), Value::Array(config)) => {
            config.iter().all(|wanted| object.iter().any(|found| says(found, wanted)))
        }
        _ => object == config,
    }
}

proptest! {
    #[test]
    fn to_apply_twice_changes_nothing(first in config(), second in config()) {
        let live = stored(applied(None, &first, "one", false, NOW).expect("nobody to disagree"));
        let live = applied(Some(&live), &second, "two", true, NOW).expect("by force");
        let again = applied(Some(&live), &second, "two", false, LATER).expect("its own fields");
        prop_assert_eq!(&again, &live);
        prop_assert!(same_but_times(&live, &again));
    }

    #[test]
    fn what_is_applied_is_so(first in config(), second in config(), third in config()) {
        let live = stored(applied(None, &first, "one", false, NOW).expect("nobody to disagree"));
        let live = applied(Some(&live), &second, "two", true, NOW).expect("by force");
        let live = applied(Some(&live), &third, "one", true, NOW).expect("by force");
        prop_assert!(says(&live, &third), "{} does not say {}", live, third);
    }

    #[test]
    fn what_nobody_applies_any_more_is_gone(config in config()) {
        let live = stored(applied(None, &config, "one", false, NOW).expect("nobody to disagree"));
        let bare = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" } });
        let mut live = applied(Some(&live), &bare, "one", false, NOW).expect("its own fields");
        schema::normalize(deployment(), &mut live);
        let mut empty = stored(bare);
        schema::normalize(deployment(), &mut empty);
        prop_assert_eq!(live, empty);
    }

    #[test]
    fn conflicts_are_those_that_force_takes_away(first in config(), second in config()) {
        let live = stored(applied(None, &first, "one", false, NOW).expect("nobody to disagree"));
        match applied(Some(&live), &second, "two", false, NOW) {
            Ok(gentle) => prop_assert_eq!(gentle, applied(Some(&live), &second, "two", true, NOW).expect("by force")),
            Err(ApplyError::Conflicts(conflicts)) => {
                prop_assert!(!conflicts.is_empty());
                prop_assert!(conflicts.iter().all(|conflict| conflict.manager == "\"one\""));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn an_update_that_changes_nothing_leaves_the_managers_alone(first in config(), second in config()) {
        let mut live = stored(applied(None, &first, "one", false, NOW).expect("nobody to disagree"));
        schema::normalize(deployment(), &mut live);
        let mut after = live.clone();
        record_update(deployment(), Some(&live), &mut after, "editor", LATER, None);
        prop_assert_eq!(&after, &live);
        let mut changed = merge_patch(&live, &second);
        record_update(deployment(), Some(&live), &mut changed, "editor", NOW, None);
        let mut again = changed.clone();
        record_update(deployment(), Some(&changed), &mut again, "editor", LATER, None);
        prop_assert_eq!(again, changed);
    }

    #[test]
    fn merge_patches_keep_their_laws(object in any_json(), patch in any_json()) {
        let once = merge_patch(&object, &patch);
        prop_assert_eq!(merge_patch(&once, &patch), once.clone());
        prop_assert_eq!(merge_patch(&object, &json!({})), if object.is_object() { object.clone() } else { json!({}) });
        if patch.is_object() {
            prop_assert_eq!(merge_patch(&json!({}), &patch), without_nulls(&patch));
        }
    }
}
