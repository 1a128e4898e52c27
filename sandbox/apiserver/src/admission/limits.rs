//! Limit ranges: defaults of a namespace for its pods, and how little and how much may be asked for.

use kinds::quantity::{self, Quantity, Resources};
use serde_json::{Value, json};

use super::{Attempt, Operation, items};
use crate::{Api, ListOptions, Status};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

fn ranges(api: &Api, namespace: &str) -> Result<Vec<std::sync::Arc<Value>>, Status> {
    Ok(api.list(kinds::LIMIT_RANGES, Some(namespace), &ListOptions::default())?.items)
}

/// Fills the requests and limits that the containers of a new pod do not name.
pub(super) fn fill(api: &Api, attempt: &Attempt<'_>, pod: &mut Value) -> Result<(), Status> {
    for range in ranges(api, attempt.namespace)? {
        let (mut requests, mut limits) = (Resources::new(), Resources::new());
        for limit in items(&range["spec"], "limits").filter(|limit| limit["type"] == "Container") {
            requests.extend(quantity::resources(&limit["defaultRequest"]));
            limits.extend(quantity::resources(&limit["default"]));
        }
        let mut told = Vec::new();
        for (list, called) in [("containers", "container"), ("initContainers", "init container")] {
            for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                let name = container["name"].as_str().unwrap_or_default().to_owned();
                for (kind, defaults, word) in [("requests", &requests, "request"), ("limits", &limits, "limit")] {
                    let filled = fill_container(container, kind, defaults);
                    if !filled.is_empty() {
                        told.push(format!("{} {word} for {called} {name}", filled.join(", ")));
                    }
                }
            }
        }
        if !told.is_empty() {
            let told = format!("LimitRanger plugin set: {}", told.join("; "));
            if !pod["metadata"]["annotations"].is_object() {
                pod["metadata"]["annotations"] = json!({});
            }
            pod["metadata"]["annotations"][ANNOTATION] = json!(told);
        }
    }
    Ok(())
}

/// Sets what is not there and tells what that was.
fn fill_container(container: &mut Value, kind: &str, defaults: &Resources) -> Vec<String> {
    let missing = defaults.iter().filter(|(name, _)| container["resources"][kind][name.as_str()].is_null());
    let missing: Vec<_> = missing.map(|(name, amount)| (name.clone(), amount.to_string())).collect();
    for (name, amount) in &missing {
        if !container["resources"].is_object() {
            container["resources"] = json!({});
        }
        if !container["resources"][kind].is_object() {
            container["resources"][kind] = json!({});
        }
        container["resources"][kind][name.as_str()] = json!(amount);
    }
    missing.into_iter().map(|(name, _)| name).collect()
}

/// Refuses what is outside of the namespace's ranges.
pub(super) fn check(api: &Api, attempt: &Attempt<'_>, object: &Value) -> Result<(), Status> {
    let is_pod = attempt.creates(kinds::PODS);
    let is_claim = attempt.resource == kinds::PERSISTENT_VOLUME_CLAIMS
        && attempt.subresource.is_none()
        && attempt.operation != Operation::Delete;
    if !is_pod && !is_claim {
        return Ok(());
    }
    for range in ranges(api, attempt.namespace)? {
        let mut problems = Vec::new();
        for limit in items(&range["spec"], "limits") {
            match limit["type"].as_str().unwrap_or_default() {
                "Container" if is_pod => {
                    let mut all: Vec<&Value> = items(&object["spec"], "containers").collect();
                    all.extend(items(&object["spec"], "initContainers"));
                    for container in all {
                        let of = |kind: &str| quantity::resources(&container["resources"][kind]);
                        check_amounts(limit, &of("requests"), &of("limits"), &mut problems);
                    }
                }
                "Pod" if is_pod => {
                    check_amounts(limit, &kinds::pod::requests(object), &kinds::pod::limits(object), &mut problems);
                }
                "PersistentVolumeClaim" if is_claim => {
                    check_claim(limit, &quantity::resources(&object["spec"]["resources"]["requests"]), &mut problems);
                }
                _ => {}
            }
        }
        match problems.as_slice() {
            [] => {}
            [one] => return Err(attempt.forbidden(object, one)),
            several => return Err(attempt.forbidden(object, &format!("[{}]", several.join(", ")))),
        }
    }
    Ok(())
}

/// How a limit is enforced on one resource of what it is about.
struct Bound<'a> {
    resource: &'a str,
    of: &'a str,
    amount: Quantity,
    request: Option<&'a Quantity>,
    limit: Option<&'a Quantity>,
}

