use std::error::Error as StdError;

use bollard::errors::Error as ClientError;

use super::freezer;
use crate::program::indented;

/// A call to the Docker Engine that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No engine answers.
    #[error("reach a Docker Engine{}", indented(.tried))]
    NoEngine {
        /// Each address that was tried, and what came of it.
        tried: Vec<String>,
    },
    /// The user asks for an engine that cannot be used.
    #[error("use the Docker Engine that {setting} names: {reason}")]
    Setting {
        /// The variable or file that names it.
        setting: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// What the call is about does not exist.
    #[error("{action}: it does not exist")]
    Missing {
        /// What was tried.
        action: String,
    },
    /// The engine refused the call, with its own words.
    #[error("{action}: {message}")]
    Refused {
        /// What was tried.
        action: String,
        /// The HTTP status of the answer.
        status: u16,
        /// What the engine said.
        message: String,
    },
    /// A build failed.
    #[error("build image {tag}: {message}{}", indented(.last_lines))]
    Build {
        /// The image.
        tag: String,
        /// What the engine said.
        message: String,
        /// The last lines that the build printed, oldest first.
        last_lines: Vec<String>,
    },
    /// The engine went away, or its answer cannot be read. What the call did is not known.
    #[error("{action}: lost contact with the Docker Engine")]
    Lost {
        /// What was tried.
        action: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// Gives a client's error the action that it belongs to.
    pub(crate) fn new(action: impl Into<String>, error: ClientError) -> Self {
        let action = action.into();
        match error {
            ClientError::DockerResponseServerError { status_code: 404, .. } => Self::Missing { action },
            ClientError::DockerResponseServerError { status_code, message } => {
                Self::Refused { action, status: status_code, message: message.trim().to_owned() }
            }
            ClientError::DockerStreamError { error } => {
                Self::Refused { action, status: 200, message: error.trim().to_owned() }
            }
            error => Self::Lost { action, source: Box::new(error) },
        }
    }

    /// Whether what the call is about does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// Whether there is no engine to talk to: the machine lacks it, or the settings are wrong.
    pub fn is_no_engine(&self) -> bool {
        matches!(self, Self::NoEngine { .. } | Self::Setting { .. })
    }

    /// What the person can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoEngine { tried }
                if tried.iter().any(|tried| tried.to_lowercase().contains("permission denied")) =>
            {
                "the engine runs but this user may not use it: add the user to the group `docker` and log in again"
            }
            Self::NoEngine { .. } => {
                "start Docker (Linux: `sudo systemctl start docker`; macOS: open Docker Desktop or run `colima start`), \
                 or install it: https://docs.docker.com/get-docker/"
            }
            Self::Setting { .. } => "name an engine of this machine, or take the setting away to use the default one",
            Self::Refused { message, .. } if message.contains("no space left on device") => {
                "the disk is full: `docker system df` shows what Docker holds, `docker system prune` frees what is unused"
            }
            Self::Refused { message, .. } if message.contains("address pool") => {
                "Docker has no addresses left for another network: `docker network prune` removes the unused ones"
            }
            Self::Refused { message, .. } if message.contains(freezer::NO_EXIT) => {
                "its processes do not end: run the same command again as root, or restart Docker, then run it again"
            }
            Self::Lost { .. } => "see whether Docker still runs (`docker version`), then run the same command again",
            Self::Build { message, .. } if message.contains("BuildKit") || message.contains("--mount") => {
                "the Dockerfile uses what only BuildKit has (`RUN --mount`, heredocs, `COPY --link`): write it without, or build \
                 the image with `docker buildx build --push` and name it in the manifest"
            }
            Self::Build { message, .. } if message.contains("no space left on device") => {
                "the disk is full: `docker system df` shows what Docker holds, `docker system prune` frees what is unused"
            }
            Self::Missing { .. } | Self::Refused { .. } | Self::Build { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// The text of an error's last cause, which is the one that says what happened.
pub(super) fn innermost(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
