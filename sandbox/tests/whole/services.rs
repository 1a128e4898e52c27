//! Services: reached by name inside, by port outside.

use crate::world::{World, container, phase, pod};
use sandbox::Settings;
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
    assert!(says(&address, port, "welcome").await, "no answer at {address}:{port}");
}

/// Whether this is answered there, after a while.
async fn says(address: &str, port: u16, wanted: &str) -> bool {
    let answer = crate::world::wait_for(|| async {
        let mut stream = TcpStream::connect(format!("{address}:{port}")).await.ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer).filter(|answer| answer.ends_with(wanted))
    });
    answer.await.is_some()
}

pub async fn load_balancers_have_addresses_of_their_own() {
    let settings = Settings { load_balancers: Some("127.77.5.0/24".to_owned()), ..Settings::default() };
    let world = World::start_with(settings).await;
    let port = free_port();
    for (name, asked) in [("one", ""), ("two", ""), ("three", "127.77.6.9")] {
        world.create(kinds::PODS, pod(name, &["serve", "8080", name])).await;
        let mut spec = json!({ "type": "LoadBalancer", "selector": { "app": name },
                               "ports": [{ "port": port, "targetPort": 8080 }] });
        if !asked.is_empty() {
            spec["loadBalancerIP"] = asked.into();
        }
        world.create(kinds::SERVICES, json!({ "metadata": { "name": name }, "spec": spec })).await;
    }
    let mut addresses = std::collections::BTreeSet::new();
    for name in ["one", "two", "three"] {
        let has_address = |service: &Value| service["status"]["loadBalancer"]["ingress"][0]["ip"].is_string();
        let service = world.until(kinds::SERVICES, name, has_address).await;
        let address = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().expect("an address").to_owned();
        assert!(says(&address, port, name).await, "{name} does not answer at {address}:{port}");
        assert!(address.starts_with(if name == "three" { "127.77.6.9" } else { "127.77.5." }), "{address}");
        addresses.insert(address);
    }
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    world.sandbox.stop().await;
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
