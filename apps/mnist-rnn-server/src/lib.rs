//! Serves the newest trained model: a page to draw on, an API, probes and metrics.

mod answer;
mod metrics;
mod model;
mod page;
mod picture;
mod request;
mod routes;

pub use model::watch;
pub use picture::{PictureError, prepare};
pub use routes::{Server, router};
