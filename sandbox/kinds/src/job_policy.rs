//! What a job makes of pods that fail or succeed.

use crate::cause::Causes;
use crate::checks::{choice, named, not_negative};
use crate::names;
use crate::node::Node;
use serde_json::json;

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: &[&str] = &["In", "NotIn"];
const STATES: &[&str] = &["False", "True", "Unknown"];

/// Checks the policies of a job's specification.
pub(crate) fn validate(spec: &Node, causes: &mut Causes) {
    let (failure, success) = (spec.get("podFailurePolicy"), spec.get("successPolicy"));
    if failure.is_set() {
        let rules = failure.get("rules");
        if rules.items().count() > 20 {
            causes.too_many(&rules, 20);
        }
        rules.items().for_each(|rule| failure_rule(spec, &rule, causes));
    }
    if success.is_set() {
        success_policy(spec, &success, causes);
    }
    let replacement = spec.get("podReplacementPolicy");
    let supported: &[&str] = if failure.is_set() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    choice(&replacement, supported, causes);
}

/// A choice whose absence tells what could be chosen.
fn listed_choice(at: &Node, supported: &[&str], causes: &mut Causes) {
    if at.is_empty() {
        let quoted: Vec<String> = supported.iter().map(|each| format!("{each:?}")).collect();
        causes.required(at, &format!("valid values: [{}]", quoted.join(" ")));
    } else {
        choice(at, supported, causes);
    }
}

fn failure_rule(spec: &Node, rule: &Node, causes: &mut Causes) {
    let action = rule.get("action");
    if action.text() == "FailIndex" && !spec.get("backoffLimitPerIndex").is_set() {
        causes.invalid(&action, "requires the backoffLimitPerIndex to be set");
    } else {
        listed_choice(&action, ACTIONS, causes);
    }
    let (codes, conditions) = (rule.get("onExitCodes"), rule.get("onPodConditions"));
    if codes.is_set() {
        exit_codes(spec, &codes, causes);
    }
    if conditions.items().count() > 20 {
        causes.too_many(&conditions, 20);
    }
    for pattern in conditions.items() {
        named(&pattern.get("type"), names::qualified, causes);
        listed_choice(&pattern.get("status"), STATES, causes);
    }
    match (codes.is_set(), !conditions.is_empty()) {
        (true, true) => {
            causes.invalid_only(rule, "specifying both OnExitCodes and OnPodConditions is not supported");
        }
        (false, false) => causes.invalid_only(rule, "specifying one of OnExitCodes and OnPodConditions is required"),
        _ => {}
    }
}

fn exit_codes(spec: &Node, at: &Node, causes: &mut Causes) {
    let (operator, values, container) = (at.get("operator"), at.get("values"), at.get("containerName"));
    listed_choice(&operator, OPERATORS, causes);
    let (template, lists) = (spec.get("template"), ["containers", "initContainers"]);
    let pod = template.get("spec");
    let known = lists.iter().any(|list| pod.get(list).items().any(|each| each.get("name").value == container.value));
    if container.is_set() && !known {
        causes.invalid(&container, "must be one of the container or initContainer names in the pod template");
    }
    let codes: Vec<i64> = values.items().filter_map(|value| value.integer()).collect();
    if codes.is_empty() {
        causes.invalid(&values, "at least one value is required");
    } else if codes.len() > 255 {
        causes.too_many(&values, 255);
    }
    for (place, code) in codes.iter().enumerate() {
        if operator.text() == "In" && *code == 0 {
            causes.invalid(&values.index(place), "must not be 0 for the In operator");
        }
        if codes[..place].contains(code) {
            causes.duplicate(&values.index(place));
        }
    }
    if !codes.is_sorted() {
        causes.invalid(&values, "must be ordered");
    }
}

fn success_policy(spec: &Node, policy: &Node, causes: &mut Causes) {
    if spec.get("completionMode").text() != "Indexed" {
        let rule = |rule: Node| {
            let of = |field: &str| rule.get(field).value.clone();
            json!({"SucceededIndexes": of("succeededIndexes"), "SucceededCount": of("succeededCount")})
        };
        let rules = policy.get("rules");
        let shown = json!({"Rules": rules.items().map(rule).collect::<Vec<_>>()});
        causes.invalid_value(policy, shown, "requires indexed completion mode");
        return;
    }
    let rules = policy.get("rules");
    if rules.is_empty() {
        causes.required(&rules, "at least one rules must be specified when the successPolicy is specified");
    }
    if rules.items().count() > 20 {
        causes.too_many(&rules, 20);
    }
    let completions = spec.get("completions").integer().unwrap_or_default();
    for rule in rules.items() {
        let count = rule.get("succeededCount");
        if !count.is_set() && !rule.get("succeededIndexes").is_set() {
            causes.required(&rule, "at least one of succeededCount or succeededIndexes must be specified");
        }
        not_negative(&count, causes);
        if count.integer().is_some_and(|count| count > completions) {
            let wrong = format!("must be less than or equal to {completions} (the number of specified completions)");
            causes.invalid(&count, &wrong);
        }
    }
}
