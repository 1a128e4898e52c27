//! `infra unlock`: take a deployment from a run that is known to be dead.

use std::time::Duration;

use engine::{Claim, Deployment, Patience, StateError};
use serde_json::json;

use crate::arguments;
use crate::commands::confirm;
use crate::report::{Exit, Problem, of_state};
use crate::settings::Settings;
use crate::shared::{Shared, Terms};
use crate::state::of_shared;
use crate::view::style;
use crate::which::choose;

/// Runs the command. A run that is dead after all but name finds itself locked out at its next step, and stops.
pub async fn run(command: arguments::Unlock, settings: &Settings) -> Result<Exit, Problem> {
    let deployment = choose(&command.which, settings).await?;
    refuse_a_live_process(&deployment, settings)?;
    let holder = match settings.state.place() {
        None => None,
        Some(shared) => shared.holder(deployment.name()).await.map_err(of_shared)?,
    };
    if let (Some(holder), Some(shared)) = (&holder, settings.state.place()) {
        let what = format!("{}: {}", deployment.name(), holder.describe());
        if !command.yes && !confirm(&format!("{what}\nIs that run dead?"))? {
            anstream::eprintln!("nothing was changed");
            return Ok(Exit::Interrupted);
        }
        take(shared, deployment.name(), holder, settings).await?;
    }
    tell(&deployment, holder.as_ref(), settings);
    Ok(Exit::Done)
}

/// On this machine a dead run holds nothing: what is held, is held by a process that can be ended.
fn refuse_a_live_process(deployment: &Deployment, settings: &Settings) -> Result<(), Problem> {
    if !deployment.folder().exists() {
        return Ok(());
    }
    match deployment.lock(&settings.owner, settings.lease, Patience::NONE, |_| {}) {
        Ok(_) => Ok(()),
        Err(error @ StateError::Locked { .. }) => {
            let problem = of_state(error);
            Err(problem.hint("it is alive on this machine: end that process, and its lock is gone with it"))
        }
        Err(error) => Err(of_state(error)),
    }
}

/// Takes it over, keeps the former holder from writing, and gives it up.
async fn take(shared: &Shared, name: &str, holder: &Claim, settings: &Settings) -> Result<(), Problem> {
    let dead = Some(&holder.owner);
    let terms = Terms { owner: &settings.owner, lease: settings.lease, wait: Duration::ZERO, dead };
    let lease = shared.lock(name, &terms, |_| {}).await.map_err(of_shared)?;
    shared.open(name, &lease).await.map_err(of_shared)?;
    Ok(())
}

fn tell(deployment: &Deployment, holder: Option<&Claim>, settings: &Settings) {
    let name = deployment.name();
    if settings.json {
        println!("{}", json!({ "event": "unlocked", "deployment": name, "taken_from": holder }));
    } else if holder.is_some() {
        anstream::println!("{} {name} is free", style::good("✓"));
    } else {
        anstream::println!("{name}: nobody holds it");
    }
}
