//! Templates of pods, and the selectors that must fit them.

use super::validation;
use crate::cause::Causes;
use crate::checks::{self, labels, selects};
use crate::metadata;
use crate::node::Node;

/// A selector that is required and selects something.
pub(crate) fn required_selector(at: &Node, empty: &str, causes: &mut Causes) {
    if !at.is_set() {
        causes.required(at, "");
        return;
    }
    checks::selector(at, causes);
    if at.get("matchLabels").is_empty() && at.get("matchExpressions").is_empty() {
        causes.invalid_value(at, checks::shown(at.value), empty);
    }
}

/// The template of what keeps its pods running; its labels are selected.
pub(crate) fn restarting_template(spec: &Node, causes: &mut Causes) {
    let (template, selector) = (spec.get("template"), spec.get("selector"));
    let metadata = template.get("metadata");
    let labels = metadata.get("labels");
    if !checks::is_selector(&selector) {
        causes.invalid_value(&selector, checks::shown(selector.value), "invalid label selector");
        return;
    }
    let empty =
        selector.is_set() && selector.get("matchLabels").is_empty() && selector.get("matchExpressions").is_empty();
    always_restarting(&template, empty || selects(selector.value, labels.value), "ReplicaSet", causes);
}

/// As [`restarting_template`], when the selector has been looked at.
pub(crate) fn always_restarting(template: &Node, selected: bool, kind: &str, causes: &mut Causes) {
    let (metadata, spec) = (template.get("metadata"), template.get("spec"));
    let labels = metadata.get("labels");
    if !selected {
        causes.invalid_value(&labels, checks::shown(labels.value), "`selector` does not match template `labels`");
    }
    validate_template(template, causes);
    if spec.get("restartPolicy").text() != "Always" {
        causes.unsupported(&spec.get("restartPolicy"), &["Always"]);
    }
    let deadline = spec.get("activeDeadlineSeconds");
    if deadline.is_set() {
        causes.forbidden(&deadline, &format!("activeDeadlineSeconds in {kind} is not Supported"));
    }
}

/// A template of pods.
pub(crate) fn validate_template(template: &Node, causes: &mut Causes) {
    let (metadata, spec) = (template.get("metadata"), template.get("spec"));
    // Here the paths have no `metadata`, as in the API server's messages.
    labels(&template.get("labels").with(metadata.get("labels").value), causes);
    metadata::annotations(&template.get("annotations").with(metadata.get("annotations").value), causes);
    validation::specification(&spec, causes);
    let ephemeral = spec.get("ephemeralContainers");
    if !ephemeral.is_empty() {
        causes.forbidden(&ephemeral, "ephemeral containers not allowed in pod template");
    }
}
