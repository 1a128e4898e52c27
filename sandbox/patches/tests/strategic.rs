//! Each directive and list kind of strategic merge patches, and the simpler patches.

use patches::{PatchError, json_patch, merge_patch, strategic_merge};
use serde_json::{Value, json};

fn pod(spec: &Value, patch: &Value) -> Result<Value, PatchError> {
    let ty = schema::kind("", "v1", "Pod").expect("Pod");
    Ok(strategic_merge(ty, &json!({ "spec": spec }), &json!({ "spec": patch }))?["spec"].clone())
}

fn deployment(spec: &Value, patch: &Value) -> Result<Value, PatchError> {
    let ty = schema::kind("apps", "v1", "Deployment").expect("Deployment");
    Ok(strategic_merge(ty, &json!({ "spec": spec }), &json!({ "spec": patch }))?["spec"].clone())
}

#[test]
fn lists_with_a_key_are_merged_element_by_element() {
    let before = json!({ "containers": [{ "name": "a", "image": "1", "args": ["x"] }, { "name": "b", "image": "1" }] });
    let patch = json!({ "containers": [{ "name": "a", "image": "2", "args": ["y"] }, { "name": "c", "image": "3" }] });
    let expected = json!({ "containers": [
        { "name": "a", "image": "2", "args": ["y"] }, { "name": "b", "image": "1" }, { "name": "c", "image": "3" }] });
    let after = pod(&before, &patch).expect("merged");
    let names = |spec: &Value| {
        spec["containers"]
            .as_array()
            .expect("containers")
            .iter()
            .map(|c| c["name"].to_string())
            .collect::<Vec<_>>()
            .len()
    };
    assert_eq!(names(&after), 3);
    for wanted in expected["containers"].as_array().expect("containers") {
        assert!(after["containers"].as_array().expect("containers").contains(wanted), "{wanted} is not in {after}");
    }
}

#[test]
fn every_directive_does_what_it_says() {
    let containers = json!({ "containers": [{ "name": "a", "image": "1", "env": [{ "name": "x", "value": "1" }] }, { "name": "b" }] });
    let cases: [(&str, Value, Value, Value); 9] = [
        (
            "delete removes an element",
            containers.clone(),
            json!({ "containers": [{ "$patch": "delete", "name": "a" }] }),
            json!({ "containers": [{ "name": "b" }] }),
        ),
        (
            "replace in a list drops all others",
            containers.clone(),
            json!({ "containers": [{ "$patch": "replace" }, { "name": "c", "image": "2" }] }),
            json!({ "containers": [{ "name": "c", "image": "2" }] }),
        ),
        (
            "replace in an element drops its other fields",
            containers.clone(),
            json!({ "containers": [{ "name": "a", "env": [{ "$patch": "replace" }] }, { "name": "b", "image": "2" }] }),
            json!({ "containers": [{ "name": "a", "image": "1", "env": [] }, { "name": "b", "image": "2" }] }),
        ),
        (
            "replace of an object",
            json!({ "securityContext": { "runAsUser": 1, "fsGroup": 2 } }),
            json!({ "securityContext": { "$patch": "replace", "runAsUser": 3 } }),
            json!({ "securityContext": { "runAsUser": 3 } }),
        ),
        (
            "delete of an object leaves it empty",
            json!({ "securityContext": { "runAsUser": 1 } }),
            json!({ "securityContext": { "$patch": "delete" } }),
            json!({ "securityContext": {} }),
        ),
        (
            "null removes a field",
            json!({ "hostname": "a", "nodeName": "b" }),
            json!({ "hostname": null }),
            json!({ "nodeName": "b" }),
        ),
        (
            "an order is set",
            containers.clone(),
            json!({ "$setElementOrder/containers": [{ "name": "b" }, { "name": "a" }] }),
            json!({ "containers": [{ "name": "b" }, { "name": "a", "image": "1", "env": [{ "name": "x", "value": "1" }] }] }),
        ),
        (
            "an order is set and an element is added",
            json!({ "containers": [{ "name": "a" }, { "name": "s" }] }),
            json!({ "$setElementOrder/containers": [{ "name": "n" }, { "name": "a" }], "containers": [{ "name": "n", "image": "1" }] }),
            json!({ "containers": [{ "name": "n", "image": "1" }, { "name": "a" }, { "name": "s" }] }),
        ),
        (
            "retained keys of volumes",
            json!({ "volumes": [{ "name": "v", "emptyDir": {} }] }),
            json!({ "volumes": [{ "name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": { "path": "/a" } }] }),
            json!({ "volumes": [{ "name": "v", "hostPath": { "path": "/a" } }] }),
        ),
    ];
    for (name, before, patch, expected) in cases {
        assert_eq!(pod(&before, &patch).expect(name), expected, "{name}");
    }
}

