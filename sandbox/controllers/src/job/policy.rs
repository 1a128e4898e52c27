//! A job's rules for pods that fail, and for when it has succeeded early.

use super::indexes::Indexes;
use crate::meta::{count, list, name, namespace, number, text};
use serde_json::Value;

/// What a job's rules say of a failed pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It counts as a failure.
    Counted,
    /// It does not count.
    Ignored,
    /// It counts, and its index has failed for good.
    IndexFailed,
    /// It counts, and the job has failed, with this message.
    JobFailed(String),
}

impl Verdict {
    /// Whether the failure counts against the limits.
    pub fn counts(&self) -> bool {
        *self != Self::Ignored
    }
}

/// What the first rule that fits a failed pod says.
pub fn verdict(job: &Value, pod: &Value) -> Verdict {
    let rules = list(job, "/spec/podFailurePolicy/rules").iter().enumerate();
    rules.into_iter().find_map(|(index, rule)| by_rule(index, rule, pod)).unwrap_or(Verdict::Counted)
}

fn by_rule(index: usize, rule: &Value, pod: &Value) -> Option<Verdict> {
    let what = if let Some(wanted) = rule.get("onExitCodes") {
        let status = container_with_code(pod, wanted)?;
        let code = count(status, "/state/terminated/exitCode");
        let (container, namespace, name) = (text(status, "/name"), namespace(pod), name(pod));
        format!("Container {container} for pod {namespace}/{name} failed with exit code {code}")
    } else {
        let condition = condition_wanted(pod, list(rule, "/onPodConditions"))?;
        format!("Pod {}/{} has condition {}", namespace(pod), name(pod), text(condition, "/type"))
    };
    let action = text(rule, "/action");
    match action {
        "Ignore" => Some(Verdict::Ignored),
        "FailIndex" => Some(Verdict::IndexFailed),
        "Count" => Some(Verdict::Counted),
        "FailJob" => Some(Verdict::JobFailed(format!("{what} matching {action} rule at index {index}"))),
        _ => None,
    }
}

fn container_with_code<'a>(pod: &'a Value, wanted: &Value) -> Option<&'a Value> {
    let fits = |status: &&Value| {
        let container = text(wanted, "/containerName");
        let Some(code) = number(status, "/state/terminated/exitCode") else {
            return false;
        };
        let listed = list(wanted, "/values").iter().any(|value| value.as_i64() == Some(code));
        let operator = match text(wanted, "/operator") {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        };
        (container.is_empty() || container == text(status, "/name")) && code != 0 && operator
    };
    let first = list(pod, "/status/containerStatuses").iter().find(fits);
    first.or_else(|| list(pod, "/status/initContainerStatuses").iter().find(fits))
}

fn condition_wanted<'a>(pod: &'a Value, patterns: &[Value]) -> Option<&'a Value> {
    let fits = |condition: &&Value| {
        patterns
            .iter()
            .any(|pattern| ["/type", "/status"].iter().all(|field| text(pattern, field) == text(condition, field)))
    };
    list(pod, "/status/conditions").iter().find(fits)
}

/// Why the job has succeeded although not all of its indexes have, if that is so.
pub fn early_success(job: &Value, succeeded: &Indexes, completions: usize) -> Option<String> {
    if succeeded.total() == 0 {
        return None;
    }
    let met = |rule: &Value| {
        let wanted_count = number(rule, "/succeededCount").and_then(|count| usize::try_from(count).ok());
        match rule.get("succeededIndexes").and_then(Value::as_str) {
            Some(indexes) => {
                let wanted = Indexes::parse(indexes, completions);
                let shared = wanted.shared_with(succeeded);
                wanted.total() > 0 && (shared == wanted.total() || wanted_count.is_some_and(|count| shared >= count))
            }
            None => wanted_count.is_some_and(|count| succeeded.total() >= count),
        }
    };
    let first = list(job, "/spec/successPolicy/rules").iter().position(met)?;
    Some(format!("Matched rules at index {first}"))
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)]
mod tests {
    use super::*;
    use serde_json::json;

    fn failed_with(code: i64) -> Value {
        json!({
            "metadata": {"namespace": "ns", "name": "p"},
            "status": {
                "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": code}}}],
                "conditions": [{"type": "DisruptionTarget", "status": "True"}],
            },
        })
    }

    fn with_rules(rules: Value) -> Value {
        json!({"spec": {"podFailurePolicy": {"rules": rules}}})
    }

    #[test]
    fn without_rules_every_failure_counts() {
        assert_eq!(verdict(&json!({}), &failed_with(1)), Verdict::Counted);
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let job = with_rules(json!([
            {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [3]}},
            {"action": "FailJob", "onExitCodes": {"containerName": "c", "operator": "NotIn", "values": [4]}},
            {"action": "FailIndex", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]));
        assert_eq!(verdict(&job, &failed_with(3)), Verdict::Ignored);
        let message = "Container c for pod ns/p failed with exit code 5 matching FailJob rule at index 1";
        assert_eq!(verdict(&job, &failed_with(5)), Verdict::JobFailed(message.to_owned()));
        assert_eq!(verdict(&job, &failed_with(4)), Verdict::IndexFailed);
    }

    #[test]
    fn success_comes_early_when_a_rule_is_met() {
        let job = json!({"spec": {"successPolicy": {"rules": [
            {"succeededIndexes": "0-2", "succeededCount": 2}, {"succeededCount": 3},
        ]}}});
        let early = |succeeded: &str| early_success(&job, &Indexes::parse(succeeded, 10), 10);
        assert_eq!(early("0"), None);
        assert_eq!(early("0,2"), Some("Matched rules at index 0".to_owned()));
        assert_eq!(early("5-7"), Some("Matched rules at index 1".to_owned()));
    }
}
