use std::time::Duration;

use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Builder, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use tower::ServiceBuilder;

use super::error::Cause;
use super::tokens::Bearer;

/// A connection that nothing is heard from for so long is asked for a sign of life, and given up when none comes as fast.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// A client that puts all calls on one HTTP/2 connection, where the server speaks it.
///
/// HTTP/1.1 has one call on a connection at a time: a thousand calls in waves of some fifty were seen to open nearly a thousand
/// connections, whose handshakes cost both sides more than the calls. Upgraded connections (port-forward) need HTTP/1.1 and
/// another client.
pub(super) fn multiplexed(config: &kube::Config, bearer: Option<&Bearer>) -> Result<kube::Client, Cause> {
    client(config, bearer, Versions::All)
}

/// A client for connections that turn into something else, whose calls carry tokens.
pub(super) fn upgrading(config: &kube::Config, bearer: &Bearer) -> Result<kube::Client, Cause> {
    client(config, Some(bearer), Versions::One)
}

/// Which versions of HTTP are spoken.
#[derive(Clone, Copy)]
enum Versions {
    One,
    All,
}

fn client(config: &kube::Config, bearer: Option<&Bearer>, versions: Versions) -> Result<kube::Client, Cause> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(config.connect_timeout);
    let mut tls = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    if let Some(name) = &config.tls_server_name {
        tls = tls.with_server_name_resolver(FixedServerNameResolver::new(name.clone().try_into()?));
    }
    let connector = match versions {
        Versions::One => tls.enable_http1().wrap_connector(tcp),
        Versions::All => tls.enable_all_versions().wrap_connector(tcp),
    };
    let mut client = Builder::new(TokioExecutor::new());
    client.timer(TokioTimer::new()).pool_timer(TokioTimer::new());
    client.http2_keep_alive_interval(SIGN_OF_LIFE).http2_keep_alive_timeout(SIGN_OF_LIFE).http2_adaptive_window(true);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(Cause::from)
        .option_layer(bearer.cloned())
        .map_err(Cause::from)
        .service(client.build::<_, Body>(connector));
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}
