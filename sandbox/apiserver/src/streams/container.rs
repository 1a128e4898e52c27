//! Which container of a pod is meant.

use serde_json::Value;

use crate::Status;

/// The container that a request names, or the only one. The container is there.
pub(crate) fn choose(pod: &Value, wanted: Option<&str>) -> Result<String, Status> {
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let names = |list: &str| -> Vec<&str> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.filter_map(|container| container["name"].as_str()).collect()
    };
    let (main, all) = (names("containers"), [names("initContainers"), names("containers")].concat());
    match (wanted, main.as_slice()) {
        (Some(wanted), _) if all.contains(&wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => Err(Status::bad_request(format!("container {wanted} is not valid for pod {pod_name}"))),
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => Err(Status::bad_request(format!(
            "a container name must be specified for pod {pod_name}, choose one of: [{}]",
            all.join(" ")
        ))),
    }
}

/// Refuses a pod that no node runs yet.
pub(crate) fn on_node(pod: &Value) -> Result<(), Status> {
    if pod["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty()) {
        return Ok(());
    }
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    Err(Status::bad_request(format!("pod {name} does not have a host assigned")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_is_chosen_as_the_real_server_does() {
        let one = json!({"metadata": {"name": "one"}, "spec": {"containers": [{"name": "a"}]}});
        let two = json!({"metadata": {"name": "two"}, "spec": {
            "initContainers": [{"name": "setup"}], "containers": [{"name": "a"}, {"name": "b"}]}});
        let table = [
            (&one, None, Ok("a")),
            (&one, Some("a"), Ok("a")),
            (&one, Some("b"), Err("container b is not valid for pod one")),
            (&two, Some("setup"), Ok("setup")),
            (&two, None, Err("a container name must be specified for pod two, choose one of: [setup a b]")),
        ];
        for (pod, wanted, expected) in table {
            let chosen = choose(pod, wanted).map_err(|status| status.message);
            assert_eq!(chosen, expected.map(str::to_owned).map_err(str::to_owned), "{wanted:?}");
        }
    }
}
