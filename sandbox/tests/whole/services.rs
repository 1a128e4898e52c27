//! Services: reached by name inside, by port outside.

use crate::world::{World, container, phase, pod};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn deployment(name: &str, steps: &[&str]) -> Value {
    let labels = json!({ "app": name });
    let mut container = container("c", steps);
    container["readinessProbe"] = json!({ "httpGet": { "port": 8080, "path": "/" }, "periodSeconds": 1 });
    json!({
        "metadata": { "name": name },
        "spec": { "replicas": 2, "selector": { "matchLabels": labels },
                  "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } } },
    })
}

pub async fn a_service_leads_to_ready_pods_by_its_name(world: &World) {
    world.create(kinds::DEPLOYMENTS, deployment("web", &["serve", "8080", "welcome"])).await;
    let spec = json!({ "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] });
    world.create(kinds::SERVICES, json!({ "metadata": { "name": "web" }, "spec": spec })).await;
    world.until(kinds::DEPLOYMENTS, "web", |web| web["status"]["readyReplicas"] == 2).await;
    let steps = ["fetch-until", "http://web/", "200 welcome", "+", "fetch", "http://web.default.svc.cluster.local/"];
    world.create(kinds::PODS, pod("client", &steps)).await;
    world.until(kinds::PODS, "client", phase("Succeeded")).await;
}

pub async fn a_load_balancer_is_reached_from_the_machine(world: &World) {
    let port = free_port();
    world.create(kinds::DEPLOYMENTS, deployment("page", &["serve", "8080", "welcome"])).await;
    let spec = json!({ "type": "LoadBalancer", "selector": { "app": "page" },
                       "ports": [{ "port": port, "targetPort": 8080 }] });
    world.create(kinds::SERVICES, json!({ "metadata": { "name": "page" }, "spec": spec })).await;
    world.until(kinds::DEPLOYMENTS, "page", |page| page["status"]["readyReplicas"] == 2).await;
    let has_address = |service: &Value| service["status"]["loadBalancer"]["ingress"][0]["ip"].is_string();
    let service = world.until(kinds::SERVICES, "page", has_address).await;
    let address = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().expect("an address").to_owned();
    let answer = crate::world::wait_for(|| async {
        let mut stream = TcpStream::connect(format!("{address}:{port}")).await.ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer).filter(|answer| answer.ends_with("welcome"))
    });
    assert!(answer.await.is_some(), "no answer at {address}:{port}");
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
