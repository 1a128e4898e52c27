//! Delays that double.

use super::after;
use jiff::Timestamp;

/// The first delay, in seconds.
pub const FIRST_SECONDS: i64 = 10;
/// The longest delay, in seconds.
pub const LONGEST_SECONDS: i64 = 300;

/// How long to wait before something that keeps failing is tried again: nothing at first, then 10 seconds, doubled up to 5
/// minutes, and from the start again after 10 quiet minutes.
#[derive(Clone, Copy, Debug, Default)]
pub struct BackOff {
    seconds: i64,
    updated: Option<Timestamp>,
}

impl BackOff {
    /// The delay that holds now, in seconds.
    pub fn seconds(&self) -> i64 {
        self.seconds
    }

    /// The earliest moment of another try after a failure at `failed`; none when there is nothing to wait for.
    pub fn until(&self, failed: Timestamp) -> Option<Timestamp> {
        let updated = self.updated?;
        (!expired(updated, failed)).then(|| after(failed, self.seconds))
    }

    /// Another try is made at `now`, after a failure at `failed`.
    pub fn next(&mut self, failed: Timestamp, now: Timestamp) {
        self.seconds = match self.updated {
            Some(updated) if !expired(updated, failed) => (self.seconds * 2).min(LONGEST_SECONDS),
            _ => FIRST_SECONDS,
        };
        self.updated = Some(now);
    }

    /// The delay as Go prints durations: `10s`, `1m20s`, `5m0s`.
    pub fn text(&self) -> String {
        match (self.seconds / 60, self.seconds % 60) {
            (0, seconds) => format!("{seconds}s"),
            (minutes, seconds) => format!("{minutes}m{seconds}s"),
        }
    }
}

fn expired(updated: Timestamp, failed: Timestamp) -> bool {
    failed.as_second() - updated.as_second() > 2 * LONGEST_SECONDS
}
