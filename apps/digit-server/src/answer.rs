//! What goes back: predictions, and errors with their status.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use digits::CLASSES;
use serde::Serialize;
use serde_json::json;

/// What the model says of one picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The most probable digit.
    pub digit: usize,
    /// The probability of each digit, 0 to 9.
    pub probabilities: [f32; CLASSES],
    /// The 784 bytes that the model read, where they are not what was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels: Option<Vec<u8>>,
}

impl Prediction {
    /// Picks the most probable digit.
    pub fn new(probabilities: [f32; CLASSES]) -> Self {
        let digit = (0..CLASSES).max_by(|&one, &other| probabilities[one].total_cmp(&probabilities[other]));
        Self { digit: digit.unwrap_or_default(), probabilities, pixels: None }
    }
}

/// A request that is not answered with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    reason: String,
}

impl Refusal {
    /// The request is wrong.
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason: reason.into() }
    }

    /// The request is larger than is worked on.
    pub fn too_large(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, reason: reason.into() }
    }

    /// The body is of a kind that is not understood.
    pub fn unsupported(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, reason: reason.into() }
    }

    /// It cannot be answered now, but probably soon.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, reason: reason.into() }
    }

    /// It failed, and not because of the request.
    pub fn internal(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, reason: reason.into() }
    }

    /// Nothing is at this address.
    pub fn not_found(path: &str) -> Self {
        let reason = format!("nothing is at {path}; there are /, /predict, /model, /healthz, /readyz and /metrics");
        Self { status: StatusCode::NOT_FOUND, reason }
    }

    /// The address is right and the method is not.
    pub fn method_not_allowed(method: &str, path: &str) -> Self {
        let reason = format!("{path} does not answer {method}; the Allow header lists what it answers");
        Self { status: StatusCode::METHOD_NOT_ALLOWED, reason }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.reason }))).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
