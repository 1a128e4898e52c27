use k8s_openapi::api::core::v1::{Pod, ResourceQuota};

use crate::quantity;
use crate::scene::{Cause, Scene, Surroundings, brief};

/// A refusal like `exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1`.
///
/// It heals where other pods will end and free what they hold, and where that has happened already: who makes the pods tries again only
/// after a pause, which may be minutes. Otherwise nothing will free the quota.
pub(crate) fn quota(scene: &Scene, subject: &str, reason: &str) -> Cause {
    let will_heal = scene
        .surroundings
        .as_ref()
        .map(|surroundings| is_free(reason, &surroundings.quotas) || will_finish(surroundings));
    let mut cause = match will_heal {
        Some(false) => Cause::lasts(subject, "QuotaExceeded", brief(reason), 5),
        Some(true) | None => Cause::heals(subject, "QuotaExceeded", brief(reason)),
    };
    cause.wants_surroundings = true;
    cause.hint("raise the ResourceQuota, or ask for less")
}

/// Whether a pod of the namespace will end by itself.
fn will_finish(surroundings: &Surroundings) -> bool {
    let ends = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let mut owners = pod.metadata.owner_references.iter().flatten();
        !matches!(phase, Some("Succeeded" | "Failed")) && owners.any(|owner| owner.kind == "Job")
    };
    surroundings.neighbours.iter().any(ends)
}

/// Whether what was asked for would fit now.
fn is_free(reason: &str, quotas: &[ResourceQuota]) -> bool {
    let part = |label: &str| reason.split_once(label).map(|(_, rest)| rest);
    let Some(name) = part("exceeded quota: ").and_then(|rest| rest.split(',').next()) else { return false };
    let Some(requested) = part("requested: ").and_then(|rest| rest.split(", used: ").next()) else { return false };
    let Some(quota) = quotas.iter().find(|quota| quota.metadata.name.as_deref() == Some(name)) else { return false };
    requested.split(',').all(|pair| fits(pair, quota).unwrap_or(false))
}

/// Whether one `resource=amount` fits.
fn fits(pair: &str, quota: &ResourceQuota) -> Option<bool> {
    let (resource, amount) = pair.split_once('=')?;
    let status = quota.status.as_ref()?;
    let hard = quantity::parse(&status.hard.as_ref()?.get(resource)?.0)?;
    let used = status.used.as_ref()?.get(resource).and_then(|used| quantity::parse(&used.0)).unwrap_or(0.0);
    Some(used + quantity::parse(amount)? <= hard)
}
