//! Measures server-side apply: `cargo run --release -p apiserver --example apply -- FOLDER [OBJECTS] [IN FLIGHT] [http1]`,
//! against the server that `--example serve -- FOLDER` runs there.

use std::path::PathBuf;
use std::time::Instant;

use futures::StreamExt;
use reqwest::{Certificate, Client, Identity};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: apply FOLDER [OBJECTS] [IN FLIGHT]")?);
    let objects: usize = arguments.next().as_deref().unwrap_or("1000").parse()?;
    let in_flight: usize = arguments.next().as_deref().unwrap_or("40").parse()?;
    let config = std::fs::read_to_string(folder.join("kubeconfig"))?;
    let server = config.lines().find_map(|line| line.trim().strip_prefix("server: ")).ok_or("no server")?.to_owned();
    let authority = std::fs::read(folder.join("credentials/ca.pem"))?;
    let identity = std::fs::read(folder.join("credentials/administrator.pem"))?;
    let client = Client::builder().tls_certs_only([Certificate::from_pem(&authority)?]);
    let client = client.identity(Identity::from_pem(&identity)?).build()?;
    for round in ["create", "again"] {
        let begin = Instant::now();
        let applies = (0..objects).map(|number| {
            let name = format!("bench-{number}");
            let url = format!("{server}/api/v1/namespaces/default/configmaps/{name}?fieldManager=bench&force=true");
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "bench"}},
                "data": {"text": "x".repeat(200)},
            });
            let request = client.patch(url).header("content-type", "application/apply-patch+yaml");
            async move { request.body(object.to_string()).send().await?.error_for_status()?.bytes().await }
        });
        let mut answers = futures::stream::iter(applies).buffer_unordered(in_flight);
        while let Some(answer) = answers.next().await {
            answer?;
        }
        println!("{round}: {objects} objects, {in_flight} in flight: {:?}", begin.elapsed());
    }
    Ok(())
}
