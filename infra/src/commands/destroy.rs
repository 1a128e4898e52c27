//! `infra destroy`: remove everything that was made, and prove that it is gone.

pub mod keep;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use engine::{Address, Change, Deployment, Gone, Graph, Node, Outcome, Policy, plan};
use providers::docker;
use serde_json::{Value, json};

use workloads::Vault;

use crate::addressing::find_all;
use crate::arguments::{self, Provider};
use crate::commands::confirm;
use crate::google;
use crate::prepare::needs_docker;
use crate::receipt;
use crate::record::{self, Decided};
use crate::report::{self, Exit, Problem};
use crate::session::{Asked, Run, Session, registry};
use crate::settings::{Settings, shown};
use crate::view::{self, style, summary};
use crate::which::choose;

/// Runs the command. It needs the journal or the labels, never the scenario.
pub async fn run(command: arguments::Destroy, settings: &Settings) -> Result<Exit, Problem> {
    let deployment = choose(&command.which, settings).await?;
    let has_journal = settings.state.has_journal(&deployment).await?;
    let labelled = if has_journal { Vec::new() } else { without_journal(&deployment, settings).await? };
    if !has_journal && labelled.is_empty() {
        return Ok(nothing_there(&deployment, settings));
    }
    let asked = Asked { command: "destroy", scenario: None };
    let session = Session::open(deployment, asked, command.wait, settings).await?;
    // It outlives the deployment.
    let record = session.record.clone();
    let result = destroy(&command, session, labelled, settings).await;
    record.end(result.as_ref());
    result
}

/// Removes what the journal knows, and what was found by its labels where there was none.
async fn destroy(
    command: &arguments::Destroy,
    mut session: Session,
    labelled: Vec<Node>,
    settings: &Settings,
) -> Result<Exit, Problem> {
    let has_journal = labelled.is_empty();
    if !labelled.is_empty() {
        let found = |node: Node| (node.address.clone(), Change::Found { node: Box::new(node), outputs: Value::Null });
        session.journal.append(labelled.into_iter().map(found).collect()).await?;
    }
    // No deletion needs a secret's value.
    let is_google = google::holds(session.journal.inventory());
    let mut registry = registry(settings, &Vault::new(b""), Some(session.lock_file()?), is_google)?;
    let kept = if command.keep_data {
        keep::data(&session.deployment, session.journal.inventory(), settings).await?
    } else {
        Vec::new()
    };
    if command.keep_data && is_google {
        google::keep_data(settings, &mut registry)?;
    }
    // What is destroyed is not looked at first: every deletion looks for itself.
    let decided = plan(&Graph::default(), session.journal.inventory(), &BTreeMap::default(), &registry)?;
    let mut decided = decided.leaving(&keep::addresses(&kept));
    let is_part = !command.targets.is_empty();
    if is_part {
        let nodes: Vec<&Node> = session.journal.inventory().iter().map(|held| &held.node).collect();
        decided = decided.narrowed(&find_all(&command.targets, &nodes)?);
    }
    if !settings.json && !session.journal.inventory().is_empty() {
        let heading = match (is_part, has_journal) {
            (true, _) => "a part of",
            (false, true) => "everything of",
            (false, false) => "everything labelled with",
        };
        anstream::print!("{}", view::plan::render(&format!("{heading} {}", session.deployment.name()), &decided));
        anstream::print!("{}", summary::to_be_kept(&kept));
        println!();
    }
    if !command.yes && !session.journal.inventory().is_empty() && !session.record.only_if(confirm("Remove it?"))? {
        anstream::eprintln!("nothing was removed");
        return Ok(Exit::Interrupted);
    }
    keep::remember(&kept, &mut session).await?;
    let uses_docker = decided.steps.iter().any(|step| needs_docker(&step.node));
    let engine = if uses_docker { NoEngine::IsAProblem } else { NoEngine::HasNothing };
    let places = Places { engine, projects: google::projects(session.journal.inventory()) };
    session.record.plan(Decided::new(record::provider(session.journal.inventory()), &decided, &[]));
    let run = session.run(&decided, &registry, Policy::GoOn, settings.json).await?;
    if is_part && !session.journal.inventory().is_empty() {
        return Ok(conclude_part(&session, &run.outcome, settings));
    }
    if command.keep_data {
        return conclude_keeping(session, run, &places, settings).await;
    }
    conclude(session, run, &places, settings).await
}

