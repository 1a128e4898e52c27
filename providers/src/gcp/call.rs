//! One call: through the gate of its API, within a time limit, again where that may help, with its error told apart.

use std::future::Future;
use std::time::Duration;

use google_cloud_gax::error::Error as SdkError;
use google_cloud_gax::error::rpc::StatusDetails;
use http::HeaderMap;
use tokio::time::timeout;

use super::answer::Answer;
use super::error::Error;
use super::{Gcp, Service};
use crate::retry::{Policy, Verdict, retry_through};

/// No single attempt takes longer than this; what takes longer at Google is an operation.
const LIMIT: Duration = Duration::from_mins(1);
/// Nor does one that waits for an operation, which Google lets wait for two minutes.
const WAIT_LIMIT: Duration = Duration::from_secs(150);
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Some two minutes: the rates of Google's APIs are for each minute.
const PATIENCE: Policy =
    Policy { attempts: 9, first_delay: Duration::from_millis(500), max_delay: Duration::from_secs(32) };

/// Whether a call may be repeated while it is not known what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It does the same if it is made twice.
    Safe,
    /// It makes something: first look.
    Unsafe,
}

/// What came of an attempt without success.
enum Attempt {
    /// The token was refused, and there is a new one.
    Renewed(Error),
    Failed(Error),
}

impl Gcp {
    /// Makes a call through one of Google's crates. Its answer is on the heap: some are tens of kilobytes large.
    pub(super) async fn sdk<T, F>(
        &self,
        service: Service,
        repeat: Repeat,
        call: impl Fn() -> F,
    ) -> Result<Box<T>, Error>
    where
        F: Future<Output = Result<T, SdkError>>,
    {
        let endpoint = self.base(service);
        self.attempts(service, repeat, || async {
            let result = Box::pin(call()).await.map(Box::new);
            result.map_err(|error| explain(&endpoint, error))
        })
        .await
    }

    /// Makes a call again as long as that may help. Its future is on the heap: those of Google's crates are large, and many calls are
    /// made at once.
    pub(super) async fn attempts<T, F>(
        &self,
        service: Service,
        repeat: Repeat,
        call: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let gate = self.gate(service);
        let policy = Policy {
            first_delay: self.pause(PATIENCE.first_delay),
            max_delay: self.pause(PATIENCE.max_delay),
            ..PATIENCE
        };
        let once = || async {
            let token = self.token().await.map_err(Attempt::Failed)?;
            let limit = if service == Service::ComputeWait { WAIT_LIMIT } else { LIMIT };
            let late = |_| {
                let message = format!("no answer within {} seconds", limit.as_secs());
                Err(Error::Unavailable { message, pause: None })
            };
            let result = timeout(limit, Box::pin(call())).await.unwrap_or_else(late);
            match result {
                Err(error @ Error::Unauthenticated { .. }) => {
                    self.token_was_refused(&token).await;
                    let renewed = self.token().await.is_ok_and(|renewed| renewed != token);
                    Err(if renewed { Attempt::Renewed(error) } else { Attempt::Failed(error) })
                }
                other => other.map_err(|error| Attempt::Failed(self.on_this_clock(error))),
            }
        };
        let safe = repeat == Repeat::Safe;
        let verdict = |attempt: &Attempt| match attempt {
            // Nothing was done with the old token.
            Attempt::Renewed(_) => Verdict::Again,
            Attempt::Failed(error) => error.verdict(safe),
        };
        let result = retry_through(&gate, &policy, verdict, once).await;
        result.map_err(|attempt| match attempt {
            Attempt::Renewed(error) | Attempt::Failed(error) => error,
        })
    }

    /// The pauses that Google asks for pass as fast as everything else.
    fn on_this_clock(&self, error: Error) -> Error {
        let pause = |pause: Option<Duration>| pause.map(|pause| self.pause(pause));
        match error {
            Error::Throttled { pause: asked, message } => Error::Throttled { pause: pause(asked), message },
            Error::Unavailable { pause: asked, message } => Error::Unavailable { pause: pause(asked), message },
            other => other,
        }
    }
}

/// Tells an error of Google's crates apart.
pub(super) fn explain(endpoint: &str, error: SdkError) -> Error {
    if error.is_authentication() {
        return of_credentials(&error);
    }
    if let Some(answer) = answer(&error) {
        return answer.into_error();
    }
    if error.is_connect() {
        return Error::Unreachable { endpoint: endpoint.to_owned(), source: Box::new(error) };
    }
    if error.is_timeout() || error.is_io() || error.is_transport() {
        return Error::Unavailable { message: innermost(&error), pause: None };
    }
    Error::Protocol(Box::new(error))
}

/// What our own source of tokens said, which the crate only passes on.
fn of_credentials(error: &SdkError) -> Error {
    let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(Error::Unauthenticated { reason, hint }) = cause.downcast_ref::<Error>() {
            return Error::Unauthenticated { reason: reason.clone(), hint: hint.clone() };
        }
        if let Some(Error::Unavailable { message, pause }) = cause.downcast_ref::<Error>() {
            return Error::Unavailable { message: message.clone(), pause: *pause };
        }
        next = cause.source();
    }
    super::tokens::unauthenticated(innermost(error))
}

fn answer(error: &SdkError) -> Option<Answer> {
    let http = error.http_status_code();
    let retry_after = error.http_headers().and_then(retry_after);
    let Some(status) = error.status() else {
        let body = error.http_payload().map(|body| String::from_utf8_lossy(body).into_owned());
        return Some(Answer::of_body(http?, &body.unwrap_or_default(), retry_after));
    };
    let info = status.details.iter().find_map(|detail| match detail {
        StatusDetails::ErrorInfo(info) => Some(info),
        _ => None,
    });
    Some(Answer {
        http: http.unwrap_or(0),
        status: status.code.name().to_owned(),
        message: status.message.clone(),
        reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
        metadata: info.map(|info| info.metadata.clone().into_iter().collect()).unwrap_or_default(),
        retry_after,
    })
}

/// `Retry-After`, where it is in seconds.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = cause.to_string();
        next = cause.source();
    }
    text
}
