//! How long one apply takes: a `ConfigMap` made, applied again, and changed; and a `Deployment`.
use std::time::Instant;

use patches::{Apply, apply};
use serde_json::{Value, json};

fn measure(name: &str, kind: (&str, &str), config: &Value, changed: &Value) {
    let started = Instant::now();
    let ty = schema::kind(kind.0, "v1", kind.1).expect("a kind");
    println!("{name}: schema {:?}", started.elapsed());
    let once = |live: Option<&Value>, config: &Value| {
        apply(Apply { ty, live, config, manager: "m", force: false, now: "2026-01-01T00:00:00Z", subresource: None })
            .expect("applied")
    };
    let live = once(None, config);
    for (what, live, config) in
        [("create", None, config), ("again", Some(&live), config), ("change", Some(&live), changed)]
    {
        let started = Instant::now();
        for _ in 0..1000 {
            std::hint::black_box(once(live, config));
        }
        println!("{name}: {what} {:?} each", started.elapsed() / 1000);
    }
}

fn main() {
    let data =
        |value: &str| (0..10).map(|index| (format!("key-{index}"), json!(value))).collect::<serde_json::Map<_, _>>();
    let map = |value: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "namespace": "n", "labels": { "a": "b" } }, "data": data(value) });
    measure("config map", ("", "ConfigMap"), &map("1"), &map("2"));
    let deployment = |image: &str| {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a" }, "spec": { "replicas": 1, "selector": { "matchLabels": { "a": "b" } },
            "template": { "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "c", "image": image, "ports": [{ "containerPort": 80 }],
                "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }], "resources": { "limits": { "cpu": "1", "memory": "1Gi" } } }] } } } })
    };
    measure("deployment", ("apps", "Deployment"), &deployment("1"), &deployment("2"));
}
