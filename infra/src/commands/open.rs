//! `infra open`: forward a Service or pod to a local port.

use engine::Inventory;
use serde_json::json;

use crate::arguments;
use crate::report::{Exit, Problem};
use crate::session::{client, next_signal};
use crate::settings::Settings;
use crate::view::style;
use crate::which::{applied, choose};

/// Runs the command: it forwards until it is interrupted.
pub async fn run(command: arguments::Open, settings: &Settings) -> Result<Exit, Problem> {
    let deployment = choose(&command.which, settings).await?;
    let inventory = settings.state.inventory(&deployment).await?;
    applied(&deployment, &inventory)?;
    let target = match command.target {
        Some(target) => target,
        None => only_load_balancer(&inventory)?,
    };
    let client = client(settings, &deployment, &inventory)?;
    let forward = workloads::forward(&client, deployment.name(), &target, command.port).await?;
    let url = format!("http://{}", forward.address());
    if settings.json {
        println!("{}", json!({ "event": "forwarding", "target": target, "address": url }));
    } else {
        anstream::println!("{target}  {}", style::hint(&url));
        anstream::eprintln!("{}", style::dim("forwarding until Ctrl-C"));
    }
    next_signal().await?;
    Ok(Exit::Done)
}

/// The Service of type `LoadBalancer`, where there is just one.
fn only_load_balancer(inventory: &Inventory) -> Result<String, Problem> {
    let services: Vec<&str> = inventory
        .iter()
        .map(|held| &held.node.inputs["manifest"])
        .filter(|manifest| manifest["kind"] == "Service" && manifest["spec"]["type"] == "LoadBalancer")
        .filter_map(|manifest| manifest["metadata"]["name"].as_str())
        .collect();
    match services.as_slice() {
        [service] => Ok(format!("service/{service}")),
        [] => Err(Problem::usage("choose what to open: there is no Service of type LoadBalancer")
            .hint("say --target service/NAME or pod/NAME")),
        several => Err(Problem::usage(format!("choose what to open: there are {}", several.join(", ")))
            .hint("say --target service/NAME")),
    }
}
