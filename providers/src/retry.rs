//! The one place that retries: how often and how long is a value.

use std::future::Future;
use std::time::Duration;

use tokio::time::sleep;

use crate::gate::Gate;

/// How often and how long a call is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How many calls at most, the first one included; at least 1.
    pub attempts: u32,
    /// The pause after the first call; it doubles with each further one.
    pub first_delay: Duration,
    /// The longest pause.
    pub max_delay: Duration,
}

impl Policy {
    /// Four calls within some two seconds: for a local service that is just coming up.
    pub const SHORT: Self =
        Self { attempts: 4, first_delay: Duration::from_millis(200), max_delay: Duration::from_secs(1) };
    /// Six calls within some half a minute: for a service behind a network.
    pub const NETWORK: Self =
        Self { attempts: 6, first_delay: Duration::from_millis(500), max_delay: Duration::from_secs(15) };

    fn delay(&self, attempt: u32) -> Duration {
        self.first_delay.saturating_mul(2_u32.saturating_pow(attempt - 1)).min(self.max_delay)
    }
}

/// What an error means for the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another call gives the same answer.
    Final,
    /// Another call may succeed.
    Again,
    /// Another call may succeed after this pause (`Retry-After`). A pause longer than the policy's longest ends the retries.
    After(Duration),
    /// There are too many calls. Another one may succeed, after this pause where the service names one; through a [`Gate`],
    /// all calls become fewer.
    Throttled(Option<Duration>),
}

impl Verdict {
    /// The pause before the next call; none where there is no next one.
    fn pause(self, policy: &Policy, attempt: u32) -> Option<Duration> {
        let usual = policy.delay(attempt);
        let pause = match self {
            Self::Final => return None,
            Self::Again | Self::Throttled(None) => usual,
            Self::After(pause) => pause,
            Self::Throttled(Some(pause)) => pause.max(usual),
        };
        Some(pause).filter(|pause| attempt < policy.attempts && *pause <= policy.max_delay)
    }
}

/// Makes a call until it succeeds, its error is final, or the policy's attempts are used up; returns the last error.
pub async fn retry<T, E, F>(
    policy: &Policy,
    classify: impl Fn(&E) -> Verdict,
    mut call: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut attempt = 1;
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(pause) = classify(&error).pause(policy, attempt) else { return Err(error) };
        sleep(pause).await;
        attempt += 1;
    }
}

/// The same, each call through the gate of the API that it goes to. A call that pauses takes no place there.
pub async fn retry_through<T, E, F>(
    gate: &Gate,
    policy: &Policy,
    classify: impl Fn(&E) -> Verdict,
    call: impl Fn() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let through = || async {
        let pass = gate.enter().await;
        let result = call().await;
        match result.as_ref().map_err(&classify) {
            Err(Verdict::Throttled(pause)) => pass.throttled(pause.filter(|pause| *pause <= policy.max_delay)),
            _ => pass.taken(),
        }
        result
    };
    retry(policy, &classify, through).await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    const POLICY: Policy =
        Policy { attempts: 4, first_delay: Duration::from_secs(1), max_delay: Duration::from_secs(3) };

    async fn calls(verdict: Verdict, success_at: u32) -> (Result<u32, u32>, Duration) {
        let (count, start) = (Cell::new(0), Instant::now());
        let result = retry(
            &POLICY,
            |_| verdict,
            || {
                count.set(count.get() + 1);
                let attempt = count.get();
                async move { if attempt == success_at { Ok(attempt) } else { Err(attempt) } }
            },
        )
        .await;
        (result, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest() {
        assert_eq!(calls(Verdict::Again, 4).await, (Ok(4), Duration::from_secs(1 + 2 + 3)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_error_is_returned_when_the_attempts_are_used_up() {
        assert_eq!(calls(Verdict::Again, 9).await, (Err(4), Duration::from_secs(6)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_error_is_not_retried() {
        assert_eq!(calls(Verdict::Final, 2).await, (Err(1), Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn the_service_may_set_the_pause() {
        assert_eq!(calls(Verdict::After(Duration::from_millis(1500)), 2).await, (Ok(2), Duration::from_millis(1500)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_longer_than_the_policy_allows_ends_the_retries() {
        assert_eq!(calls(Verdict::After(Duration::from_mins(1)), 2).await, (Err(1), Duration::ZERO));
    }
}
