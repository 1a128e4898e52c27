use engine::Class;
use serde_json::{Value, json};

use crate::harness::{PAUSE, SHELL, Test, container, deployment, ensure, failures, job, map, test};

/// Each of these ends a wait long before its deadline, with a cause and a hint.
pub fn tests() -> Vec<(String, Test)> {
    let mut tests = Vec::new();
    for (name, manifests, cause, words) in images_and_containers().into_iter().chain(workloads()).chain(volumes()) {
        tests.push(test(&format!("{name}_ends_the_wait_with_its_cause"), move |world| async move {
            let deployment = world.deployment(&format!("cause-{}", name.replace('_', "-")));
            let outcome = deployment.apply(&manifests).await;
            let told = failures(&outcome);
            let destroyed = deployment.destroy().await;
            ensure(destroyed.is_success(), failures(&destroyed))?;
            let (_, failure) = outcome.failures.first().ok_or("it did not fail")?;
            ensure(failure.class == Class::Blocked, format!("{:?}: {told}", failure.class))?;
            ensure(!told.contains("within"), format!("it ran into its deadline: {told}"))?;
            ensure(told.contains(cause) && told.contains(words), format!("neither {cause} nor {words:?} in: {told}"))?;
            ensure(failure.hint.is_some(), "there is no hint")?;
            let blockers = deployment.blockers();
            ensure(blockers.iter().any(|blocker| blocker.cause == cause), format!("it was never said: {blockers:?}"))?;
            if matches!(cause, "CrashLoopBackOff" | "BackoffLimitExceeded") {
                let has_log =
                    |line: &str| blockers.iter().any(|blocker| blocker.log.iter().any(|logged| logged.contains(line)));
                ensure(has_log("out of data"), format!("its last lines are missing: {blockers:?}"))?;
            }
            Ok(())
        }));
    }
    tests
}

