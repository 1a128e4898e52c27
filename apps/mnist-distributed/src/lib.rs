//! Digits learned by several workers at once.
//!
//! [`cut`] makes parts of a data set, [`train`] learns from one of them, and [`aggregate`] averages the models of all parts and
//! measures the result. They meet in a [`Shared`] folder alone, so each may run on a machine of its own.

mod aggregating;
mod cutting;
mod failure;
mod network;
mod settings;
mod shared;
mod stop;
mod training;

pub use aggregating::{Aggregated, Judged, aggregate, newest};
pub use cutting::{Cut, CutPart, cut, sizes};
pub use failure::Failure;
pub use network::Network;
pub use settings::Settings;
pub use shared::Shared;
pub use stop::Stop;
pub use training::{Learned, LearnedEpoch, Outcome, train};
