//! `infra check`: ask the running system the scenario's questions again.

use std::time::Instant;

use engine::{Context, Failure, Held, Journal, Sinks};
use futures::future::join_all;
use serde_json::{Value, json};
use workloads::Vault;

use crate::arguments;
use crate::report::{Exit, Problem, exit_of};
use crate::session::registry;
use crate::settings::Settings;
use crate::view::{count, duration, style};
use crate::which::{applied, choose};

/// Runs the command: the checks of the last apply, all at once.
pub async fn run(command: arguments::Check, settings: &Settings) -> Result<Exit, Problem> {
    let deployment = choose(&command.which, settings)?;
    let inventory = Journal::read(&deployment.journal())?;
    applied(&deployment, &inventory)?;
    let checks: Vec<&Held> = inventory.iter().filter(|held| held.node.address.kind() == "check").collect();
    if checks.is_empty() {
        return Err(Problem::usage(format!("check {}: no check was reached by an apply", deployment.name()))
            .hint("run `infra apply` to its end, or declare `checks:` in the scenario"));
    }
    // No check needs a secret's value.
    let registry = registry(settings, &Vault::new(b""), None);
    let asked = checks.into_iter().map(async |held| {
        let began = Instant::now();
        let context = Context::detached(deployment.name(), held.node.address.clone(), Sinks::default());
        let resource = registry.get(&held.node.address).expect("checks are registered");
        let answer = resource.create(&context, &held.node.inputs).await;
        (held, answer, began.elapsed().as_secs_f64())
    });
    let answers = join_all(asked).await;
    let failed = answers.iter().filter_map(|(_, answer, _)| answer.as_ref().err()).collect::<Vec<&Failure>>();
    for (held, answer, seconds) in &answers {
        tell(held, answer, *seconds, settings.json);
    }
    if !settings.json && !failed.is_empty() {
        anstream::eprintln!("{} of {} failed", failed.len(), count(answers.len(), "check"));
    }
    Ok(failed.first().map_or(Exit::Done, |failure| exit_of(failure.class)))
}

fn tell(held: &Held, answer: &Result<Value, Failure>, seconds: f64, as_json: bool) {
    if as_json {
        let (success, detail) = match answer {
            Ok(outputs) => (true, outputs.clone()),
            Err(failure) => (false, json!({ "causes": failure.causes(), "hint": failure.hint })),
        };
        println!(
            "{}",
            json!({ "check": held.node.address.name(), "success": success, "seconds": seconds, "detail": detail })
        );
        return;
    }
    match answer {
        Ok(outputs) => {
            let detail = outputs["detail"].as_str().unwrap_or_default();
            anstream::println!(
                "  {} {:<32} {:>8}  {}",
                style::good("✓"),
                held.node.title,
                duration(seconds),
                style::dim(detail)
            );
        }
        Err(failure) => {
            anstream::println!(
                "  {} {:<32} {:>8}  {}",
                style::bad("✗"),
                held.node.title,
                duration(seconds),
                failure.causes().join(": ")
            );
            if let Some(hint) = &failure.hint {
                anstream::println!("      {} {hint}", style::hint("hint:"));
            }
        }
    }
}
