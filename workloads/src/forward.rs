use providers::kubernetes::{Client, Forward, ForwardTarget, Identity, Kind, KubernetesError, Port, Selection};

use crate::manifest::DEPLOYMENT_LABEL;

/// What `forward` leads to, as a person writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted<'a> {
    kind: Option<&'a str>,
    name: &'a str,
    port: Port,
}

/// Opens a port on 127.0.0.1 that leads to a service or pod of a deployment, until the answer is dropped.
///
/// `target` is `service/name`, `pod/name` or a plain name (a service if there is one, else a pod), each with an optional `:port` by number or name.
/// Without a local port any free one is taken.
pub async fn forward(
    client: &Client,
    deployment: &str,
    target: &str,
    local_port: Option<u16>,
) -> Result<Forward, KubernetesError> {
    let wanted = parse(target);
    let (namespace, found) = find(client, deployment, &wanted).await?;
    client.forward(&namespace, &found, &wanted.port, local_port.unwrap_or(0)).await
}

fn parse(target: &str) -> Wanted<'_> {
    let (name, port) = target.rsplit_once(':').map_or((target, Port::First), |(name, port)| {
        (name, port.parse().map_or_else(|_| Port::Name(port.to_owned()), Port::Number))
    });
    let (kind, name) = name.split_once('/').map_or((None, name), |(kind, name)| (Some(kind), name));
    Wanted { kind, name, port }
}

async fn find(
    client: &Client,
    deployment: &str,
    wanted: &Wanted<'_>,
) -> Result<(String, ForwardTarget), KubernetesError> {
    let ours = Selection::default().labels(format!("{DEPLOYMENT_LABEL}={deployment}"));
    let kinds: &[&str] = match wanted.kind {
        None => &["Service", "Pod"],
        Some("service" | "services" | "svc") => &["Service"],
        Some("pod" | "pods" | "po") => &["Pod"],
        Some(other) => {
            return Err(KubernetesError::NotFound(format!(
                "{other:?} cannot be forwarded: say service/name or pod/name"
            )));
        }
    };
    let mut names = Vec::new();
    for kind in kinds {
        for found in client.list_metadata(&Kind::new("v1", *kind), &ours).await? {
            let (name, namespace) = (found.name.unwrap_or_default(), found.namespace.unwrap_or_default());
            if name == wanted.name {
                let target = if *kind == "Service" { ForwardTarget::Service(name) } else { ForwardTarget::Pod(name) };
                return Ok((namespace, target));
            }
            names.push(Identity::new("v1", kind, Some(&namespace), &name).to_string());
        }
    }
    let there = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Err(KubernetesError::NotFound(format!("{} in the deployment {deployment}; there is {there}", wanted.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_kind_a_name_and_a_port() {
        let wanted = |kind, name, port| Wanted { kind, name, port };
        assert_eq!(parse("server"), wanted(None, "server", Port::First));
        assert_eq!(parse("service/server:80"), wanted(Some("service"), "server", Port::Number(80)));
        assert_eq!(parse("pod/train-x:http"), wanted(Some("pod"), "train-x", Port::Name("http".into())));
    }
}
