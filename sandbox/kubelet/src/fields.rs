//! Fields of the pod that a container or a volume asks for.

use crate::read::{container, name, namespace, text, uid};
use kinds::quantity::{self, Quantity};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What the fields are taken from.
pub struct Facts<'a> {
    /// The pod.
    pub pod: &'a Value,
    /// When the kubelet first saw the pod, as it notes that in the pod's annotations.
    pub seen: String,
    /// The pod's address, which its status may not tell yet.
    pub address: Option<Ipv4Addr>,
    /// The node's address.
    pub host_address: String,
    /// The node's allocatable resources, which stand for limits that are not set.
    pub allocatable: Arc<Value>,
}

/// The value of a `fieldPath`.
pub fn field(facts: &Facts<'_>, path: &str) -> Result<String, String> {
    let metadata = &facts.pod["metadata"];
    let address = || facts.address.map(|address| address.to_string()).unwrap_or_default();
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        return match map {
            "metadata.labels" => Ok(text(&metadata["labels"], key).to_owned()),
            "metadata.annotations" => Ok(text(&annotations(facts), key).to_owned()),
            _ => Err(format!("fieldPath \"{path}\" does not support subscript")),
        };
    }
    Ok(match path {
        "metadata.name" => name(facts.pod).to_owned(),
        "metadata.namespace" => namespace(facts.pod).to_owned(),
        "metadata.uid" => uid(facts.pod).to_owned(),
        "metadata.labels" => map(&metadata["labels"]),
        "metadata.annotations" => map(&annotations(facts)),
        "spec.nodeName" => text(&facts.pod["spec"], "nodeName").to_owned(),
        "spec.serviceAccountName" => text(&facts.pod["spec"], "serviceAccountName").to_owned(),
        "status.hostIP" | "status.hostIPs" => facts.host_address.clone(),
        "status.podIP" | "status.podIPs" => address(),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// The pod's annotations, and those that only its kubelet has.
fn annotations(facts: &Facts<'_>) -> Value {
    let mut all = facts.pod["metadata"]["annotations"].clone();
    all["kubernetes.io/config.seen"] = facts.seen.as_str().into();
    all["kubernetes.io/config.source"] = "api".into();
    all
}

/// One line for each entry, sorted, the values in quotation marks.
fn map(entries: &Value) -> String {
    let mut lines = entries
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={:?}", value.as_str().unwrap_or_default()))
        .collect::<Vec<_>>();
    lines.sort_unstable();
    lines.join("\n")
}

/// The value of a `resourceFieldRef` of `own`, unless it names another container.
pub fn resource(facts: &Facts<'_>, own: &Value, reference: &Value) -> Result<String, String> {
    let named = text(reference, "containerName");
    let owner = if named.is_empty() { Some(own) } else { container(facts.pod, named) };
    let owner = owner.ok_or_else(|| format!("container {named} not found"))?;
    let path = text(reference, "resource");
    let unsupported = || format!("unsupported container resource : {path}");
    let (kind, which) = path.split_once('.').ok_or_else(unsupported)?;
    let value = match kind {
        "limits" => owner["resources"]["limits"].get(which).or_else(|| facts.allocatable.get(which)),
        "requests" => owner["resources"]["requests"].get(which),
        _ => return Err(unsupported()),
    };
    let read = |value: &Value| quantity::from_value(value).map_err(|error| error.to_string());
    let value = value.map(read).transpose()?.unwrap_or_else(|| Quantity::from_units(0));
    let divisor = match &reference["divisor"] {
        Value::Null => Quantity::from_units(1),
        divisor => Some(read(divisor)?).filter(|divisor| !divisor.is_zero()).unwrap_or_else(|| Quantity::from_units(1)),
    };
    let quotient = if which == "cpu" {
        round_up(value.millis(), divisor.millis())
    } else {
        round_up(value.units(), divisor.units())
    };
    Ok(quotient.to_string())
}

fn round_up(value: i64, divisor: i64) -> i64 {
    let divisor = divisor.max(1);
    value / divisor + i64::from(value % divisor > 0)
}
