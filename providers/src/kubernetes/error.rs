use std::path::PathBuf;
use std::time::Duration;

use kube::core::Status;

use super::tokens::NoToken;
use crate::retry::Verdict;

/// What an error of another crate is passed on as.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a call to a Kubernetes API server failed.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// The kubeconfig cannot be read or used.
    #[error("the kubeconfig {} cannot be used", .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Cause,
    },
    /// Nothing answers, or the connection broke.
    #[error("the API server {server} does not answer")]
    Unreachable {
        /// Its address.
        server: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// 401: the credentials are not (or no longer) accepted.
    #[error("the API server does not accept the credentials: {0}")]
    Unauthorized(String),
    /// 403 by access rules or an admission check other than a quota.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// A quota does not allow it.
    #[error("the quota is exceeded: {0}")]
    QuotaExceeded(String),
    /// The namespace is being deleted: nothing can be made in it.
    #[error("the namespace is being deleted: {0}")]
    NamespaceTerminating(String),
    /// 404: the object is not there.
    #[error("not found: {0}")]
    NotFound(String),
    /// 404: the namespace is not there.
    #[error("namespace {0} does not exist")]
    NamespaceNotFound(String),
    /// The API server serves no such kind.
    #[error("the API server knows no kind {kind} in {api_version}")]
    UnknownKind {
        /// The kind.
        kind: String,
        /// Group and version.
        api_version: String,
    },
    /// Other managers own fields that the manifest sets to other values.
    #[error("{}", conflict_text(.0))]
    Conflict(Vec<FieldConflict>),
    /// 409: the object is another one than expected, or was changed in between.
    #[error("the object has changed meanwhile: {0}")]
    Changed(String),
    /// 409: it exists already.
    #[error("it exists already: {0}")]
    AlreadyExists(String),
    /// 422 or 400: the API server does not accept the object.
    #[error("{}", invalid_text(.message, .fields))]
    Invalid {
        /// The API server's summary.
        message: String,
        /// What it says of each field; empty where it names none.
        fields: Vec<FieldError>,
    },
    /// 410: the version asked for is too old.
    #[error("the version asked for is gone: {0}")]
    Gone(String),
    /// 429: the API server gets more calls than it takes.
    #[error("the API server gets too many calls: {message}")]
    Throttled {
        /// How long it asks to wait.
        pause: Option<Duration>,
        /// Its words.
        message: String,
    },
    /// 5xx: the API server cannot answer now.
    #[error("the API server cannot answer now ({code}): {message}")]
    Unavailable {
        /// The HTTP status.
        code: u16,
        /// Its words.
        message: String,
    },
    /// Any other answer.
    #[error("the API server answered {code}: {message}")]
    Other {
        /// The HTTP status.
        code: u16,
        /// Its words.
        message: String,
    },
    /// The answer could not be understood, or the request not be made.
    #[error("the talk with the API server went wrong")]
    Protocol(#[source] Cause),
    /// No pod stands behind a service or a forwarded port.
    #[error("{0}")]
    NoPod(String),
    /// A local port cannot be opened.
    #[error("local port {port} cannot be opened")]
    LocalPort {
        /// The port; 0 for any.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// One field that another manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldConflict {
    /// The other manager's name, for example `kubectl-edit`.
    pub manager: String,
    /// The field's path, for example `.spec.replicas`.
    pub field: String,
}

/// What the API server says of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's path, for example `spec.replicas`.
    pub field: String,
    /// Its words.
    pub message: String,
}

/// The last cause.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

fn conflict_text(conflicts: &[FieldConflict]) -> String {
    let mut managers: Vec<&str> = conflicts.iter().map(|conflict| conflict.manager.as_str()).collect();
    managers.sort_unstable();
    managers.dedup();
    let parts = managers.into_iter().map(|manager| {
        let fields: Vec<&str> = conflicts
            .iter()
            .filter(|conflict| conflict.manager == manager)
            .map(|conflict| conflict.field.as_str())
            .collect();
        format!("{manager} owns {}", fields.join(", "))
    });
    format!("in conflict with another manager: {}", parts.collect::<Vec<_>>().join("; "))
}

fn invalid_text(message: &str, fields: &[FieldError]) -> String {
    if fields.is_empty() {
        return format!("not valid: {message}");
    }
    let parts: Vec<String> = fields.iter().map(|field| format!("{}: {}", field.field, field.message)).collect();
    format!("not valid: {}", parts.join("; "))
}

impl KubernetesError {
    /// Maps an SDK error; `server` is named where nothing answers.
    pub(super) fn from_sdk(server: &str, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(&status),
            kube::Error::HyperError(source) => Self::unreachable(server, source),
            kube::Error::Service(source) if source.is::<NoToken>() => Self::Unauthorized(innermost(&*source)),
            kube::Error::Service(source) => Self::Unreachable { server: server.to_owned(), source },
            kube::Error::ReadEvents(source) => Self::unreachable(server, source),
            kube::Error::Auth(source) => Self::Unauthorized(source.to_string()),
            other => Self::Protocol(Box::new(other)),
        }
    }

    pub(super) fn unreachable(server: &str, source: impl Into<Cause>) -> Self {
        Self::Unreachable { server: server.to_owned(), source: source.into() }
    }

    /// Maps what the API server answered.
    pub(super) fn from_status(status: &Status) -> Self {
        let message = status.message.clone();
        let details = status.details.as_ref();
        let has_cause =
            |reason: &str| details.is_some_and(|details| details.causes.iter().any(|cause| cause.reason == reason));
        match (status.code, status.reason.as_str()) {
            (401, _) => Self::Unauthorized(message),
            (403, _) if has_cause("NamespaceTerminating") => Self::NamespaceTerminating(message),
            (403, _) if message.contains("exceeded quota") => Self::QuotaExceeded(message),
            (403, _) => Self::Forbidden(message),
            (404, _) => match details {
                Some(details) if details.kind == "namespaces" => Self::NamespaceNotFound(details.name.clone()),
                _ => Self::NotFound(message),
            },
            (409, "AlreadyExists") => Self::AlreadyExists(message),
            (409, _) => {
                let conflicts = conflicts(status);
                if conflicts.is_empty() { Self::Changed(message) } else { Self::Conflict(conflicts) }
            }
            (410, _) => Self::Gone(message),
            (400 | 422, _) => Self::Invalid { message, fields: field_errors(status) },
            (429, _) => {
                let seconds = details.map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
                Self::Throttled { pause: seconds.map(|seconds| Duration::from_secs(seconds.into())), message }
            }
            (code @ 500.., _) => Self::Unavailable { code, message },
            (code, _) => Self::Other { code, message },
        }
    }

    /// Whether there are too many calls; anything else is for the caller to judge.
    pub(super) fn throttling(&self) -> Verdict {
        match self {
            Self::Throttled { pause, .. } => Verdict::Throttled(*pause),
            _ => Verdict::Final,
        }
    }

    /// Whether the same call may succeed a little later, because a control plane (or a namespace, or a custom resource definition)
    /// is still coming up.
    pub fn heals_at_start(&self) -> Verdict {
        match self {
            Self::Unreachable { .. }
            | Self::Unavailable { .. }
            | Self::Throttled { .. }
            | Self::NamespaceNotFound(_)
            | Self::UnknownKind { .. }
            | Self::NamespaceTerminating(_)
            | Self::Unauthorized(_) => Verdict::Again,
            // RBAC rules and default service accounts appear in the first seconds; what an admission check says is final.
            Self::Forbidden(message) if message.contains("cannot") || message.contains("service account") => {
                Verdict::Again
            }
            // A kind that was just defined is known before it is served.
            Self::NotFound(message) if message.contains("page not found") => Verdict::Again,
            Self::Invalid { message, .. } if message.contains("failed calling webhook") => Verdict::Again,
            _ => Verdict::Final,
        }
    }
}