#[test]
fn lists_without_a_merge_strategy_are_replaced() {
    let before = json!({ "tolerations": [{ "key": "a" }], "containers": [{ "name": "a", "command": ["x", "y"] }] });
    let after =
        pod(&before, &json!({ "tolerations": [{ "key": "b" }], "containers": [{ "name": "a", "command": ["z"] }] }))
            .expect("merged");
    assert_eq!(after, json!({ "tolerations": [{ "key": "b" }], "containers": [{ "name": "a", "command": ["z"] }] }));
}

#[test]
fn lists_of_simple_values_are_joined_and_elements_can_be_deleted() {
    let ty = schema::kind("", "v1", "Pod").expect("Pod");
    let before = json!({ "metadata": { "finalizers": ["a", "b"] } });
    let joined = strategic_merge(ty, &before, &json!({ "metadata": { "finalizers": ["c", "a"] } })).expect("merged");
    let mut names: Vec<&str> =
        joined["metadata"]["finalizers"].as_array().expect("list").iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "b", "c"]);
    let fewer = strategic_merge(ty, &before, &json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["a"] } }))
        .expect("merged");
    assert_eq!(fewer["metadata"]["finalizers"], json!(["b"]));
}

#[test]
fn a_strategy_keeps_only_the_keys_that_are_retained() {
    let before = json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 } } });
    let patch = json!({ "strategy": { "$retainKeys": ["type"], "type": "Recreate" } });
    assert_eq!(deployment(&before, &patch).expect("merged"), json!({ "strategy": { "type": "Recreate" } }));
}

#[test]
fn patches_that_cannot_be_merged_are_refused_in_the_servers_words() {
    let before = json!({ "containers": [{ "name": "a" }], "securityContext": { "runAsUser": 1 } });
    let cases = [
        (json!({ "containers": [{ "image": "x" }] }), "map: map[image:x] does not contain declared merge key: name"),
        (
            json!({ "containers": [{ "$patch": "delete" }] }),
            "map: map[$patch:delete] does not contain declared merge key: name",
        ),
        (
            json!({ "containers": [{ "$patch": "merge", "name": "a" }] }),
            "merging lists cannot yet be specified in the patch",
        ),
        (json!({ "securityContext": { "$patch": "what" } }), "unknown patch type: what in map: map[$patch:what]"),
        (
            json!({ "securityContext": { "$retainKeys": ["fsGroup"], "runAsUser": 2 } }),
            "invalid patch format of retainKeys",
        ),
        (json!({ "$setElementOrder/containers": "a" }), "invalid patch format of setElementOrder list"),
        (json!({ "$deleteFromPrimitiveList": ["a"] }), "invalid patch format of primitive list"),
        (json!({ "containers": [["a"]] }), "lists of lists are not supported"),
    ];
    for (patch, expected) in cases {
        assert_eq!(pod(&before, &patch).expect_err("refused").to_string(), expected, "{patch}");
    }
}

