//! Where deployments are kept: in a folder of this machine, or in a place that a team shares.

use std::path::{Path, PathBuf};

use engine::{Deployment, Inventory, Journal, Owner, StateFolder};

use providers::blobs;

use crate::report::{Exit, Problem, of_state};
use crate::shared::{Shared, SharedError};

/// The deployments.
///
/// Each has a folder of this machine, shared or not: for the private kubeconfig, the records of runs and a sandbox. The journal of
/// a shared one is in the shared place only.
pub struct State {
    local: StateFolder,
    shared: Option<Shared>,
}

impl State {
    /// In a folder of this machine.
    pub fn local(folder: PathBuf) -> Self {
        Self { local: StateFolder::new(folder), shared: None }
    }

    /// In a shared place, with the folders of this machine in `folder`.
    pub fn shared(folder: PathBuf, shared: Shared) -> Self {
        Self { local: StateFolder::new(folder), shared: Some(shared) }
    }

    /// The folder of this machine.
    pub fn path(&self) -> &Path {
        self.local.path()
    }

    /// The shared place, if it is one.
    pub fn place(&self) -> Option<&Shared> {
        self.shared.as_ref()
    }

    /// A deployment, which need not exist.
    pub fn deployment(&self, name: &str) -> Deployment {
        self.local.deployment(name)
    }

    /// All deployments with a journal, by name.
    pub async fn deployments(&self) -> Result<Vec<Deployment>, Problem> {
        match &self.shared {
            None => self.local.deployments().map_err(of_state),
            Some(shared) => {
                let names = shared.names().await.map_err(of_shared)?;
                Ok(names.iter().map(|name| self.local.deployment(name)).collect())
            }
        }
    }

    /// Whether a deployment has a journal.
    pub async fn has_journal(&self, deployment: &Deployment) -> Result<bool, Problem> {
        match &self.shared {
            None => Ok(deployment.journal().exists()),
            Some(shared) => Ok(!shared.journal(deployment.name()).await.map_err(of_shared)?.is_empty()),
        }
    }

    /// What the journal of a deployment says, wherever the deployment is. Needs no lock.
    pub async fn read(&self, deployment: &Deployment) -> Result<Inventory, Problem> {
        match &self.shared {
            None => Ok(Journal::read(&deployment.journal())?),
            Some(shared) => {
                let lines = shared.journal(deployment.name()).await.map_err(of_shared)?;
                Ok(Journal::replay(&shared.journal_path(deployment.name()), &lines)?)
            }
        }
    }

    /// What the journal of a deployment says that this machine can look at, too. Needs no lock.
    pub async fn inventory(&self, deployment: &Deployment) -> Result<Inventory, Problem> {
        let inventory = self.read(deployment).await?;
        self.is_within_reach(deployment, &inventory).await?;
        Ok(inventory)
    }

    /// Refuses a deployment whose cluster is local to another machine: what is looked for here and not found may well be there.
    pub async fn is_within_reach(&self, deployment: &Deployment, inventory: &Inventory) -> Result<(), Problem> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let is_local = |kind: &str| matches!(kind, "kind-cluster" | "sandbox-cluster" | "docker-network" | "image");
        if !inventory.iter().any(|held| is_local(held.node.address.kind())) {
            return Ok(());
        }
        match shared.home(deployment.name()).await.map_err(of_shared)? {
            Some(home) if Some(&home) != home_here(deployment).as_ref() => Err(elsewhere(deployment, &home)),
            _ => Ok(()),
        }
    }

    /// Makes this machine the home of a deployment that is held and of which nothing exists yet.
    pub async fn settle(&self, deployment: &Deployment, owner: &Owner) -> Result<(), Problem> {
        let Some(shared) = &self.shared else { return Ok(()) };
        std::fs::write(home_file(deployment), serde_json::to_string(owner)?)?;
        shared.settle(deployment.name(), owner).await.map_err(of_shared)
    }
}

/// The file that says which home of a deployment this machine is.
fn home_file(deployment: &Deployment) -> PathBuf {
    deployment.folder().join("home.json")
}

fn home_here(deployment: &Deployment) -> Option<Owner> {
    serde_json::from_str(&std::fs::read_to_string(home_file(deployment)).ok()?).ok()
}

fn elsewhere(deployment: &Deployment, home: &Owner) -> Problem {
    let (name, Owner { user, host, since, .. }) = (deployment.name(), home);
    Problem::usage(format!("reach {name}: {user}@{host} made its cluster on that machine, at {since}"))
        .exit(Exit::Foreign)
        .hint(format!("the clusters of kind and sandbox live on one machine; use infra on {host}, as {user}"))
}

/// The problem of a shared place.
pub fn of_shared(error: SharedError) -> Problem {
    match error {
        SharedError::State(error) => of_state(error),
        SharedError::Blobs(error @ blobs::Error::Call { .. }) => Problem::from(error)
            .hint("keys and endpoints are read from AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL, GOOGLE_SERVICE_ACCOUNT and the like"),
        SharedError::Journal(error) => Problem::from(error),
        error => Problem::from(error),
    }
}
