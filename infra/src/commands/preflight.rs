//! `infra preflight`: whether a cloud allows and has what a scenario needs.

use std::time::Instant;

use cluster::gke_spec::{Finding, Level, Spec};
use serde_json::json;

use crate::arguments::{self, Provider, Wanted};
use crate::google;
use crate::prepare::{Request, cloud};
use crate::report::{Exit, Problem};
use crate::settings::Settings;
use crate::view::{self, style};

/// Runs the command. It reads only, and ends with [`Exit::Missing`] where something stands in the way.
pub async fn run(command: arguments::Preflight, settings: &Settings) -> Result<Exit, Problem> {
    let began = Instant::now();
    let request = Request::new(&command.which, &command.values, &command.target, &Wanted::default(), settings)?;
    let inventory = settings.state.inventory(&request.deployment).await?;
    let (provider, spec) = cloud(&request, &inventory, settings).await?;
    let name = request.deployment.name();
    let Some(spec) = spec else { return Ok(local(name, provider, settings)) };
    let findings = google::preflight(settings, &spec).await?;
    let stands = findings.iter().any(|finding| finding.level == Level::Error);
    let seconds = began.elapsed().as_secs_f64();
    if settings.json {
        println!(
            "{}",
            json!({ "deployment": name, "provider": provider.name(), "project": spec.project,
            "location": spec.place.location(), "possible": !stands, "findings": findings, "seconds": seconds })
        );
    } else {
        let place = format!("(project {}, {})", spec.project, spec.place.location());
        anstream::println!("{} {}", style::bold(format!("{name} on {}", provider.name())), style::dim(place));
        tell(&findings);
        if stands {
            anstream::println!("\n{} nothing was made", style::bad("it cannot be applied:"));
        } else {
            let seconds = style::dim(view::duration(seconds));
            anstream::println!("  {} nothing stands in the way  {seconds}", style::good("✓"));
        }
    }
    Ok(if stands { Exit::Missing } else { Exit::Done })
}

/// What there is to ask of a provider that is no cloud.
fn local(name: &str, provider: Provider, settings: &Settings) -> Exit {
    if settings.json {
        println!("{}", json!({ "deployment": name, "provider": provider.name(), "possible": true, "findings": [] }));
    } else {
        anstream::println!(
            "{name} on {}: there is no cloud to ask; `infra doctor` looks at this machine",
            provider.name()
        );
    }
    Exit::Done
}

fn tell(findings: &[Finding]) {
    for finding in findings {
        let mark = match finding.level {
            Level::Error => style::bad("✗"),
            Level::Warning => style::change("!"),
            Level::Note => style::dim("·"),
        };
        anstream::println!("  {mark} {:<12} {}", finding.about, finding.what);
        if let Some(hint) = &finding.hint {
            anstream::println!("    {:<12} {} {hint}", "", style::hint("hint:"));
        }
    }
}

/// What could be read before anything was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// All of it.
    All,
    /// All but quotas, zones and machine types, since the API for them is off.
    WithoutQuotas,
}

/// Enables the API that quotas are read with, and looks once more. It stays enabled, as with every apply; nothing else is made.
pub async fn refuse_after_enabling(spec: &Spec, settings: &Settings) -> Result<(), Problem> {
    if !settings.json {
        anstream::println!("  {} enabling the API that quotas are read with", style::dim("·"));
    }
    google::enable_compute(settings, spec).await?;
    refuse(spec, settings).await.map(|_| ())
}

/// Refuses to begin where something stands in the way, before anything is journalled or made. Says whether all of it could be read.
pub async fn refuse(spec: &Spec, settings: &Settings) -> Result<Read, Problem> {
    let findings = google::preflight(settings, spec).await?;
    let read = if findings.iter().any(Finding::is_unread) { Read::WithoutQuotas } else { Read::All };
    let (errors, others): (Vec<Finding>, Vec<Finding>) =
        findings.into_iter().partition(|finding| finding.level == Level::Error);
    if !settings.json {
        tell(&others);
    }
    let Some(first) = errors.first() else { return Ok(read) };
    let mut problem = Problem::usage(format!("make {}: {}", spec.name(), first.what)).exit(Exit::Missing);
    problem.hint.clone_from(&first.hint);
    problem.causes.extend(errors[1..].iter().map(|finding| finding.what.clone()));
    Err(problem)
}
