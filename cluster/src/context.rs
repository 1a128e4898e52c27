//! The context in the user's kubeconfig, the same for every provider.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use engine::{
    Address, Context, Deployment, Discover, Discovered, Failure, Gone, Graph, GraphError, Held, Node, Observation,
    Resource, output,
};
use providers::kubeconfig;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{SECTION, failure};

/// The kind of node.
pub(crate) const KIND: &str = "kubeconfig-context";

/// What a `kubeconfig-context` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Inputs {
    /// The user's kubeconfig.
    pub(crate) file: PathBuf,
    /// The context's name.
    pub(crate) context: String,
    /// The deployment.
    pub(crate) deployment: String,
    /// The kubeconfig that holds the cluster's credentials.
    pub(crate) source: PathBuf,
    /// The API server's address. A cluster that was made anew has another one, which changes this node too.
    pub(crate) server: Value,
}

/// The behaviour of `kubeconfig-context`.
#[derive(Debug)]
pub(crate) struct KubeconfigContext;

#[async_trait]
impl Resource for KubeconfigContext {
    fn forces_replacement(&self, old: &Value, new: &Value) -> Option<String> {
        ["file", "context"].into_iter().find(|field| old[field] != new[field]).map(ToOwned::to_owned)
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        held.iter().map(|held| look(&held.node.inputs).unwrap_or_else(Observation::Unknown)).collect()
    }

    async fn create(&self, _context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        let current = kubeconfig::current_context(&inputs.source).map_err(failure::kubeconfig)?;
        let entry = kubeconfig::entry(&inputs.source, &current.unwrap_or_default()).map_err(failure::kubeconfig)?;
        let Some(entry) = entry else {
            return Err(Failure::from(format!("{} holds no credentials", inputs.source.display())).nothing_remains());
        };
        // A file that cannot be changed is left as it was.
        let merged = kubeconfig::merge(&inputs.file, &inputs.deployment, &inputs.context, &entry).await;
        merged.map_err(|error| failure::kubeconfig(error).nothing_remains())?;
        Ok(json!({ "context": inputs.context }))
    }

    async fn delete(&self, _context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        kubeconfig::remove(&inputs.file, &inputs.deployment, &inputs.context).await.map_err(failure::kubeconfig)?;
        let left = kubeconfig::contexts_of(&inputs.file, &inputs.deployment).map_err(failure::kubeconfig)?;
        if left.contains(&inputs.context) {
            return Err(format!("{} still has the context {}", inputs.file.display(), inputs.context).into());
        }
        Ok(vec![Gone::new("kubeconfig context", inputs.context)])
    }
}

/// Adds the context `name` in the user's kubeconfig `file` to the graph; it leads to `cluster`, whose credentials are in `source`.
pub(crate) fn declare(
    file: &Path,
    (name, deployment): (&str, &str),
    source: &Path,
    cluster: &Address,
    graph: &mut Graph,
) -> Result<Address, GraphError> {
    let mut node = node(file, (name, deployment), source, output(cluster, "server"));
    node.needs = vec![cluster.clone().into()];
    let address = node.address.clone();
    graph.add(node)?;
    Ok(address)
}

fn node(file: &Path, (name, deployment): (&str, &str), source: &Path, server: Value) -> Node {
    let mut node = Node::new(Address::new(KIND, name), format!("context {name} in {}", file.display()), SECTION);
    node.inputs = json!(Inputs {
        file: file.to_owned(),
        context: name.to_owned(),
        deployment: deployment.to_owned(),
        source: source.to_owned(),
        server,
    });
    node
}

/// The nodes of a deployment's contexts in the user's kubeconfig, by their mark there: without a journal, what is needed to take
/// them out. `source` is where the deployment's own kubeconfig would be; `clusters` are what the contexts lead to.
///
/// A user's kubeconfig that cannot be read holds none: it must not keep the rest from being found.
pub fn find(file: &Path, deployment: &str, source: &Path, clusters: &[Node]) -> Vec<Node> {
    let of_name = |name: String| {
        let mut node = node(file, (&name, deployment), source, Value::Null);
        let is_cluster = |node: &&Node| node.address.kind().ends_with("-cluster");
        node.needs = clusters.iter().filter(is_cluster).map(|node| node.address.clone().into()).collect();
        node
    };
    kubeconfig::contexts_of(file, deployment).unwrap_or_default().into_iter().map(of_name).collect()
}

/// Finds a deployment's contexts in the user's kubeconfig.
struct InKubeconfig(PathBuf);

/// Finds a deployment's contexts in the user's kubeconfig `file`, by their mark there.
pub fn discover(file: &Path) -> impl Discover + use<> {
    InKubeconfig(file.to_owned())
}

