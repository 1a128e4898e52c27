//! Resource Manager: projects, and who may do what in them.

use serde_json::{Value, json};

use super::call::Call;
use super::projects::State;
use super::refusal::Refusal;
use super::world::World;
use crate::hash;

/// What is said of a project that is not there, or that one may not see: the same.
pub(crate) fn unknown_project(call: &Call) -> Refusal {
    let (method, project) = (call.route.method, call.project());
    match method.service() {
        "compute" => Refusal::not_found(format!("The resource 'projects/{project}' was not found")),
        "container" => {
            let message = format!("Project \"{project}\" not found or permission denied.");
            Refusal::not_found(message)
        }
        "cloudresourcemanager" => Refusal::forbidden("The caller does not have permission"),
        service => Refusal::permission(
            &call.permission(),
            &format!("projects/{project}"),
            &format!("{service}.googleapis.com"),
        ),
    }
}

/// Answers a call.
pub(crate) fn handle(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let old = call.route.method.api.ends_with("v1");
    match call.route.method.action() {
        "list" | "search" => {
            let wanted = call.query(if old { "filter" } else { "query" }).to_owned();
            let fits =
                |state: &&State| wanted.is_empty() || wanted.contains(&state.project.id) || !wanted.contains("id");
            let all: Vec<Value> = world.projects.all().filter(fits).map(|state| told(state, old)).collect();
            Ok(json!({ "projects": all }))
        }
        "get" => {
            let state = world.projects.get(call.project()).ok_or_else(|| unknown_project(call))?;
            Ok(told(state, old))
        }
        action => {
            let key = call.project().to_owned();
            let key = world.projects.get(&key).map(|state| state.project.id.clone()).unwrap_or(key);
            policy(world, call, &key, "project", action)
        }
    }
}

fn told(state: &State, old: bool) -> Value {
    let (id, number) = (&state.project.id, state.project.number());
    let made = "2024-01-02T03:04:05.678Z";
    if old {
        json!({"projectNumber": number.to_string(), "projectId": id, "lifecycleState": "ACTIVE", "name": id, "createTime": made})
    } else {
        json!({"name": format!("projects/{number}"), "projectId": id, "state": "ACTIVE", "displayName": id, "createTime": made,
            "updateTime": made, "etag": "W/\"0000000000000000\""})
    }
}

/// The calls about who may do what with a resource: `getIamPolicy`, `setIamPolicy`, `testIamPermissions`.
pub(crate) fn policy(world: &mut World, call: &Call, project: &str, key: &str, action: &str) -> Result<Value, Refusal> {
    let user = world.user.clone();
    let state = world.projects.get_mut(project).ok_or_else(|| unknown_project(call))?;
    if action == "testIamPermissions" {
        let asked = call.body["permissions"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let held: Vec<&str> = asked.filter(|permission| state.permits(permission)).collect();
        return Ok(if held.is_empty() { json!({}) } else { json!({ "permissions": held }) });
    }
    let owner = json!({"version": 1, "bindings": if key == "project" {
        json!([{"role": "roles/owner", "members": [format!("user:{user}")]}])
    } else {
        json!([])
    }});
    let (policy, version) = state.policies.entry(key.to_owned()).or_insert((owner, 1));
    if action == "setIamPolicy" {
        let etag = etag(key, *version);
        let given = call.body["policy"]["etag"].as_str();
        if given.is_some_and(|given| given != etag) {
            return Err(Refusal::aborted(
                "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.",
            ));
        }
        *policy = call.body["policy"].clone();
        policy["version"] = json!(1);
        *version += 1;
    }
    let mut told = policy.clone();
    told["etag"] = json!(self::etag(key, *version));
    Ok(told)
}

/// The version of a policy as text.
fn etag(key: &str, version: u64) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(&hash::number(version, &["etag", key]).to_be_bytes()[..6])
}
