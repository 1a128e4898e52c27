//! Being told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::report::Failure;

/// Whether SIGTERM or SIGINT came.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Starts to listen. The first process of a container gets no signal that it does not listen for.
    pub fn listen() -> Result<Self, Failure> {
        let failed = |source| Failure::System { doing: "listen for signals", source };
        let stop = Self::default();
        let flag = Arc::clone(&stop.0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (mut terminate, mut interrupt) = {
            let _inside = runtime.enter();
            (signal(SignalKind::terminate()).map_err(failed)?, signal(SignalKind::interrupt()).map_err(failed)?)
        };
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            });
            flag.store(true, Ordering::SeqCst);
        });
        Ok(stop)
    }

    /// Whether to stop now.
    pub fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
