//! The addresses that are answered, and the state behind them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::{Prediction, Refusal};
use crate::metrics::Metrics;
use crate::page::Page;
use crate::picture::{PictureError, prepare};
use crate::request::{LARGEST_BODY_BYTES, Sent, read};
use crate::served::Served;

/// Requests to `/predict` that are worked on or wait; more are turned away at once.
const LONGEST_QUEUE: usize = 64;

/// The state of the server. Clones share it.
#[derive(Debug, Clone)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    model: RwLock<Option<Arc<Served>>>,
    load_failure: RwLock<Option<String>>,
    draining: AtomicBool,
    metrics: Metrics,
    page: Page,
    queue: Arc<Semaphore>,
    workers: Arc<Semaphore>,
}

impl Server {
    /// A server without a model, whose page says this below its heading.
    pub fn new(introduction: &str) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Inner {
            model: RwLock::default(),
            load_failure: RwLock::default(),
            draining: AtomicBool::new(false),
            metrics: Metrics::default(),
            page: Page::new(introduction),
            queue: Arc::new(Semaphore::new(LONGEST_QUEUE)),
            workers: Arc::new(Semaphore::new(workers)),
        }))
    }

    /// Predicts with this model from now on.
    pub fn put_model(&self, current: Served) {
        *self.0.load_failure.write().unwrap_or_else(PoisonError::into_inner) = None;
        *self.0.model.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(current));
    }

    /// A model is there and could not be loaded, for this reason.
    pub fn note_load_failure(&self, reason: &str) {
        self.0.metrics.count_load_failure();
        *self.0.load_failure.write().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    /// Says that it is not ready any more, and still answers everything.
    pub fn begin_to_drain(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
    }

    /// The model, or why there is none.
    fn model(&self) -> Result<Arc<Served>, String> {
        let model = self.0.model.read().unwrap_or_else(PoisonError::into_inner).clone();
        model.ok_or_else(|| match &*self.0.load_failure.read().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => format!("failed to {failure}"),
            None => "no model has been trained yet".to_owned(),
        })
    }
}

/// Everything that the server answers.
pub fn router(server: Server) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/predict", post(predict))
        .route("/model", get(model))
        .route("/healthz", get(|| async { Json(json!({ "status": "alive" })) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            Refusal::method_not_allowed(method.as_str(), uri.path())
        })
        .fallback(|uri: Uri| async move { Refusal::not_found(uri.path()) })
        .layer(DefaultBodyLimit::max(LARGEST_BODY_BYTES))
        .layer(middleware::from_fn_with_state(server.clone(), count))
        .with_state(server)
}

/// Counts each answer under the route it belongs to.
async fn count(State(server): State<Server>, path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    let route = path.as_ref().map_or("unmatched", MatchedPath::as_str);
    server.0.metrics.count_request(route, &method, response.status().as_u16());
    response
}

async fn page(State(server): State<Server>) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, server.0.page.policy.clone()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, Html(server.0.page.html.clone()))
}

async fn model(State(server): State<Server>) -> Result<impl IntoResponse, Refusal> {
    let current = server.model().map_err(Refusal::unavailable)?;
    Ok(Json(json!({ "version": current.version, "metrics": current.metrics })))
}

async fn ready(State(server): State<Server>) -> Response {
    if server.0.draining.load(Ordering::SeqCst) {
        return not_ready("the server is stopping");
    }
    match server.model() {
        Ok(current) => Json(json!({ "status": "ready", "model": current.version })).into_response(),
        Err(reason) => not_ready(&reason),
    }
}

fn not_ready(reason: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "not ready", "reason": reason }))).into_response()
}

async fn metrics(State(server): State<Server>) -> impl IntoResponse {
    let model = server.model().ok();
    let text = server.0.metrics.render(model.as_deref());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn predict(State(server): State<Server>, request: Request) -> Result<Response, Refusal> {
    let busy = |_| Refusal::unavailable("too many requests wait already; try again");
    // Taken before the body is read, so that the memory for bodies is bounded too.
    let _place = Arc::clone(&server.0.queue).try_acquire_owned().map_err(busy)?;
    let sent = read(request).await?;
    let current = server.model().map_err(Refusal::unavailable)?;
    let stopped = |_| Refusal::unavailable("the server is stopping");
    let worker = Arc::clone(&server.0.workers).acquire_owned().await.map_err(stopped)?;
    let answer = tokio::task::spawn_blocking(move || answer(&server, &current, sent, worker)).await;
    answer.map_err(|_| Refusal::internal("the prediction failed"))?
}

/// Computes the answer. Holds a core, and so the place of a worker.
fn answer(server: &Server, current: &Served, sent: Sent, _worker: OwnedSemaphorePermit) -> Result<Response, Refusal> {
    let run = |pictures: &[&[u8]]| {
        let start = Instant::now();
        let probabilities = current.predict(pictures);
        server.0.metrics.count_prediction(pictures.len(), start.elapsed());
        probabilities.into_iter().map(Prediction::new).collect::<Vec<_>>()
    };
    let one = |pixels: &[u8]| run(&[pixels]).pop().ok_or_else(|| Refusal::internal("the prediction failed"));
    match sent {
        Sent::Pixels(pixels) => Ok(Json(one(&pixels)?).into_response()),
        Sent::Batch(pictures) => {
            let pictures = pictures.iter().map(Vec::as_slice).collect::<Vec<_>>();
            Ok(Json(run(&pictures)).into_response())
        }
        Sent::File(file) => {
            let pixels = prepare(&file).map_err(|error| refuse(&error))?;
            let prediction = one(&pixels)?;
            Ok(Json(Prediction { pixels: Some(pixels), ..prediction }).into_response())
        }
    }
}

fn refuse(error: &PictureError) -> Refusal {
    match error {
        PictureError::TooLarge => Refusal::too_large(error.to_string()),
        PictureError::Format => Refusal::unsupported(error.to_string()),
        PictureError::Damaged(_) | PictureError::Blank => Refusal::bad_request(error.to_string()),
    }
}
