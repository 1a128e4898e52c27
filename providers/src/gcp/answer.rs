//! What an answer of Google means that says what went wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::{Error, Shortfall};

/// An answer of Google that says what went wrong, in the form that all of its APIs share.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// The HTTP status; 0 where it is the end of an operation.
    pub http: u16,
    /// The canonical code, for example `PERMISSION_DENIED`, or compute's own, for example `QUOTA_EXCEEDED`.
    pub status: String,
    /// For a person.
    pub message: String,
    /// The machine's word of `google.rpc.ErrorInfo`, or of the older `errors[].reason`.
    pub reason: String,
    /// What goes with the reason.
    pub metadata: BTreeMap<String, String>,
    /// The header `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl Answer {
    /// Reads the body of an error, as `{"error": {...}}`.
    pub fn of_body(http: u16, body: &str, retry_after: Option<Duration>) -> Self {
        let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let error = &value["error"];
        if !error.is_object() {
            let message = body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
            return Self { http, message, retry_after, ..Self::default() };
        }
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let details = error["details"].as_array().into_iter().flatten();
        let info = details.clone().find(|detail| detail["reason"].is_string());
        let older = error["errors"].as_array().and_then(|errors| errors.first());
        let metadata = info.and_then(|info| info["metadata"].as_object()).into_iter().flatten();
        Self {
            http,
            status: text(&error["status"]),
            message: text(&error["message"]),
            reason: info.or(older).map(|info| text(&info["reason"])).unwrap_or_default(),
            metadata: metadata.map(|(key, value)| (key.clone(), text(value))).collect(),
            retry_after,
        }
    }

    fn has(&self, words: &[&str]) -> bool {
        let message = self.message.to_lowercase();
        words.iter().any(|word| message.contains(word))
    }

    fn is(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.status == *word || self.reason == *word)
    }

    fn metadata(&self, name: &str) -> Option<String> {
        self.metadata.get(name).cloned()
    }

    /// What it means. What Google tells apart in words alone is told apart here.
    pub fn into_error(self) -> Error {
        self.of_capacity().or_else(|| self.of_access()).unwrap_or_else(|| self.of_state())
    }

    /// Too little of something.
    fn of_capacity(&self) -> Option<Error> {
        let message = self.message.clone();
        let exhausted = ["zone_resource_pool_exhausted", "gce_stockout", "does not have enough resources available"];
        if self.has(&exhausted)
            || self.status.starts_with("ZONE_RESOURCE_POOL_EXHAUSTED")
            || self.is(&["stockout", "resource_availability", "GCE_STOCKOUT"])
        {
            return Some(Error::Stockout { zone: self.metadata("zone").or_else(|| zone_in(&message)), message });
        }
        let too_many = self.is(&["rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"])
            || self.has(&["rate limit", "requests per minute", "too many requests", "too many operations"]);
        if self.http == 429 && (too_many || !self.has(&["quota '", "quota limit '", "insufficient"]))
            || (self.http == 403 && too_many)
        {
            return Some(Error::Throttled { pause: self.retry_after, message });
        }
        let short = self.is(&["QUOTA_EXCEEDED", "quotaExceeded", "GCE_QUOTA_EXCEEDED"])
            || self.has(&[
                "quota '",
                "regional quota to satisfy",
                "quota exceeded",
                "insufficient quota",
                "insufficient project quota",
                "quota limit",
            ]);
        short.then(|| Error::Quota(Box::new(shortfall(&message))))
    }

    /// Who may do what.
    fn of_access(&self) -> Option<Error> {
        let message = self.message.clone();
        let project = || {
            self.metadata("consumer")
                .map(|consumer| consumer.trim_start_matches("projects/").to_owned())
                .or_else(|| {
                    after(&message, "project ").map(|word| word.trim_matches(['.', ',', '\'', '"', '#']).to_owned())
                })
                .unwrap_or_default()
        };
        if self.http == 401 || self.is(&["UNAUTHENTICATED"]) {
            let reason = if message.is_empty() { "the token is refused".to_owned() } else { message };
            return Some(Error::Unauthenticated { reason, hint: LOG_IN.to_owned() });
        }
        if self.is(&["SERVICE_DISABLED", "accessNotConfigured"])
            || self.has(&[
                "has not been used in project",
                "is disabled. enable it",
                "api is not enabled",
                "is not enabled for",
            ])
        {
            let service = self.metadata("service").or_else(|| service_in(&message)).unwrap_or_default();
            return Some(Error::ApiDisabled { service, project: project() });
        }
        if self.is(&["BILLING_DISABLED", "UREQ_PROJECT_BILLING_NOT_FOUND"])
            || self.has(&[
                "billing account for project",
                "requires billing to be enabled",
                "billing must be enabled",
                "billing is disabled",
            ])
        {
            return Some(Error::BillingDisabled { project: project(), message });
        }
        let denied = self.http == 403 || self.is(&["PERMISSION_DENIED", "IAM_PERMISSION_DENIED"]);
        denied.then(|| Error::Permission {
            permission: self.metadata("permission").or_else(|| permission_in(&message)),
            message,
        })
    }

    /// What is there and what is not.
    fn of_state(self) -> Error {
        let operation = operation_in(&self.message);
        let under_way = [
            "is currently",
            "operation in progress",
            "incompatible operation",
            "running incompatible",
            "wait for the operation",
            "is being",
            "not ready",
        ];
        let precondition =
            self.is(&["FAILED_PRECONDITION", "resourceNotReady", "RESOURCE_NOT_READY", "OPERATION_IN_PROGRESS"]);
        if self.is(&["RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "resourceInUseByAnotherResource"])
            || self.has(&["is already being used by", "in use by another", "is already used by", "is being used by"])
        {
            let (what, by) = used(&self.message);
            return Error::InUse { what, by };
        }
        if (precondition || matches!(self.http, 400 | 409 | 412)) && (operation.is_some() || self.has(&under_way)) {
            return Error::Incompatible { operation, message: self.message };
        }
        let message = self.message;
        match (self.http, self.status.as_str()) {
            (404, _) | (0, "NOT_FOUND" | "RESOURCE_NOT_FOUND") => Error::NotFound(message),
            (409, _) | (0, "ALREADY_EXISTS" | "RESOURCE_ALREADY_EXISTS") => Error::AlreadyExists(message),
            (400 | 412, _) | (0, "INVALID_ARGUMENT" | "FAILED_PRECONDITION") => Error::Invalid { message },
            (408 | 500 | 502..=504, _) | (0, "UNAVAILABLE" | "INTERNAL" | "DEADLINE_EXCEEDED") => {
                Error::Unavailable { message, pause: self.retry_after }
            }
            (0, _) => Error::Failed { message },
            (code, _) => Error::Other { code, message },
        }
    }
}

/// What to do without credentials.
pub(super) const LOG_IN: &str =
    "log in with `gcloud auth application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS";

/// Finds the metric and the figures in one of the forms that Google writes them in: `Quota 'CPUS' exceeded. Limit: 24.0 in region
/// us-central1.` and `Insufficient regional quota to satisfy request: resource "CPUS": request requires '8.0' and is short '6.0'.
/// project has a quota of '24.0' with '2.0' available.`
fn shortfall(message: &str) -> Shortfall {
    let quoted = |start: &str, end: char| {
        let rest = message.split_once(start)?.1;
        Some(rest.split_once(end)?.0.to_owned())
    };
    let number = |text: Option<String>| text.and_then(|text| text.trim_matches(['\'', ' ']).parse::<f64>().ok());
    let limit = number(quoted("quota of '", '\'')).or_else(|| number(after(message, "Limit: ").map(trimmed)));
    let available = number(quoted("with '", '\''));
    let region = after(message, "in region ").or_else(|| after(message, "region ")).map(trimmed);
    Shortfall {
        metric: quoted("Quota '", '\'')
            .or_else(|| quoted("Quota limit '", '\''))
            .or_else(|| quoted("resource \"", '"'))
            .unwrap_or_else(|| "of the project".to_owned()),
        region: region.unwrap_or_default(),
        limit,
        usage: limit.zip(available).map(|(limit, available)| limit - available),
        wanted: number(quoted("requires '", '\'')),
        message: message.to_owned(),
    }
}

/// The word after a text.
fn after<'t>(message: &'t str, start: &str) -> Option<&'t str> {
    message.split_once(start)?.1.split_whitespace().next()
}

