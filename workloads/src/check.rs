mod accuracy;
mod http;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use engine::{Class, Context, Failure, Gone, Resource};
use providers::kubernetes::{Client, Clients, Forward, ForwardTarget, KubernetesError, Port};
use providers::wait::{Probe, WaitError, until};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::hint_of;
use crate::load_balancer;
use crate::spec::{self, Question};

/// How long a load balancer may take to get an address; usually a minute.
const ADDRESS_LIMIT: Duration = Duration::from_mins(10);

/// A question to the running system.
pub(crate) struct Check {
    pub(crate) clients: Clients,
}

#[derive(Deserialize)]
struct Inputs {
    kubeconfig: PathBuf,
    check: spec::Check,
    access: Access,
}

/// How a service is reached from here.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Access {
    /// A port of the node that is mapped to this local one leads through the real Service. Without it a port is forwarded while the
    /// check runs.
    local_port: Option<u16>,
    /// The service has an address of its own, or will have one.
    #[serde(default)]
    load_balancer: bool,
}

/// Why a check did not pass.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The inputs are not what this kind of node takes.
    #[error("read the inputs")]
    Inputs(#[from] serde_json::Error),
    /// The way to the service could not be opened.
    #[error("reach the service {0}")]
    Access(String, #[source] KubernetesError),
    /// No answer in time.
    #[error("get an answer from {service} within {seconds} seconds: {last}")]
    NoAnswer {
        /// The service and path.
        service: String,
        /// How long it was tried.
        seconds: u64,
        /// What happened the last time.
        last: String,
    },
    /// The answer is not the wanted one.
    #[error("get the wanted answer from {service}: {difference}")]
    Wrong {
        /// The service and path.
        service: String,
        /// What was wanted and what came.
        difference: String,
    },
    /// The test images cannot be used.
    #[error("read the test images")]
    Images(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl CheckError {
    fn failure(self) -> Failure {
        let (class, hint) = match &self {
            Self::Wrong { .. } => (Class::Check, Some("see what the service logs: infra logs".to_owned())),
            Self::NoAnswer { .. } => (
                Class::Check,
                Some("see whether the service selects ready pods and listens on that port: infra status".to_owned()),
            ),
            Self::Access(_, source) => (Class::Failed, hint_of(source)),
            Self::Images(_) => (Class::Missing, Some("see where the dataset is looked for: infra plan".to_owned())),
            Self::Inputs(_) => (Class::Failed, None),
        };
        let mut failure = Failure::from(self).class(class).nothing_remains();
        failure.hint = hint;
        failure
    }
}

/// What a check that passed says.
pub(crate) struct Passed {
    /// For a person.
    pub detail: String,
    /// For a program.
    pub figures: Value,
}

/// Whether one try of a question was answered.
pub(crate) enum Attempt<T> {
    /// It was, and this is the answer.
    Answered(T),
    /// The service does not answer yet; says why.
    NotYet(String),
}

#[async_trait]
impl Resource for Check {
    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let inputs: Inputs =
            serde_json::from_value(inputs.clone()).map_err(|error| CheckError::from(error).failure())?;
        let client = self.clients.get(&inputs.kubeconfig);
        let passed = run(context, &client, &inputs.check, inputs.access).await.map_err(CheckError::failure)?;
        context.progress(passed.detail.clone());
        Ok(json!({"detail": passed.detail, "figures": passed.figures}))
    }

    async fn delete(&self, _context: &Context, _inputs: &Value) -> Result<Vec<Gone>, Failure> {
        Ok(Vec::new())
    }
}

/// A way to a service that stays open while this lives.
struct Way {
    address: String,
    _forward: Option<Forward>,
}

async fn run(context: &Context, client: &Client, check: &spec::Check, access: Access) -> Result<Passed, CheckError> {
    let way = if let Some(local_port) = access.local_port {
        Way { address: format!("127.0.0.1:{local_port}"), _forward: None }
    } else if access.load_balancer {
        Way { address: address(client, check).await?, _forward: None }
    } else {
        let target = ForwardTarget::Service(check.service.clone());
        let forward = client.forward(&check.namespace, &target, &Port::Number(check.port), 0).await;
        let forward = forward.map_err(|error| CheckError::Access(check.service.clone(), error))?;
        Way { address: forward.address().to_string(), _forward: Some(forward) }
    };
    let asked = http::Asked {
        client: http::client(),
        url: format!("http://{}{}", way.address, check.path),
        service: format!("{}{}", check.service, check.path),
        limit: Duration::from_secs(check.timeout_seconds),
    };
    match &check.question {
        Question::Http { method, body, expect } => http::ask(&asked, method, body.as_ref(), expect).await,
        Question::Accuracy { images, count, at_least } => {
            accuracy::ask(context, &asked, images, *count, *at_least).await
        }
    }
}

/// Waits until the load balancer of a service has an address.
async fn address(client: &Client, check: &spec::Check) -> Result<String, CheckError> {
    let (what, pause) = (format!("an address of {}", check.service), Duration::from_secs(1));
    let found = until(&what, ADDRESS_LIMIT, pause, || async {
        let found = load_balancer::find(client, &check.namespace, &check.service, check.port).await?;
        Ok::<_, KubernetesError>(match found {
            Some(address) => Probe::Ready(address),
            None => Probe::Pending("its load balancer has no address yet".to_owned()),
        })
    });
    found.await.map_err(|error| match error {
        WaitError::Stopped(error) => CheckError::Access(check.service.clone(), error),
        WaitError::TimedOut { limit, missing, .. } => CheckError::NoAnswer {
            service: check.service.clone(),
            seconds: limit.as_secs(),
            last: missing.unwrap_or_else(|| "the API server did not answer".into()),
        },
    })
}

/// Tries until the service answers, or the limit is over. What it answers is not judged here.
async fn answered<T, F>(asked: &http::Asked, attempt: impl Fn() -> F) -> Result<T, CheckError>
where
    F: Future<Output = Result<Attempt<T>, CheckError>>,
{
    let probe = || async {
        Ok(match attempt().await? {
            Attempt::Answered(answer) => Probe::Ready(answer),
            Attempt::NotYet(reason) => Probe::Pending(reason),
        })
    };
    until(&asked.service, asked.limit, Duration::from_millis(250), probe).await.map_err(|error| match error {
        WaitError::Stopped(error) => error,
        WaitError::TimedOut { limit, missing, .. } => CheckError::NoAnswer {
            service: asked.service.clone(),
            seconds: limit.as_secs(),
            last: missing.unwrap_or_else(|| "it did not answer at all".into()),
        },
    })
}

#[cfg(test)]
mod tests;
