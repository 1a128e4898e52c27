use std::sync::Arc;

use engine::{Action, Class};
use serde_json::{Value, json};

use crate::harness::{
    Outcomes, PAUSE, Test, World, container, deployment, ensure, failures, job, map, read, succeeded, test,
};

pub fn tests() -> Vec<(String, Test)> {
    vec![
        test("a_claim_a_job_and_a_deployment_come_up_and_go", a_claim_a_job_and_a_deployment_come_up_and_go),
        test("objects_that_others_made_are_left_alone", objects_that_others_made_are_left_alone),
        test(
            "what_another_manager_took_over_is_shown_and_put_back",
            what_another_manager_took_over_is_shown_and_put_back,
        ),
        test("an_invalid_manifest_is_reported_field_by_field", an_invalid_manifest_is_reported_field_by_field),
        test("a_changed_immutable_field_makes_the_object_anew", a_changed_immutable_field_makes_the_object_anew),
        test("a_secret_reaches_the_cluster_and_not_the_journal", a_secret_reaches_the_cluster_and_not_the_journal),
        test("a_deletion_waits_for_a_finalizer_and_names_it", a_deletion_waits_for_a_finalizer_and_names_it),
        test("a_thousand_maps_are_applied_looked_at_and_deleted", a_thousand_maps_are_applied_looked_at_and_deleted),
        test("a_custom_resource_follows_its_definition", a_custom_resource_follows_its_definition),
    ]
}

async fn a_claim_a_job_and_a_deployment_come_up_and_go(world: Arc<World>) -> Outcomes {
    let demo = world.deployment("up-and-down");
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "model"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}});
    let volume = json!([{"name": "model", "persistentVolumeClaim": {"claimName": "model"}}]);
    let mounts = json!([{"name": "model", "mountPath": "/model"}]);
    let train = container(
        &json!({"command": ["sh", "-c", "echo accuracy 0.97; echo 1 > /model/weights"], "volumeMounts": mounts}),
    );
    let serve = container(&json!({"command": ["sh", "-c", "sleep 1000"], "volumeMounts": mounts,
        "readinessProbe": {"exec": {"command": ["sh", "-c", "test -f /model/weights"]}, "periodSeconds": 1}}));
    let manifests = [
        claim,
        job("train", &json!({}), &json!({"containers": [train], "volumes": volume})),
        deployment("serve", &json!({"containers": [serve], "volumes": volume})),
    ];
    succeeded(&demo.apply(&manifests).await)?;
    ensure(
        demo.output().contains(&"accuracy 0.97".to_owned()),
        format!("the Job's log is missing: {:?}", demo.output()),
    )?;
    let plan = demo.plan(&demo.spec(&manifests)).await;
    ensure(plan.is_empty(), format!("there is something left to do: {:?}", plan.steps))?;
    let gone = demo.destroy().await;
    succeeded(&gone)?;
    ensure(
        gone.gone.iter().any(|gone| gone.what == "Namespace" && gone.name == "up-and-down"),
        format!("{:?}", gone.gone),
    )?;
    let left = world.kubectl(&["get", "namespace", "up-and-down", "--ignore-not-found", "-o", "name"]);
    ensure(left.is_empty(), left)
}

async fn objects_that_others_made_are_left_alone(world: Arc<World>) -> Outcomes {
    world.kubectl(&["create", "namespace", "foreign"]);
    world.kubectl(&["-n", "foreign", "create", "configmap", "settings", "--from-literal=a=1"]);
    let demo = world.deployment("foreign-settings");
    let mut wanted = map("settings", &json!({"a": "2"}));
    wanted["metadata"]["namespace"] = "foreign".into();
    let outcome = demo.apply(&[wanted]).await;
    ensure(outcome.failures.iter().any(|(_, failure)| failure.class == Class::Foreign), failures(&outcome))?;
    demo.destroy().await;
    let kept = world.kubectl(&["-n", "foreign", "get", "configmap", "settings", "-o", "jsonpath={.data.a}"]);
    world.kubectl(&["delete", "namespace", "foreign", "--wait=false"]);
    ensure(kept == "1", kept)
}

