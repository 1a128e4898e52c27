//! Operations: what takes longer than a call is asked after by its name until it is done.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use google_cloud_container_v1::model::operation::{Status, Type};
use http::Method;
use serde_json::Value;

use super::answer::Answer;
use super::call::Repeat;
use super::container::{found, model};
use super::error::Error;
use super::rest::Request;
use super::{Gcp, Service};
use crate::wait::{Probe, WaitError, until, until_paced};

/// The pause between two looks at an operation of GKE that cannot be over yet.
const GKE_EARLY_PAUSE: Duration = Duration::from_secs(15);
/// The shortest pause between two looks at an operation of GKE, and the longest.
const GKE_PAUSES: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(12));
/// A look at an operation that goes on for long may come late by this part of the time.
const LATE: f64 = 0.01;
/// All waiters of one process together look at GKE so often at most: a fifth of what Google takes from a project.
const GKE_LOOKS: Duration = Duration::from_millis(100);
/// The pause before Compute Engine is asked again to wait, where it did not wait until the end.
const COMPUTE_PAUSE: Duration = Duration::from_secs(1);
/// So many looks in a row may fail before the wait is given up.
const MOST_FAILED_LOOKS: u32 = 60;

/// How long operations may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits;

impl Limits {
    /// An operation of GKE: a pool with GPUs was seen to take 35 minutes.
    pub const CLUSTER: Duration = Duration::from_hours(1);
    /// An operation of Compute Engine.
    pub const COMPUTE: Duration = Duration::from_mins(10);
}

/// Where an operation of Compute Engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ComputeOperation {
    /// `global`, `regions/R` or `zones/Z`.
    pub scope: String,
    pub name: String,
}

impl Gcp {
    /// Waits for an operation of GKE; `tell` is told how far it is. An operation that Google does not know any more is over:
    /// its caller looks at what it was about, as it must after every operation, since a failed one may have done its work.
    pub async fn wait_for_cluster_operation(
        &self,
        location: &str,
        name: &str,
        tell: &(dyn Fn(String) + Sync),
    ) -> Result<(), Error> {
        let (failed, soonest) = (AtomicU32::new(0), AtomicU64::new(0));
        let what = format!("the operation {name}");
        let waiting = Waiting::new(&self.shared.waiters);
        let pause = |elapsed: Duration| {
            let soonest = Duration::from_secs(soonest.load(Ordering::Relaxed));
            self.pause(gke_pause(self.passed(elapsed), soonest, waiting.all()))
        };
        let waited = until_paced(&what, Limits::CLUSTER, pause, || async {
            let found = match self.operation(location, name).await {
                Ok(found) => found,
                Err(error) => return tolerate(&failed, error),
            };
            failed.store(0, Ordering::Relaxed);
            let Some(operation) = found else { return Ok(Probe::Ready(())) };
            if operation.status == Status::Done {
                return outcome(&operation).map(Probe::Ready);
            }
            soonest.store(soonest_end(&operation.operation_type).as_secs(), Ordering::Relaxed);
            let progress = progress(&operation);
            tell(progress.clone());
            Ok(Probe::Pending(progress))
        });
        waited.await.map_err(ended)
    }

    /// Waits for an operation of Compute Engine: at Google's side, up to two minutes at a time, so that its end is known at once.
    pub(super) async fn wait_for_compute(&self, operation: &ComputeOperation) -> Result<(), Error> {
        let scope = &operation.scope;
        let path = format!("/compute/v1/projects/{}/{scope}/operations/{}/wait", self.project, operation.name);
        let failed = AtomicU32::new(0);
        let pause = self.pause(COMPUTE_PAUSE);
        let what = format!("the operation {}", operation.name);
        let waited = until(&what, Limits::COMPUTE, pause, || async {
            let found = match self.wait_there(&path).await {
                Ok(found) => found,
                Err(error) => return tolerate(&failed, error),
            };
            failed.store(0, Ordering::Relaxed);
            let Some(operation) = found else { return Ok(Probe::Ready(())) };
            match operation["status"].as_str() {
                Some("DONE") => compute_outcome(&operation).map(Probe::Ready),
                _ => Ok(Probe::Pending(operation["operationType"].as_str().unwrap_or("pending").to_owned())),
            }
        });
        waited.await.map_err(ended)
    }
}

