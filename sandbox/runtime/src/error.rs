//! What can go wrong.

use std::io;

use serde::{Deserialize, Serialize};

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The kernel, or who set it up, does not allow what a node is made of.
    #[error("this machine does not let the sandbox {what}: {cause}. {remedy}")]
    Forbidden {
        /// What was tried, as `make a user namespace`.
        what: String,
        /// What the kernel said.
        cause: String,
        /// The setting that would change it, a sentence.
        remedy: String,
    },
    /// An option that cannot be met.
    #[error("{0}")]
    Option(String),
    /// The folder, the program itself or a socket could not be used.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why the node could not do something with a pod, a container or its network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NodeError {
    /// The node has stopped, with all that ran on it.
    #[error("the node has stopped")]
    Stopped,
    /// No pod or container of this name.
    #[error("there is no {kind} {id:?} on the node")]
    Unknown {
        /// `pod` or `container`.
        kind: String,
        /// As it was asked for.
        id: String,
    },
    /// The system refused.
    #[error("cannot {what}: {cause}")]
    Failed {
        /// What was tried.
        what: String,
        /// What the system said.
        cause: String,
    },
}

/// Why a program was not started. The texts are those that users of Kubernetes know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StartContainerError {
    /// The program cannot be run: it is not there, may not be executed, is a folder.
    #[error("{0}")]
    Program(String),
    /// A mount, the root file system, the user or a limit could not be had.
    #[error("{0}")]
    Setup(String),
    /// The node itself could not.
    #[error(transparent)]
    Node(#[from] NodeError),
}
