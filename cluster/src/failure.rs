//! What the errors of providers mean for a step: the class, the hint.

use engine::{Class, Failure};
use providers::{docker, kubeconfig, program};

/// A failed call to Docker.
pub(crate) fn docker(error: docker::Error) -> Failure {
    let class = if error.is_no_engine() { Class::Missing } else { Class::Failed };
    with_hint(error.hint(), Failure::from(error).class(class))
}

/// A failed change of a kubeconfig.
pub(crate) fn kubeconfig(error: kubeconfig::Error) -> Failure {
    let class = if matches!(error, kubeconfig::Error::Foreign { .. }) { Class::Foreign } else { Class::Failed };
    with_hint(error.hint(), Failure::from(error).class(class))
}

/// A kind that failed or is missing.
pub(crate) fn kind(error: program::Error) -> Failure {
    let missing = matches!(error, program::Error::NotFound { .. } | program::Error::Start { .. });
    let hint = providers::kind::hint(&error);
    with_hint(hint, Failure::from(error).class(if missing { Class::Missing } else { Class::Failed }))
}

/// A file of this machine that cannot be made or removed.
pub(crate) fn file(action: &str, path: &std::path::Path, source: std::io::Error) -> Failure {
    FileError { text: format!("{action} {}", path.display()), source }.into()
}

#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct FileError {
    text: String,
    source: std::io::Error,
}

fn with_hint(hint: Option<String>, failure: Failure) -> Failure {
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
