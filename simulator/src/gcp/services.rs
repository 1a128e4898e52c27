//! Service Usage: which services a project has enabled.

use serde_json::{Value, json};

use super::call::Call;
use super::projects::SERVICES;
use super::refusal::Refusal;
use super::resources::unknown_project;
use super::world::{Plan, World};

/// Answers a call.
pub(crate) fn handle(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    if call.route.method.collection() == "operations" {
        let name = format!("operations/{}", call.path("operation"));
        let known = world.operations.get(&name).filter(|operation| operation.service == "serviceusage");
        return known
            .map(super::operations::Operation::of_others)
            .ok_or_else(|| Refusal::not_found("Operation not found."));
    }
    let project = world.projects.get(call.project()).ok_or_else(|| unknown_project(call))?.project.id.clone();
    match call.route.method.action() {
        "list" => list(world, call, &project),
        "get" => get(world, &project, call.path("service")),
        "batchGet" => {
            let names = call.queries("names").map(|name| name.rsplit('/').next().unwrap_or_default());
            let all: Result<Vec<Value>, Refusal> = names.map(|name| get(world, &project, name)).collect();
            Ok(json!({ "services": all? }))
        }
        "disable" => {
            let name = call.path("service").to_owned();
            known(&project, &name)?;
            let state = world.projects.get_mut(&project).ok_or_else(|| unknown_project(call))?;
            state.enabled.remove(&name);
            Ok(begin(world, &project, "services.disable", &[name], false))
        }
        "enable" => {
            let name = call.path("service").to_owned();
            enable(world, &project, &[name], false)
        }
        _ => {
            let names = call.body["serviceIds"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let names: Vec<String> = names.map(str::to_owned).collect();
            if names.is_empty() || names.len() > 20 {
                return Err(Refusal::invalid(
                    "Request contains an invalid argument: 1 to 20 services can be enabled at once.",
                ));
            }
            enable(world, &project, &names, true)
        }
    }
}

fn known(project: &str, name: &str) -> Result<(), Refusal> {
    if SERVICES.iter().any(|known| known.0 == name) {
        return Ok(());
    }
    Err(Refusal::not_found(format!("Not found or permission denied for service(s): {name}.")).info(
        "SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED",
        "serviceusage.googleapis.com",
        &json!({"services": name, "project": project}),
    ))
}

fn told(world: &World, project: &str, name: &str) -> Value {
    let state = world.projects.get(project);
    let enabled = state.is_some_and(|state| state.enabled.contains_key(name));
    let title = SERVICES.iter().find(|known| known.0 == name).map_or(name, |known| known.1);
    let number = state.map(|state| state.project.number()).unwrap_or_default();
    json!({
        "name": format!("projects/{number}/services/{name}"),
        "parent": format!("projects/{number}"),
        "config": {"name": name, "title": title},
        "state": if enabled { "ENABLED" } else { "DISABLED" },
    })
}

fn get(world: &World, project: &str, name: &str) -> Result<Value, Refusal> {
    known(project, name)?;
    Ok(told(world, project, name))
}

fn list(world: &World, call: &Call, project: &str) -> Result<Value, Refusal> {
    let filter = call.query("filter").replace(' ', "").to_uppercase();
    let all = SERVICES.iter().map(|known| told(world, project, known.0));
    let wanted = all.filter(|told| filter.is_empty() || told["state"].as_str() == filter.strip_prefix("STATE:"));
    let (services, next) = call.page(wanted.collect())?;
    let mut answer = json!({ "services": services });
    if let Some(next) = next {
        answer["nextPageToken"] = json!(next);
    }
    Ok(answer)
}

fn enable(world: &mut World, project: &str, names: &[String], batch: bool) -> Result<Value, Refusal> {
    names.iter().try_for_each(|name| known(project, name))?;
    let state = world.projects.get(project).ok_or_else(|| Refusal::not_found("Project not found."))?;
    let costs =
        |name: &String| matches!(name.split('.').next(), Some("compute" | "container" | "artifactregistry" | "file"));
    if !state.project.billing && names.iter().any(costs) {
        let number = state.project.number();
        let message = format!(
            "Billing account for project '{number}' is not found. Billing must be enabled for activation of service(s) '{}' to proceed.",
            names.join(",")
        );
        return Err(Refusal::precondition(message).info(
            "UREQ_PROJECT_BILLING_NOT_FOUND",
            "serviceusage.googleapis.com",
            &json!({"services": names.join(",")}),
        ));
    }
    Ok(begin(world, project, "services.enable", names, batch))
}

/// An operation that enables or disables; what was so before is done at once.
fn begin(world: &mut World, project: &str, kind: &'static str, names: &[String], batch: bool) -> Value {
    let state = world.projects.get(project).map(|state| state.enabled.clone()).unwrap_or_default();
    let number = world.projects.get(project).map(|state| state.project.number()).unwrap_or_default();
    if kind == "services.enable" && names.iter().all(|name| state.contains_key(name)) {
        let services: Vec<Value> = names.iter().map(|name| told(world, project, name)).collect();
        let response = response(&services, kind, batch);
        return json!({"name": "operations/noop.DONE_OPERATION", "done": true, "response": response});
    }
    let plan = Plan {
        service: "serviceusage",
        kind,
        pace: kind.to_owned(),
        project: project.to_owned(),
        place: "global".to_owned(),
        target: format!("projects/{project}/services/{}", names.join(",")),
    };
    let (owner, all) = (project.to_owned(), names.to_vec());
    let end: super::operations::End = Box::new(move |world, _| {
        let now = world.now;
        if let (true, Some(state)) = (kind == "services.enable", world.projects.get_mut(&owner)) {
            for name in &all {
                state.enable(name, now);
            }
        }
    });
    let operation = world.begin(plan, Vec::new(), end);
    let state = if kind == "services.enable" { "ENABLED" } else { "DISABLED" };
    let services: Vec<Value> =
        names.iter().map(|name| told(world, project, name)).map(|told| with_state(told, state)).collect();
    let resources: Vec<String> = names.iter().map(|name| format!("projects/{number}/services/{name}")).collect();
    let begun = world.operation(&operation);
    begun.metadata = json!({"@type": "type.googleapis.com/google.api.serviceusage.v1.OperationMetadata", "resourceNames": resources});
    begun.response = response(&services, kind, batch);
    begun.of_others()
}

fn with_state(mut service: Value, state: &str) -> Value {
    service["state"] = json!(state);
    service
}

fn response(services: &[Value], kind: &str, batch: bool) -> Value {
    const KIND: &str = "type.googleapis.com/google.api.serviceusage.v1.";
    if !batch {
        let word = if kind == "services.enable" { "EnableServiceResponse" } else { "DisableServiceResponse" };
        return json!({"@type": format!("{KIND}{word}"), "service": services.first()});
    }
    json!({"@type": format!("{KIND}BatchEnableServicesResponse"), "services": services})
}
