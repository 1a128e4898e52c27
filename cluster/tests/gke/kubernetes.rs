//! An API server that answers every question with nothing: what stands behind simulated clusters here.

use std::sync::Arc;

use async_trait::async_trait;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use simulator::{ClusterError, ClusterShape, Clusters, Kubernetes, NodeShape};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// One server for all clusters.
pub struct Empty {
    endpoint: String,
    certificate: Vec<u8>,
}

impl Empty {
    pub async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions.expect("versions of TLS").with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).expect("a certificate of this key");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = listener.local_addr().expect("an address").to_string();
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
        Self { endpoint, certificate: made.cert.pem().into_bytes() }
    }
}

#[async_trait]
impl Clusters for Empty {
    async fn start(&self, _cluster: &ClusterShape) -> Result<Kubernetes, ClusterError> {
        let (endpoint, ca_certificate) = (self.endpoint.clone(), self.certificate.clone());
        // Without a kubeconfig the simulator's controllers have nothing to look after.
        Ok(Kubernetes { endpoint, ca_certificate, kubeconfig: String::new() })
    }

    async fn set_nodes(&self, _id: &str, _nodes: &[NodeShape]) -> Result<(), ClusterError> {
        Ok(())
    }

    async fn stop(&self, _id: &str) -> Result<(), ClusterError> {
        Ok(())
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, acceptor.clone()));
    }
}

/// Answers one request and hangs up.
async fn answer(stream: TcpStream, acceptor: TlsAcceptor) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let authorized = head.to_lowercase().contains("authorization: bearer ");
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, body) = if !authorized {
        ("401 Unauthorized", r#"{"kind":"Status","code":401,"reason":"Unauthorized","message":"no token"}"#)
    } else if path.starts_with("/api/v1/namespaces/kube-system") {
        ("200 OK", r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system"}}"#)
    } else {
        ("200 OK", r#"{"apiVersion":"v1","kind":"List","metadata":{},"items":[]}"#)
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