fn conflicts(status: &Status) -> Vec<FieldConflict> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| FieldConflict {
            // `conflict with "kubectl-edit" using apps/v1`
            manager: cause.message.split('"').nth(1).unwrap_or(&cause.message).to_owned(),
            field: cause.field.clone(),
        })
        .collect()
}

fn field_errors(status: &Status) -> Vec<FieldError> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| !cause.field.is_empty())
        .map(|cause| FieldError { field: cause.field.clone(), message: cause.message.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(status: serde_json::Value) -> KubernetesError {
        KubernetesError::from_status(&serde_json::from_value(status).expect("a status"))
    }

    #[test]
    fn a_conflict_names_the_other_manager_and_its_fields() {
        let error = error(
            json!({"kind": "Status", "code": 409, "reason": "Conflict", "message": "Apply failed with 2 conflicts",
            "details": {"causes": [
                {"reason": "FieldManagerConflict", "message": "conflict with \"kubectl-edit\" using apps/v1", "field": ".spec.replicas"},
                {"reason": "FieldManagerConflict", "message": "conflict with \"kubectl-edit\" using apps/v1", "field": ".data.a"}]}}),
        );
        assert_eq!(error.to_string(), "in conflict with another manager: kubectl-edit owns .spec.replicas, .data.a");
    }

    #[test]
    fn an_invalid_object_is_reported_field_by_field() {
        let error = error(json!({"code": 422, "reason": "Invalid", "message": "Job \"x\" is invalid",
            "details": {"causes": [{"field": "spec.template", "message": "Required value"}, {"field": "spec.completions", "message": "must be positive"}]}}));
        assert_eq!(error.to_string(), "not valid: spec.template: Required value; spec.completions: must be positive");
    }

    #[test]
    fn a_missing_namespace_is_told_from_a_missing_object() {
        let namespace = json!({"code": 404, "reason": "NotFound", "message": "namespaces \"a\" not found", "details": {"name": "a", "kind": "namespaces"}});
        assert!(matches!(error(namespace), KubernetesError::NamespaceNotFound(name) if name == "a"));
        let object = json!({"code": 404, "reason": "NotFound", "message": "pods \"a\" not found", "details": {"name": "a", "kind": "pods"}});
        assert!(matches!(error(object), KubernetesError::NotFound(_)));
    }

    #[test]
    fn a_quota_is_told_from_other_refusals_and_only_start_up_refusals_are_tried_again() {
        let quota = error(
            json!({"code": 403, "reason": "Forbidden", "message": "pods \"a\" is forbidden: exceeded quota: small, requested: pods=1"}),
        );
        assert!(matches!(quota, KubernetesError::QuotaExceeded(_)));
        assert_eq!(quota.heals_at_start(), Verdict::Final);
        let rules = error(
            json!({"code": 403, "reason": "Forbidden", "message": "namespaces is forbidden: User \"a\" cannot patch resource"}),
        );
        assert_eq!(rules.heals_at_start(), Verdict::Again);
        let security = error(
            json!({"code": 403, "reason": "Forbidden", "message": "pods \"a\" is forbidden: violates PodSecurity"}),
        );
        assert_eq!(security.heals_at_start(), Verdict::Final);
    }
}
