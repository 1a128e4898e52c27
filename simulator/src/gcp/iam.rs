//! Identity and Access Management: service accounts.

use serde_json::{Value, json};

use super::call::Call;
use super::refusal::Refusal;
use super::resources;
use super::world::World;
use crate::hash;

/// Answers a call.
pub(crate) fn handle(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let project = project(world, call);
    match call.route.method.action() {
        "create" => create(world, call, &project),
        "list" => {
            let prefix = format!("iam/projects/{project}/serviceAccounts/");
            let all: Vec<Value> = world.below(&prefix).map(|(_, thing)| thing.body.clone()).collect();
            let (accounts, next) = call.page(all)?;
            let mut answer = json!({ "accounts": accounts });
            if let Some(next) = next {
                answer["nextPageToken"] = json!(next);
            }
            Ok(answer)
        }
        "get" => Ok(world.things[&existing(world, call, &project)?].body.clone()),
        "delete" => {
            let key = existing(world, call, &project)?;
            world.remove(&key);
            Ok(json!({}))
        }
        "patch" => {
            let key = existing(world, call, &project)?;
            let asked = call.body["serviceAccount"].clone();
            world.change(&key, |body| {
                for field in ["displayName", "description"] {
                    if !asked[field].is_null() {
                        body[field] = asked[field].clone();
                    }
                }
            });
            Ok(world.things[&key].body.clone())
        }
        action => {
            let key = existing(world, call, &project)?;
            resources::policy(world, call, &project, &key, action)
        }
    }
}

/// The project of a call; `-` means that of the service account's address.
fn project(world: &World, call: &Call) -> String {
    if call.project() == "-" {
        let home = call.path("serviceAccount").split('@').nth(1).unwrap_or_default();
        return home.split('.').next().unwrap_or_default().to_owned();
    }
    world.projects.get(call.project()).map_or_else(|| call.project().to_owned(), |state| state.project.id.clone())
}

fn existing(world: &World, call: &Call, project: &str) -> Result<String, Refusal> {
    let name = call.path("serviceAccount");
    let key = format!("iam/projects/{project}/serviceAccounts/{name}");
    let by_id = || {
        let prefix = format!("iam/projects/{project}/serviceAccounts/");
        world.below(&prefix).find(|(_, thing)| thing.body["uniqueId"] == name).map(|(key, _)| key.to_owned())
    };
    let found = world.find(&key).map(|_| key.clone()).or_else(by_id);
    found.ok_or_else(|| {
        let resource = format!("projects/{project}/serviceAccounts/{name}");
        Refusal::not_found(format!("Unknown service account: {resource}"))
    })
}

fn create(world: &mut World, call: &Call, project: &str) -> Result<Value, Refusal> {
    let id = call.body["accountId"].as_str().unwrap_or_default();
    let sign = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-';
    if !(6..=30).contains(&id.len())
        || !id.chars().all(sign)
        || !id.starts_with(|c: char| c.is_ascii_lowercase())
        || id.ends_with('-')
    {
        return Err(Refusal::invalid(
            "The account ID must be between 6 and 30 characters long and consist of lowercase alphanumeric characters and dashes.",
        ));
    }
    let email = format!("{id}@{project}.iam.gserviceaccount.com");
    let key = format!("iam/projects/{project}/serviceAccounts/{email}");
    if world.has(&key) {
        let message = format!("Service account {id} already exists within project projects/{project}.");
        return Err(Refusal::exists(message).info("ALREADY_EXISTS", "iam.googleapis.com", &json!({"resource": key})));
    }
    let unique = 100_000_000_000_000_000_000_u128
        + u128::from(hash::number(world.seed, &["unique", &key, &world.next_number().to_string()]));
    let mut body = json!({
        "name": format!("projects/{project}/serviceAccounts/{email}"),
        "projectId": project,
        "uniqueId": unique.to_string(),
        "email": email,
        "etag": "MDEwMjE5MjA=",
        "oauth2ClientId": unique.to_string(),
    });
    for field in ["displayName", "description"] {
        if !call.body["serviceAccount"][field].is_null() {
            body[field] = call.body["serviceAccount"][field].clone();
        }
    }
    world.insert(&key, "serviceAccounts", body.clone());
    Ok(body)
}
