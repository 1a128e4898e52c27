use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::Failure;

/// Whether SIGTERM or SIGINT came.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Starts to listen. The first process of a container gets no signal that it does not listen for.
    pub fn listen() -> Result<Self, Failure> {
        let stop = Self::default();
        for signal in [SIGTERM, SIGINT] {
            flag::register(signal, Arc::clone(&stop.0)).map_err(Failure::Signals)?;
        }
        Ok(stop)
    }

    /// Whether to stop now.
    pub fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
