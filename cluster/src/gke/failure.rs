//! What errors of Google Cloud mean for a step.

use engine::{Class, Failure, Remains};
use providers::gcp::Error;

/// What was tried, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Tried {
    what: String,
    source: Error,
}

/// A failed call; `what` was tried.
pub(super) fn of(what: impl Into<String>, error: Error) -> Failure {
    let class = match &error {
        Error::Unauthenticated { .. }
        | Error::Permission { .. }
        | Error::ApiDisabled { .. }
        | Error::BillingDisabled { .. }
        | Error::Unreachable { .. } => Class::Missing,
        Error::Quota(_) | Error::Stockout { .. } | Error::TimedOut(_) | Error::InUse { .. } => Class::Blocked,
        _ => Class::Failed,
    };
    let hint = error.hint();
    let mut failure = Failure::from(Tried { what: what.into(), source: error }).class(class);
    failure.hint = hint;
    failure
}

/// The same, with what is left behind: what a look afterwards said; none where nobody could look.
pub(super) fn leaving(what: impl Into<String>, error: Error, there: Option<bool>) -> Failure {
    let mut failure = of(what, error);
    failure.remains = match there {
        Some(true) => Remains::Something,
        Some(false) => Remains::Nothing,
        None => Remains::Unknown,
    };
    failure
}

/// Something of this name exists that is not the deployment's.
pub(super) fn foreign(sort: &str, name: &str, whose: &str) -> Failure {
    let failure = Failure::from(format!("make the {sort} {name}: one of this name exists, and {whose}"));
    let hint = format!("choose another deployment name, or delete the {sort} {name} if nobody needs it");
    failure.class(Class::Foreign).hint(hint).nothing_remains()
}