async fn what_another_manager_took_over_is_shown_and_put_back(world: Arc<World>) -> Outcomes {
    let demo = world.deployment("drift");
    succeeded(&demo.apply(&[map("settings", &json!({"a": "1", "b": "1"}))]).await)?;
    world.kubectl(&["-n", "drift", "annotate", "configmap", "settings", "note=mine"]);
    let unchanged = demo.plan(&demo.spec(&[map("settings", &json!({"a": "1", "b": "1"}))])).await;
    ensure(unchanged.is_empty(), "an annotation of somebody else is no drift of ours")?;
    world.kubectl(&["-n", "drift", "patch", "configmap", "settings", "--type=merge", "-p", r#"{"data":{"a":"2"}}"#]);
    let plan = demo.plan(&demo.spec(&[map("settings", &json!({"a": "1", "b": "1"}))])).await;
    let drift = plan.steps.iter().find_map(|step| match &step.action {
        Action::Update { drift, .. } => drift.clone(),
        _ => None,
    });
    let drift = drift.ok_or("there is no drift")?;
    ensure(drift.what == "changed by kubectl-patch", format!("{drift:?}"))?;
    let fields: Vec<String> = drift.fields.iter().map(|it| format!("{} {:?} {:?}", it.path, it.old, it.new)).collect();
    ensure(fields == [r#"data.a Some(String("1")) Some(String("2"))"#], format!("{fields:?}"))?;
    succeeded(&demo.apply(&[map("settings", &json!({"a": "1", "b": "1"}))]).await)?;
    let put_back = world.kubectl(&["-n", "drift", "get", "configmap", "settings", "-o", "jsonpath={.data.a}"]);
    demo.destroy().await;
    ensure(put_back == "1", put_back)
}

async fn an_invalid_manifest_is_reported_field_by_field(world: Arc<World>) -> Outcomes {
    let demo = world.deployment("invalid");
    let mut wrong = map("settings", &json!({"a": "1"}));
    wrong["metadata"]["name"] = "Not_A_Name".into();
    let outcome = demo.apply(&[wrong]).await;
    let mut unknown = deployment("app", &json!({"containers": [container(&json!({"image": PAUSE}))]}));
    unknown["spec"]["replica"] = 2.into();
    let strict = demo.apply(&[unknown]).await;
    demo.destroy().await;
    ensure(failures(&outcome).contains("metadata.name"), failures(&outcome))?;
    ensure(failures(&strict).contains("spec.replica"), failures(&strict))
}

async fn a_changed_immutable_field_makes_the_object_anew(world: Arc<World>) -> Outcomes {
    let demo = world.deployment("replaced");
    let with = |text: &str| {
        job("once", &json!({}), &json!({"containers": [container(&json!({"command": ["sh", "-c", text]}))]}))
    };
    succeeded(&demo.apply(&[with("echo first")]).await)?;
    succeeded(&demo.apply(&[with("echo second")]).await)?;
    demo.destroy().await;
    ensure(demo.output() == ["first", "second"], format!("{:?}", demo.output()))
}

async fn a_secret_reaches_the_cluster_and_not_the_journal(world: Arc<World>) -> Outcomes {
    let demo = world.deployment("secret");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "stringData": {"password": "correct horse"}});
    succeeded(&demo.apply(std::slice::from_ref(&secret)).await)?;
    let made = world.kubectl(&["-n", "secret", "get", "secret", "login", "-o", "jsonpath={.data.password}"]);
    let again = demo.plan(&demo.spec(&[secret])).await;
    let journal = read(&demo.journal());
    demo.destroy().await;
    ensure(made == "Y29ycmVjdCBob3JzZQ==", made)?;
    ensure(again.is_empty(), "the second plan is not empty")?;
    ensure(
        !journal.contains("correct horse") && !journal.contains("Y29ycmVjdCBob3JzZQ"),
        "the journal holds the secret",
    )
}

async fn a_deletion_waits_for_a_finalizer_and_names_it(world: Arc<World>) -> Outcomes {
    let demo = world.deployment("finalizer");
    let mut kept = map("kept", &json!({"a": "1"}));
    kept["metadata"]["finalizers"] = json!(["example.com/keep"]);
    succeeded(&demo.apply(&[kept]).await)?;
    let release = async {
        while !demo.blockers().iter().any(|blocker| blocker.message.contains("example.com/keep")) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        world.kubectl(&[
            "-n",
            "finalizer",
            "patch",
            "configmap",
            "kept",
            "--type=merge",
            "-p",
            r#"{"metadata":{"finalizers":null}}"#,
        ]);
    };
    let ((), outcome) = futures::join!(release, demo.destroy());
    succeeded(&outcome)
}

async fn a_thousand_maps_are_applied_looked_at_and_deleted(world: Arc<World>) -> Outcomes {
    let demo = world.deployment("thousand");
    let maps: Vec<Value> =
        (0..1000).map(|number| map(&format!("map-{number}"), &json!({"number": number.to_string()}))).collect();
    let begin = std::time::Instant::now();
    succeeded(&demo.apply(&maps).await)?;
    let applied = begin.elapsed();
    let plan = demo.plan(&demo.spec(&maps)).await;
    ensure(plan.is_empty(), "the second plan is not empty")?;
    let begin = std::time::Instant::now();
    let outcome = demo.destroy().await;
    // For whoever reads the output; what is fast enough is measured elsewhere.
    println!("1,000 maps: applied in {applied:.2?}, deleted in {:.2?}", begin.elapsed());
    succeeded(&outcome)
}

async fn a_custom_resource_follows_its_definition(world: Arc<World>) -> Outcomes {
    let demo = world.deployment("custom");
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "models.test.example.com"},
        "spec": {"group": "test.example.com", "scope": "Namespaced", "names": {"kind": "Model", "plural": "models"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    let model = json!({"apiVersion": "test.example.com/v1", "kind": "Model", "metadata": {"name": "lstm"}, "spec": {"layers": 1}});
    succeeded(&demo.apply(&[model, definition]).await)?;
    succeeded(&demo.destroy().await)
}
