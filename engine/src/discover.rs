use async_trait::async_trait;
use serde_json::Value;

use crate::{Deployment, Failure, Node};

/// Something of a deployment that was found in the world, without its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovered {
    /// The node, with the inputs that it was made with as far as the thing itself tells them.
    pub node: Node,
    /// What its create would have returned.
    pub outputs: Value,
}

/// Finds what a deployment made by name, label or mark, so that its journal can be written anew.
///
/// # Guarantees that an implementation gives
///
/// - What is found carries the deployment's mark, and the marks of others are left alone.
/// - Nothing is made anew and nothing is removed. What stands still may be started, where it could not be looked into otherwise.
/// - The inputs are such that an `apply` of what made the thing changes it in place at most.
#[async_trait]
pub trait Discover: Send + Sync {
    /// Where it looks, as a person calls it.
    fn place(&self) -> String;

    /// Everything of the deployment in this place. `before` is what was found in the places before this one: a cluster comes
    /// before what is in it. An error says that the place could not be looked into.
    async fn discover(&self, deployment: &Deployment, before: &[Discovered]) -> Result<Vec<Discovered>, Failure>;
}