type Case = (&'static str, Vec<Value>, &'static str, &'static str);

fn one(name: &'static str, more: &Value, cause: &'static str, words: &'static str) -> Case {
    (name, vec![deployment("app", &json!({"containers": [container(more)]}))], cause, words)
}

fn images_and_containers() -> Vec<Case> {
    let probe =
        json!({"exec": {"command": ["sh", "-c", "echo stuck; exit 1"]}, "periodSeconds": 1, "failureThreshold": 1});
    let never = json!({"exec": {"command": ["sh", "-c", "exit 1"]}});
    let print = "echo starting; echo out of data; exit 3";
    let mut configured = one(
        "a_missing_key",
        &json!({"image": PAUSE, "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "absent"}}}]}),
        "CreateContainerConfigError",
        "couldn't find key absent",
    );
    configured.1.push(map("settings", &json!({"a": "1"})));
    let mut wrong_processor = one(
        "an_exec_format_error",
        // Without a probe it is ready for a moment, which is enough.
        &json!({"command": ["/programs/broken"], "volumeMounts": [{"name": "programs", "mountPath": "/programs"}], "readinessProbe": never}),
        "ExecFormatError",
        "exit",
    );
    wrong_processor.1[0]["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "programs", "configMap": {"name": "programs", "defaultMode": 0o755}}]);
    wrong_processor.1.push(map("programs", &json!({"broken": "\u{2}\u{3} no program"})));
    vec![
        one(
            "a_registry_that_does_not_exist",
            &json!({"image": "registry.example.invalid/none:1"}),
            "ErrImagePull",
            "no such host",
        ),
        one(
            "an_image_that_is_never_pulled",
            &json!({"image": "docker.io/library/none:1", "imagePullPolicy": "Never"}),
            "ErrImageNeverPull",
            "none:1",
        ),
        one("a_name_that_is_no_image_name", &json!({"image": "UPPER:Case:1"}), "InvalidImageName", "UPPER:Case:1"),
        one(
            "a_crash_loop",
            // Without a probe it is ready for a moment, which is enough.
            &json!({"command": ["sh", "-c", print], "readinessProbe": never}),
            "CrashLoopBackOff",
            "exit code 3",
        ),
        one("a_program_that_is_not_there", &json!({"command": ["/no/such/program"]}), "StartError", "no such file"),
        one(
            "a_missing_config_map",
            &json!({"image": PAUSE, "envFrom": [{"configMapRef": {"name": "absent"}}]}),
            "CreateContainerConfigError",
            "configmap \"absent\" not found",
        ),
        one(
            "root_where_it_is_forbidden",
            &json!({"securityContext": {"runAsNonRoot": true}}),
            "CreateContainerConfigError",
            "runAsNonRoot",
        ),
        one(
            "a_failing_liveness_probe",
            &json!({"command": ["sh", "-c", "sleep 1000"], "readinessProbe": probe, "livenessProbe": probe}),
            "LivenessProbe",
            "137",
        ),
        configured,
        wrong_processor,
    ]
}

fn workloads() -> Vec<Case> {
    let pod = |more: &Value| json!({"containers": [container(more)]});
    let fail = pod(&json!({"command": ["sh", "-c", "echo epoch 1; echo out of data; exit 7"]}));
    let quiet = pod(&json!({"command": ["sh", "-c", "true"]}));
    let mut homeless = quiet.clone();
    homeless["serviceAccountName"] = "absent".into();
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"pods": "0"}}});
    let restricted = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cause-pod-security",
        "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let mut picky = pod(&json!({"image": PAUSE}));
    picky["nodeSelector"] = json!({"disk": "fast"});
    let large = pod(&json!({"image": PAUSE, "resources": {"requests": {"cpu": "64"}}}));
    vec![
        ("a_failed_job", vec![job("app", &json!({"backoffLimit": 0}), &fail)], "BackoffLimitExceeded", "exit code 7"),
        (
            "a_job_over_its_deadline",
            vec![job(
                "app",
                &json!({"activeDeadlineSeconds": 2}),
                &pod(&json!({"command": ["sh", "-c", "sleep 1000"]})),
            )],
            "DeadlineExceeded",
            "deadline",
        ),
        ("a_quota", vec![job("app", &json!({}), &quiet), quota], "QuotaExceeded", "exceeded quota: small"),
        ("pod_security", vec![job("app", &json!({}), &quiet), restricted], "PodSecurity", "restricted"),
        ("a_missing_service_account", vec![job("app", &json!({}), &homeless)], "ServiceAccountMissing", "absent"),
        ("a_missing_account_of_a_deployment", vec![deployment("app", &homeless)], "ServiceAccountMissing", "absent"),
        ("too_many_cpus", vec![deployment("app", &large)], "FailedScheduling", "asks for 64 cpu"),
        ("a_label_that_no_node_has", vec![deployment("app", &picky)], "FailedScheduling", "node affinity/selector"),
    ]
}

fn volumes() -> Vec<Case> {
    let claim = |more: &Value| {
        let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}});
        for (name, value) in more.as_object().expect("an object") {
            claim["spec"][name] = value.clone();
        }
        claim
    };
    let user = deployment(
        "app",
        &json!({"containers": [container(&json!({"image": PAUSE, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}))],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}),
    );
    let secret = deployment(
        "app",
        &json!({"containers": [container(&json!({"image": SHELL, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}))],
        "volumes": [{"name": "v", "secret": {"secretName": "absent"}}]}),
    );
    vec![
        (
            "a_missing_storage_class",
            vec![user.clone(), claim(&json!({"storageClassName": "absent"}))],
            "NoStorageClass",
            "absent",
        ),
        (
            "no_volume_for_a_claim",
            vec![user.clone(), claim(&json!({"storageClassName": ""}))],
            "FailedBinding",
            "no persistent volumes",
        ),
        (
            "an_access_mode_that_is_not_to_be_had",
            vec![user.clone(), claim(&json!({"accessModes": ["ReadWriteMany"]}))],
            "ProvisioningFailed",
            "ReadWriteOnce",
        ),
        ("a_missing_claim", vec![user], "NotFound", "claim data"),
        ("a_missing_secret_volume", vec![secret], "FailedMount", "secret \"absent\" not found"),
    ]
}
