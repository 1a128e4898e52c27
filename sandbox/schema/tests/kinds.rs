//! The data file and what is told from it.

use schema::{Empty, ListKind, Shape, check, kind, normalize, openapi_v3, zero};
use serde_json::{Value, json};

fn problems(group: &str, name: &str, object: &Value) -> Vec<String> {
    check(group, "v1", name, object).iter().map(ToString::to_string).collect()
}

fn shape(group: &str, root: &str, path: &str) -> Shape {
    let mut shape = Shape::Object(kind(group, "v1", root).expect("the kind"));
    for name in path.split('.') {
        while let Shape::List(element, _) | Shape::Map(element) = shape {
            shape = *element;
        }
        let Shape::Object(ty) = shape else { panic!("{path}: {name} is inside no object") };
        shape = ty.field(name).unwrap_or_else(|| panic!("{path}: no field {name}")).shape;
    }
    shape
}

#[test]
fn every_supported_kind_is_there_and_others_are_not() {
    let supported = [
        ("", "Namespace Node Pod Service ConfigMap Secret ServiceAccount PersistentVolume PersistentVolumeClaim"),
        ("", "ReplicationController ResourceQuota LimitRange Event Binding DeleteOptions"),
        ("apps", "Deployment ReplicaSet"),
        ("batch", "Job"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("storage.k8s.io", "StorageClass"),
        ("events.k8s.io", "Event"),
        ("rbac.authorization.k8s.io", "Role RoleBinding ClusterRole ClusterRoleBinding"),
        ("authorization.k8s.io", "SelfSubjectAccessReview SubjectAccessReview"),
        ("authentication.k8s.io", "TokenReview SelfSubjectReview TokenRequest"),
        ("policy", "Eviction"),
        ("autoscaling", "Scale"),
    ];
    for (group, kinds) in supported {
        for name in kinds.split(' ') {
            let ty = kind(group, "v1", name).unwrap_or_else(|| panic!("{group} {name} is missing"));
            assert_eq!(ty.name(), name);
            assert!(name == "DeleteOptions" || ty.field("metadata").is_some(), "{name} has no metadata");
        }
    }
    assert!(kind("apps", "v1", "StatefulSet").is_none());
    assert!(kind("", "v1", "Deployment").is_none());
    assert!(kind("apps", "v1beta1", "Deployment").is_none());
}

#[test]
fn every_field_of_the_data_file_is_loaded() {
    let mut lines = include_str!("../data/kinds.txt").lines();
    let written = lines.find(|line| line.starts_with("type core.PodCondition;")).expect("the type");
    let names: Vec<&str> = written.split("; ").skip(1).filter_map(|field| field.split(' ').next()).collect();
    let Shape::List(Shape::Object(condition), _) = shape("", "Pod", "status.conditions") else { panic!("conditions") };
    assert_eq!(condition.fields().iter().map(|field| field.name).collect::<Vec<_>>(), names);
    assert!(names.contains(&"type"));
}

#[test]
fn list_kinds_and_keys_are_those_of_kubernetes() {
    let cases: [(&str, &str, &str, ListKind); 7] = [
        ("", "Pod", "spec.containers", ListKind::Map(&["name"])),
        ("", "Pod", "spec.containers.ports", ListKind::Map(&["containerPort", "protocol"])),
        ("", "Service", "spec.ports", ListKind::Map(&["port", "protocol"])),
        ("", "Pod", "spec.tolerations", ListKind::Atomic),
        ("", "Pod", "spec.containers.args", ListKind::Atomic),
        ("", "Pod", "metadata.finalizers", ListKind::Set),
        ("", "Pod", "metadata.ownerReferences", ListKind::Map(&["uid"])),
    ];
    for (group, root, path, expected) in cases {
        let Shape::List(_, found) = shape(group, root, path) else { panic!("{path} is no list") };
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn the_patch_key_of_service_ports_is_the_port_alone() {
    let Shape::Object(spec) = shape("", "Service", "spec") else { panic!("spec") };
    let ports = spec.field("ports").expect("ports");
    assert!(ports.strategy.merge);
    assert_eq!(ports.strategy.key, Some("port"));
    let Shape::Object(port) = ({
        let Shape::List(element, _) = ports.shape else { panic!("ports") };
        *element
    }) else {
        panic!("port")
    };
    assert_eq!(port.field("protocol").expect("protocol").default, Some("\"TCP\""));
    assert_eq!(port.required(), ["port"]);
}

#[test]
fn selectors_are_atomic_and_labels_are_not() {
    let Shape::Object(deployment) = shape("apps", "Deployment", "spec") else { panic!("spec") };
    assert!(deployment.field("selector").expect("selector").atomic);
    let Shape::Object(service) = shape("", "Service", "spec") else { panic!("spec") };
    assert!(service.field("selector").expect("selector").atomic);
    let Shape::Object(metadata) = shape("", "Service", "metadata") else { panic!("metadata") };
    assert!(!metadata.field("labels").expect("labels").atomic);
    let Shape::Object(volume) = shape("", "PersistentVolume", "spec") else { panic!("spec") };
    assert!(!volume.field("claimRef").expect("claimRef").atomic, "the field says granular although its type is atomic");
}

#[test]
fn fields_know_what_becomes_of_them_when_they_are_empty() {
    let Shape::Object(pod) = shape("", "Pod", "spec") else { panic!("spec") };
    let empty = |name: &str| pod.field(name).expect(name).empty;
    assert_eq!(empty("containers"), Empty::Filled);
    assert_eq!(empty("nodeName"), Empty::Dropped);
    assert_eq!(empty("priority"), Empty::Kept);
}

#[test]
fn a_fitting_object_has_no_problems() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "a", "labels": { "x.y/z": "1" }, "creationTimestamp": null },
        "spec": { "containers": [{ "name": "c", "image": "i", "resources": { "limits": { "cpu": 1, "memory": "1Gi" } },
            "ports": [{ "containerPort": 80 }], "livenessProbe": { "httpGet": { "port": "http", "path": "/" } } }] },
        "status": { "startTime": "2026-01-02T03:04:05Z" },
    });
    assert_eq!(problems("", "Pod", &pod), Vec::<String>::new());
}