impl Bound<'_> {
    fn minimum(&self) -> Option<String> {
        let Self { resource, of, amount, .. } = self;
        let told = format!("minimum {resource} usage per {of} is {amount}");
        match (self.request, self.limit) {
            (None, _) => Some(format!("{told}.  No request is specified")),
            (Some(request), _) if request < amount => Some(format!("{told}, but request is {request}")),
            (_, Some(limit)) if limit < amount => Some(format!("{told}, but limit is {limit}")),
            _ => None,
        }
    }

    fn maximum(&self) -> Option<String> {
        let Self { resource, of, amount, .. } = self;
        let told = format!("maximum {resource} usage per {of} is {amount}");
        match (self.request, self.limit) {
            (_, None) => Some(format!("{told}.  No limit is specified")),
            (_, Some(limit)) if limit > amount => Some(format!("{told}, but limit is {limit}")),
            (Some(request), _) if request > amount => Some(format!("{told}, but request is {request}")),
            _ => None,
        }
    }

    fn maximum_request(&self) -> Option<String> {
        let Self { resource, of, amount, .. } = self;
        let told = format!("maximum {resource} usage per {of} is {amount}");
        match self.request {
            None => Some(format!("{told}.  No request is specified")),
            Some(request) if request > amount => Some(format!("{told}, but request is {request}")),
            Some(_) => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "the real server compares the same way")]
    fn ratio(&self) -> Option<String> {
        let Self { resource, of, amount, .. } = self;
        let told = format!("{resource} max limit to request ratio per {of} is {amount}");
        let there = |amount: Option<&Quantity>| amount.copied().filter(|amount| !amount.is_zero());
        let Some(request) = there(self.request) else {
            return Some(format!("{told}, but no request is specified or request is 0"));
        };
        let Some(limit) = there(self.limit) else {
            return Some(format!("{told}, but no limit is specified or limit is 0"));
        };
        let ratio = limit.millis() as f64 / request.millis() as f64;
        (ratio * 1000.0 > amount.millis() as f64).then(|| format!("{told}, but provided ratio is {ratio:.6}"))
    }
}

fn check_amounts(limit: &Value, requests: &Resources, limits: &Resources, problems: &mut Vec<String>) {
    let of = limit["type"].as_str().unwrap_or_default();
    for rule in ["min", "max", "maxLimitRequestRatio"] {
        for (resource, amount) in &quantity::resources(&limit[rule]) {
            let (request, limit) = (requests.get(resource), limits.get(resource));
            let bound = Bound { resource, of, amount: *amount, request, limit };
            problems.extend(match rule {
                "min" => bound.minimum(),
                "max" => bound.maximum(),
                _ => bound.ratio(),
            });
        }
    }
}

fn check_claim(limit: &Value, requests: &Resources, problems: &mut Vec<String>) {
    let of = "PersistentVolumeClaim";
    for rule in ["min", "max"] {
        for (resource, amount) in &quantity::resources(&limit[rule]) {
            let bound = Bound { resource, of, amount: *amount, request: requests.get(resource), limit: None };
            problems.extend(if rule == "min" { bound.minimum() } else { bound.maximum_request() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_outside_of_a_range_are_told_in_the_real_words() {
        let limit = json!({"type": "Container", "min": {"cpu": "100m"}, "max": {"memory": "1Gi"},
            "maxLimitRequestRatio": {"cpu": "2"}});
        let table = [
            (json!({"cpu": "100m"}), json!({"cpu": "200m", "memory": "1Gi"}), vec![]),
            (
                json!({"cpu": "50m"}),
                json!({"cpu": "100m", "memory": "1Gi"}),
                vec!["minimum cpu usage per Container is 100m, but request is 50m"],
            ),
            (
                json!({}),
                json!({}),
                vec![
                    "minimum cpu usage per Container is 100m.  No request is specified",
                    "maximum memory usage per Container is 1Gi.  No limit is specified",
                    "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
                ],
            ),
            (
                json!({"cpu": "100m", "memory": "2Gi"}),
                json!({"cpu": "250m", "memory": "1Gi"}),
                vec![
                    "maximum memory usage per Container is 1Gi, but request is 2Gi",
                    "cpu max limit to request ratio per Container is 2, but provided ratio is 2.500000",
                ],
            ),
        ];
        for (requests, limits, expected) in table {
            let mut problems = Vec::new();
            check_amounts(&limit, &quantity::resources(&requests), &quantity::resources(&limits), &mut problems);
            assert_eq!(problems, expected);
        }
    }
}
