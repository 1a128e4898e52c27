use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

fn facts(pod: &Value) -> Facts<'_> {
    Facts {
        pod,
        seen: String::new(),
        address: "10.244.0.5".parse().ok(),
        host_address: "10.244.0.1".to_owned(),
        allocatable: Arc::default(),
    }
}

fn objects(resource: &'static kinds::Resource, name: &str) -> Option<Arc<Value>> {
    let data = match (resource.plural, name) {
        ("configmaps", "settings") => json!({ "data": { "color": "blue", "size": "7" } }),
        ("secrets", "keys") => json!({ "data": { "token": "c2VjcmV0" } }),
        _ => return None,
    };
    Some(Arc::new(data))
}

fn build(container: &Value) -> Result<Vec<(String, String)>, String> {
    let pod = json!({
        "metadata": { "name": "p", "namespace": "n", "labels": { "b": "2", "a": "1" } },
        "spec": { "containers": [container] },
    });
    let services = BTreeMap::from([("WEB_SERVICE_HOST".to_owned(), "10.96.0.7".to_owned())]);
    environment(container, &services, &objects, &facts(&pod)).map(Environment::into_pairs)
}

fn one(env: &Value) -> Result<String, String> {
    let name = text(env, "name").to_owned();
    let all = build(&json!({ "name": "c", "env": [env], "resources": { "limits": { "cpu": "1500m" } } }))?;
    Ok(all.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value).unwrap_or_default())
}

#[test]
fn references_in_values_are_replaced_and_unknown_ones_stay() {
    let find = |name: &str| (name == "A").then(|| "x".to_owned());
    for (text, expanded) in [
        ("$(A)-$(A)", "x-x"),
        ("$$(A)", "$(A)"),
        ("$(B)", "$(B)"),
        ("$A $", "$A $"),
        ("$$$(A)", "$x"),
        ("$(A", "$(A"),
        ("", ""),
    ] {
        assert_eq!(expand(text, find), expanded);
    }
}

#[test]
fn variables_come_from_every_source() {
    assert_eq!(one(&json!({ "name": "V", "value": "at $(WEB_SERVICE_HOST)" })), Ok("at 10.96.0.7".into()));
    let from = |from: Value| one(&json!({ "name": "V", "valueFrom": from }));
    assert_eq!(from(json!({ "fieldRef": { "fieldPath": "metadata.labels" } })), Ok("a=\"1\"\nb=\"2\"".into()));
    assert_eq!(from(json!({ "fieldRef": { "fieldPath": "metadata.labels['b']" } })), Ok("2".into()));
    assert_eq!(from(json!({ "fieldRef": { "fieldPath": "status.podIP" } })), Ok("10.244.0.5".into()));
    assert_eq!(from(json!({ "resourceFieldRef": { "resource": "limits.cpu" } })), Ok("2".into()));
    assert_eq!(from(json!({ "resourceFieldRef": { "resource": "limits.cpu", "divisor": "1m" } })), Ok("1500".into()));
    assert_eq!(from(json!({ "configMapKeyRef": { "name": "settings", "key": "color" } })), Ok("blue".into()));
    assert_eq!(from(json!({ "secretKeyRef": { "name": "keys", "key": "token" } })), Ok("secret".into()));
}

#[test]
fn what_is_missing_is_named_unless_it_is_optional() {
    let from = |from: Value| one(&json!({ "name": "V", "valueFrom": from }));
    let missing = [
        (json!({ "configMapKeyRef": { "name": "no", "key": "k" } }), "configmap \"no\" not found"),
        (
            json!({ "configMapKeyRef": { "name": "settings", "key": "k" } }),
            "couldn't find key k in ConfigMap n/settings",
        ),
        (json!({ "secretKeyRef": { "name": "no", "key": "k" } }), "secret \"no\" not found"),
        (json!({ "secretKeyRef": { "name": "keys", "key": "k" } }), "couldn't find key k in Secret n/keys"),
    ];
    for (reference, message) in missing {
        assert_eq!(from(reference.clone()), Err(message.to_owned()));
        let mut optional = reference;
        let (_, inner) = optional.as_object_mut().expect("an object").iter_mut().next().expect("a field");
        inner["optional"] = true.into();
        assert_eq!(from(optional), Ok(String::new()));
    }
}

#[test]
fn a_variable_of_its_own_wins_over_a_whole_map_and_over_services() {
    let all = build(&json!({
        "name": "c",
        "envFrom": [{ "configMapRef": { "name": "settings" }, "prefix": "P_" }, { "secretRef": { "name": "keys" } }],
        "env": [{ "name": "P_color", "value": "red" }, { "name": "WEB_SERVICE_HOST", "value": "me" }],
    }))
    .expect("all there");
    let find = |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(find("P_color"), Some("red"));
    assert_eq!(find("P_size"), Some("7"));
    assert_eq!(find("token"), Some("secret"));
    assert_eq!(find("WEB_SERVICE_HOST"), Some("me"));
}

#[test]
fn command_and_arguments_replace_those_of_the_image() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (entrypoint, cmd) = (words(&["/e"]), words(&["c"]));
    let run = |container: Value| arguments(&container, &entrypoint, &cmd, &Environment::default());
    assert_eq!(run(json!({})), words(&["/e", "c"]));
    assert_eq!(run(json!({ "args": ["a"] })), words(&["/e", "a"]));
    assert_eq!(run(json!({ "command": ["x"] })), words(&["x"]));
    assert_eq!(run(json!({ "command": ["x"], "args": ["a"] })), words(&["x", "a"]));
}

#[test]
fn services_are_told_in_both_old_forms() {
    let service = json!({
        "metadata": { "name": "my-web" },
        "spec": { "clusterIP": "10.96.0.9", "ports": [{ "name": "http", "port": 80 }, { "name": "m", "port": 90 }] },
    });
    let headless = json!({ "metadata": { "name": "h" }, "spec": { "clusterIP": "None" } });
    let all = service_variables(&[&service, &headless]);
    for (name, value) in [
        ("MY_WEB_SERVICE_HOST", "10.96.0.9"),
        ("MY_WEB_SERVICE_PORT", "80"),
        ("MY_WEB_SERVICE_PORT_HTTP", "80"),
        ("MY_WEB_SERVICE_PORT_M", "90"),
        ("MY_WEB_PORT", "tcp://10.96.0.9:80"),
        ("MY_WEB_PORT_90_TCP", "tcp://10.96.0.9:90"),
        ("MY_WEB_PORT_90_TCP_ADDR", "10.96.0.9"),
    ] {
        assert_eq!(all.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!all.keys().any(|name| name.starts_with("H_")));
}

proptest! {
    #[test]
    fn a_text_without_dollars_stays_as_it_is(text in "[^$]*") {
        prop_assert_eq!(expand(&text, |_| Some("x".to_owned())), text);
    }

    #[test]
    fn every_doubled_dollar_becomes_one(text in "[a-z$()]*") {
        let doubled = text.replace('$', "$$");
        prop_assert_eq!(expand(&doubled, |_| Some("x".to_owned())), text);
    }
}
