use std::sync::Arc;

use engine::Class;
use futures::StreamExt;
use providers::kubernetes::{Client, Identity, KubernetesError};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use workloads::{Check, Expectation, LogSelection, Question};

use crate::harness::{Deployment, Outcomes, Test, World, container, deployment, ensure, failures, succeeded, test};

pub fn tests() -> Vec<(String, Test)> {
    vec![
        test("checks_reach_a_service_and_judge_its_answer", checks_reach_a_service_and_judge_its_answer),
        test("a_forwarded_service_survives_the_death_of_its_pod", a_forwarded_service_survives_the_death_of_its_pod),
        test("logs_and_status_tell_of_every_pod", logs_and_status_tell_of_every_pod),
        test("renewed_credentials_are_read_from_the_file", renewed_credentials_are_read_from_the_file),
    ]
}

/// A web server that says hello, and its service.
fn web() -> [Value; 2] {
    let serve =
        "mkdir -p /tmp/web; echo hello > /tmp/web/index.html; echo serving; exec busybox httpd -f -p 8080 -h /tmp/web";
    let container =
        container(&json!({"command": ["sh", "-c", serve], "ports": [{"name": "http", "containerPort": 8080}],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1}}));
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}});
    [deployment("web", &json!({"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]})), service]
}

fn check(demo: &Deployment, wanted: &str) -> Check {
    Check {
        name: "page".into(),
        namespace: demo.name.clone(),
        service: "web".into(),
        port: 80,
        path: "/index.html".into(),
        timeout_seconds: 60,
        question: Question::Http {
            method: "GET".into(),
            body: None,
            expect: Expectation { contains: Some(wanted.into()), ..Expectation::default() },
        },
    }
}

async fn checks_reach_a_service_and_judge_its_answer(world: Arc<World>) -> Outcomes {
    let demo = world.deployment("checked");
    let mut spec = demo.spec(&web());
    spec.checks = vec![check(&demo, "hello")];
    let right = demo.apply_spec(&spec).await;
    let again = demo.plan(&spec).await;
    spec.checks = vec![check(&demo, "goodbye")];
    let wrong = demo.apply_spec(&spec).await;
    demo.destroy().await;
    succeeded(&right)?;
    ensure(again.is_empty(), "a check that passed is not asked again while nothing has changed")?;
    ensure(wrong.failures.iter().any(|(_, failure)| failure.class == Class::Check), failures(&wrong))?;
    ensure(failures(&wrong).contains("\"goodbye\" is not in the answer: hello"), failures(&wrong))
}

async fn a_forwarded_service_survives_the_death_of_its_pod(world: Arc<World>) -> Outcomes {
    let demo = world.deployment("forwarded");
    succeeded(&demo.apply(&web()).await)?;
    let forward = workloads::forward(&Client::new(&world.kubeconfig), "forwarded", "web", None)
        .await
        .map_err(|error| error.to_string())?;
    let first = get(forward.address()).await?;
    world.kubectl(&["-n", "forwarded", "delete", "pod", "-l", "app=web", "--wait=true"]);
    let second = get(forward.address()).await?;
    let unknown = workloads::forward(&Client::new(&world.kubeconfig), "forwarded", "service/nobody", None)
        .await
        .err()
        .map(|error| error.to_string());
    demo.destroy().await;
    ensure(first.contains("hello") && second.contains("hello"), format!("{first:?} {second:?}"))?;
    let unknown = unknown.ok_or("a service that does not exist was forwarded")?;
    ensure(unknown.contains("Service forwarded/web"), unknown)
}

async fn get(address: std::net::SocketAddr) -> Result<String, String> {
    let ask = async {
        let mut socket = tokio::net::TcpStream::connect(address).await?;
        socket.write_all(b"GET /index.html HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    ask.await.map_err(|error| error.to_string())
}

async fn logs_and_status_tell_of_every_pod(world: Arc<World>) -> Outcomes {
    let demo = world.deployment("told");
    let [mut web, service] = web();
    web["spec"]["replicas"] = 2.into();
    succeeded(&demo.apply(&[web, service]).await)?;
    let statuses =
        workloads::status(&Client::new(&world.kubeconfig), "told").await.map_err(|error| error.to_string())?;
    let lines = workloads::logs(&Client::new(&world.kubeconfig), "told", &LogSelection::default())
        .await
        .map_err(|error| error.to_string())?;
    let written: Vec<_> = lines.filter_map(|line| async { line.ok() }).collect().await;
    let followed = LogSelection { follow: true, ..LogSelection::default() };
    let lines =
        workloads::logs(&Client::new(&world.kubeconfig), "told", &followed).await.map_err(|error| error.to_string())?;
    let world_again = world.clone();
    let grow = async move { world_again.kubectl(&["-n", "told", "scale", "deployment", "web", "--replicas=3"]) };
    let (_, followed): (_, Vec<_>) =
        futures::join!(grow, lines.filter_map(|line| async { line.ok() }).take(3).collect());
    demo.destroy().await;
    let [status] = statuses.as_slice() else { return Err(format!("{statuses:?}")) };
    ensure(status.ready && status.detail == "2 of 2 available" && status.pods.len() == 2, format!("{status:?}"))?;
    ensure(written.iter().filter(|line| line.text == "serving").count() == 2, format!("{written:?}"))?;
    let pods: std::collections::BTreeSet<_> = followed.iter().map(|line| line.pod.clone()).collect();
    ensure(pods.len() == 3, format!("{followed:?}"))
}

async fn renewed_credentials_are_read_from_the_file(world: Arc<World>) -> Outcomes {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("kubeconfig");
    let good = crate::harness::read(&world.kubeconfig);
    let expired: Vec<&str> = good
        .lines()
        .filter(|line| !line.contains("client-key-data") && !line.contains("client-certificate-data"))
        .collect();
    let expired = format!("{}\n", expired.join("\n"))
        .replace("  user:\n", "  user:\n    token: expired\n")
        .replace("user: {}", "user: {token: expired}");
    std::fs::write(&file, &expired).map_err(|error| error.to_string())?;
    let client = Client::new(&file);
    let namespace = Identity::new("v1", "Namespace", None, "default");
    let refused = client.get(&namespace).await;
    std::fs::write(&file, good).map_err(|error| error.to_string())?;
    let accepted = client.get(&namespace).await;
    ensure(matches!(refused, Err(KubernetesError::Unauthorized(_))), format!("{refused:?}"))?;
    ensure(matches!(accepted, Ok(Some(_))), format!("{accepted:?}"))
}
