//! The one loop that polls.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// What one look at the world says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe<T> {
    /// It is so; the wait is over.
    Ready(T),
    /// Not yet; says in a few words what is missing.
    Pending(String),
}

/// Why a wait ended without its result.
#[derive(Debug)]
pub enum WaitError<E> {
    /// The deadline passed.
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long it was waited for.
        limit: Duration,
        /// What was missing at the last look that came to an end.
        missing: Option<String>,
    },
    /// A look at the world said that waiting longer cannot help.
    Stopped(E),
}

impl<E: fmt::Display> fmt::Display for WaitError<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { what, limit, missing } => {
                write!(formatter, "waited {} seconds for {what}", limit.as_secs_f64())?;
                missing.iter().try_for_each(|missing| write!(formatter, ": {missing}"))
            }
            Self::Stopped(error) => error.fmt(formatter),
        }
    }
}

impl<E: std::error::Error> std::error::Error for WaitError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::TimedOut { .. } => None,
            // Its text is already this error's text.
            Self::Stopped(error) => error.source(),
        }
    }
}

/// Looks at the world every so often until `probe` is ready, fails, or `limit` has passed.
///
/// The first look is immediate. A look that hangs is dropped at the deadline. `every` is the pause between the end of one look and
/// the start of the next. A timeout is never a success.
pub async fn until<T, E, F>(
    what: &str,
    limit: Duration,
    every: Duration,
    probe: impl FnMut() -> F,
) -> Result<T, WaitError<E>>
where
    F: Future<Output = Result<Probe<T>, E>>,
{
    until_paced(what, limit, |_| every, probe).await
}

/// The same with pauses that follow from how long it was waited for already.
pub async fn until_paced<T, E, F>(
    what: &str,
    limit: Duration,
    pause: impl Fn(Duration) -> Duration,
    mut probe: impl FnMut() -> F,
) -> Result<T, WaitError<E>>
where
    F: Future<Output = Result<Probe<T>, E>>,
{
    let began = Instant::now();
    let deadline = began + limit;
    let mut missing = None;
    loop {
        match timeout_at(deadline, probe()).await {
            Ok(Ok(Probe::Ready(value))) => return Ok(value),
            Ok(Ok(Probe::Pending(reason))) => missing = Some(reason),
            Ok(Err(error)) => return Err(WaitError::Stopped(error)),
            Err(_) => return Err(WaitError::TimedOut { what: what.to_owned(), limit, missing }),
        }
        let every = pause(began.elapsed());
        if Instant::now() + every >= deadline {
            return Err(WaitError::TimedOut { what: what.to_owned(), limit, missing });
        }
        sleep(every).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_first_ready_look_ends_the_wait() {
        let mut looks = 0;
        let result: Result<u32, WaitError<String>> = until("three looks", SECOND * 10, SECOND, || {
            looks += 1;
            let looks = looks;
            async move { Ok(if looks == 3 { Probe::Ready(looks) } else { Probe::Pending("more looks".into()) }) }
        })
        .await;
        assert_eq!(result.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_names_what_was_missing() {
        let result: Result<(), WaitError<String>> =
            until("the node", SECOND * 5, SECOND * 2, || async { Ok(Probe::Pending("its runtime".into())) }).await;
        assert_eq!(result.unwrap_err().to_string(), "waited 5 seconds for the node: its runtime");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_ends_at_the_deadline() {
        let result: Result<(), WaitError<String>> = until("the node", SECOND * 5, SECOND, std::future::pending).await;
        assert!(matches!(result, Err(WaitError::TimedOut { missing: None, .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cause_that_will_not_heal_ends_the_wait_at_once() {
        let before = Instant::now();
        let result: Result<(), WaitError<String>> =
            until("the node", SECOND * 5, SECOND, || async { Err("it crashed".to_owned()) }).await;
        assert_eq!(result.unwrap_err().to_string(), "it crashed");
        assert_eq!(Instant::now(), before);
    }
}
