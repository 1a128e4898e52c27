//! What a part of the sandbox has to say that is no answer to anybody.

use std::fmt;
use std::sync::Arc;

/// Says a line.
type Say = dyn Fn(&str) + Send + Sync;

/// Takes lines for the log of the process; by itself it says nothing.
#[derive(Clone, Default)]
pub struct Notice(Option<Arc<Say>>);

impl Notice {
    /// Says each line by this.
    pub fn new(say: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(say)))
    }

    /// Says a line, which holds no secrets.
    pub fn tell(&self, line: &str) {
        if let Some(say) = &self.0 {
            say(line);
        }
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Notice")
    }
}
