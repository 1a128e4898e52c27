//! Probes and hooks of containers.

use crate::cause::Causes;
use crate::checks::{all_not_negative, choice, named, port, required_text};
use crate::names;
use crate::node::Node;

const NUMBERS: [&str; 5] =
    ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
const SCHEMES: &[&str] = &["HTTP", "HTTPS"];

/// Checks the three probes and the two hooks of a container.
pub(super) fn validate(container: &Node, grace_seconds: i64, causes: &mut Causes) {
    let lifecycle = container.get("lifecycle");
    for hook in ["postStart", "preStop"] {
        if lifecycle.get(hook).is_set() {
            handler(&lifecycle.get(hook), grace_seconds, causes);
        }
    }
    if lifecycle.get("stopSignal").is_set() {
        let text = "the sandbox ends containers by the signal of their image; leave it out";
        causes.forbidden(&lifecycle.get("stopSignal"), text);
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = container.get(name);
        if !probe.is_set() {
            continue;
        }
        handler(&probe, grace_seconds, causes);
        all_not_negative(&probe, &NUMBERS, causes);
        let grace = probe.get("terminationGracePeriodSeconds");
        if grace.integer().is_some_and(|seconds| seconds <= 0) {
            causes.invalid(&grace, "must be greater than 0");
        }
        if name == "readinessProbe" {
            if grace.is_set() {
                causes.invalid(&grace, "must not be set for readinessProbes");
            }
        } else if probe.get("successThreshold").integer() != Some(1) {
            causes.invalid(&probe.get("successThreshold"), "must be 1");
        }
    }
}

fn handler(at: &Node, grace_seconds: i64, causes: &mut Causes) {
    let mut handlers = 0;
    for name in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let action = at.get(name);
        if !action.is_set() {
            continue;
        }
        handlers += 1;
        if handlers > 1 {
            causes.forbidden(&action, "may not specify more than 1 handler type");
            continue;
        }
        match name {
            "exec" => {
                required_text(&action.get("command"), causes);
            }
            "httpGet" => http_get(&action, causes),
            "tcpSocket" => port(&action.get("port"), causes),
            "grpc" => causes.forbidden(&action, "the sandbox has no gRPC probes; use httpGet, tcpSocket or exec"),
            _ => sleep(&action, grace_seconds, causes),
        }
    }
    if handlers == 0 {
        causes.required(at, "must specify a handler type");
    }
}

fn http_get(at: &Node, causes: &mut Causes) {
    required_text(&at.get("path"), causes);
    port(&at.get("port"), causes);
    choice(&at.get("scheme"), SCHEMES, causes);
    let headers = at.get("httpHeaders");
    for header in headers.items() {
        named(&headers.with(header.get("name").value), names::header, causes);
    }
}

fn sleep(at: &Node, grace_seconds: i64, causes: &mut Causes) {
    let seconds = at.get("seconds");
    let number = seconds.integer().unwrap_or_default();
    if number < 0 || number > grace_seconds {
        let text = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace_seconds})");
        causes.invalid_value(at, number, &text);
    }
}
