//! Serves the API alone, without node or controllers: `cargo run -p apiserver --example serve -- FOLDER`.
//!
//! The kubeconfig is written into the folder.

use std::path::PathBuf;
use std::sync::Arc;

use apiserver::streams::{ExecOptions, ExecSession, LogOptions, LogStream, PodStreams};
use apiserver::{Api, Options, Status, User, WriteOptions, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct NoNode;

fn no_node() -> Status {
    Status::new(501, "NotImplemented", "there is no node here")
}

#[async_trait::async_trait]
impl PodStreams for NoNode {
    async fn logs(&self, _: &Value, _: &str, _: LogOptions) -> Result<LogStream, Status> {
        Err(no_node())
    }

    async fn exec(&self, _: &Value, _: &str, _: ExecOptions) -> Result<ExecSession, Status> {
        Err(no_node())
    }

    async fn connect(&self, _: &Value, _: u16) -> Result<Box<dyn apiserver::streams::Duplex>, Status> {
        Err(no_node())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: serve FOLDER")?);
    let begin = std::time::Instant::now();
    let api = Api::open(&folder, &Options::default())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = format!("https://{}", listener.local_addr()?);
    std::fs::write(folder.join("kubeconfig"), api.credentials().kubeconfig(&server))?;
    let namespace = json!({"metadata": {"name": "default"}});
    let by = User::system("apiserver");
    match api.create(&by, kinds::NAMESPACES, "", namespace, &WriteOptions::default()).await {
        Err(status) if !status.is_already_exists() => return Err(status.into()),
        _ => {}
    }
    println!("{server}, ready after {:?}", begin.elapsed());
    serve(api, listener, Arc::new(NoNode), CancellationToken::new()).await?;
    Ok(())
}