#[test]
fn json_patch_operations_do_what_the_standard_says() {
    let before = json!({ "a": { "b": [1, 2, 3] }, "x/y": 1, "m~n": 2 });
    let cases = [
        (
            json!([{ "op": "add", "path": "/a/b/1", "value": 9 }]),
            json!({ "a": { "b": [1, 9, 2, 3] }, "x/y": 1, "m~n": 2 }),
        ),
        (
            json!([{ "op": "add", "path": "/a/b/-", "value": 9 }]),
            json!({ "a": { "b": [1, 2, 3, 9] }, "x/y": 1, "m~n": 2 }),
        ),
        (
            json!([{ "op": "remove", "path": "/x~1y" }, { "op": "replace", "path": "/m~0n", "value": 5 }]),
            json!({ "a": { "b": [1, 2, 3] }, "m~n": 5 }),
        ),
        (
            json!([{ "op": "move", "from": "/a/b/0", "path": "/first" }]),
            json!({ "a": { "b": [2, 3] }, "x/y": 1, "m~n": 2, "first": 1 }),
        ),
        (
            json!([{ "op": "copy", "from": "/a", "path": "/c" }, { "op": "test", "path": "/c/b/2", "value": 3 }]),
            json!({ "a": { "b": [1, 2, 3] }, "x/y": 1, "m~n": 2, "c": { "b": [1, 2, 3] } }),
        ),
        (
            json!([{ "op": "replace", "path": "/a/b/-1", "value": 0 }]),
            json!({ "a": { "b": [1, 2, 0] }, "x/y": 1, "m~n": 2 }),
        ),
        (json!([{ "op": "replace", "path": "", "value": {} }]), json!({})),
    ];
    for (patch, expected) in cases {
        assert_eq!(json_patch(&before, &patch).expect("patched"), expected, "{patch}");
    }
}

#[test]
fn json_patches_that_do_not_fit_are_refused() {
    let before = json!({ "a": { "b": [1] } });
    let cases = [
        (json!([{ "op": "test", "path": "/a/b/0", "value": 2 }]), "testing value /a/b/0 failed: test failed"),
        (
            json!([{ "op": "remove", "path": "/a/c" }]),
            "error in remove for path: '/a/c': Unable to remove nonexistent key: c: missing value",
        ),
        (
            json!([{ "op": "add", "path": "/x/y", "value": 1 }]),
            "add operation does not apply: doc is missing path: \"/x/y\": missing value",
        ),
        (
            json!([{ "op": "add", "path": "/a/b/7", "value": 1 }]),
            "error in add for path: '/a/b/7': Unable to access invalid index: 7: invalid index referenced",
        ),
        (
            json!([{ "op": "replace", "path": "/x/y", "value": 1 }]),
            "replace operation does not apply: doc is missing path: /x/y: missing value",
        ),
        (json!([{ "op": "what", "path": "/a" }]), "Unexpected kind: what"),
    ];
    for (patch, expected) in cases {
        let refused = json_patch(&before, &patch).expect_err("refused");
        assert!(matches!(refused, PatchError::Unprocessable(_)));
        assert_eq!(refused.to_string(), expected, "{patch}");
    }
    assert!(matches!(json_patch(&before, &json!({})), Err(PatchError::Malformed(_))));
}

#[test]
fn merge_patches_follow_the_standards_examples() {
    let cases = [
        (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
        (json!({ "a": "b" }), json!({ "a": null }), json!({})),
        (json!({ "a": { "b": "c" } }), json!({ "a": { "b": "d", "c": null } }), json!({ "a": { "b": "d" } })),
        (json!({ "a": [1] }), json!({ "a": [2] }), json!({ "a": [2] })),
        (json!({ "e": null }), json!({ "a": 1 }), json!({ "e": null, "a": 1 })),
        (json!([1]), json!({ "a": "b", "c": null }), json!({ "a": "b" })),
        (json!({}), json!({ "a": { "bb": { "ccc": null } } }), json!({ "a": { "bb": {} } })),
    ];
    for (before, patch, expected) in cases {
        assert_eq!(merge_patch(&before, &patch), expected, "{patch}");
    }
}
