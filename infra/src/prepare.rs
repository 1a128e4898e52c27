//! From a scenario to a plan: load, lower, look at the world, decide. What `plan` and `apply` share.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use engine::{Deployment, Inventory, Plan, Registry, plan};
use scenarios::{Address, Lowered, Scenario};

use crate::arguments::{self, Which};
use crate::report::{Problem, of_report, print_report};
use crate::session::registry;
use crate::settings::Settings;
use crate::which::{check_name, scenario_file};

/// A scenario that shall run somewhere, under a name.
pub struct Request {
    /// The scenario.
    pub scenario: Scenario,
    /// Its deployment.
    pub deployment: Deployment,
    target: arguments::Target,
}

/// Everything that is needed to carry a plan out.
pub struct Prepared {
    /// The deployment's name.
    pub name: String,
    /// What is to be done.
    pub plan: Plan,
    /// The behaviour of everything in it.
    pub registry: Registry,
    /// Where the deployment's Services answer.
    pub addresses: Vec<Address>,
    scenario: Scenario,
}

impl Request {
    /// Loads the scenario; its problems are all reported at once.
    pub fn new(which: &Which, target: &arguments::Target, settings: &Settings) -> Result<Self, Problem> {
        let file = scenario_file(which)?;
        let scenario = scenarios::load(&file).map_err(of_report)?;
        let name = which.name.clone().unwrap_or_else(|| scenario.name.clone());
        check_name(&name)?;
        Ok(Self { deployment: settings.state.deployment(&name), scenario, target: target.clone() })
    }
}

impl Prepared {
    /// What a plan is headed with.
    pub fn heading(&self) -> String {
        format!("{} on kind", self.name)
    }

    /// What looks wrong in the scenario but does not stand in the way.
    pub fn warnings(&self) -> &[scenarios::Problem] {
        &self.scenario.warnings
    }
}

/// Makes the plan. Changes nothing but caches.
pub async fn prepare(request: Request, inventory: &Inventory, settings: &Settings, lock: Option<Arc<File>>) -> Result<Prepared, Problem> {
    let Request { scenario, deployment, target } = request;
    if !settings.json {
        print_report(&scenarios::Report { problems: Vec::new(), warnings: scenario.warnings.clone() });
    }
    let lowering = target_of(&deployment, &target, inventory, settings)?;
    // Reading and hashing what goes into images is blocking work.
    let (scenario, lowered) = tokio::task::spawn_blocking(move || {
        let lowered = scenarios::lower(&scenario, &lowering);
        (scenario, lowered)
    })
    .await?;
    let Lowered { graph, vault, addresses, .. } = lowered?;
    let registry = registry(settings, &target, vault, lock);
    let observed = registry.observe(inventory).await;
    let plan = plan(&graph, inventory, &observed, &registry)?;
    Ok(Prepared { name: deployment.name().to_owned(), plan, registry, addresses, scenario })
}

fn target_of(
    deployment: &Deployment,
    target: &arguments::Target,
    inventory: &Inventory,
    settings: &Settings,
) -> Result<scenarios::Target, Problem> {
    Ok(scenarios::Target {
        deployment: deployment.name().to_owned(),
        deployment_folder: deployment.folder().to_owned(),
        cache: settings.cache.clone(),
        kind: target.kind.clone(),
        node_image: target.node_image.clone(),
        kubeconfig: settings.kubeconfig.clone(),
        current_context: providers::kubeconfig::current_context(&settings.kubeconfig)?,
        held: inventory.iter().map(|held| (held.node.address.clone(), held.node.inputs.clone())).collect::<BTreeMap<_, _>>(),
    })
}

/// The path that is journalled as the scenario's.
pub fn absolute_file(scenario: &Scenario) -> Result<PathBuf, Problem> {
    Ok(std::path::absolute(&scenario.file)?)
}
