use std::collections::BTreeMap;

use async_trait::async_trait;
use engine::{Class, Context, Failure, Gone, Held, Observation, Resource};
use futures::future::join_all;
use providers::docker::{Docker, Network};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{DEPLOYMENT_LABEL, failure};

/// The kind of node.
pub(super) const KIND: &str = "docker-network";

#[derive(Debug, Deserialize)]
struct Inputs {
    name: String,
    deployment: String,
}

impl Inputs {
    fn owns(&self, network: &Network) -> bool {
        network.labels.get(DEPLOYMENT_LABEL) == Some(&self.deployment)
    }
}

/// The behaviour of `docker-network`: a network that carries the deployment's label.
#[derive(Debug)]
pub(super) struct DockerNetwork {
    docker: Docker,
}

impl DockerNetwork {
    pub(super) fn new(docker: Docker) -> Self {
        Self { docker }
    }

    async fn look(&self, inputs: &Value) -> Observation {
        let Ok(inputs) = Inputs::deserialize(inputs) else {
            return Observation::Unknown("its inputs cannot be read".to_owned());
        };
        match self.docker.network(&inputs.name).await {
            Ok(Some(network)) if inputs.owns(&network) => Observation::AsRecorded,
            // A network of somebody else in its place: ours is gone.
            Ok(_) => Observation::Absent,
            Err(error) => Observation::Unknown(error.to_string()),
        }
    }
}

#[async_trait]
impl Resource for DockerNetwork {
    fn forces_replacement(&self, old: &Value, new: &Value) -> Option<String> {
        (old["name"] != new["name"]).then(|| "name".to_owned())
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        join_all(held.iter().map(|held| self.look(&held.node.inputs))).await
    }

    async fn create(&self, _context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        match self.docker.network(&inputs.name).await.map_err(failure::docker)? {
            Some(network) if inputs.owns(&network) => {}
            Some(_) => {
                let failure = Failure::from(format!(
                    "make network {}: a network of this name exists that infra did not make",
                    inputs.name
                ));
                let hint = format!(
                    "choose another deployment name, or remove it if nobody needs it: `docker network rm {}`",
                    inputs.name
                );
                return Err(failure.class(Class::Foreign).hint(hint).nothing_remains());
            }
            None => {
                let labels = BTreeMap::from([(DEPLOYMENT_LABEL.to_owned(), inputs.deployment.clone())]);
                self.docker.create_network(&inputs.name, &labels).await.map_err(failure::docker)?;
            }
        }
        Ok(json!({ "name": inputs.name }))
    }

    async fn delete(&self, _context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        let Some(network) = self.docker.network(&inputs.name).await.map_err(failure::docker)? else {
            return Ok(vec![Gone::new("network", inputs.name)]);
        };
        if !inputs.owns(&network) {
            return Ok(Vec::new());
        }
        if !network.containers.is_empty() {
            let failure = Failure::from(format!(
                "remove network {}: containers still use it: {}",
                inputs.name,
                network.containers.join(", ")
            ));
            return Err(failure.hint("remove or disconnect these containers, then destroy again"));
        }
        self.docker.remove_network(&network.id).await.map_err(failure::docker)?;
        match self.docker.network(&inputs.name).await.map_err(failure::docker)? {
            Some(network) if inputs.owns(&network) => {
                Err(format!("network {} was removed and is still there", inputs.name).into())
            }
            _ => Ok(vec![Gone::new("network", inputs.name)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::{Address, Sinks};
    use providers::docker::Settings;

    use super::*;

    #[tokio::test]
    async fn without_docker_the_failure_says_what_was_tried_and_what_to_do() {
        let settings = Settings { host: Some("unix:///no/such/docker.sock".to_owned()), ..Settings::default() };
        let network = DockerNetwork::new(Docker::new(settings));
        let context = Context::detached("demo", Address::new(KIND, "infra-demo"), Sinks::default());
        let inputs = json!({ "name": "infra-demo", "deployment": "demo" });
        let failure = network.create(&context, &inputs).await.unwrap_err();
        assert_eq!(failure.class, Class::Missing);
        let expected = "reach a Docker Engine\n    unix:///no/such/docker.sock: there is no such socket";
        assert_eq!(failure.causes(), [expected]);
        assert!(failure.hint.unwrap().contains("start Docker"));
    }
}