#[async_trait]
impl Discover for InKubeconfig {
    fn place(&self) -> String {
        format!("the contexts in {}", self.0.display())
    }

    async fn discover(&self, deployment: &Deployment, before: &[Discovered]) -> Result<Vec<Discovered>, Failure> {
        let clusters: Vec<Node> = before.iter().map(|found| found.node.clone()).collect();
        let server = before.iter().map(|found| &found.outputs["server"]).find(|server| server.is_string());
        let of_node = |mut node: Node| {
            node.inputs["server"] = server.cloned().unwrap_or_default();
            let outputs = json!({ "context": node.inputs["context"] });
            Discovered { node, outputs }
        };
        let contexts = find(&self.0, deployment.name(), &deployment.kubeconfig(), &clusters);
        Ok(contexts.into_iter().map(of_node).collect())
    }
}

/// Whether the user's file has the context as the private file has it.
fn look(inputs: &Value) -> Result<Observation, String> {
    let inputs = Inputs::deserialize(inputs).map_err(|error| error.to_string())?;
    let ours = kubeconfig::contexts_of(&inputs.file, &inputs.deployment).map_err(|error| error.to_string())?;
    if !ours.contains(&inputs.context) {
        return Ok(Observation::Absent);
    }
    let current = kubeconfig::current_context(&inputs.source).map_err(|error| error.to_string())?;
    let wanted = kubeconfig::entry(&inputs.source, &current.unwrap_or_default()).map_err(|error| error.to_string())?;
    let there = kubeconfig::entry(&inputs.file, &inputs.context).map_err(|error| error.to_string())?;
    // Without the private file there is nothing to compare with; the cluster's own node says what is wrong then.
    let same = wanted.is_none() || wanted == there;
    Ok(if same { Observation::AsRecorded } else { Observation::Changed("it leads to another cluster".into()) })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use engine::{Class, Remains, Sinks};

    use super::*;

    const SOURCE: &str = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster:\n    server: https://127.0.0.1:1\n\
        contexts:\n- name: c\n  context:\n    cluster: c\n    user: c\nusers:\n- name: c\n  user:\n    token: secret\n";

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            let home = Self(tempfile::tempdir().unwrap());
            fs::write(home.0.path().join("source"), SOURCE).unwrap();
            home
        }

        fn inputs(&self) -> Value {
            let path = |name| self.0.path().join(name);
            json!({ "file": path("config"), "context": "infra-demo", "deployment": "demo", "source": path("source"), "server": "s" })
        }

        fn held(&self) -> Held {
            let mut node = Node::new(Address::new(KIND, "infra-demo"), "", "");
            node.inputs = self.inputs();
            Held { node, outputs: Value::Null, state: engine::State::Present }
        }
    }

    fn run() -> Context {
        Context::detached("demo", Address::new(KIND, "infra-demo"), Sinks::default())
    }

    #[tokio::test]
    async fn what_was_created_is_as_recorded_and_gone_after_the_deletion() {
        let home = Home::new();
        let outputs = KubeconfigContext.create(&run(), &home.inputs()).await.unwrap();
        assert_eq!(outputs, json!({ "context": "infra-demo" }));
        assert_eq!(KubeconfigContext.observe(&[&home.held()]).await, [Observation::AsRecorded]);
        let gone = KubeconfigContext.delete(&run(), &home.inputs()).await.unwrap();
        assert_eq!(gone, [Gone::new("kubeconfig context", "infra-demo")]);
        assert_eq!(KubeconfigContext.observe(&[&home.held()]).await, [Observation::Absent]);
        assert!(!home.0.path().join("config").exists());
    }

    #[tokio::test]
    async fn deleting_what_was_never_created_succeeds() {
        let home = Home::new();
        KubeconfigContext.delete(&run(), &home.inputs()).await.unwrap();
    }

    #[tokio::test]
    async fn a_cluster_that_was_made_anew_shows_as_a_change() {
        let home = Home::new();
        KubeconfigContext.create(&run(), &home.inputs()).await.unwrap();
        fs::write(home.0.path().join("source"), SOURCE.replace("127.0.0.1:1", "127.0.0.1:2")).unwrap();
        assert!(matches!(KubeconfigContext.observe(&[&home.held()]).await[0], Observation::Changed(_)));
    }

    #[tokio::test]
    async fn a_context_of_somebody_else_is_foreign_and_nothing_remains() {
        let home = Home::new();
        fs::write(home.0.path().join("config"), SOURCE.replace("name: c", "name: infra-demo")).unwrap();
        let failure = KubeconfigContext.create(&run(), &home.inputs()).await.unwrap_err();
        assert_eq!((failure.class, failure.remains), (Class::Foreign, Remains::Nothing));
    }
}