/// What is left of a deployment that this machine has no journal of.
///
/// Where no Docker Engine answers, nobody can say what it holds. That is no matter for a deployment that was in a sandbox, or that
/// was destroyed before.
async fn without_journal(deployment: &Deployment, settings: &Settings) -> Result<Vec<Node>, Problem> {
    let in_sandbox = cluster::sandbox::folder(deployment.folder()).is_dir();
    let is_destroyed = receipt::path(settings, deployment.name()).exists();
    let in_google = settings.provider == Some(Provider::Gke);
    let is_elsewhere = in_sandbox || in_google || is_destroyed;
    let places = Places {
        engine: if is_elsewhere { NoEngine::HasNothing } else { NoEngine::IsAProblem },
        projects: in_google.then(|| settings.google.needed_project()).transpose()?.into_iter().collect(),
    };
    find(deployment, settings, &places).await.map_err(|mut problem| {
        if in_google {
            problem.causes.insert(0, "see whether the project holds anything of it".to_owned());
            return problem;
        }
        let unseen = "see whether Docker holds anything of it; this machine has no journal of it, and no sandbox";
        problem.causes.insert(0, unseen.to_owned());
        problem
    })
}

/// Where something of a deployment may be, besides this machine's folders.
struct Places {
    engine: NoEngine,
    /// Projects of Google Cloud.
    projects: BTreeSet<String>,
}

/// What it means that no Docker Engine answers when it is asked for what carries a label.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NoEngine {
    /// It may hold something all the same, once it is started.
    IsAProblem,
    /// The deployment never used one.
    HasNothing,
}

/// Everything that carries the deployment's labels, mounts or marks.
async fn find(deployment: &Deployment, settings: &Settings, places: &Places) -> Result<Vec<Node>, Problem> {
    let (name, kubeconfig) = (deployment.name(), deployment.kubeconfig());
    let mut nodes = match in_docker(name, &kubeconfig, settings).await {
        Err(error) if error.is_no_engine() && places.engine == NoEngine::HasNothing => Vec::new(),
        found => found.map_err(report::of_docker)?,
    };
    for project in &places.projects {
        nodes.extend(google::find(settings, project, name, &kubeconfig).await?);
    }
    nodes.extend(cluster::sandbox::find(name, &cluster::sandbox::folder(deployment.folder()), &kubeconfig));
    let contexts = cluster::find_contexts(&settings.kubeconfig, name, &kubeconfig, &nodes);
    nodes.extend(contexts);
    Ok(nodes)
}

async fn in_docker(name: &str, kubeconfig: &Path, settings: &Settings) -> Result<Vec<Node>, docker::Error> {
    let mut nodes = cluster::kind::find(&settings.docker, name, kubeconfig).await?;
    nodes.extend(images::find(&settings.docker, name).await?);
    Ok(nodes)
}

fn nothing_there(deployment: &Deployment, settings: &Settings) -> Exit {
    let name = deployment.name();
    if settings.json {
        println!("{}", json!({ "event": "receipt", "deployment": name, "gone": [], "left": [] }));
    } else if let Some(when) = receipt::when(settings, name) {
        anstream::println!("{name}: there is nothing to remove; it was destroyed on {when}");
    } else {
        anstream::println!(
            "{name}: there is nothing to remove; this machine has no journal of it, and nothing carries its label"
        );
    }
    Exit::Done
}

/// Says what of a part is gone, and that the rest stays.
fn conclude_part(session: &Session, outcome: &Outcome, settings: &Settings) -> Exit {
    let name = session.deployment.name();
    if !outcome.is_success() {
        print_failure(outcome, &session.deployment, settings);
        return report::of_outcome(outcome);
    }
    let left: Vec<&Address> = session.journal.inventory().iter().map(|held| &held.node.address).collect();
    if settings.json {
        println!("{}", json!({ "event": "receipt", "deployment": name, "gone": outcome.gone, "left": left }));
        return Exit::Done;
    }
    anstream::print!("\n{}", summary::receipt(&outcome.gone));
    let lasting = session.journal.inventory().iter().filter(|held| held.node.lasting).count();
    let rest = format!("only a part was removed: {} left; ", view::count(lasting, "resource"));
    anstream::println!("\n{}infra destroy --name {name} removes the rest", style::change(rest));
    Exit::Done
}

