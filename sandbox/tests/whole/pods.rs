//! Pods: from their start to their end.

use crate::world::{World, container, is_ready, phase, pod};
use apiserver::User;
use apiserver::streams::{ExecOptions, LogOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn container_status(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

pub async fn a_job_runs_its_pod_to_the_end(world: &World) {
    let template = json!({ "metadata": { "labels": { "app": "work" } },
        "spec": { "restartPolicy": "Never", "containers": [container("c", &["print", "hello"])] } });
    world.create(kinds::JOBS, json!({ "metadata": { "name": "work" }, "spec": { "template": template } })).await;
    world.until(kinds::JOBS, "work", |job| job["status"]["succeeded"] == 1).await;
    let pods = world.pods("work");
    assert_eq!(pods[0]["status"]["phase"], "Succeeded");
    let name = pods[0]["metadata"]["name"].as_str().expect("a name");
    assert_eq!(world.log(name, LogOptions::default()).await, "hello\n");
    for (reason, message) in [
        ("Pulled", "Container image \"tool:1\" already present on machine"),
        ("Created", "Created container: c"),
        ("Started", "Started container c"),
    ] {
        world.until_event(reason, message).await;
    }
}

pub async fn a_failing_container_is_restarted_and_then_backs_off(world: &World) {
    let mut failing = pod("failing", &["print", "try", "+", "exit", "3"]);
    failing["spec"]["restartPolicy"] = "Always".into();
    world.create(kinds::PODS, failing).await;
    let waits = |pod: &Value| container_status(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    let pod = world.until(kinds::PODS, "failing", waits).await;
    let status = container_status(&pod);
    assert_eq!(status["restartCount"], 1, "the first restart does not wait");
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 3);
    let message = status["state"]["waiting"]["message"].as_str().expect("a message");
    assert!(message.starts_with("back-off 10s restarting failed container=c pod=failing_default("), "{message}");
    assert_eq!(world.log("failing", LogOptions { previous: true, ..LogOptions::default() }).await, "try\n");
    world.until_event("BackOff", "Back-off restarting failed container c in pod failing_default(").await;
}

pub async fn a_container_that_is_not_live_is_restarted(world: &World) {
    let mut sick = pod("sick", &["farewell", "bye", "0", "+", "sleep"]);
    sick["spec"]["restartPolicy"] = "Always".into();
    sick["spec"]["containers"][0]["livenessProbe"] =
        json!({ "exec": { "command": ["/tool", "read", "/missing"] }, "periodSeconds": 1, "failureThreshold": 2 });
    world.create(kinds::PODS, sick).await;
    world.until(kinds::PODS, "sick", |pod| container_status(pod)["restartCount"] == 1).await;
    world.until_event("Killing", "Container c failed liveness probe, will be restarted").await;
    world.until_event("Unhealthy", "Liveness probe failed: read /missing: No such file").await;
}

pub async fn what_cannot_start_says_why(world: &World) {
    let state = |reason: &'static str| move |pod: &Value| container_status(pod)["state"]["waiting"]["reason"] == reason;
    let mut missing = pod("missing", &[]);
    missing["spec"]["containers"][0]["image"] = "nothing:1".into();
    world.create(kinds::PODS, missing).await;
    let mut unset = pod("unset", &["variable", "V"]);
    let reference = json!({ "configMapKeyRef": { "name": "later", "key": "k" } });
    unset["spec"]["containers"][0]["env"] = json!([{ "name": "V", "valueFrom": reference }]);
    world.create(kinds::PODS, unset).await;
    let mut broken = pod("broken", &[]);
    broken["spec"]["containers"][0]["command"] = json!(["/nope"]);
    world.create(kinds::PODS, broken).await;
    world.until(kinds::PODS, "missing", state("ImagePullBackOff")).await;
    world.until_event("Failed", "Failed to pull image \"nothing:1\"").await;
    let unset = world.until(kinds::PODS, "unset", state("CreateContainerConfigError")).await;
    assert_eq!(container_status(&unset)["state"]["waiting"]["message"], "configmap \"later\" not found");
    let broken = world.until(kinds::PODS, "broken", phase("Failed")).await;
    let exit = &container_status(&broken)["state"]["terminated"];
    assert_eq!((&exit["reason"], &exit["exitCode"]), (&"StartError".into(), &128.into()));
    world.create(kinds::CONFIG_MAPS, json!({ "metadata": { "name": "later" }, "data": { "k": "there" } })).await;
    world.until(kinds::PODS, "unset", phase("Succeeded")).await;
}

pub async fn init_containers_come_first_and_volumes_are_shared(world: &World) {
    let mut pod = pod("steps", &["read", "/shared/file"]);
    let mount = json!([{ "name": "shared", "mountPath": "/shared" }]);
    let mut init = container("init", &["write", "/shared/file", "from init"]);
    init["volumeMounts"] = mount.clone();
    pod["spec"]["containers"][0]["volumeMounts"] = mount;
    pod["spec"]["initContainers"] = json!([init]);
    pod["spec"]["volumes"] = json!([{ "name": "shared", "emptyDir": {} }]);
    world.create(kinds::PODS, pod).await;
    world.until(kinds::PODS, "steps", phase("Succeeded")).await;
    assert_eq!(world.log("steps", LogOptions::default()).await, "from init\n");
}

pub async fn settings_reach_programs_and_change_while_they_run(world: &World) {
    world.create(kinds::CONFIG_MAPS, json!({ "metadata": { "name": "set" }, "data": { "color": "blue" } })).await;
    let mut pod = pod(
        "settings",
        &["read", "/set/color", "+", "variable", "IP", "+", "wait-for", "/set/size", "+", "read", "/set/color"],
    );
    let spec = &mut pod["spec"]["containers"][0];
    spec["volumeMounts"] = json!([{ "name": "set", "mountPath": "/set" }]);
    spec["env"] = json!([{ "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }]);
    pod["spec"]["volumes"] = json!([{ "name": "set", "configMap": { "name": "set" } }]);
    world.create(kinds::PODS, pod).await;
    world.until_log("settings", "10.244.").await;
    let by = User::system("admin");
    let change = world.api().modify(&by, kinds::CONFIG_MAPS, None, ("default", "set"), |set| {
        set["data"] = json!({ "color": "red", "size": "7" });
        true
    });
    change.await.expect("changed");
    world.until(kinds::PODS, "settings", phase("Succeeded")).await;
    let log = world.log("settings", LogOptions::default()).await;
    assert!(log.starts_with("blue\n") && log.ends_with("red\n"), "{log}");
}

pub async fn a_deleted_pod_ends_within_its_grace(world: &World) {
    let mut polite = pod("polite", &["farewell", "bye", "0", "+", "sleep"]);
    polite["spec"]["terminationGracePeriodSeconds"] = 30.into();
    world.create(kinds::PODS, polite).await;
    let mut stubborn = pod("stubborn", &["stubborn", "+", "sleep"]);
    stubborn["spec"]["terminationGracePeriodSeconds"] = 1.into();
    world.create(kinds::PODS, stubborn).await;
    for name in ["polite", "stubborn"] {
        world.until(kinds::PODS, name, is_ready).await;
        world.delete(kinds::PODS, name).await;
    }
    for name in ["polite", "stubborn"] {
        world.until_gone(kinds::PODS, name).await;
    }
    world.until_event("Killing", "Stopping container c").await;
}

pub async fn commands_run_in_containers_and_ports_are_reached(world: &World) {
    world.create(kinds::PODS, pod("host", &["serve", "8080", "welcome"])).await;
    let pod = world.until(kinds::PODS, "host", is_ready).await;
    let command = ["/tool", "hostname"].map(str::to_owned).to_vec();
    let options = ExecOptions { command, stdout: true, ..ExecOptions::default() };
    let mut session = world.streams().exec(&pod, "c", options).await.expect("runs");
    let mut output = String::new();
    session.stdout.take().expect("output").read_to_string(&mut output).await.expect("readable");
    assert_eq!((output.as_str(), session.exit.await.expect("ended")), ("host\n", 0));
    let answer = crate::world::wait_for(|| async {
        let mut stream = world.streams().connect(&pod, 8080).await.ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    });
    assert!(answer.await.expect("an answer").ends_with("welcome"));
}
