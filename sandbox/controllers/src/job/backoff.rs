//! How long a job waits before it replaces pods that failed.

use crate::pods::finished_at;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The pause after the first failure, and the longest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// After the first failure; doubles with each further one.
    pub first: SignedDuration,
    /// No pause is longer.
    pub longest: SignedDuration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: SignedDuration::from_secs(10), longest: SignedDuration::from_secs(600) }
    }
}

impl Pauses {
    /// What is left of the pause after this many failures, the last one of them then.
    pub fn left(self, failures: u32, last: Timestamp, now: Timestamp) -> SignedDuration {
        if failures == 0 {
            return SignedDuration::ZERO;
        }
        let doubled = 2_i32.checked_pow(failures - 1).and_then(|times| self.first.checked_mul(times));
        let pause = doubled.unwrap_or(self.longest).min(self.longest);
        (pause - now.duration_since(last)).max(SignedDuration::ZERO)
    }
}

/// The failures of a job since its last success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    count: u32,
    last: Option<Timestamp>,
}

impl Failures {
    /// These failures and what has finished since.
    #[must_use]
    pub fn after(self, succeeded: &[&Value], failed: &[&Value]) -> Self {
        let last_success = succeeded.iter().map(|pod| finished_at(pod)).max();
        let before = if last_success.is_some() { Self::default() } else { self };
        let ends = failed.iter().map(|pod| finished_at(pod)).filter(|end| last_success.is_none_or(|last| *end > last));
        ends.fold(before, |sum, end| Self { count: sum.count + 1, last: sum.last.max(Some(end)) })
    }

    /// What is left of the pause.
    pub fn pause_left(self, pauses: Pauses, now: Timestamp) -> SignedDuration {
        self.last.map_or(SignedDuration::ZERO, |last| pauses.left(self.count, last, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ended(second: i64) -> Value {
        let at = Timestamp::from_second(second).unwrap().to_string();
        json!({"status": {"containerStatuses": [{"state": {"terminated": {"finishedAt": at}}}]}})
    }

    fn pause(failures: Failures, second: i64) -> i64 {
        failures.pause_left(Pauses::default(), Timestamp::from_second(second).unwrap()).as_secs()
    }

    #[test]
    fn the_pause_is_ten_seconds_and_doubles_up_to_ten_minutes() {
        let pods: Vec<Value> = (0..10).map(|_| ended(100)).collect();
        let after = |count: usize| Failures::default().after(&[], &pods.iter().take(count).collect::<Vec<_>>());
        let pauses: Vec<i64> = [0, 1, 2, 3, 10].into_iter().map(|count| pause(after(count), 100)).collect();
        assert_eq!(pauses, [0, 10, 20, 40, 600]);
    }

    #[test]
    fn a_pause_passes() {
        let failures = Failures::default().after(&[], &[&ended(100)]);
        assert_eq!([pause(failures, 104), pause(failures, 110), pause(failures, 1000)], [6, 0, 0]);
    }

    #[test]
    fn a_success_forgets_the_failures_before_it() {
        let failures = Failures::default().after(&[], &[&ended(100), &ended(101)]);
        assert_eq!(failures.after(&[&ended(102)], &[]), Failures::default());
        let later = failures.after(&[&ended(102)], &[&ended(101), &ended(103)]);
        assert_eq!(pause(later, 103), 10);
    }
}