fn trimmed(word: &str) -> String {
    word.trim_end_matches(['.', ',', ';', ')', '\'', '"']).to_owned()
}

fn operation_in(message: &str) -> Option<String> {
    let start = message.find("operation-")?;
    let name: String =
        message[start..].chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect();
    Some(name.trim_end_matches('-').to_owned())
}

fn permission_in(message: &str) -> Option<String> {
    let words = message.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '.'));
    let is_permission = |word: &&str| {
        let word = word.trim_matches('.');
        word.split('.').count() == 3
            && word.split('.').all(|part| !part.is_empty())
            && !word.ends_with("googleapis.com")
    };
    words.map(|word| word.trim_matches('.')).find(is_permission).map(str::to_owned)
}

fn service_in(message: &str) -> Option<String> {
    let mut words = message.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '.'));
    words.find(|word| word.ends_with(".googleapis.com") && *word != "console.developers.google.com").map(str::to_owned)
}

/// A zone has the form `us-central1-a`.
fn zone_in(message: &str) -> Option<String> {
    let words = message.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'));
    let is_zone = |word: &&str| {
        let parts: Vec<&str> = word.split('-').collect();
        parts.len() == 3
            && parts[2].len() == 1
            && parts[2].bytes().all(|byte| byte.is_ascii_lowercase())
            && parts[1].ends_with(|letter: char| letter.is_ascii_digit())
    };
    words.into_iter().find(is_zone).map(str::to_owned)
}

