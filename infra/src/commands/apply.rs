//! `infra apply`: make the world as the scenario says.

use std::path::Path;
use std::time::Instant;

use engine::{Action, Outcome, Policy, Step, timing};
use providers::kind::{self, Kind};
use serde_json::json;

use crate::arguments;
use crate::commands::{confirm, plan};
use crate::prepare::{Prepared, Request, needs_docker, prepare};
use crate::report::{self, Exit, Problem};
use crate::session::{Run, Session};
use crate::settings::Settings;
use crate::view::{self, style, summary};

/// Runs the command.
pub async fn run(command: arguments::Apply, settings: &Settings) -> Result<Exit, Problem> {
    let began = Instant::now();
    let request = Request::new(&command.which, &command.target, settings)?;
    let mut session = Session::open(request.deployment.clone(), command.wait, settings)?;
    let result = apply(&command, settings, request, &mut session, began).await;
    if session.journal.inventory().last_number() == 0 {
        // Nothing was begun: no empty deployment shall be left to wonder about.
        session.remove()?;
    }
    result
}

async fn apply(
    command: &arguments::Apply,
    settings: &Settings,
    request: Request,
    session: &mut Session,
    began: Instant,
) -> Result<Exit, Problem> {
    let scenario = request.scenario.file.clone();
    let prepared = prepare(request, session.journal.inventory(), settings, Some(session.lock_file()?)).await?;
    if prepared.plan.is_empty() {
        nothing_to_do(&prepared, settings, began);
        return Ok(Exit::Done);
    }
    if !settings.json {
        plan::print(&prepared);
        println!();
    }
    if !command.yes && !confirm("Go on?")? {
        anstream::eprintln!("nothing was changed");
        return Ok(Exit::Interrupted);
    }
    missing_parts(&prepared, command.target.kind.as_deref(), settings).await?;
    let scenario = std::path::absolute(scenario)?.to_str().map(ToOwned::to_owned);
    let run = session
        .run("apply", scenario, &prepared.plan, &prepared.registry, Policy::StopAtFailure, settings.json)
        .await?;
    conclude(&prepared, &run, settings);
    Ok(report::of_outcome(&run.outcome))
}

/// Refuses to begin on a machine that lacks what the plan needs, before anything is journalled or made.
async fn missing_parts(prepared: &Prepared, kind: Option<&Path>, settings: &Settings) -> Result<(), Problem> {
    let is_open = |step: &&Step| needs_docker(&step.node) && !matches!(step.action, Action::Keep);
    let open: Vec<&Step> = prepared.plan.steps.iter().filter(is_open).collect();
    if !open.is_empty()
        && let Err(error) = settings.docker.host().await
    {
        let problem = report::of_docker(error);
        let is_image = |step: &&Step| step.node.address.kind() == "image";
        return Err(if open.iter().all(is_image) { without_dockerfiles(problem, &open) } else { problem });
    }
    let makes_cluster =
        |step: &Step| step.node.address.kind() == "kind-cluster" && !matches!(step.action, Action::Keep);
    if prepared.plan.steps.iter().any(makes_cluster) {
        let answer = Kind::new(kind).version().await;
        answer.map_err(|error| Problem { hint: kind::hint(&error), ..Problem::from(error).exit(Exit::Missing) })?;
    }
    Ok(())
}

/// Only images want Docker: there is another way to make them.
fn without_dockerfiles(mut problem: Problem, images: &[&Step]) -> Problem {
    let titles: Vec<&str> = images.iter().map(|step| step.node.title.as_str()).collect();
    problem.causes.insert(0, format!("make {}: only a Docker Engine builds Dockerfiles", titles.join(", ")));
    let docker = problem.hint.take().unwrap_or_default();
    problem.hint(format!("{docker}; or make it a `cargo:` image, which infra builds without Docker"))
}

fn nothing_to_do(prepared: &Prepared, settings: &Settings, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    if settings.json {
        println!(
            "{}",
            json!({ "event": "summary", "success": true, "changed": 0, "seconds": seconds, "addresses": prepared.addresses })
        );
        return;
    }
    anstream::println!("{}: nothing to do  {}", prepared.name, style::dim(view::duration(seconds)));
    print_addresses(prepared);
}

fn conclude(prepared: &Prepared, run: &Run, settings: &Settings) {
    let Run { outcome, records } = run;
    let timing = timing(&prepared.plan, records);
    if settings.json {
        println!("{}", summary_of(prepared, outcome, &timing));
        return;
    }
    if !outcome.is_success() {
        anstream::eprint!(
            "\n{}",
            summary::unfinished(outcome, &format!("`infra destroy --name {}` removes it", prepared.name))
        );
        return;
    }
    println!();
    print_addresses(prepared);
    anstream::print!("\n{}", summary::timing(&timing));
    anstream::println!("\n{}", style::dim(format!("infra destroy --name {} removes everything again", prepared.name)));
}

fn summary_of(prepared: &Prepared, outcome: &Outcome, timing: &engine::Timing) -> serde_json::Value {
    json!({
        "event": "summary",
        "success": outcome.is_success(),
        "changed": outcome.changed,
        "seconds": timing.total_seconds,
        "longest_chain_seconds": timing.chain_seconds(),
        "longest_chain": timing.chain,
        "addresses": prepared.addresses,
    })
}

fn print_addresses(prepared: &Prepared) {
    for address in &prepared.addresses {
        anstream::println!("  {:<28} {}", address.service, style::hint(&address.url));
    }
}
