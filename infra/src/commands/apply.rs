//! `infra apply`: make the world as the scenario says.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use engine::{Action, Outcome, Policy, Step, timing};
use providers::kind::{self, Kind};
use serde_json::json;

use crate::arguments::{self, Wanted};
use crate::commands::{confirm, plan, preflight};
use crate::google;
use crate::prepare::{Prepared, Request, balanced_addresses, needs_docker, prepare};
use crate::receipt;
use crate::record::Decided;
use crate::report::{self, Exit, Problem};
use crate::saved;
use crate::session::{Asked, Run, Session, client};
use crate::settings::Settings;
use crate::view::{self, style, summary};

/// Runs the command.
pub async fn run(command: arguments::Apply, settings: &Settings) -> Result<Exit, Problem> {
    let began = Instant::now();
    let request = request(&command, settings)?;
    let scenario = std::path::absolute(&request.scenario.file)?.to_str().map(ToOwned::to_owned);
    // A plan that was saved before the first apply has made the folder, and needs the key in it again.
    let was_there = request.deployment.folder().exists();
    let asked = Asked { command: "apply", scenario };
    let mut session = Session::open(request.deployment.clone(), asked, command.wait, settings).await?;
    let result = apply(&command, settings, &request, &mut session, began).await;
    session.record.end(result.as_ref());
    if session.journal.inventory().last_number() == 0 {
        // Nothing was begun: no empty deployment shall be left to wonder about.
        if was_there { session.remove_shared().await? } else { session.remove().await? }
    }
    result
}

/// What is to be applied: a scenario, or a saved plan, which is told from one by what the file holds.
fn request(command: &arguments::Apply, settings: &Settings) -> Result<Request, Problem> {
    let Some(saved) = command.which.scenario.as_deref().map(saved::read).transpose()?.flatten() else {
        return Request::new(&command.which, &command.values, &command.target, &command.wanted, settings);
    };
    let Wanted { targets, replace, adopt } = &command.wanted;
    let is_changed = !targets.is_empty() || !replace.is_empty() || *adopt || !command.values.set.is_empty();
    if is_changed || command.which.name.is_some() || settings.provider.is_some() {
        let options = "--name, --provider, --set, --target, --replace and --adopt";
        return Err(Problem::usage("change a saved plan: it is carried out as it was made, or not at all")
            .hint(format!("leave {options} out, or make a new plan with them")));
    }
    Request::of_saved(saved, settings)
}

async fn apply(
    command: &arguments::Apply,
    settings: &Settings,
    request: &Request,
    session: &mut Session,
    began: Instant,
) -> Result<Exit, Problem> {
    let prepared = prepare(request, session.journal.inventory(), settings, Some(session.lock_file()?)).await?;
    session.record.plan(Decided::new(prepared.provider.name(), &prepared.plan, &prepared.addresses));
    session.record.remember(session.journal.inventory(), None);
    if settings.json {
        println!("{}", plan::as_json(&prepared));
    }
    if prepared.plan.is_empty() {
        nothing_to_do(&prepared, settings, began);
        return Ok(Exit::Done);
    }
    if !settings.json {
        plan::print(&prepared);
        println!();
    }
    refuse_in_the_way(&prepared)?;
    let cloud = prepared.gke.as_ref().filter(|_| makes_in_cloud(&prepared));
    let read = match cloud {
        Some(spec) => preflight::refuse(spec, settings).await?,
        None => preflight::Read::All,
    };
    // Whoever carries out a saved plan has read it.
    if !command.yes && request.saved.is_none() && !session.record.only_if(confirm("Go on?"))? {
        anstream::eprintln!("nothing was changed");
        return Ok(Exit::Interrupted);
    }
    if let Some(spec) = cloud.filter(|_| read == preflight::Read::WithoutQuotas) {
        preflight::refuse_after_enabling(spec, settings).await?;
    }
    missing_parts(&prepared, request.target.kind.as_deref(), settings).await?;
    receipt::withdraw(settings, &prepared.name)?;
    let run = session.run(&prepared.plan, &prepared.registry, Policy::StopAtFailure, settings.json).await?;
    let balanced = balanced(&prepared, session, settings).await;
    conclude(&prepared, &run, &balanced, settings);
    Ok(report::of_outcome(&run.outcome))
}

