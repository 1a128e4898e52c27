use std::error::Error;
use std::fmt::Write as _;
use std::io;

use digits::StoreError;

/// Why a program ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The data set or a part is not there or wrong.
    #[error("failed to {0}")]
    Dataset(#[source] datasets::Error),
    /// The images have another size than the network reads.
    #[error("failed to use the images: they are {rows} x {columns} pixels, and the network reads 28 x 28")]
    Size {
        /// Height of the images, in pixels.
        rows: usize,
        /// Width of the images, in pixels.
        columns: usize,
    },
    /// There are fewer images than parts.
    #[error("failed to cut {images} images into {workers} parts: each part needs one at least")]
    TooFew {
        /// Number of images.
        images: usize,
        /// Number of parts.
        workers: usize,
    },
    /// A file of the shared folder could not be read or written.
    #[error("failed to {0}")]
    Store(#[source] StoreError),
    /// What another program left is not what this one needs.
    #[error("failed to use {what}: {reason}")]
    Unfit {
        /// What it is, for example `the model of part 2`.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The numbers left the range in which learning works.
    #[error("failed to learn: the loss is no longer a number after epoch {epoch}; lower the learning rate")]
    Diverged {
        /// The epoch, counted from 1.
        epoch: usize,
    },
    /// The operating system gives no signals.
    #[error("failed to listen for signals")]
    Signals(#[source] io::Error),
}

impl Failure {
    /// Whether another attempt cannot help.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Dataset(_) | Self::Size { .. } | Self::TooFew { .. } | Self::Diverged { .. })
    }

    /// The failure and its causes in one line.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        // The text of an error of a data set or a store is part of this one's.
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

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