/// One of those who wait for operations of GKE in this process.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(waiters: &'a AtomicU32) -> Self {
        waiters.fetch_add(1, Ordering::Relaxed);
        Self(waiters)
    }

    /// How many there are.
    fn all(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The pause before the next look at an operation of GKE: rare looks while it cannot be over, then some that cost at most a
/// hundredth of its time; and the rarer the more others wait.
fn gke_pause(elapsed: Duration, soonest: Duration, waiters: u32) -> Duration {
    let (least, most) = GKE_PAUSES;
    let pause = elapsed.mul_f64(LATE).clamp(least, most);
    let early = soonest.saturating_sub(elapsed).min(GKE_EARLY_PAUSE);
    pause.max(early).max(GKE_LOOKS * waiters)
}

/// When an operation of GKE is over at the soonest, as a rule: a cluster takes from five to eight minutes, and its deletion from three
/// to five.
fn soonest_end(kind: &Type) -> Duration {
    Duration::from_secs(match kind {
        Type::CreateCluster => 240,
        Type::DeleteCluster => 150,
        Type::CreateNodePool | Type::DeleteNodePool => 45,
        _ => 0,
    })
}

impl Gcp {
    /// An operation of Compute Engine when it is over, or two minutes later; nothing where it is not known any more.
    async fn wait_there(&self, path: &str) -> Result<Option<Value>, Error> {
        let (service, method, repeat) = (Service::ComputeWait, Method::POST, Repeat::Safe);
        found(self.send(&Request { service, method, path, query: &[], body: None, repeat }).await)
    }
}

/// A look that failed for a passing reason is only one look less.
fn tolerate(failed: &AtomicU32, error: Error) -> Result<Probe<()>, Error> {
    let looks = failed.fetch_add(1, Ordering::Relaxed) + 1;
    if error.is_passing() && looks < MOST_FAILED_LOOKS { Ok(Probe::Pending(error.to_string())) } else { Err(error) }
}

pub(super) fn ended(error: WaitError<Error>) -> Error {
    match error {
        WaitError::Stopped(error) => error,
        timed_out @ WaitError::TimedOut { .. } => Error::TimedOut(timed_out.to_string()),
    }
}

/// What the end of an operation of GKE says. A stockout is only in the conditions at times.
#[expect(deprecated, reason = "where the conditions and the message were, old operations still have them")]
fn outcome(operation: &model::Operation) -> Result<(), Error> {
    let conditions = operation.cluster_conditions.iter().chain(&operation.nodepool_conditions);
    let conditions: Vec<&str> = conditions.map(|condition| condition.message.as_str()).collect();
    let (code, message) = match &operation.error {
        Some(error) => (error.code, error.message.clone()),
        None if conditions.iter().any(|message| Error::is_stockout_text(message)) => {
            (0, operation.status_message.clone())
        }
        None => return Ok(()),
    };
    let conditions = conditions.into_iter().filter(|condition| !message.contains(condition));
    let all: Vec<&str> = std::iter::once(message.as_str()).chain(conditions).filter(|text| !text.is_empty()).collect();
    let status = canonical(code).to_owned();
    Err(Answer { status, message: all.join("; "), ..Answer::default() }.into_error())
}

/// The names of the canonical codes of `google.rpc.Code`.
fn canonical(code: i32) -> &'static str {
    match code {
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        6 => "ALREADY_EXISTS",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        10 => "ABORTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        16 => "UNAUTHENTICATED",
        _ => "UNKNOWN",
    }
}

/// How far an operation is, in a few words.
fn progress(operation: &model::Operation) -> String {
    let stage = operation.progress.as_ref().and_then(|progress| {
        let running = progress.stages.iter().find(|stage| stage.status == Status::Running)?;
        let done = progress.stages.iter().filter(|stage| stage.status == Status::Done).count();
        Some(format!("{} ({done} of {} stages done)", running.name.to_lowercase(), progress.stages.len()))
    });
    let detail = Some(operation.detail.clone()).filter(|detail| !detail.is_empty());
    let kind = operation.operation_type.name().unwrap_or("operation").to_lowercase().replace('_', " ");
    let status = operation.status.name().unwrap_or("pending").to_lowercase();
    format!("{kind}: {}", stage.or(detail).unwrap_or(status))
}

fn compute_outcome(operation: &Value) -> Result<(), Error> {
    let error = operation["error"]["errors"].as_array().and_then(|errors| errors.first());
    let code = operation["httpErrorStatusCode"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    if error.is_none() && code == 0 {
        return Ok(());
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut message = text(error.and_then(|error| error.get("message")));
    if message.is_empty() {
        message = text(operation.get("httpErrorMessage"));
    }
    let status = text(error.and_then(|error| error.get("code")));
    Err(Answer { http: code, status, message, ..Answer::default() }.into_error())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_look_costs_a_hundredth_of_the_time_and_is_rarer_the_more_wait() {
        let milliseconds = |elapsed, soonest, waiters| {
            gke_pause(Duration::from_secs(elapsed), Duration::from_secs(soonest), waiters).as_millis()
        };
        assert_eq!(
            [0, 60, 140, 149, 200, 450, 3000].map(|elapsed| milliseconds(elapsed, 150, 1)),
            [15_000, 15_000, 10_000, 3000, 3000, 4500, 12_000]
        );
        assert_eq!((milliseconds(200, 150, 50), milliseconds(200, 150, 200)), (5000, 20_000));
    }

    #[test]
    fn an_operation_of_compute_engine_says_what_went_wrong_in_its_code() {
        let ended = |code: &str, message: &str| {
            compute_outcome(&json!({ "status": "DONE", "error": { "errors": [{ "code": code, "message": message }] } }))
        };
        assert!(compute_outcome(&json!({ "status": "DONE" })).is_ok());
        assert!(
            matches!(ended("ZONE_RESOURCE_POOL_EXHAUSTED", "The zone 'projects/p/zones/us-east1-b' does not have enough resources"),
            Err(Error::Stockout { zone: Some(zone), .. }) if zone == "us-east1-b")
        );
        assert!(
            matches!(ended("QUOTA_EXCEEDED", "Quota 'SSD_TOTAL_GB' exceeded.  Limit: 500.0 in region us-central1."),
            Err(Error::Quota(shortfall)) if shortfall.metric == "SSD_TOTAL_GB" && shortfall.limit == Some(500.0))
        );
        assert!(matches!(
            ended("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "The network resource 'projects/p/global/networks/a' is already being used by 'projects/p/global/firewalls/b'"),
            Err(Error::InUse { by, .. }) if by == "firewalls/b"
        ));
    }

    #[test]
    #[expect(deprecated, reason = "where the conditions were, old operations still have them")]
    fn a_stockout_that_only_a_condition_tells_is_found() {
        let condition =
            model::StatusCondition::new().set_message("Instance 'gke-a' creation failed: ZONE_RESOURCE_POOL_EXHAUSTED");
        let operation = model::Operation::new().set_status(Status::Done).set_cluster_conditions([condition]);
        assert!(matches!(outcome(&operation), Err(Error::Stockout { .. })));
    }
}
