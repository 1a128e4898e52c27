use providers::kubernetes::{Client, Identity, Kind, KubernetesError, Selection};
use serde_json::Value;

use crate::manifest::DEPLOYMENT_LABEL;

/// A port of a service of type `LoadBalancer` that has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadBalancer {
    /// The service's namespace.
    pub namespace: String,
    /// The service.
    pub service: String,
    /// The service's port.
    pub port: u16,
    /// Where it answers, as `host:port`.
    pub address: String,
}

/// Where the services of type `LoadBalancer` of a deployment answer, as far as they have an address yet.
pub async fn load_balancers(client: &Client, deployment: &str) -> Result<Vec<LoadBalancer>, KubernetesError> {
    let ours = Selection::default().labels(format!("{DEPLOYMENT_LABEL}={deployment}"));
    let services = client.list(&Kind::new("v1", "Service"), &ours).await?;
    let of_service = |service: &Value| -> Vec<LoadBalancer> {
        let text = |name: &str| service["metadata"][name].as_str().unwrap_or_default().to_owned();
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let ports = ports.filter_map(|port| u16::try_from(port["port"].as_u64()?).ok());
        let reached = ports.filter_map(|port| Some((port, address(service, port)?)));
        let balancer =
            |(port, address)| LoadBalancer { namespace: text("namespace"), service: text("name"), port, address };
        reached.map(balancer).collect()
    };
    let balancers = services.iter().filter(|service| service["spec"]["type"] == "LoadBalancer");
    Ok(balancers.flat_map(of_service).collect())
}

/// Where a port of a service answers, once its load balancer has an address.
pub(crate) async fn find(
    client: &Client,
    namespace: &str,
    service: &str,
    port: u16,
) -> Result<Option<String>, KubernetesError> {
    let found = client.get(&Identity::new("v1", "Service", Some(namespace), service)).await?;
    Ok(found.and_then(|service| address(&service, port)))
}

/// `host:port`. A service of two ports has one address for both.
fn address(service: &Value, port: u16) -> Option<String> {
    let ingress = service.pointer("/status/loadBalancer/ingress/0")?;
    let host = ingress["ip"].as_str().or(ingress["hostname"].as_str())?;
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_load_balancer_answers_at_its_address_once_it_has_one() {
        let with = |ingress: Value| json!({ "status": { "loadBalancer": { "ingress": [ingress] } } });
        assert_eq!(address(&json!({ "status": { "loadBalancer": {} } }), 80), None);
        assert_eq!(address(&with(json!({ "ip": "203.0.113.7" })), 80).as_deref(), Some("203.0.113.7:80"));
        assert_eq!(address(&with(json!({ "ip": "2001:db8::7" })), 80).as_deref(), Some("[2001:db8::7]:80"));
        assert_eq!(address(&with(json!({ "hostname": "lb.example" })), 443).as_deref(), Some("lb.example:443"));
    }
}
