//! What stays, and how much there may be.

use crate::world::{World, container, is_ready, phase, pod, wait};
use apiserver::streams::LogOptions;
use sandbox::{FolderError, Options, StartError, State};
use serde_json::json;
use std::time::Instant;

pub async fn claims_keep_their_files_over_pods() {
    let world = World::start().await;
    let spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
    world.create(kinds::PERSISTENT_VOLUME_CLAIMS, json!({ "metadata": { "name": "data" }, "spec": spec })).await;
    let with_claim = |name: &str, steps: &[&str]| {
        let mut pod = pod(name, steps);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
        pod["spec"]["volumes"] = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }]);
        pod
    };
    world.create(kinds::PODS, with_claim("writer", &["write", "/data/file", "kept"])).await;
    world.until(kinds::PODS, "writer", phase("Succeeded")).await;
    world.delete(kinds::PODS, "writer").await;
    let world = world.restart().await;
    world.create(kinds::PODS, with_claim("reader", &["read", "/data/file"])).await;
    world.until(kinds::PODS, "reader", phase("Succeeded")).await;
    assert_eq!(world.log("reader", LogOptions::default()).await, "kept\n");
    world.sandbox.stop().await;
}

pub async fn a_restarted_sandbox_keeps_its_objects_and_runs_its_pods_again() {
    let world = World::start().await;
    let address = world.sandbox.ready().address;
    for (name, policy) in [("again", "Always"), ("once", "Never")] {
        let mut pod = pod(name, &["print", "up", "+", "sleep"]);
        pod["spec"]["restartPolicy"] = policy.into();
        world.create(kinds::PODS, pod).await;
        world.until(kinds::PODS, name, is_ready).await;
    }
    let world = world.restart().await;
    assert_eq!(world.sandbox.ready().address, address, "kubeconfigs stay good");
    let again = world.until(kinds::PODS, "again", |pod| is_ready(pod) && restarts(pod) == 1).await;
    assert_eq!(again["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 255);
    world.until(kinds::PODS, "once", phase("Failed")).await;
    world.sandbox.stop().await;
}

fn restarts(pod: &serde_json::Value) -> u64 {
    pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or(0)
}

pub async fn a_folder_has_one_sandbox() {
    let world = World::start().await;
    let folder = world.folder.path().to_owned();
    let second = sandbox::start(Options::new(&folder)).await.err().expect("the folder is taken");
    assert!(matches!(second, StartError::Folder(FolderError::Taken { .. })), "{second}");
    assert!(
        matches!(sandbox::status(&folder).expect("readable"), State::Running(ready) if ready == world.sandbox.ready())
    );
    world.sandbox.stop().await;
    assert_eq!(sandbox::status(&folder).expect("readable"), State::Stopped);
}

/// How soon one pod and 500 pods run: figures, not promises.
pub async fn many_pods_run_soon() {
    let world = World::start().await;
    for number in 0..3 {
        let name = format!("one-{number}");
        let begin = Instant::now();
        world.create(kinds::PODS, pod(&name, &["sleep"])).await;
        let running = async {
            while !world.get(kinds::PODS, &name).is_some_and(|pod| is_ready(&pod)) {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        running.await;
        println!("one pod ready after {:?}", begin.elapsed());
    }
    let mut container = container("c", &["sleep"]);
    container["resources"] = json!({ "requests": { "cpu": "1m", "memory": "1Mi" } });
    let spec = json!({ "terminationGracePeriodSeconds": 1, "containers": [container] });
    let template = json!({ "metadata": { "labels": { "app": "many" } }, "spec": spec });
    let begin = Instant::now();
    let replicas = json!({ "replicas": 490, "selector": { "matchLabels": { "app": "many" } }, "template": template });
    world.create(kinds::DEPLOYMENTS, json!({ "metadata": { "name": "many" }, "spec": replicas })).await;
    let all = wait(|| {
        let many = world.get(kinds::DEPLOYMENTS, "many")?;
        (many["status"]["readyReplicas"] == 490).then_some(())
    });
    assert!(all.await.is_some(), "{:?}", world.get(kinds::DEPLOYMENTS, "many").map(|many| many["status"].clone()));
    println!("490 pods ready after {:?}", begin.elapsed());
    world.sandbox.stop().await;
}
