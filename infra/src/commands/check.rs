//! `infra check`: ask the running system the scenario's questions again.

use std::time::Instant;

use engine::{Context, Deployment, Event, Failure, Held, Node, Operation, Registry, Sinks};
use futures::future::join_all;
use serde_json::{Value, json};
use workloads::Vault;

use crate::arguments;
use crate::google;
use crate::record::{self, Decided, Recorder};
use crate::report::{Exit, Problem, exit_of};
use crate::session::registry;
use crate::settings::Settings;
use crate::view::{count, duration, style};
use crate::which::{applied, choose};

/// Runs the command: the checks of the last apply, all at once.
pub async fn run(command: arguments::Check, settings: &Settings) -> Result<Exit, Problem> {
    let deployment = choose(&command.which, settings).await?;
    let inventory = settings.state.inventory(&deployment).await?;
    applied(&deployment, &inventory)?;
    let checks: Vec<&Held> = inventory.iter().filter(|held| held.node.address.kind() == "check").collect();
    if checks.is_empty() {
        return Err(Problem::usage(format!("check {}: no check was reached by an apply", deployment.name()))
            .hint("run `infra apply` to its end, or declare `checks:` in the scenario"));
    }
    let record = Recorder::begin(settings, deployment.name(), "check", None)?;
    record.plan(Decided::of_held(record::provider(&inventory), &checks));
    record.remember(&inventory, None);
    // No check needs a secret's value.
    let registry = registry(settings, &Vault::new(b""), None, google::holds(&inventory));
    let registry = registry.inspect_err(|problem| record.end(Err(problem)))?;
    let result = ask(&deployment, &checks, &record, &registry, settings).await;
    record.end(Ok(&result));
    Ok(result)
}

/// Asks everything at once and tells the answers.
async fn ask(
    deployment: &Deployment,
    checks: &[&Held],
    record: &Recorder,
    registry: &Registry,
    settings: &Settings,
) -> Exit {
    let sinks = Sinks::new(vec![Box::new(record.clone())]);
    let (name, command) = (deployment.name().to_owned(), "check".to_owned());
    sinks.emit(Event::RunBegan { deployment: name, command, scenario: None });
    let all_began = Instant::now();
    let asked = checks.iter().map(async |held| {
        let began = Instant::now();
        sinks.emit(began_of(held));
        let context = Context::detached(deployment.name(), held.node.address.clone(), sinks.clone());
        let resource = registry.get(&held.node.address).expect("checks are registered");
        let answer = resource.create(&context, &held.node.inputs).await;
        let seconds = began.elapsed().as_secs_f64();
        sinks.emit(ended_of(held, &answer, seconds));
        (held, answer, seconds)
    });
    let answers = join_all(asked).await;
    let failed = answers.iter().filter_map(|(_, answer, _)| answer.as_ref().err()).collect::<Vec<&Failure>>();
    for (held, answer, seconds) in &answers {
        tell(held, answer, *seconds, settings.json);
    }
    if !settings.json && !failed.is_empty() {
        anstream::eprintln!("{} of {} failed", failed.len(), count(answers.len(), "check"));
    }
    sinks.emit(Event::RunEnded { success: failed.is_empty(), seconds: all_began.elapsed().as_secs_f64() });
    failed.first().map_or(Exit::Done, |failure| exit_of(failure.class))
}

fn began_of(held: &Held) -> Event {
    let Node { address, title, .. } = &held.node;
    Event::StepBegan { address: address.clone(), title: title.clone(), operation: Operation::Create }
}

fn ended_of(held: &Held, answer: &Result<Value, Failure>, seconds: f64) -> Event {
    let (address, operation) = (held.node.address.clone(), Operation::Create);
    match answer {
        Ok(_) => Event::StepEnded { address, operation, seconds, unchanged: false },
        Err(failure) => Event::StepFailed {
            address,
            operation,
            seconds,
            causes: failure.causes(),
            hint: failure.hint.clone(),
            remains: failure.remains,
            class: failure.class,
        },
    }
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
