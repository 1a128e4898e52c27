use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Api;
use kube::api::ListParams;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Client, KubernetesError};

/// What a local port leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardTarget {
    /// A pod by name.
    Pod(String),
    /// A service by name: any ready pod behind it.
    Service(String),
}

/// A port of a pod or of a service, by number or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// By number.
    Number(u16),
    /// By name.
    Name(String),
    /// The only one, or the first.
    First,
}

/// A local port that leads into the cluster, until this is dropped.
pub struct Forward {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

/// How long a new connection waits for a pod to lead to.
const POD_WAIT: Duration = Duration::from_secs(5);

impl Forward {
    /// The local address, on 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    /// Opens a local port (0: any free one) that leads to a pod's port, without any program beside this one.
    ///
    /// Every connection looks for a ready pod anew, so that one that has died is replaced by its successor. Fails at once where
    /// the target or its port does not exist.
    pub async fn forward(
        &self,
        namespace: &str,
        target: &ForwardTarget,
        port: &Port,
        local_port: u16,
    ) -> Result<Forward, KubernetesError> {
        if let Err(error) = self.behind(namespace, target, port).await
            && !matches!(error, KubernetesError::NoPod(_))
        {
            return Err(error);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, local_port))
            .await
            .map_err(|source| KubernetesError::LocalPort { port: local_port, source })?;
        let address =
            listener.local_addr().map_err(|source| KubernetesError::LocalPort { port: local_port, source })?;
        let route = Arc::new(Route {
            client: self.clone(),
            namespace: namespace.to_owned(),
            target: target.clone(),
            port: port.clone(),
        });
        Ok(Forward { address, task: tokio::spawn(serve(listener, route)) })
    }

    /// A ready pod and its port behind a target.
    pub async fn behind(
        &self,
        namespace: &str,
        target: &ForwardTarget,
        port: &Port,
    ) -> Result<(String, u16), KubernetesError> {
        match target {
            ForwardTarget::Pod(name) => {
                let pod: Pod = self
                    .call(|connection| async move { Api::namespaced(connection.sdk, namespace).get(name).await })
                    .await?;
                let number = pod_port(&pod, port).ok_or_else(|| {
                    KubernetesError::NotFound(format!("pod {namespace}/{name} has no such port ({port:?})"))
                })?;
                Ok((name.clone(), number))
            }
            ForwardTarget::Service(name) => self.behind_service(namespace, name, port).await,
        }
    }

    async fn behind_service(&self, namespace: &str, name: &str, port: &Port) -> Result<(String, u16), KubernetesError> {
        let service: Service =
            self.call(|connection| async move { Api::namespaced(connection.sdk, namespace).get(name).await }).await?;
        let target = service_port(&service, port).ok_or_else(|| {
            KubernetesError::NotFound(format!("service {namespace}/{name} has no such port ({port:?})"))
        })?;
        let selector = service.spec.and_then(|spec| spec.selector).unwrap_or_default();
        let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if labels.is_empty() {
            return Err(KubernetesError::NotFound(format!("service {namespace}/{name} selects no pods")));
        }
        let parameters = &ListParams::default().labels(&labels.join(","));
        let pods = self
            .call(|connection| async move { Api::<Pod>::namespaced(connection.sdk, namespace).list(parameters).await })
            .await?;
        let ready = pods.items.into_iter().filter(is_ready).find_map(|pod| {
            let number = pod_port(&pod, &target)?;
            Some((pod.metadata.name?, number))
        });
        ready.ok_or_else(|| KubernetesError::NoPod(format!("no ready pod stands behind service {namespace}/{name}")))
    }
}

struct Route {
    client: Client,
    namespace: String,
    target: ForwardTarget,
    port: Port,
}

impl Route {
    /// Carries the bytes of one connection. An error closes it: whoever connected sees that and may connect again.
    async fn carry(&self, mut socket: TcpStream) -> Result<(), KubernetesError> {
        let (pod, port) = self.pod().await?;
        let (namespace, ports) = (&self.namespace, &[port]);
        let pod = &pod;
        let mut forwarder = self
            .client
            .call(|connection| async move {
                Api::<Pod>::namespaced(connection.upgrading, namespace).portforward(pod, ports).await
            })
            .await?;
        if let Some(mut stream) = forwarder.take_stream(port) {
            // Either side may hang up at any time; that is how a connection ends.
            let _ = tokio::io::copy_bidirectional(&mut socket, &mut stream).await;
        }
        forwarder.abort();
        Ok(())
    }

    async fn pod(&self) -> Result<(String, u16), KubernetesError> {
        let look = || async {
            match self.client.behind(&self.namespace, &self.target, &self.port).await {
                Ok(found) => Ok(crate::wait::Probe::Ready(found)),
                Err(KubernetesError::NoPod(reason)) => Ok(crate::wait::Probe::Pending(reason)),
                Err(error) => Err(error),
            }
        };
        crate::wait::until("a ready pod", POD_WAIT, Duration::from_millis(250), look).await.map_err(|error| match error
        {
            crate::wait::WaitError::Stopped(error) => error,
            timed_out @ crate::wait::WaitError::TimedOut { .. } => KubernetesError::NoPod(timed_out.to_string()),
        })
    }
}

async fn serve(listener: TcpListener, route: Arc<Route>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((socket, _)) = accepted {
                let route = route.clone();
                connections.spawn(async move { route.carry(socket).await });
            },
            // Collects ended connections, so that the set does not grow.
            Some(_) = connections.join_next() => {}
        }
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The pod's port that a service's port leads to.
fn service_port(service: &Service, wanted: &Port) -> Option<Port> {
    let ports = service.spec.as_ref()?.ports.as_ref()?;
    let found = ports.iter().find(|port| match wanted {
        Port::Number(number) => port.port == i32::from(*number),
        Port::Name(name) => port.name.as_ref() == Some(name),
        Port::First => true,
    })?;
    match &found.target_port {
        Some(IntOrString::String(name)) => Some(Port::Name(name.clone())),
        Some(IntOrString::Int(number)) => u16::try_from(*number).ok().map(Port::Number),
        None => u16::try_from(found.port).ok().map(Port::Number),
    }
}

fn pod_port(pod: &Pod, wanted: &Port) -> Option<u16> {
    let mut ports =
        pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|container| container.ports.iter().flatten());
    let found = match wanted {
        // A container may listen on ports that its manifest does not name.
        Port::Number(number) => return Some(*number),
        Port::Name(name) => ports.find(|port| port.name.as_ref() == Some(name)),
        Port::First => ports.next(),
    };
    u16::try_from(found?.container_port).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_named_target_port_is_looked_up_in_the_pod() {
        let service: Service = serde_json::from_value(json!({"spec": {"ports": [{"port": 80, "targetPort": "http"}]}}))
            .expect("a service");
        let pod: Pod = serde_json::from_value(
            json!({"spec": {"containers": [{"name": "a", "ports": [{"name": "http", "containerPort": 8080}]}]}}),
        )
        .expect("a pod");
        let target = service_port(&service, &Port::Number(80)).expect("a port");
        assert_eq!(target, Port::Name("http".into()));
        assert_eq!(pod_port(&pod, &target), Some(8080));
    }

    #[test]
    fn a_port_that_the_service_does_not_have_is_not_found() {
        let service: Service = serde_json::from_value(json!({"spec": {"ports": [{"port": 80}]}})).expect("a service");
        assert_eq!(service_port(&service, &Port::Number(81)), None);
        assert_eq!(service_port(&service, &Port::First), Some(Port::Number(80)));
    }
}
