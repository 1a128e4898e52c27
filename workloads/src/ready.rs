use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use engine::{Blocker, Class, Context, Failure, Gone, Resource};
use providers::kubernetes::{Client, Clients, Identity, KubernetesError};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::failure::hint_of;
use crate::follow::Followers;
use crate::judge::judge;
use crate::observer::Observer;
use crate::scene::{Cause, Verdict};
use crate::vault::Vault;

/// How often causes are looked at again while nothing changes: patience runs out between changes.
const TICK: Duration = Duration::from_millis(500);
/// A cause is spoken of when it has lasted this long.
const QUIET: Duration = Duration::from_millis(1500);

/// A wait until a workload is ready.
pub(crate) struct Ready {
    pub(crate) clients: Clients,
    pub(crate) vault: Vault,
}

#[derive(Deserialize)]
struct Inputs {
    kubeconfig: PathBuf,
    identity: Identity,
    revision: Value,
    timeout_seconds: u64,
}

/// Why a workload did not get ready.
#[derive(Debug, thiserror::Error)]
pub enum ReadyError {
    /// The inputs are not what this kind of node takes.
    #[error("read the inputs")]
    Inputs(#[from] serde_json::Error),
    /// Something blocks it that will not heal.
    #[error("make {identity} ready: {}", summary(.blockers))]
    Blocked {
        /// The object.
        identity: Identity,
        /// What blocks it.
        blockers: Vec<Blocker>,
    },
    /// The time is over.
    #[error("make {identity} ready within {seconds} seconds: {progress}{}", after_colon(.blockers))]
    TimedOut {
        /// The object.
        identity: Identity,
        /// How long it was waited for.
        seconds: u64,
        /// How far it came.
        progress: String,
        /// What blocked it at the end.
        blockers: Vec<Blocker>,
    },
    /// The cluster could not be watched.
    #[error("watch {identity}")]
    Watch {
        /// The object.
        identity: Identity,
        /// Why.
        #[source]
        source: KubernetesError,
    },
}

/// What blocks, in one line; replicas that suffer from the same are named once.
fn summary(blockers: &[Blocker]) -> String {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let mut parts = Vec::new();
    for blocker in blockers {
        if seen.contains(&(&blocker.cause, &blocker.message)) {
            continue;
        }
        seen.push((&blocker.cause, &blocker.message));
        parts.push(format!("{}: {}: {}", blocker.subject, blocker.cause, blocker.message));
    }
    parts.join("; ")
}

fn after_colon(blockers: &[Blocker]) -> String {
    if blockers.is_empty() { String::new() } else { format!(": {}", summary(blockers)) }
}

impl ReadyError {
    fn failure(self) -> Failure {
        let (class, hint) = match &self {
            Self::Blocked { blockers, .. } | Self::TimedOut { blockers, .. } => {
                (Class::Blocked, blockers.iter().find_map(|blocker| blocker.hint.clone()))
            }
            Self::Watch { source, .. } => (Class::Failed, hint_of(source)),
            Self::Inputs(_) => (Class::Failed, None),
        };
        let mut failure = Failure::from(self).class(class).nothing_remains();
        failure.hint = hint;
        failure
    }
}

#[async_trait]
impl Resource for Ready {
    fn parallelism(&self) -> usize {
        64
    }

    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let inputs: Inputs =
            serde_json::from_value(inputs.clone()).map_err(|error| ReadyError::from(error).failure())?;
        let client = self.clients.get(&inputs.kubeconfig);
        let limit = Duration::from_secs(inputs.timeout_seconds);
        let detail =
            wait(context, (&client, &self.vault), &inputs.identity, limit).await.map_err(ReadyError::failure)?;
        Ok(json!({"revision": inputs.revision, "detail": detail}))
    }

    async fn delete(&self, _context: &Context, _inputs: &Value) -> Result<Vec<Gone>, Failure> {
        Ok(Vec::new())
    }
}

