//! Images that pods get from a registry.

use crate::world::{World, phase, pod, tool};
use apiserver::streams::LogOptions;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use sandbox::{RegistryMirror, Settings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

type Content = Arc<HashMap<String, Vec<u8>>>;

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// What a registry with the image of the tool answers, by the last two parts of the path.
fn content() -> HashMap<String, Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_path_with_name(tool(), "tool").expect("added");
    let layer = archive.into_inner().expect("ended");
    let config = json!({ "config": { "Entrypoint": ["/tool"] } }).to_string().into_bytes();
    let blob = |kind: &str, bytes: &[u8]| json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest(bytes), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", &config), "layers": [blob("layer.v1.tar", &layer)],
    });
    let blobs = [config, layer].map(|bytes| (format!("blobs/{}", digest(&bytes)), bytes));
    blobs.into_iter().chain([("manifests/1".to_owned(), manifest.to_string().into_bytes())]).collect()
}

async fn answer(
    State(content): State<Content>,
    Path((kind, what)): Path<(String, String)>,
) -> Result<Vec<u8>, StatusCode> {
    content.get(&format!("{kind}/{what}")).cloned().ok_or(StatusCode::NOT_FOUND)
}

pub async fn a_pod_runs_an_image_from_a_registry() {
    let app =
        Router::new().route("/v2/p/r/tool/{kind}/{what}", axum::routing::get(answer)).with_state(Arc::new(content()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let host = "europe-docker.pkg.dev".to_owned();
    let mirror = RegistryMirror { host: host.clone(), url, credential: None };
    let world = World::start_with(Settings { registries: vec![mirror], ..Settings::default() }).await;
    let with_image = |name: &str, image: &str| {
        let mut pod = pod(name, &["print", "from afar"]);
        pod["spec"]["containers"][0]["image"] = format!("{host}/p/r/{image}").into();
        pod
    };
    world.create(kinds::PODS, with_image("good", "tool:1")).await;
    world.until(kinds::PODS, "good", phase("Succeeded")).await;
    assert_eq!(world.log("good", LogOptions::default()).await, "from afar\n");
    world.until_event("Pulling", &format!("Pulling image \"{host}/p/r/tool:1\"")).await;
    world.until_event("Pulled", &format!("Successfully pulled image \"{host}/p/r/tool:1\" in ")).await;
    world.create(kinds::PODS, with_image("bad", "tool:2")).await;
    let waits = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff";
    world.until(kinds::PODS, "bad", waits).await;
    world.until_event("Failed", &format!("{host}/p/r/tool:2: not found")).await;
    world.sandbox.stop().await;
}
