//! A server for a test.

use std::path::Path;
use std::sync::Arc;

use apiserver::streams::{Duplex, ExecOptions, ExecSession, LogOptions, LogStream, PodStreams};
use apiserver::{Api, Options, Status, User, WriteOptions};
use reqwest::{Certificate, Client, Identity, Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// An API with the namespace `default`, its folder, and its server.
pub struct Served {
    pub api: Api,
    pub folder: TempDir,
    pub url: String,
    pub client: Client,
    stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Opens the API in a folder.
pub fn open(folder: &Path) -> Api {
    Api::open(folder, &Options::default()).expect("the folder can be opened")
}

/// Who writes in process.
pub fn tester() -> User {
    User::system("tester")
}

/// Makes a namespace with the service account that its pods need.
pub async fn make_namespace(api: &Api, name: &str) {
    let object = json!({"metadata": {"name": name}});
    api.create(&tester(), kinds::NAMESPACES, "", object, &WriteOptions::default()).await.expect("a namespace");
    let account = json!({"metadata": {"name": "default"}});
    api.create(&tester(), kinds::SERVICE_ACCOUNTS, name, account, &WriteOptions::default()).await.expect("an account");
}

/// Starts a server.
pub async fn served() -> Served {
    served_with(&Options::default()).await
}

/// Starts a server with these options.
pub async fn served_with(options: &Options) -> Served {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let api = Api::open(folder.path(), options).expect("the folder can be opened");
    make_namespace(&api, "default").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let stop = CancellationToken::new();
    tokio::spawn(apiserver::serve(api.clone(), listener, Arc::new(NoNode), stop.clone()));
    let credentials = api.credentials();
    let identity = format!("{}{}", credentials.administrator.certificate, credentials.administrator.key);
    let client = plain_client(&api)
        .identity(Identity::from_pem(identity.as_bytes()).expect("an identity"))
        .build()
        .expect("a client");
    Served { api, folder, url, client, stop }
}

/// A client that shows no certificate.
pub fn plain_client(api: &Api) -> reqwest::ClientBuilder {
    let authority = Certificate::from_pem(api.credentials().authority.as_bytes()).expect("a certificate");
    Client::builder().tls_certs_only([authority])
}

impl Served {
    /// Asks, and gives the code and the body.
    pub async fn ask(&self, method: &str, path: &str, content_type: &str, body: &Value) -> (u16, Value) {
        let response = self.send(method, path, content_type, body).await;
        let code = response.status().as_u16();
        let bytes = response.bytes().await.expect("a body");
        (code, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Asks, and gives the whole answer.
    pub async fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Response {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if !body.is_null() {
            let content_type = if content_type.is_empty() { "application/json" } else { content_type };
            request = request.header("content-type", content_type).body(body.to_string());
        }
        request.send().await.expect("an answer")
    }

    /// Reads.
    pub async fn read(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, "", &Value::Null).await
    }
}

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

    async fn connect(&self, _: &Value, _: u16) -> Result<Box<dyn Duplex>, Status> {
        Err(no_node())
    }
}
