//! Roles, in one namespace and everywhere.

use crate::cause::Causes;
use crate::checks;
use crate::names;
use crate::node::Node;
use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules { name: names::path_segment, validate, ..Rules::NONE };
pub(crate) static ROLE_RULES: Rules =
    Rules { name: names::path_segment, validate: |role, causes| rules(role, true, causes), ..Rules::NONE };

fn validate(role: &Node, causes: &mut Causes) {
    rules(role, false, causes);
    let aggregation = role.get("aggregationRule");
    let selectors = aggregation.get("clusterRoleSelectors");
    if aggregation.is_set() && selectors.is_empty() {
        causes.required(&selectors, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    }
    selectors.items().for_each(|each| checks::selector(&each, causes));
}

fn rules(role: &Node, in_namespace: bool, causes: &mut Causes) {
    let rules = role.get("rules");
    for rule in rules.items() {
        let (verbs, urls) = (rule.get("verbs"), rule.get("nonResourceURLs"));
        let (groups, resources) = (rule.get("apiGroups"), rule.get("resources"));
        if verbs.is_empty() {
            causes.required(&verbs, "verbs must contain at least one value");
        }
        if !urls.is_empty() {
            if in_namespace {
                causes.invalid(&urls, "namespaced rules cannot apply to non-resource URLs");
            }
            if !groups.is_empty() || !resources.is_empty() || !rule.get("resourceNames").is_empty() {
                causes.invalid(&urls, "rules cannot apply to both regular resources and non-resource URLs");
            }
            continue;
        }
        if groups.is_empty() {
            causes.required(&groups, "resource rules must supply at least one api group");
        }
        if resources.is_empty() {
            causes.required(&resources, "resource rules must supply at least one resource");
        }
    }
}
