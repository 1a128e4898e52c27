//! The API over HTTPS.

mod answer;
mod body;
mod certificate;
mod discovery;
mod guard;
mod protobuf;
mod read;
mod route;
mod subresource;
mod table;
mod write;
mod yaml;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::streams::{Body, PodStreams};
use crate::{Api, Credentials, Status, User};

/// A client that does not finish its handshake in this time is let go.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often the store is asked to forget.
const FORGET: Duration = Duration::from_mins(1);
/// Watches can begin this far back, as with the real server's database.
const REMEMBERED_SECONDS: u64 = 300;

/// What every request needs.
pub(crate) struct Server {
    pub api: Api,
    pub streams: Arc<dyn PodStreams>,
}

/// Serves the API over HTTPS until `stop` is cancelled. The certificates are those of [`Api::credentials`].
///
/// Connections that are open then are closed. Fails only when the certificates cannot be used.
pub async fn serve(
    api: Api,
    listener: TcpListener,
    streams: Arc<dyn PodStreams>,
    stop: CancellationToken,
) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(tls(api.credentials()).map_err(io::Error::other)?));
    let server = Arc::new(Server { api, streams });
    let mut connections = JoinSet::new();
    let mut forgetting = tokio::time::interval(FORGET);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = forgetting.tick() => server.api.store().forget(REMEMBERED_SECONDS),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(&server), acceptor.clone(), stream));
                }
                // Too many open files, for one: the next moment may be better.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

/// Carries one client's requests until it goes.
async fn connection(server: Arc<Server>, acceptor: TlsAcceptor, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    // A client that cannot shake hands is told so by TLS itself.
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let user = certificates.first().and_then(|certificate| certificate::user(certificate)).map(Arc::new);
    let service = service_fn(move |request: Request<Incoming>| {
        let (server, user) = (Arc::clone(&server), user.clone());
        async move { Ok::<_, Infallible>(respond(&server, user, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(250).initial_stream_window_size(1 << 20);
    // A connection that breaks concerns its client only, and that one knows.
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

async fn respond(server: &Server, certified: Option<Arc<User>>, request: Request<Incoming>) -> Response<Body> {
    match answer_to(server, certified, request).await {
        Ok(response) => response,
        Err(status) => answer::status(&status),
    }
}

async fn answer_to(
    server: &Server,
    certified: Option<Arc<User>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Status> {
    let path = request.uri().path().to_owned();
    if let Some(open) = discovery::open(server, &path) {
        return Ok(open);
    }
    let user = guard::user(server, certified, request.headers()).await?;
    let Some(target) = route::target(&path)? else {
        guard::allow_path(server, &user, request.method(), &path)?;
        return Ok(discovery::answer(&request));
    };
    let call = guard::Call::new(server, user, target, request)?;
    match call.verb {
        "get" | "list" | "watch" if call.target.subresource.is_empty() => read::answer(call).await,
        _ if call.target.subresource.is_empty() => write::answer(call).await,
        _ => subresource::answer(call).await,
    }
}

fn tls(credentials: &Credentials) -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let authority = CertificateDer::from_pem_slice(credentials.authority.as_bytes())?;
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let chain = vec![CertificateDer::from_pem_slice(credentials.server.certificate.as_bytes())?, authority];
    let key = PrivateKeyDer::from_pem_slice(credentials.server.key.as_bytes())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
