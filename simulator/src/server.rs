//! HTTP: one connection after the other, each request given to Google's side, and connections closed where a reply is lost.

pub(crate) mod batch;

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gcp::{Gcp, Refusal, Request};

/// What a request comes to.
#[derive(Debug)]
pub(crate) enum Reply {
    Answer(Answer),
    /// The connection is closed without an answer.
    Lost,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Answer {
    /// A body of JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![(CONTENT_TYPE.as_str(), "application/json; charset=UTF-8".to_owned())];
        Self { status, headers, body: Bytes::from(format!("{body:#}\n")) }
    }

    /// A refusal, in the words of an interface.
    pub fn refusal(refusal: &Refusal, api: &str) -> Self {
        Self::json(refusal.code, &refusal.body(api))
    }

    /// Only a status.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// With another header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// A reply that was lost on purpose, or a request that could not be read: the connection ends.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed")]
struct Closed;

/// Takes connections until it is told to stop.
pub(crate) async fn serve(listener: TcpListener, gcp: Arc<Gcp>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        // Too many open files: the connections that end give some back.
        let Ok((stream, _)) = accepted else { continue };
        connections.spawn(connection(stream, Arc::clone(&gcp), stop.clone()));
    }
    connections.close();
    connections.wait().await;
}

async fn connection(stream: TcpStream, gcp: Arc<Gcp>, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| one(Arc::clone(&gcp), request));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // How a connection ends is the client's business.
    tokio::select! {
        () = stop.cancelled() => {}
        _ = served => {}
    }
}

async fn one(gcp: Arc<Gcp>, request: hyper::Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    let request = Request {
        verb: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    };
    match gcp.answer(request).await {
        Reply::Answer(answer) => Ok(answer.response()),
        Reply::Lost => Err(Closed),
    }
}
