//! What a pod's containers stand on: volumes, network, names.

use crate::read::{list, name, namespace, text, uid};
use crate::shared::Shared;
use crate::volumes::{self, Volumes};
use runtime::PodConfig;
use serde_json::Value;
use std::net::Ipv4Addr;

/// Makes volumes and namespaces; what goes wrong becomes an event.
pub async fn prepare(shared: &Shared, pod: &Value) -> Option<(Ipv4Addr, Volumes)> {
    if let Err(why) = volumes::attach(shared, pod) {
        shared.events.warning(pod, None, "FailedAttachVolume", &why);
        return None;
    }
    let volumes = match volumes::set_up(shared, pod).await {
        Ok(volumes) => volumes,
        Err(failure) => {
            shared.events.warning(pod, None, "FailedMount", &failure.message());
            return None;
        }
    };
    match shared.node.start_pod(config(shared, pod)).await {
        Ok(handle) => Some((handle.address, volumes)),
        Err(error) => {
            let message = format!("Failed to create pod sandbox: {error}");
            shared.events.warning(pod, None, "FailedCreatePodSandBox", &message);
            None
        }
    }
}

/// Takes namespaces and volumes away; logs stay.
pub async fn clear(shared: &Shared, pod: &Value) {
    // A node that has stopped has nothing left to take away.
    let _ = shared.node.stop_pod(uid(pod)).await;
    let _ = shared.node.remove_folder(&shared.pod_folder(uid(pod)).join("volumes")).await;
    shared.attachments.detach(uid(pod));
}

/// The host name of a pod.
fn hostname(pod: &Value) -> String {
    let own = text(&pod["spec"], "hostname");
    let full = if own.is_empty() { name(pod) } else { own };
    full.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_owned()
}

fn config(shared: &Shared, pod: &Value) -> PodConfig {
    let spec = &pod["spec"];
    let alias = |alias: &Value| {
        let names = list(&alias["hostnames"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Some((text(alias, "ip").parse().ok()?, names))
    };
    let sysctl = |each: &Value| (text(each, "name").to_owned(), text(each, "value").to_owned());
    PodConfig {
        id: uid(pod).to_owned(),
        hostname: hostname(pod),
        hosts: list(&spec["hostAliases"]).iter().filter_map(alias).collect(),
        resolv_conf: resolv_conf(spec, namespace(pod), shared.dns),
        sysctls: list(&spec["securityContext"]["sysctls"]).iter().map(sysctl).collect(),
    }
}

/// How the pod's programs look names up, by `dnsPolicy` and `dnsConfig`.
fn resolv_conf(spec: &Value, namespace: &str, dns: Ipv4Addr) -> String {
    let (mut servers, mut searches, mut options) = (Vec::new(), Vec::new(), Vec::new());
    match text(spec, "dnsPolicy") {
        "None" => {}
        "Default" => {
            let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
            let words = host.lines().filter_map(|line| line.split_once(' '));
            for (key, value) in words {
                match key {
                    "nameserver" => servers.push(value.to_owned()),
                    "search" => searches.extend(value.split_whitespace().map(str::to_owned)),
                    _ => {}
                }
            }
        }
        _ => {
            servers.push(dns.to_string());
            searches.push(format!("{namespace}.svc.cluster.local"));
            searches.extend(["svc.cluster.local".to_owned(), "cluster.local".to_owned()]);
            options.push("ndots:5".to_owned());
        }
    }
    let config = &spec["dnsConfig"];
    let texts =
        |field: &str| list(&config[field]).iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    servers.extend(texts("nameservers"));
    searches.extend(texts("searches"));
    for option in list(&config["options"]) {
        let (name, value) = (text(option, "name"), text(option, "value"));
        options.retain(|known: &String| known.split(':').next() != Some(name));
        options.push(if value.is_empty() { name.to_owned() } else { format!("{name}:{value}") });
    }
    let mut out = String::new();
    if !searches.is_empty() {
        out.extend(["search ", &searches.join(" "), "\n"]);
    }
    for server in &servers {
        out.extend(["nameserver ", server, "\n"]);
    }
    if !options.is_empty() {
        out.extend(["options ", &options.join(" "), "\n"]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_looked_up_in_the_cluster_unless_said_otherwise() {
        let dns = Ipv4Addr::new(10, 96, 0, 10);
        assert_eq!(
            resolv_conf(&json!({ "dnsPolicy": "ClusterFirst" }), "n", dns),
            "search n.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
        );
        let own = json!({ "dnsPolicy": "None", "dnsConfig": {
            "nameservers": ["1.2.3.4"], "searches": ["x"], "options": [{ "name": "ndots", "value": "2" }, { "name": "edns0" }] } });
        assert_eq!(resolv_conf(&own, "n", dns), "search x\nnameserver 1.2.3.4\noptions ndots:2 edns0\n");
    }

    #[test]
    fn long_host_names_are_cut_where_the_kubelet_cuts_them() {
        let pod = json!({ "metadata": { "name": format!("{}-{}", "a".repeat(62), "b".repeat(9)) } });
        assert_eq!(hostname(&pod), "a".repeat(62));
    }
}
