//! Simulated time: real time since the start, times a factor, and what was skipped.

use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
// A runtime whose time is paused has the simulator in that time, too.
use tokio::time::Instant;

/// Simulated time since the simulator's start.
pub type Moment = Duration;

/// A clock that runs as much faster as it is told to.
pub struct Clock {
    began: Instant,
    epoch: Timestamp,
    speed: f64,
    skipped: Mutex<Duration>,
}

impl Clock {
    /// A clock that starts now and makes `speed` simulated seconds of each real one.
    pub fn new(speed: f64) -> Self {
        Self { began: Instant::now(), epoch: Timestamp::now(), speed: speed.max(0.0), skipped: Mutex::default() }
    }

    /// Simulated time since the start.
    pub fn now(&self) -> Moment {
        let skipped = *self.skipped.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.began.elapsed().mul_f64(self.speed) + skipped
    }

    /// Lets this much simulated time pass at once.
    pub fn skip(&self, time: Duration) {
        *self.skipped.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += time;
    }

    /// The real time in which this much simulated time passes. For ever, or nearly, where the clock stands still.
    pub fn real(&self, simulated: Duration) -> Duration {
        const LONG: Duration = Duration::from_hours(24);
        if self.speed > 0.0 { simulated.div_f64(self.speed).min(LONG) } else { LONG }
    }

    /// A moment as Google writes it, in RFC 3339. The simulator's start is its real time.
    pub fn timestamp(&self, moment: Moment) -> String {
        let at = SignedDuration::try_from(moment).ok().and_then(|after| self.epoch.checked_add(after).ok());
        let at = at.unwrap_or(self.epoch);
        format!("{}", at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))
    }

    /// Milliseconds since 1970 at a moment, as the names of operations begin with them.
    pub fn milliseconds(&self, moment: Moment) -> i128 {
        i128::from(self.epoch.as_millisecond()) + i128::try_from(moment.as_millis()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_stands_still_moves_only_when_it_is_told_to() {
        let clock = Clock::new(0.0);
        assert_eq!(clock.now(), Duration::ZERO);
        clock.skip(Duration::from_secs(90));
        assert_eq!(clock.now(), Duration::from_secs(90));
    }

    #[test]
    fn a_minute_takes_a_second_at_speed_60() {
        assert_eq!(Clock::new(60.0).real(Duration::from_mins(1)), Duration::from_secs(1));
    }
}
