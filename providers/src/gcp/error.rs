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
