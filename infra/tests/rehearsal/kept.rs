//! Disks that a destroy keeps: of claims that pods used, and of the scenario.

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::simulated::{Cloud, SCENARIO, workspace};

const CLUSTER: &str = "cluster: { gke: { disks: [{ name: data, size: 20GB, claim: data }] } }\nsteps:";

const STORE: &str = r"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 20Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: models}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web
        args: [serve, '8080', hello]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}, {name: models, mountPath: /models}]
      volumes:
      - {name: data, persistentVolumeClaim: {claimName: data}}
      - {name: models, persistentVolumeClaim: {claimName: models}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
";

/// A cloud and the scenario `hello` with two claims, one of which has a disk of its own.
fn with_claims() -> Cloud {
    let cloud = Cloud::new();
    cloud.machine.write("hello/scenario.yaml", &workspace(&SCENARIO.replace("steps:", CLUSTER)));
    cloud.machine.write("hello/manifests/web.yaml", STORE);
    cloud
}

/// The one line of JSON with this event.
fn event(text: &str, name: &str) -> Value {
    let named = format!(r#""event":"{name}""#);
    let line = text.lines().find(|line| line.contains(&named)).unwrap_or_else(|| panic!("no {name} in:\n{text}"));
    serde_json::from_str(line).expect("an object")
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn kept() -> Result<(), Failed> {
    let cloud = with_claims();
    cloud.machine.must(&["apply", "hello", "--yes"]);
    let text = cloud.machine.must(&["destroy", "hello", "--keep-data", "--yes", "--json"]);
    let receipt = event(&text, "receipt");
    let kept = receipt["kept"].as_array().expect("a list");
    let told: Vec<Value> =
        kept.iter().map(|disk| json!([disk["claim"], disk["size_gigabytes"], disk["zone"]])).collect();
    assert_eq!(told, [json!([null, 20, "us-central1-a"]), json!(["default/models", 10, "us-central1-a"])], "{receipt}");
    assert!(kept.iter().all(|disk| disk["deletion"].as_str().is_some_and(|it| it.starts_with("gcloud compute disks"))));
    assert_eq!(receipt["left"], json!([]));
    // Two disks are there, and nothing else.
    assert_eq!((cloud.left(&[]).len(), cloud.left(&["disks"]).len()), (2, 2), "{:?}", cloud.left(&[]));
    let listed = cloud.machine.must(&["list"]);
    assert!(listed.contains("data kept") && listed.contains("gke"), "{listed}");
    let status = cloud.machine.must(&["status", "--name", "hello"]);
    assert!(
        status.contains("USD a month") && status.contains("gcloud compute disks delete infra-hello-data"),
        "{status}"
    );

    // The disk of the scenario is taken up again; that of the first claim stays beside the one of the new claim.
    let plan = cloud.machine.must(&["plan", "hello"]);
    assert!(!plan.contains("disk infra-hello-data") && plan.contains("0 to remove"), "{plan}");
    cloud.machine.must(&["apply", "hello", "--yes"]);
    let alone: Vec<String> =
        cloud.left(&["disks"]).into_iter().filter(|name| name.contains("infra-hello-data")).collect();
    assert_eq!(alone.len(), 1, "{alone:?}");
    let pvc = |names: Vec<String>| names.into_iter().filter(|name| name.contains("/pvc-")).count();
    assert_eq!(pvc(cloud.left(&["disks"])), 2);
    cloud.machine.must(&["destroy", "hello", "--yes"]);
    assert_eq!(cloud.left(&[]), Vec::<String>::new());
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn without_journal() -> Result<(), Failed> {
    let cloud = with_claims();
    cloud.machine.must(&["apply", "hello", "--yes"]);
    cloud.machine.must(&["destroy", "hello", "--keep-data", "--yes"]);
    std::fs::remove_dir_all(cloud.machine.path("state"))?;
    cloud.machine.must(&["destroy", "--name", "hello", "--provider", "gke", "--yes"]);
    assert_eq!(cloud.left(&[]), Vec::<String>::new());
    Ok(())
}
