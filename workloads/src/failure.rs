use engine::{Class, Failure};
use providers::kubernetes::{Identity, KubernetesError};

use crate::vault;

/// Why an object is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The inputs are not what this kind of node takes.
    #[error("read the inputs")]
    Inputs(#[from] serde_json::Error),
    /// The object exists, and somebody else made it.
    #[error("take {identity}: it exists already and {owner}")]
    Foreign {
        /// The object.
        identity: Identity,
        /// To whom it belongs.
        owner: String,
    },
    /// A value of a Secret is missing.
    #[error("apply {identity}")]
    Secret {
        /// The object.
        identity: Identity,
        /// Which value.
        #[source]
        source: vault::Unknown,
    },
    /// The API server did not apply it.
    #[error("apply {identity}")]
    Apply {
        /// The object.
        identity: Identity,
        /// Why.
        #[source]
        source: KubernetesError,
    },
    /// The API server did not delete it.
    #[error("delete {identity}")]
    Delete {
        /// The object.
        identity: Identity,
        /// Why.
        #[source]
        source: KubernetesError,
    },
    /// It was deleted and stays.
    #[error("delete {identity}: it is still there after {seconds} seconds: {reason}")]
    Stays {
        /// The object.
        identity: Identity,
        /// For how long it was waited.
        seconds: u64,
        /// What keeps it.
        reason: String,
    },
}

impl ObjectError {
    pub(crate) fn apply(identity: &Identity, source: KubernetesError) -> Self {
        Self::Apply { identity: identity.clone(), source: discreet(identity, source) }
    }

    /// Whether the API server says that the object would not be a valid one.
    pub(crate) fn is_invalid(&self) -> bool {
        matches!(self, Self::Apply { source: KubernetesError::Invalid { .. }, .. })
    }

    /// The failure of a step, with its class and a hint.
    pub(crate) fn failure(self) -> Failure {
        let (class, hint, nothing) = match &self {
            Self::Foreign { .. } => (
                Class::Foreign,
                Some("choose another name or namespace, or delete that object if it is not needed".to_owned()),
                true,
            ),
            Self::Stays { .. } => {
                (Class::Blocked, Some("remove what keeps it, then run destroy again".to_owned()), false)
            }
            Self::Apply { source, .. } => (class_of(source), hint_of(source), rejected(source)),
            Self::Delete { source, .. } => (class_of(source), hint_of(source), false),
            Self::Secret { .. } | Self::Inputs(_) => (Class::Failed, None, true),
        };
        let mut failure = Failure::from(self).class(class);
        failure.hint = hint;
        if nothing { failure.nothing_remains() } else { failure }
    }
}

/// Whether the API server said that it did nothing.
fn rejected(error: &KubernetesError) -> bool {
    matches!(error, KubernetesError::Invalid { .. } | KubernetesError::Forbidden(_) | KubernetesError::QuotaExceeded(_))
}

/// The class of an API error.
pub(crate) fn class_of(error: &KubernetesError) -> Class {
    match error {
        KubernetesError::QuotaExceeded(_) => Class::Blocked,
        _ => Class::Failed,
    }
}

/// What a person can do about an API error.
pub(crate) fn hint_of(error: &KubernetesError) -> Option<String> {
    let hint = match error {
        KubernetesError::Conflict(_) => {
            "take these fields out of the manifest, or make the other manager let go of them"
        }
        KubernetesError::QuotaExceeded(_) => "raise the ResourceQuota, or ask for less",
        KubernetesError::UnknownKind { .. } => {
            "add its CustomResourceDefinition in an earlier step, or correct apiVersion and kind"
        }
        KubernetesError::Unreachable { .. } => "see whether the cluster runs: infra status",
        KubernetesError::Unauthorized(_) => "renew the credentials in the kubeconfig",
        KubernetesError::Invalid { .. } => "correct the manifest",
        KubernetesError::Forbidden(message) if message.contains("PodSecurity") => {
            "make the pod meet the namespace's Pod Security Standard, or label the namespace with another one"
        }
        KubernetesError::LocalPort { .. } => "choose another local port",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// A rejected Secret must not be quoted: the API server shows a piece of what it could not read.
fn discreet(identity: &Identity, error: KubernetesError) -> KubernetesError {
    match error {
        KubernetesError::Invalid { fields, .. } if identity.kind.kind == "Secret" => KubernetesError::Invalid {
            message: "its data is not what the API server accepts (values of data must be base64)".into(),
            fields: fields
                .into_iter()
                .map(|mut field| {
                    // `Invalid value: "...": reason`
                    if field.message.starts_with("Invalid value") {
                        field.message = "invalid value".into();
                    }
                    field
                })
                .collect(),
        },
        KubernetesError::Other { code, .. } if identity.kind.kind == "Secret" => {
            KubernetesError::Other { code, message: "the Secret was not accepted".into() }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_secret_is_not_quoted() {
        let identity = Identity::new("v1", "Secret", Some("a"), "login");
        let source = KubernetesError::Invalid {
            message: "error found in #10 byte of ...|hunter2|...".into(),
            fields: Vec::new(),
        };
        let failure = ObjectError::apply(&identity, source).failure();
        assert!(failure.causes().iter().all(|cause| !cause.contains("hunter2")), "{:?}", failure.causes());
        assert_eq!(failure.remains, engine::Remains::Nothing);
    }
}