#[test]
fn unknown_fields_are_told_with_their_path() {
    let deployment = json!({ "spec": { "foo": 1, "template": { "spec": { "containers": [{ "name": "a" }, { "nmae": "b" }] } } }, "sepc": {} });
    assert_eq!(
        problems("apps", "Deployment", &deployment),
        [
            r#"unknown field "spec.foo""#,
            r#"unknown field "spec.template.spec.containers[1].nmae""#,
            r#"unknown field "sepc""#
        ]
    );
}

#[test]
fn texts_of_another_form_are_told_in_the_decoders_words() {
    let memory =
        |amount: &str| json!({ "spec": { "containers": [{ "resources": { "limits": { "memory": amount } } }] } });
    let cases: [(&str, &str, Value, &str); 4] = [
        ("", "Secret", json!({ "data": { "a": "b$c=" } }), "illegal base64 data at input byte 1"),
        (
            "",
            "Pod",
            json!({ "metadata": { "creationTimestamp": "yesterday" } }),
            r#"parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006""#,
        ),
        (
            "",
            "Pod",
            memory("lots"),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("", "Pod", memory("1ki"), "unable to parse quantity's suffix"),
    ];
    for (group, root, object, expected) in cases {
        assert_eq!(problems(group, root, &object), [expected], "{object}");
    }
    assert!(problems("", "Pod", &memory("1Gi")).is_empty());
}

#[test]
fn wrong_types_are_told_in_the_decoders_words() {
    let cases: [(&str, &str, Value, &str); 10] = [
        (
            "apps",
            "Deployment",
            json!({ "spec": { "replicas": "3" } }),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "apps",
            "Deployment",
            json!({ "spec": { "replicas": 1.5 } }),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "",
            "Pod",
            json!({ "spec": { "containers": [{ "env": [{ "name": "a", "value": 1 }] }] } }),
            "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
        ),
        (
            "",
            "Pod",
            json!({ "spec": { "containers": {} } }),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            "",
            "Pod",
            json!({ "spec": { "containers": [{ "imagePullPolicy": true }] } }),
            "json: cannot unmarshal bool into Go struct field Container.spec.containers.imagePullPolicy of type v1.PullPolicy",
        ),
        (
            "",
            "Pod",
            json!({ "metadata": { "labels": { "a": 1 } } }),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            "",
            "ConfigMap",
            json!({ "data": [] }),
            "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string",
        ),
        (
            "",
            "Service",
            json!({ "spec": { "ports": [{ "port": 80, "targetPort": true }] } }),
            "json: cannot unmarshal bool into Go value of type int32",
        ),
        (
            "",
            "Pod",
            json!({ "spec": "x" }),
            "json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec",
        ),
        (
            "",
            "PersistentVolumeClaim",
            json!({ "spec": { "accessModes": [1] } }),
            "json: cannot unmarshal number into Go struct field PersistentVolumeClaimSpec.spec.accessModes of type v1.PersistentVolumeAccessMode",
        ),
    ];
    for (group, root, object, expected) in cases {
        assert_eq!(problems(group, root, &object), [expected], "{object}");
    }
}

#[test]
fn normalize_drops_what_is_not_shown_and_fills_what_always_is() {
    let mut deployment = json!({
        "metadata": { "name": "a", "labels": {}, "annotations": null },
        "spec": { "paused": false, "replicas": 0, "unknown": 1, "selector": null, "template": { "spec": { "containers": [
            { "name": "c", "env": [], "args": null, "securityContext": {} }] } } },
    });
    normalize(kind("apps", "v1", "Deployment").expect("kind"), &mut deployment);
    assert_eq!(
        deployment,
        json!({
            "metadata": { "name": "a" },
            "spec": { "replicas": 0, "strategy": {}, "template": { "metadata": {}, "spec": { "containers": [
                { "name": "c", "resources": {}, "securityContext": {} }] } } },
            "status": {},
        })
    );
}

#[test]
fn normalize_is_its_own_fixed_point() {
    for name in ["Pod", "Service", "Event", "Node"] {
        let ty = kind("", "v1", name).expect(name);
        let mut object = zero(ty);
        normalize(ty, &mut object);
        assert_eq!(object, zero(ty), "{name}");
        assert_eq!(problems("", name, &object), Vec::<String>::new());
    }
}

#[test]
fn kubectl_finds_field_validation_for_every_kind_of_a_group() {
    let document = openapi_v3("apps/v1").expect("apps/v1");
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({ "group": "apps", "version": "v1", "kind": "Deployment" })
    );
    let named = |name: &str| {
        patch["parameters"]
            .as_array()
            .expect("parameters")
            .iter()
            .any(|parameter| parameter["name"] == name && parameter["in"] == "query")
    };
    assert!(named("fieldValidation") && named("dryRun"));
    assert!(openapi_v3("v1").expect("v1")["paths"]["/api/v1/nodes/{name}"].is_object());
    assert!(openapi_v3("networking.k8s.io/v1").is_none());
}
