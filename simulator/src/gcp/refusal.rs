//! What Google answers instead of what was asked for.

use serde_json::{Value, json};

/// A refused call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// The word of `google.rpc.Code`.
    pub status: &'static str,
    /// The word that older interfaces give in `errors[].reason`.
    pub reason: &'static str,
    /// What a person reads.
    pub message: String,
    /// What a program reads.
    pub details: Vec<Value>,
}

impl Refusal {
    fn new(code: u16, status: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, reason, message: message.into(), details: Vec::new() }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", "invalid", message)
    }

    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(400, "FAILED_PRECONDITION", "failedPrecondition", message)
    }

    pub fn in_use(message: impl Into<String>) -> Self {
        Self::new(400, "FAILED_PRECONDITION", "resourceInUseByAnotherResource", message)
    }

    pub fn not_ready(message: impl Into<String>) -> Self {
        Self::new(400, "FAILED_PRECONDITION", "resourceNotReady", message)
    }

    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(401, "UNAUTHENTICATED", "authError", message)
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "PERMISSION_DENIED", "forbidden", message)
    }

    pub fn quota(message: impl Into<String>) -> Self {
        Self::new(403, "PERMISSION_DENIED", "quotaExceeded", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "NOT_FOUND", "notFound", message)
    }

    pub fn exists(message: impl Into<String>) -> Self {
        Self::new(409, "ALREADY_EXISTS", "alreadyExists", message)
    }

    pub fn aborted(message: impl Into<String>) -> Self {
        Self::new(409, "ABORTED", "aborted", message)
    }

    pub fn stale(message: impl Into<String>) -> Self {
        Self::new(412, "FAILED_PRECONDITION", "conditionNotMet", message)
    }

    pub fn too_many(message: impl Into<String>) -> Self {
        Self::new(429, "RESOURCE_EXHAUSTED", "rateLimitExceeded", message)
    }

    /// The same of Compute Engine, which has another status for it.
    pub fn too_fast(message: impl Into<String>) -> Self {
        Self::new(403, "PERMISSION_DENIED", "rateLimitExceeded", message)
    }

    pub fn unavailable() -> Self {
        Self::new(503, "UNAVAILABLE", "backendError", "The service is currently unavailable.")
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "INTERNAL", "internalError", message)
    }

    /// With what a program reads of it.
    pub fn with(mut self, detail: Value) -> Self {
        self.details.push(detail);
        self
    }

    /// `google.rpc.ErrorInfo`.
    pub fn info(self, reason: &str, domain: &str, metadata: &Value) -> Self {
        let kind = "type.googleapis.com/google.rpc.ErrorInfo";
        self.with(json!({"@type": kind, "reason": reason, "domain": domain, "metadata": metadata}))
    }

    /// The missing permission, as Google words it.
    pub fn permission(permission: &str, resource: &str, service: &str) -> Self {
        let message =
            format!("Permission '{permission}' denied on resource '//{service}/{resource}' (or it may not exist).");
        let metadata = json!({"permission": permission, "resource": resource});
        Self::forbidden(message).info("IAM_PERMISSION_DENIED", service, &metadata)
    }

    /// The body of the answer. Older interfaces (`compute`) also give a list of errors.
    pub fn body(&self, api: &str) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if api.starts_with("compute") || self.code == 401 {
            error["errors"] = json!([{"message": self.message, "domain": "global", "reason": self.reason}]);
        }
        if !api.starts_with("compute") || self.code == 401 || !self.details.is_empty() {
            error["status"] = json!(self.status);
        }
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        json!({ "error": error })
    }
}
