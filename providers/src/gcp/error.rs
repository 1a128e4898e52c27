use std::fmt::Write as _;
use std::time::Duration;

use crate::retry::Verdict;

/// What an error of another crate is passed on as.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a call to Google Cloud failed. No text of it holds a token or a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404: it is not there.
    #[error("not found: {0}")]
    NotFound(String),
    /// 409: something of this name is there.
    #[error("it exists already: {0}")]
    AlreadyExists(String),
    /// 403: the account may not do this.
    #[error("{}", permission_text(.permission.as_deref(), .message))]
    Permission {
        /// The permission that is missing, for example `container.clusters.create`, where Google names it.
        permission: Option<String>,
        /// Google's words.
        message: String,
    },
    /// 403: the API is not enabled in the project.
    #[error("the API {service} is not enabled in project {project}")]
    ApiDisabled {
        /// For example `container.googleapis.com`.
        service: String,
        /// The project, by its ID or number.
        project: String,
    },
    /// 403: the project has no billing account.
    #[error("project {project} has no billing account: {message}")]
    BillingDisabled {
        /// The project.
        project: String,
        /// Google's words.
        message: String,
    },
    /// A quota is too small.
    #[error("{}", .0)]
    Quota(Box<Shortfall>),
    /// Google has no machine of this sort left in the zone.
    #[error("{} is out of what was asked for: {message}", zone.as_deref().unwrap_or("the zone"))]
    Stockout {
        /// The zone, where Google names it.
        zone: Option<String>,
        /// Google's words.
        message: String,
    },
    /// Another operation is under way that excludes this one.
    #[error("another operation is under way: {message}")]
    Incompatible {
        /// The other operation, where Google names it.
        operation: Option<String>,
        /// Google's words.
        message: String,
    },
    /// Something else still uses it.
    #[error("{what} is still used by {by}")]
    InUse {
        /// What cannot be changed or deleted.
        what: String,
        /// What uses it.
        by: String,
    },
    /// There are no credentials, or they are not (or no longer) accepted.
    #[error("Google does not accept the credentials: {reason}")]
    Unauthenticated {
        /// Why.
        reason: String,
        /// What the person can do.
        hint: String,
    },
    /// 429: there are too many calls.
    #[error("the API gets too many calls: {message}")]
    Throttled {
        /// How long Google asks to wait.
        pause: Option<Duration>,
        /// Google's words.
        message: String,
    },
    /// 5xx, or no answer in time. A call that makes something may have made it all the same.
    #[error("Google cannot answer now: {message}")]
    Unavailable {
        /// Google's words, or what happened instead of an answer.
        message: String,
        /// How long Google asks to wait.
        pause: Option<Duration>,
    },
    /// Nothing answers at the address.
    #[error("nothing answers at {endpoint}")]
    Unreachable {
        /// The address.
        endpoint: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// 400: Google does not accept the request.
    #[error("not valid: {message}")]
    Invalid {
        /// Google's words.
        message: String,
    },
    /// An operation came to its end without success, for another reason than those above.
    #[error("the operation failed: {message}")]
    Failed {
        /// Google's words.
        message: String,
    },
    /// An operation did not come to its end in time.
    #[error("{0}")]
    TimedOut(String),
    /// Any other answer.
    #[error("Google answered {code}: {message}")]
    Other {
        /// The HTTP status.
        code: u16,
        /// Google's words.
        message: String,
    },
    /// The answer could not be understood, or the request not be made.
    #[error("the talk with Google went wrong")]
    Protocol(#[source] Cause),
}

/// A quota that is too small for what was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shortfall {
    /// The metric, for example `CPUS` or `NVIDIA_T4_GPUS`.
    pub metric: String,
    /// The region, or `global`; empty where it is not known.
    pub region: String,
    /// How much there may be.
    pub limit: Option<f64>,
    /// How much there is.
    pub usage: Option<f64>,
    /// How much was asked for.
    pub wanted: Option<f64>,
    /// Google's words.
    pub message: String,
}

impl std::fmt::Display for Shortfall {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the quota {} is too small", self.metric)?;
        if !self.region.is_empty() {
            write!(formatter, " in {}", self.region)?;
        }
        let figures = [(self.limit, "limit"), (self.usage, "used"), (self.wanted, "needed")];
        let known: Vec<String> =
            figures.iter().filter_map(|(figure, word)| Some(format!("{} {word}", (*figure)?))).collect();
        if known.is_empty() {
            return write!(formatter, ": {}", self.message);
        }
        write!(formatter, " ({})", known.join(", "))
    }
}

fn permission_text(permission: Option<&str>, message: &str) -> String {
    match permission {
        Some(permission) => format!("the account lacks the permission {permission}"),
        None => format!("the account may not do this: {message}"),
    }
}

impl Error {
    /// Whether the call may have done its work although it did not say so.
    pub fn outcome_is_unknown(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Protocol(_))
    }

    /// Whether a wait may go on in spite of it.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Throttled { .. } | Self::Unreachable { .. })
    }

    /// Whether a text of Google, for example the condition of a cluster, speaks of machines that it does not have.
    pub fn is_stockout_text(text: &str) -> bool {
        ["ZONE_RESOURCE_POOL_EXHAUSTED", "STOCKOUT", "does not have enough resources"]
            .iter()
            .any(|word| text.contains(word))
    }

    /// Whether the thing is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// What the person can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Permission { permission: Some(permission), .. } => {
                format!("let an owner of the project grant a role that contains {permission}")
            }
            Self::Permission { .. } => "let an owner of the project grant the role that is needed".to_owned(),
            Self::ApiDisabled { service, project } => {
                format!(
                    "enable it: `gcloud services enable {service} --project {project}`; it takes about half a minute to work"
                )
            }
            Self::BillingDisabled { project, .. } => {
                format!(
                    "link a billing account: https://console.cloud.google.com/billing/linkedaccount?project={project}"
                )
            }
            Self::Quota(shortfall) => format!(
                "ask for a higher {} at https://console.cloud.google.com/iam-admin/quotas, use a smaller or another machine type, or another region",
                shortfall.metric
            ),
            Self::Stockout { .. } => {
                "choose another zone or machine type, or say `zones: any` in the scenario, so that others are tried"
                    .to_owned()
            }
            Self::Unauthenticated { hint, .. } => hint.clone(),
            Self::InUse { by, .. } => format!("remove {by}, then try again"),
            Self::Unreachable { .. } => {
                "is this machine connected to the network, and does a proxy or firewall stand in between?".to_owned()
            }
            _ => return None,
        })
    }

    /// What it means for the next call. What is not idempotent is not repeated while its outcome is not known.
    pub(super) fn verdict(&self, idempotent: bool) -> Verdict {
        match self {
            Self::Throttled { pause, .. } => Verdict::Throttled(*pause),
            Self::Unavailable { pause, .. } if idempotent => pause.map_or(Verdict::Again, Verdict::After),
            _ => Verdict::Final,
        }
    }
}

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
    pub metadata: std::collections::BTreeMap<String, String>,
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
        if self.http == 429 && (too_many || !self.has(&["quota '", "insufficient"])) || (self.http == 403 && too_many) {
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
pub(super) fn short(path: &str) -> String {
    let mut parts: Vec<&str> = path.rsplit('/').take(2).collect();
    parts.reverse();
    let mut text = String::new();
    let _ = write!(text, "{}", parts.join("/"));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
