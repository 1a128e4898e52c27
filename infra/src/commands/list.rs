//! `infra list`: the deployments of this machine.

use std::collections::BTreeSet;

use engine::{Inventory, State};
use serde::Serialize;

use crate::record;
use crate::report::{Exit, Problem};
use crate::settings::{Settings, shown};
use crate::view::{count, style};

/// One deployment.
#[derive(Serialize)]
struct Row {
    name: String,
    provider: String,
    state: String,
    resources: usize,
    scenario: Option<String>,
}

/// Runs the command.
pub async fn run(settings: &Settings) -> Result<Exit, Problem> {
    let mut rows = Vec::new();
    for deployment in settings.state.deployments().await? {
        let scenario = record::scenario(settings, deployment.name()).map(|path| shown(&path));
        rows.push(match settings.state.read(&deployment).await {
            Ok(inventory) => row(deployment.name(), &inventory, scenario),
            Err(error) => Row {
                name: deployment.name().to_owned(),
                provider: "?".to_owned(),
                state: error.causes.join(": "),
                resources: 0,
                scenario,
            },
        });
    }
    rows.extend(without_journal(settings, &rows).await);
    if settings.json {
        for row in &rows {
            println!("{}", serde_json::to_string(row)?);
        }
    } else {
        print(&rows);
    }
    Ok(Exit::Done)
}

fn row(name: &str, inventory: &Inventory, scenario: Option<String>) -> Row {
    let lasting = || inventory.iter().filter(|held| held.node.lasting);
    let unfinished = lasting().filter(|held| held.state != State::Present).count();
    let unready = inventory.iter().any(|held| !held.node.lasting && held.state != State::Present);
    let state = match (lasting().count(), unfinished) {
        (0, _) => "nothing left".to_owned(),
        _ if lasting().all(|held| held.node.kept) => "data kept".to_owned(),
        (_, 0) if unready => "not ready".to_owned(),
        (_, 0) => "applied".to_owned(),
        (_, unfinished) => format!("{} unfinished", count(unfinished, "step")),
    };
    let provider = Some(record::provider(inventory)).filter(|provider| !provider.is_empty());
    Row {
        name: name.to_owned(),
        provider: provider.unwrap_or("-").to_owned(),
        state,
        resources: lasting().count(),
        scenario,
    }
}

/// Deployments that only their labels in Docker tell of. Without Docker there are none to be seen.
async fn without_journal(settings: &Settings, known: &[Row]) -> Vec<Row> {
    let known: BTreeSet<&str> = known.iter().map(|row| row.name.as_str()).collect();
    let labelled = cluster::kind::list(&settings.docker).await.unwrap_or_default();
    labelled
        .into_iter()
        .map(|seen| seen.deployment)
        .filter(|name| !known.contains(name.as_str()))
        .map(|name| Row {
            name,
            provider: "kind".to_owned(),
            state: "no journal here".to_owned(),
            resources: 0,
            scenario: None,
        })
        .collect()
}

fn print(rows: &[Row]) {
    if rows.is_empty() {
        anstream::eprintln!("no deployments");
        return;
    }
    let width = |column: fn(&Row) -> &str, heading: &str| {
        rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0).max(heading.len())
    };
    let (name, provider, state) =
        (width(|row| &row.name, "NAME"), width(|row| &row.provider, "PROVIDER"), width(|row| &row.state, "STATE"));
    let heading =
        format!("{:name$}  {:provider$}  {:state$}  {:>9}  SCENARIO", "NAME", "PROVIDER", "STATE", "RESOURCES");
    anstream::println!("{}", style::dim(heading));
    for row in rows {
        let scenario = row.scenario.as_deref().unwrap_or("-");
        anstream::println!(
            "{:name$}  {:provider$}  {:state$}  {:>9}  {scenario}",
            row.name,
            row.provider,
            row.state,
            row.resources
        );
    }
}
