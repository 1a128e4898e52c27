use async_trait::async_trait;
use engine::{Context, Failure, Gone, Held, Observation, Resource};
use futures::future::join_all;
use providers::gcp::Gcp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::failure;

/// The kind of node.
pub(super) const KIND: &str = "gcp-service";

/// What a `gcp-service` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub project: String,
    pub service: String,
}

/// The behaviour of `gcp-service`: an API that is enabled. It stays so: others may use it by now.
#[derive(Debug)]
pub(super) struct Services(pub Gcp);

#[async_trait]
impl Resource for Services {
    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let looks = held.iter().map(|held| async move {
            let Ok(inputs) = Inputs::deserialize(&held.node.inputs) else {
                return Observation::Unknown("its inputs cannot be read".to_owned());
            };
            match self.0.for_project(&inputs.project).api_is_enabled(&inputs.service).await {
                Ok(true) => Observation::AsRecorded,
                Ok(false) => Observation::Absent,
                Err(error) => Observation::Unknown(error.to_string()),
            }
        });
        join_all(looks).await
    }

    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        let gcp = self.0.for_project(&inputs.project);
        let fail = |error| failure::of(format!("enable the API {}", inputs.service), error).nothing_remains();
        if !gcp.api_is_enabled(&inputs.service).await.map_err(fail)? {
            context.progress("enabling; it takes about half a minute to work");
            gcp.enable_api(&inputs.service).await.map_err(fail)?;
        }
        Ok(json!({ "service": inputs.service }))
    }

    async fn delete(&self, _context: &Context, _inputs: &Value) -> Result<Vec<Gone>, Failure> {
        Ok(Vec::new())
    }
}
