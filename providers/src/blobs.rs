//! Objects in a bucket or a shared folder: listed, read whole, created once, deleted.
//!
//! What several machines do at once is decided by one rule of every such place: a name can be created once only.

#[cfg(not(feature = "blobs"))]
mod left_out;
#[cfg(feature = "blobs")]
mod store;

#[cfg(not(feature = "blobs"))]
pub use left_out::Blobs;
#[cfg(feature = "blobs")]
pub use store::Blobs;

/// An object of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its name below the place.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// Why a place or its objects cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name of the place says too little, or too much.
    #[error("use {place}: {problem}")]
    Place {
        /// The name.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The place did not do what it was asked to.
    #[error("{action} {place}")]
    Call {
        /// What was tried.
        action: &'static str,
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