/// Looks once more for anything with the deployment's label, then removes the deployment's own folder.
async fn conclude(session: Session, run: Run, places: &Places, settings: &Settings) -> Result<Exit, Problem> {
    let Run { outcome, .. } = run;
    let deployment = session.deployment.clone();
    if !outcome.is_success() {
        print_failure(&outcome, &deployment, settings);
        return Ok(report::of_outcome(&outcome));
    }
    let left: Vec<String> = find(&deployment, settings, places).await?.into_iter().map(|node| node.title).collect();
    if !left.is_empty() {
        return Err(still_labelled(deployment.name(), &left));
    }
    let mut gone = outcome.gone;
    let receipt =
        |gone: &[Gone]| json!({ "event": "receipt", "deployment": deployment.name(), "gone": gone, "left": left });
    // Before the journal goes: whoever is killed in between knows from one of the two that all is gone.
    receipt::keep(settings, deployment.name(), &receipt(&gone))?;
    session.remove().await?;
    if !deployment.folder().exists() {
        gone.push(Gone::new("local folder", shown(deployment.folder())));
    }
    let receipt = receipt(&gone);
    receipt::keep(settings, deployment.name(), &receipt)?;
    if settings.json {
        println!("{receipt}");
    } else {
        anstream::print!("\n{}", summary::receipt(&gone));
        anstream::println!("  {} nothing else carries the label of {}", style::good("✓"), deployment.name());
    }
    Ok(Exit::Done)
}

fn still_labelled(name: &str, left: &[String]) -> Problem {
    Problem::usage(format!("remove everything: still labelled with {name} are {}", left.join(", ")))
        .exit(Exit::Failed)
        .hint("run the same command again; what stays then was made by somebody else with our label")
}

/// Looks once more for anything with the deployment's label: disks are kept, and the journal with them.
async fn conclude_keeping(
    mut session: Session,
    run: Run,
    places: &Places,
    settings: &Settings,
) -> Result<Exit, Problem> {
    let deployment = session.deployment.clone();
    if !run.outcome.is_success() {
        print_failure(&run.outcome, &deployment, settings);
        return Ok(report::of_outcome(&run.outcome));
    }
    let found = find(&deployment, settings, places).await?;
    let (disks, others): (Vec<Node>, Vec<Node>) =
        found.into_iter().partition(|node| node.address.kind() == cluster::gke_spec::DISK);
    if !others.is_empty() {
        return Err(still_labelled(deployment.name(), &others.into_iter().map(|node| node.title).collect::<Vec<_>>()));
    }
    // A claim may have got its disk after the first look.
    let is_new = |node: &Node| session.journal.inventory().get(&node.address).is_none();
    let new = disks.into_iter().filter(is_new).map(|node| Node { kept: true, ..node });
    let new = new.map(|node| (node.address.clone(), Change::Found { node: Box::new(node), outputs: Value::Null }));
    let new = new.collect();
    session.journal.append(new).await?;
    let kept = keep::data(&deployment, session.journal.inventory(), settings).await?;
    if kept.is_empty() {
        return conclude(session, run, places, settings).await;
    }
    let gone = run.outcome.gone;
    let receipt =
        json!({ "event": "receipt", "deployment": deployment.name(), "gone": gone, "left": [], "kept": kept });
    receipt::keep(settings, deployment.name(), &receipt)?;
    if settings.json {
        println!("{receipt}");
    } else {
        anstream::print!("\n{}", summary::receipt(&gone));
        anstream::print!("\n{}", summary::kept(deployment.name(), &kept));
    }
    Ok(Exit::Done)
}

fn print_failure(outcome: &Outcome, deployment: &Deployment, settings: &Settings) {
    if settings.json {
        let failed: Vec<String> = outcome.failures.iter().map(|(address, _)| address.to_string()).collect();
        println!(
            "{}",
            json!({ "event": "receipt", "deployment": deployment.name(), "gone": outcome.gone, "left": failed })
        );
        return;
    }
    let left: Vec<String> = outcome.failures.iter().map(|(address, _)| address.to_string()).collect();
    anstream::eprintln!(
        "\n{} {} may still be there: {}",
        style::bad("not all is gone:"),
        deployment.name(),
        left.join(", ")
    );
    anstream::eprintln!("{} the same command tries again", style::hint("next:"));
}
