//! `infra recover`: write a deployment's journal anew, from what the world has of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Change, Deployment, Discover, Discovered};
use serde_json::json;

use crate::arguments::{self, Provider};
use crate::google;
use crate::launcher::SelfLauncher;
use crate::report::{Exit, Problem, of_failure, of_state};
use crate::session::{Asked, Session, clients, lock};
use crate::settings::{Settings, shown};
use crate::view::{count, style};
use crate::which::check_name;

/// Runs the command. It needs labels and marks only: neither a journal nor the scenario.
pub async fn run(command: arguments::Recover, settings: &Settings) -> Result<Exit, Problem> {
    check_name(&command.name)?;
    let deployment = settings.state.deployment(&command.name);
    let provider = settings.provider.or(settings.usual_provider).unwrap_or(Provider::Sandbox);
    refuse_journal(&deployment, command.force, settings).await?;
    let was_there = deployment.folder().exists();
    let lock = lock(&deployment, command.wait, settings)?;
    // Another run may have written one while this one waited for the lock.
    refuse_journal(&deployment, command.force, settings).await?;
    let places = places(provider, command.kind.as_deref(), settings)?;
    let searched = search(&deployment, &places).await;
    let found = match searched {
        Ok(found) if !found.is_empty() => found,
        nothing => {
            if !was_there {
                deployment.remove().map_err(of_state)?;
            }
            return Err(nothing.map_or_else(|problem| problem, |_| nothing_there(&deployment, &places, settings)));
        }
    };
    let aside = move_aside(&deployment)?;
    let asked = Asked { command: "recover", scenario: None };
    let mut session = Session::locked(deployment, lock, asked, command.wait, settings).await?;
    let entry = |found: &Discovered| {
        let Discovered { node, outputs } = found.clone();
        (node.address.clone(), Change::Found { node: Box::new(node), outputs })
    };
    let appended = session.journal.append(found.iter().map(entry).collect()).await.map_err(Problem::from);
    session.record.remember(session.journal.inventory(), None);
    session.record.end(appended.as_ref().map(|()| &Exit::Done));
    appended?;
    tell(&session.deployment, provider, &found, aside.as_deref(), settings);
    Ok(Exit::Done)
}

async fn refuse_journal(deployment: &Deployment, is_forced: bool, settings: &Settings) -> Result<(), Problem> {
    if let Some(shared) = settings.state.place() {
        if !settings.state.has_journal(deployment).await? {
            return Ok(());
        }
        let place = shared.journal_path(deployment.name());
        return Err(Problem::usage(format!("recover {}: {} has objects", deployment.name(), place.display())).hint(
            "a whole journal knows more than labels tell; a damaged one is moved aside by hand in a shared place",
        ));
    }
    if is_forced || !deployment.journal().exists() {
        return Ok(());
    }
    let message = format!("recover {}: {} exists", deployment.name(), shown(&deployment.journal()));
    Err(Problem::usage(message).hint("a whole journal knows more than labels tell; with --force it is moved aside"))
}

/// Where a provider's deployments leave marks, a cluster before what is in it.
fn places(provider: Provider, kind: Option<&Path>, settings: &Settings) -> Result<Vec<Box<dyn Discover>>, Problem> {
    let cluster: Box<dyn Discover> = match provider {
        Provider::Sandbox => Box::new(cluster::sandbox::discover(Arc::new(SelfLauncher))),
        Provider::Kind => Box::new(cluster::kind::discover(&settings.docker, kind.map(Path::to_owned))),
        Provider::Gke => google::discover(settings)?,
    };
    let clients = clients(settings, provider == Provider::Gke)?;
    let images = images::Options { cache: settings.images(), ..images::Options::default() };
    Ok(vec![
        cluster,
        Box::new(cluster::discover_contexts(&settings.kubeconfig)),
        Box::new(workloads::discover(&clients)),
        Box::new(images::discover(&settings.docker, &images)),
    ])
}

async fn search(deployment: &Deployment, places: &[Box<dyn Discover>]) -> Result<Vec<Discovered>, Problem> {
    let mut found = Vec::new();
    for place in places {
        let more = place.discover(deployment, &found).await.map_err(|failure| {
            let mut problem = of_failure(failure);
            problem.causes.insert(0, format!("recover {} from {}", deployment.name(), place.place()));
            problem
        })?;
        found.extend(more);
    }
    Ok(found)
}

fn nothing_there(deployment: &Deployment, places: &[Box<dyn Discover>], settings: &Settings) -> Problem {
    let places: Vec<String> = places.iter().map(|place| place.place()).collect();
    let folder = shown(settings.state.path());
    let mut problem = Problem::usage(format!("recover {}", deployment.name())).exit(Exit::Failed);
    problem.causes.push(format!("nothing of it is in {}", places.join(", ")));
    problem.hint(format!("was it another --provider, another --name, or another state folder than {folder}?"))
}

/// Gives an old journal a name under which nothing reads it; nothing that was moved aside before is overwritten.
fn move_aside(deployment: &Deployment) -> Result<Option<PathBuf>, Problem> {
    let journal = deployment.journal();
    if !journal.exists() {
        return Ok(None);
    }
    let mut aside = journal.with_extension("jsonl.before-recover");
    let mut number = 1;
    while aside.exists() {
        number += 1;
        aside = journal.with_extension(format!("jsonl.before-recover-{number}"));
    }
    fs::rename(&journal, &aside)?;
    Ok(Some(aside))
}

fn tell(deployment: &Deployment, provider: Provider, found: &[Discovered], aside: Option<&Path>, settings: &Settings) {
    let name = deployment.name();
    if settings.json {
        let found: Vec<_> =
            found.iter().map(|found| json!({ "address": found.node.address, "title": found.node.title })).collect();
        let event = json!({
            "event": "recovered",
            "deployment": name,
            "provider": provider.name(),
            "found": found,
            "moved_aside": aside,
        });
        println!("{event}");
        return;
    }
    anstream::println!("{} on {}: found {}", style::bold(name), provider.name(), count(found.len(), "resource"));
    for found in found {
        anstream::println!("  {} {}", style::good("✓"), found.node.title);
    }
    if let Some(aside) = aside {
        anstream::println!("\nthe journal that was there is {} now", shown(aside));
    }
    let next = format!("`infra apply` goes on from here, `infra destroy --name {name}` removes everything");
    anstream::println!("\n{}", style::dim(next));
}