/// Waits until an object is ready, and says how it is then.
///
/// Says what blocks it through the context when that lasts longer than a moment; passes on what a Job's pods print. Ends with an error
/// as soon as a cause that will not heal has lasted, and at the limit.
async fn wait(
    context: &Context,
    (client, vault): (&Client, &Vault),
    identity: &Identity,
    limit: Duration,
) -> Result<String, ReadyError> {
    let watch = |source| ReadyError::Watch { identity: identity.clone(), source };
    let mut observer = Observer::open(client, identity).await.map_err(watch)?;
    let mut followers = Followers::new(context, client, vault, identity);
    let mut report = Report::new(context, identity);
    let deadline = Instant::now() + limit;
    let mut tick = Instant::now() + TICK;
    loop {
        tokio::select! {
            biased;
            () = sleep_until(deadline) => {
                followers.finish().await;
                return Err(report.timed_out(limit.as_secs()));
            }
            () = observer.changed() => {}
            () = sleep_until(tick) => {}
        }
        tick = Instant::now() + TICK;
        if !observer.has_seen_object() {
            report.show(&observer.trouble());
            continue;
        }
        followers.see(&observer.scene.pods);
        let mut verdict = conclude(&mut observer, vault).await;
        // A Job's end may be known before that of its pods, whose last words belong to it.
        if !matches!(verdict, Verdict::Waiting(..)) && identity.kind.kind == "Job" && observer.look_at_pods().await {
            followers.see(&observer.scene.pods);
            verdict = conclude(&mut observer, vault).await;
        }
        match verdict {
            Verdict::Ready(detail) => {
                followers.finish().await;
                report.show(&[]);
                return Ok(detail);
            }
            Verdict::Failed(causes) => {
                followers.finish().await;
                return Err(report.blocked(causes));
            }
            Verdict::Waiting(progress, mut causes) => {
                report.progress(progress);
                causes.extend(observer.trouble());
                if let Some(lasting) = report.show(&causes) {
                    followers.finish().await;
                    return Err(report.blocked(lasting));
                }
            }
        }
    }
}

/// The verdict, after a closer look where that tells more.
async fn conclude(observer: &mut Observer, vault: &Vault) -> Verdict {
    observer.scene.now = jiff::Timestamp::now();
    let mut verdict = judge(&observer.scene);
    if let Verdict::Waiting(_, causes) | Verdict::Failed(causes) = &verdict
        && observer.look_closer(causes).await
    {
        verdict = judge(&observer.scene);
    }
    // What containers print may be what they must not tell.
    if let Verdict::Waiting(_, causes) | Verdict::Failed(causes) = &mut verdict {
        for Blocker { message, log, .. } in causes.iter_mut().map(|cause| &mut cause.blocker) {
            for text in log.iter_mut().chain([message]) {
                *text = vault.hide(std::mem::take(text));
            }
        }
    }
    verdict
}

/// What was said so far, and since when each cause is there.
struct Report<'a> {
    context: &'a Context,
    identity: Identity,
    since: BTreeMap<(String, String), Instant>,
    shown: Vec<Blocker>,
    latest: Vec<Blocker>,
    progress: String,
}

impl<'a> Report<'a> {
    fn new(context: &'a Context, identity: &Identity) -> Self {
        Self {
            context,
            identity: identity.clone(),
            since: BTreeMap::new(),
            shown: Vec::new(),
            latest: Vec::new(),
            progress: String::new(),
        }
    }

    fn progress(&mut self, progress: String) {
        if progress != self.progress {
            self.context.progress(progress.clone());
            self.progress = progress;
        }
    }

    /// Says what blocks when that has changed. Returns the causes that have lasted longer than patience has.
    fn show(&mut self, causes: &[Cause]) -> Option<Vec<Cause>> {
        let now = Instant::now();
        self.since.retain(|key, _| causes.iter().any(|cause| cause.key() == *key));
        for cause in causes {
            self.since.entry(cause.key()).or_insert(now);
        }
        let age = |cause: &Cause| now - self.since[&cause.key()];
        self.latest = causes.iter().map(|cause| cause.blocker.clone()).collect();
        let visible: Vec<Blocker> =
            causes.iter().filter(|cause| age(cause) >= QUIET).map(|cause| cause.blocker.clone()).collect();
        if visible != self.shown {
            self.context.blocked(visible.clone());
            self.shown = visible;
        }
        let lasting: Vec<Cause> = causes
            .iter()
            .filter(|cause| cause.patience.is_some_and(|patience| age(cause) >= patience))
            .cloned()
            .collect();
        (!lasting.is_empty()).then_some(lasting)
    }

    fn blocked(&mut self, causes: Vec<Cause>) -> ReadyError {
        let blockers: Vec<Blocker> = causes.into_iter().map(|cause| cause.blocker).collect();
        // The last word holds everything, with the crashed container's last lines.
        if blockers != self.shown {
            self.context.blocked(blockers.clone());
        }
        ReadyError::Blocked { identity: self.identity.clone(), blockers }
    }

    fn timed_out(self, seconds: u64) -> ReadyError {
        ReadyError::TimedOut { identity: self.identity, seconds, progress: self.progress, blockers: self.latest }
    }
}
