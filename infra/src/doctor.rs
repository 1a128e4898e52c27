//! What this machine has and what it lacks, a check each. All are asked at once, and each has a time limit.

mod gke;
mod images;
mod kind;
mod machine;
mod sandbox;

use std::path::Path;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use serde::Serialize;

use crate::settings::Settings;

/// How long one check may take.
const LIMIT: Duration = Duration::from_secs(3);

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// What every provider needs.
    Machine,
    /// What the sandbox needs.
    Sandbox,
    /// What kind needs.
    Kind,
    /// What GKE needs.
    Gke,
    /// What building images needs. Scenarios without images go without.
    Images,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but less well, or not for everything.
    Warning,
    /// What the part is about does not work.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is about.
    pub part: Part,
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Check {
    fn new(part: Part, name: &'static str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { part, name, verdict, detail: detail.into(), hint: None }
    }

    fn ok(part: Part, name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(part, name, Verdict::Ok, detail)
    }

    fn warning(part: Part, name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(part, name, Verdict::Warning, detail)
    }

    fn missing(part: Part, name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(part, name, Verdict::Missing, detail)
    }

    fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// Looks at everything, all at once; the checks come in the order in which a person reads them.
pub async fn examine(settings: &Settings, kind: Option<&Path>) -> Vec<Check> {
    let checks = [
        machine::examine(settings),
        sandbox::examine(),
        limited(Part::Kind, "Docker", kind::docker(settings)),
        limited(Part::Kind, "kind", kind::program(kind)),
        limited(Part::Kind, "kubectl", kind::kubectl()),
        async { kind::kernel() }.boxed(),
        async { gke::examine(settings) }.boxed(),
        limited(Part::Images, "cargo", images::cargo()),
        limited(Part::Images, "Dockerfiles", images::dockerfiles(settings)),
    ];
    join_all(checks).await.into_iter().flatten().collect()
}

/// A check that gives up: what does not answer in time is as good as missing.
fn limited<'a>(
    part: Part,
    name: &'static str,
    check: impl Future<Output = Vec<Check>> + Send + 'a,
) -> BoxFuture<'a, Vec<Check>> {
    async move {
        let late = |_| vec![Check::missing(part, name, format!("no answer within {} seconds", LIMIT.as_secs()))];
        tokio::time::timeout(LIMIT, check).await.unwrap_or_else(late)
    }
    .boxed()
}
