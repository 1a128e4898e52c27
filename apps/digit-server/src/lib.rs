//! Serves the newest model that recognises digits: a page to draw on, an API, probes and metrics.
//!
//! The model itself is somebody else's: [`Served`] says what is needed of one.

mod answer;
mod follow;
mod metrics;
mod page;
mod picture;
mod program;
mod request;
mod routes;
mod served;

pub use follow::watch;
pub use picture::{PictureError, prepare};
pub use program::{Arguments, run};
pub use routes::{Server, router};
pub use served::{Served, Summary};
