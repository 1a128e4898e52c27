//! Cloud Billing: whether a project's bills are paid.

use serde_json::{Value, json};

use super::call::Call;
use super::refusal::Refusal;
use super::resources::unknown_project;
use super::world::World;

/// Answers a call.
pub(crate) fn handle(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let state = world.projects.get(call.project()).ok_or_else(|| unknown_project(call))?;
    let (id, enabled) = (&state.project.id, state.project.billing);
    let account = if enabled { "billingAccounts/000000-000000-000000" } else { "" };
    Ok(json!({
        "name": format!("projects/{id}/billingInfo"), "projectId": id, "billingAccountName": account, "billingEnabled": enabled,
    }))
}