/// Whether something is to be made in a cloud.
fn makes_in_cloud(prepared: &Prepared) -> bool {
    let makes = |step: &&Step| matches!(step.action, Action::Create { .. } | Action::Replace { .. });
    prepared.plan.steps.iter().filter(makes).any(|step| google::is_google(step.node.address.kind()))
}

/// Where the Services answer that a cloud gave addresses. Who cannot be asked any more has said why before.
async fn balanced(prepared: &Prepared, session: &Session, settings: &Settings) -> BTreeMap<String, String> {
    if prepared.gke.is_none() {
        return BTreeMap::new();
    }
    match client(settings, &session.deployment, session.journal.inventory()) {
        Ok(client) => balanced_addresses(&client, &prepared.name).await.unwrap_or_default(),
        Err(_) => BTreeMap::new(),
    }
}

/// Refuses to begin where something of somebody else is in the way, before anything is journalled or made.
fn refuse_in_the_way(prepared: &Prepared) -> Result<(), Problem> {
    let found = &prepared.plan.in_the_way;
    let Some(first) = found.first() else { return Ok(()) };
    let more = found.len() - 1;
    let more = if more == 0 { String::new() } else { format!(", and {more} more like it") };
    let hint = if found.iter().all(|it| it.may_be_adopted) {
        "say --adopt to take it over (destroy will delete it, too), or delete it, or choose another name"
    } else {
        "choose another name or namespace, or destroy the deployment that it belongs to"
    };
    let what = format!("make {}: it is there already and {}{more}", first.title, first.owner);
    Err(Problem::usage(what).exit(Exit::Foreign).hint(hint))
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
    anstream::print!("{}", view::plan::outside(&prepared.plan));
    let part = plan::part(prepared.left_out);
    let variables = view::plan::variables(&prepared.plan);
    anstream::println!("{}: nothing to do{part}{variables}  {}", prepared.name, style::dim(view::duration(seconds)));
    print_addresses(prepared);
}

fn conclude(prepared: &Prepared, run: &Run, balanced: &BTreeMap<String, String>, settings: &Settings) {
    let Run { outcome, records } = run;
    let timing = timing(&prepared.plan, records);
    if settings.json {
        println!("{}", summary_of(prepared, outcome, &timing));
        return;
    }
    if !outcome.is_success() {
        let again =
            (!settings.google.is_rehearsed()).then(|| format!("; `infra destroy --name {}` removes it", prepared.name));
        anstream::eprint!("\n{}", summary::unfinished(outcome, &again.unwrap_or_default()));
        return;
    }
    println!();
    print_addresses(prepared);
    for (service, url) in balanced {
        anstream::println!("  {service:<28} {}", style::hint(url));
    }
    anstream::print!("\n{}", summary::timing(&timing));
    if prepared.left_out > 0 {
        let part = format!("only a part was applied{}; ", plan::part(prepared.left_out));
        anstream::println!("\n{}{}", style::change(part), "the same command without it does the rest");
    }
    // A rehearsal does so itself.
    if !settings.google.is_rehearsed() {
        let next = format!("infra destroy --name {} removes everything again", prepared.name);
        anstream::println!("\n{}", style::dim(next));
    }
}

fn summary_of(prepared: &Prepared, outcome: &Outcome, timing: &engine::Timing) -> serde_json::Value {
    json!({
        "event": "summary",
        "success": outcome.is_success(),
        "changed": outcome.changed,
        "failed": outcome.failures.iter().map(|(address, _)| address).collect::<Vec<_>>(),
        "not_tried": outcome.not_tried,
        "left_out": prepared.left_out,
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
