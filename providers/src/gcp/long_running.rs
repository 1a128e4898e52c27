//! Operations of the form that most APIs share (`google.longrunning.Operation`), in whichever way they are asked after.

use std::future::Future;
use std::time::Duration;

use google_cloud_longrunning::model::Operation;
use serde_json::{Value, json};

use super::answer::Answer;
use super::error::Error;
use super::operation::{Limits, ended};
use super::{Gcp, Service};
use crate::wait::{Probe, until};

/// How long an operation may take, and the pause between two looks at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub pause: Duration,
    pub limit: Duration,
}

/// The pace of what takes seconds.
const PACE: Pace = Pace { pause: Duration::from_secs(1), limit: Limits::COMPUTE };

impl Gcp {
    /// Waits for an operation that one of Google's crates began; `look` asks after it by its name.
    pub(super) async fn finished<F>(&self, begun: &Operation, look: impl Fn(String) -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<Option<Box<Operation>>, Error>>,
    {
        let name = begun.name.clone();
        let again = || async { Ok(look(name.clone()).await?.map(|operation| json!(*operation))) };
        self.until_done(json!(begun), PACE, again).await.map(|_| ())
    }

    /// Waits for an operation that was begun without such a crate; returns its response.
    pub(super) async fn long_running(&self, service: Service, begun: Value, pace: Pace) -> Result<Value, Error> {
        let path = format!("/v1/{}", begun["name"].as_str().unwrap_or_default());
        self.until_done(begun, pace, || self.find(service, &path)).await
    }

    async fn until_done<F>(&self, begun: Value, pace: Pace, look: impl Fn() -> F) -> Result<Value, Error>
    where
        F: Future<Output = Result<Option<Value>, Error>>,
    {
        if begun["done"] == true {
            return response(begun);
        }
        let name = begun["name"].as_str().unwrap_or_default();
        let waited = until(name, pace.limit, self.pause(pace.pause), || async {
            match look().await {
                Ok(Some(operation)) if operation["done"] == true => response(operation).map(Probe::Ready),
                // It is over when nobody knows it any more: its caller looks at what it was about.
                Ok(None) => Ok(Probe::Ready(Value::Null)),
                Ok(Some(_)) => Ok(Probe::Pending("it goes on".to_owned())),
                Err(error) if error.is_passing() => Ok(Probe::Pending(error.to_string())),
                Err(error) => Err(error),
            }
        });
        waited.await.map_err(ended)
    }
}

fn response(mut operation: Value) -> Result<Value, Error> {
    if !operation["error"].is_object() {
        return Ok(operation["response"].take());
    }
    let code = operation["error"]["code"].as_u64().unwrap_or_default();
    // The codes of gRPC, as HTTP has them.
    let http = match code {
        3 | 9 => 400,
        5 => 404,
        6 => 409,
        7 => 403,
        8 => 429,
        13 | 14 => 503,
        16 => 401,
        _ => 0,
    };
    Err(Answer::of_body(http, &operation.to_string(), None).into_error())
}
