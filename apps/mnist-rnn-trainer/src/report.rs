//! How a run ends.

use std::error::Error;
use std::fmt::Write as _;

use mnist_rnn_model::StoreError;

/// How a run ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is done.
    Done,
    /// It was told to stop, and did so between two steps.
    Stopped,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The data set is not there or wrong.
    #[error("failed to {0}")]
    Dataset(#[source] datasets::Error),
    /// The images have another size than the network reads.
    #[error("failed to use {dataset}: its images are {rows} x {columns} pixels, and the network reads 28 x 28")]
    Size {
        /// The data set.
        dataset: datasets::Name,
        /// Height of its images, in pixels.
        rows: usize,
        /// Width of its images, in pixels.
        columns: usize,
    },
    /// Model or checkpoint could not be written.
    #[error("failed to {0}")]
    Store(#[source] StoreError),
    /// The operating system gives no signals or no threads.
    #[error("failed to {doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// The numbers left the range in which learning works.
    #[error("failed to learn: the loss is no longer a number after epoch {epoch}; lower the learning rate")]
    Diverged {
        /// The epoch, counted from 1.
        epoch: u32,
    },
}

impl Failure {
    /// The failure and its causes in one line.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        // The first source's own text is part of this one's.
        let mut cause = match self {
            Self::Dataset(error) => error.source(),
            Self::Store(error) => error.source(),
            other => other.source(),
        };
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        text
    }
}