/// `The network resource 'projects/p/global/networks/a' is already being used by 'projects/p/.../firewalls/b'`
fn used(message: &str) -> (String, String) {
    let mut quoted = message.split('\'').skip(1).step_by(2).map(short);
    let what = quoted.next().unwrap_or_else(|| message.to_owned());
    (what, quoted.next().unwrap_or_else(|| "something else".to_owned()))
}

/// The last two parts of a resource's path: `firewalls/b`.
fn short(path: &str) -> String {
    let mut parts: Vec<&str> = path.rsplit('/').take(2).collect();
    parts.reverse();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::retry::Verdict;

    fn refused(http: u16, status: &str, message: &str) -> Error {
        let body = json!({ "error": { "code": http, "status": status, "message": message } });
        Answer::of_body(http, &body.to_string(), None).into_error()
    }

    /// Texts of Google as they were seen, each with what it means.
    #[test]
    fn what_google_says_is_told_apart() {
        let said = [
            refused(404, "NOT_FOUND", "Not found: projects/p/zones/z/clusters/c."),
            refused(409, "ALREADY_EXISTS", "Already exists: projects/p/zones/z/clusters/c."),
            refused(
                403,
                "PERMISSION_DENIED",
                "Required \"container.clusters.create\" permission(s) for \"projects/p\".",
            ),
            refused(
                403,
                "PERMISSION_DENIED",
                "Kubernetes Engine API has not been used in project 123 before or it is disabled. Enable it by visiting https://console.developers.google.com/apis/api/container.googleapis.com/overview?project=123 then retry.",
            ),
            refused(
                403,
                "PERMISSION_DENIED",
                "This API method requires billing to be enabled. Please enable billing on project #123.",
            ),
            refused(
                403,
                "PERMISSION_DENIED",
                "Insufficient regional quota to satisfy request: resource \"CPUS\": request requires '8.0' and is short '6.0'. project has a quota of '24.0' with '2.0' available. View and manage quotas at https://console.cloud.google.com/iam-admin/quotas?usage=USED&project=p.",
            ),
            refused(403, "", "Quota 'STATIC_ADDRESSES' exceeded.  Limit: 8.0 in region us-central1."),
            refused(
                400,
                "FAILED_PRECONDITION",
                "Operation operation-1700000000000-abc is currently creating cluster c. Please wait and try again once it is done.",
            ),
            refused(
                400,
                "",
                "The network resource 'projects/p/global/networks/a' is already being used by 'projects/p/global/firewalls/b'",
            ),
            refused(
                429,
                "RESOURCE_EXHAUSTED",
                "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute' of service 'container.googleapis.com'.",
            ),
            refused(
                429,
                "RESOURCE_EXHAUSTED",
                "Quota limit 'EnterpriseStorageGibPerRegion' has been exceeded. Limit: 3072 in region us-central1.",
            ),
            refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
            refused(503, "UNAVAILABLE", "The service is currently unavailable."),
            refused(400, "INVALID_ARGUMENT", "Invalid value for field \"cluster.name\"."),
            refused(
                0,
                "",
                "Instance 'gke-c-1' creation failed: The zone 'projects/p/zones/us-central1-a' does not have enough resources available to fulfill the request. (ZONE_RESOURCE_POOL_EXHAUSTED)",
            ),
            Answer::of_body(502, "<html>Bad Gateway</html>", None).into_error(),
        ];
        let lines: Vec<String> = said
            .iter()
            .map(|error| {
                let name = format!("{error:?}");
                let name = name.split([' ', '(', '{']).next().unwrap_or_default();
                format!("{name}: {error}\n    {}", error.hint().unwrap_or_default())
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn only_what_may_be_repeated_is_repeated() {
        let unavailable = || refused(503, "UNAVAILABLE", "later");
        assert_eq!((unavailable().verdict(true), unavailable().verdict(false)), (Verdict::Again, Verdict::Final));
        let throttled =
            Answer { http: 429, retry_after: Some(Duration::from_secs(7)), ..Answer::default() }.into_error();
        assert_eq!(throttled.verdict(false), Verdict::Throttled(Some(Duration::from_secs(7))));
        let unreachable = Error::Unreachable { endpoint: "http://127.0.0.1:9".to_owned(), source: "refused".into() };
        assert_eq!(unreachable.verdict(true), Verdict::Final);
    }
}
