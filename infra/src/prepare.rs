//! From a scenario to a plan: load, lower, look at the world, decide. What `plan` and `apply` share.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;

use engine::{
    Address, Deployment, Existing, Graph, Inventory, Node, Observation, Plan, Registry, State, Wishes, plan_with,
};
use providers::kubernetes::Client;
use scenarios::{Lowered, Scenario, ServiceAddress};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::addressing::find_all;
use crate::arguments::{self, Provider, Values, Wanted, Which};
use crate::google;
use crate::report::{Problem, of_lowering, of_plan, of_report, print_report};
use crate::saved::SavedPlan;
use crate::session::registry;
use crate::settings::Settings;
use crate::which::{check_name, scenario_file};

/// A scenario that shall run somewhere, under a name.
pub struct Request {
    /// The scenario.
    pub scenario: Scenario,
    /// Its deployment.
    pub deployment: Deployment,
    /// Where, with what.
    pub target: arguments::Target,
    values: Values,
    wanted: Wanted,
    /// The saved plan that is to be carried out, where it is one.
    pub saved: Option<SavedPlan>,
}

/// What is wanted beyond the scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The only parts that are wanted; all where there is none.
    targets: BTreeSet<Address>,
    /// What is made anew.
    replace: BTreeSet<Address>,
    /// Whether what somebody else made is taken over.
    adopt: bool,
}

/// What a plan follows from, besides the journal.
pub struct Basis {
    /// What the scenario means.
    pub graph: Graph,
    /// What was seen of what is held.
    pub observed: BTreeMap<Address, Observation>,
    /// What is there already under the names of what is to be made.
    pub existing: BTreeMap<Address, Existing>,
}

/// Everything that is needed to carry a plan out.
pub struct Prepared {
    /// The deployment's name.
    pub name: String,
    /// Where it runs.
    pub provider: Provider,
    /// What is to be done.
    pub plan: Plan,
    /// The behaviour of everything in it.
    pub registry: Registry,
    /// Where the deployment's Services answer.
    pub addresses: Vec<ServiceAddress>,
    /// What looks wrong, or is different from what the scenario says.
    pub warnings: Vec<String>,
    /// What was wanted beyond the scenario.
    pub selection: Selection,
    /// How many steps that do something are no part of the plan, because only other ones are wanted.
    pub left_out: usize,
    /// What the plan follows from.
    pub basis: Basis,
    /// The cluster that is wanted, where it is one of GKE.
    pub gke: Option<cluster::gke_spec::Spec>,
}

impl Request {
    /// Loads the scenario; its problems are all reported at once.
    pub fn new(
        which: &Which,
        values: &Values,
        target: &arguments::Target,
        wanted: &Wanted,
        settings: &Settings,
    ) -> Result<Self, Problem> {
        let file = scenario_file(which)?;
        let said = scenarios::Values { said: values.set.clone(), ..scenarios::Values::default() };
        let scenario = scenarios::load_with(&file, &said).map_err(of_report)?;
        let name = which.name.clone().unwrap_or_else(|| scenario.name.clone());
        check_name(&name)?;
        let (values, target, wanted) = (values.clone(), target.clone(), wanted.clone());
        Ok(Self { deployment: settings.state.deployment(&name), scenario, target, values, wanted, saved: None })
    }

    /// The same for a saved plan, which says all that others say with options.
    pub fn of_saved(saved: SavedPlan, settings: &Settings) -> Result<Self, Problem> {
        let which = Which { scenario: Some(saved.scenario.clone()), name: Some(saved.deployment.clone()) };
        let request = Self::new(&which, &saved.values(), &saved.target(), &Wanted::default(), settings)?;
        Ok(Self { saved: Some(saved), ..request })
    }

    /// What was said of the scenario's variables.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The scenario with the values that hold for this deployment: what was said now, and else what was said before.
    fn scenario(&self, inventory: &Inventory) -> Result<Scenario, Problem> {
        let kept = scenarios::set_values(inventory);
        if kept.is_empty() {
            return Ok(self.scenario.clone());
        }
        let values = scenarios::Values { said: self.values.set.clone(), kept };
        scenarios::load_with(&self.scenario.file, &values).map_err(of_report)
    }

    /// The person's choice, or that of the saved plan.
    fn provider(&self, scenario: &Scenario, inventory: &Inventory, settings: &Settings) -> Result<Provider, Problem> {
        match &self.saved {
            Some(saved) => saved.provider(),
            None => Ok(provider_of(scenario, inventory, settings)),
        }
    }

    fn selection(&self, graph: &Graph, inventory: &Inventory) -> Result<Selection, Problem> {
        if let Some(saved) = &self.saved {
            return Ok(saved.selection.clone());
        }
        let nodes: Vec<&Node> = graph.nodes().chain(inventory.iter().map(|held| &held.node)).collect();
        let Wanted { targets, replace, adopt } = &self.wanted;
        Ok(Selection { targets: find_all(targets, &nodes)?, replace: find_all(replace, &nodes)?, adopt: *adopt })
    }
}

impl Prepared {
    /// What a plan is headed with.
    pub fn heading(&self) -> String {
        format!("{} on {}", self.name, self.provider.name())
    }
}

/// Where a scenario shall run and, where that is a cloud, the cluster that it wants there.
pub async fn cloud(
    request: &Request,
    inventory: &Inventory,
    settings: &Settings,
) -> Result<(Provider, Option<cluster::gke_spec::Spec>), Problem> {
    let scenario = request.scenario(inventory)?;
    let provider = request.provider(&scenario, inventory, settings)?;
    if provider != Provider::Gke {
        return Ok((provider, None));
    }
    let lowering = target_of(&request.deployment, &request.target, provider, inventory, settings);
    Ok((provider, scenarios::lower(&scenario, &lowering).await.map_err(of_lowering)?.gke))
}

/// Makes the plan. Changes nothing but caches. A saved plan is refused where this is not the same one any more.
pub async fn prepare(
    request: &Request,
    inventory: &Inventory,
    settings: &Settings,
    lock: Option<Arc<File>>,
) -> Result<Prepared, Problem> {
    let Request { deployment, target, .. } = request;
    let scenario = request.scenario(inventory)?;
    if !settings.json {
        print_report(&scenarios::Report { problems: Vec::new(), warnings: scenario.warnings.clone() });
    }
    let provider = request.provider(&scenario, inventory, settings)?;
    let lowering = target_of(deployment, target, provider, inventory, settings);
    let lowered = scenarios::lower(&scenario, &lowering).await.map_err(of_lowering)?;
    let Lowered { graph, vault, addresses, warnings, moved, gke } = lowered;
    let selection = request.selection(&graph, inventory)?;
    let is_google = provider == Provider::Gke || google::holds(inventory);
    let registry = registry(settings, &vault, lock, is_google)?;
    let observed = registry.observe(inventory).await;
    let existing = registry.existing(&graph, inventory, &observed).await;
    let (replace, adopt) = (selection.replace.clone(), selection.adopt);
    let wishes = Wishes { replace, moved, existing, adopt };
    let plan = plan_with(&graph, inventory, &observed, &registry, &wishes).map_err(of_plan)?;
    // What a destroy kept on purpose only a destroy deletes.
    let mut plan = plan.leaving(&inventory.kept().map(|held| held.node.address.clone()).collect());
    let all = changes(&plan);
    if !selection.targets.is_empty() {
        plan = plan.narrowed(&selection.targets);
    }
    let left_out = all - changes(&plan);
    let warnings = scenario
        .warnings
        .iter()
        .map(|warning| format!("{}: {}", warning.place(), warning.message))
        .chain(warnings)
        .collect();
    let basis = Basis { graph, observed, existing: wishes.existing };
    let name = deployment.name().to_owned();
    let prepared = Prepared { name, provider, plan, registry, addresses, warnings, selection, left_out, basis, gke };
    if let Some(saved) = &request.saved {
        saved.check(&prepared, inventory)?;
    }
    Ok(prepared)
}

/// How many steps do something.
fn changes(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| step.action.is_change()).count()
}

/// The person's choice, else where the deployment is (nobody is moved by a flag that was left out), else the scenario's choice,
/// else that of the surroundings, else the sandbox.
fn provider_of(scenario: &Scenario, inventory: &Inventory, settings: &Settings) -> Provider {
    let here = || {
        let mut kinds = inventory.iter().map(|held| held.node.address.kind());
        kinds.find_map(|kind| match kind {
            "sandbox-cluster" => Some(Provider::Sandbox),
            "kind-cluster" => Some(Provider::Kind),
            kind if google::is_google(kind) => Some(Provider::Gke),
            _ => None,
        })
    };
    let asked = || {
        scenario.provider.map(|provider| match provider {
            scenarios::Provider::Sandbox => Provider::Sandbox,
            scenarios::Provider::Kind => Provider::Kind,
            scenarios::Provider::Gke => Provider::Gke,
        })
    };
    settings.provider.or_else(here).or_else(asked).or(settings.usual_provider).unwrap_or(Provider::Sandbox)
}

fn target_of(
    deployment: &Deployment,
    target: &arguments::Target,
    provider: Provider,
    inventory: &Inventory,
    settings: &Settings,
) -> scenarios::Target {
    scenarios::Target {
        deployment: deployment.name().to_owned(),
        deployment_folder: deployment.folder().to_owned(),
        cache: settings.cache.clone(),
        provider: match provider {
            Provider::Sandbox => scenarios::Provider::Sandbox,
            Provider::Kind => scenarios::Provider::Kind,
            Provider::Gke => scenarios::Provider::Gke,
        },
        kind: target.kind.clone(),
        node_image: target.node_image.clone(),
        gcp: (provider == Provider::Gke).then(|| settings.google.target()),
        kubeconfig: settings.kubeconfig.clone(),
        // Only what is certainly there binds the plan: a cluster that was never finished may get other ports. A folder may hold
        // data all the same.
        held: inventory
            .iter()
            .filter(|held| held.state == State::Present || held.node.address.kind() == "node-folder")
            .map(|held| (held.node.address.clone(), held.node.inputs.clone()))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// Whether only a Docker Engine can make, hold or remove this.
pub fn needs_docker(node: &Node) -> bool {
    matches!(node.address.kind(), "kind-cluster" | "docker-network")
        || !node.inputs["spec"]["source"]["dockerfile"].is_null()
}

/// Where the Services of a deployment answer on this machine: those whose node port the cluster maps to a local one.
pub fn local_addresses(inventory: &Inventory) -> BTreeMap<String, String> {
    let clusters = inventory.iter().filter(|held| held.node.address.kind() == "kind-cluster");
    let mapped: Vec<&Value> = clusters.filter_map(|held| held.node.inputs["ports"].as_array()).flatten().collect();
    let services =
        inventory.iter().map(|held| &held.node.inputs["manifest"]).filter(|manifest| manifest["kind"] == "Service");
    let ports = services.flat_map(|service| {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        service["spec"]["ports"].as_array().into_iter().flatten().map(move |port| (name, port))
    });
    let asked = inventory.iter().map(|held| &held.node.inputs["manifest"]);
    let asked = asked.flat_map(|manifest| {
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
        let annotations = manifest["metadata"]["annotations"].as_object().into_iter().flatten();
        annotations.filter_map(move |(key, local_port)| {
            let port = key.strip_prefix("infra/local-port.")?;
            Some((format!("{name}:{port}"), format!("http://127.0.0.1:{}", local_port.as_str()?)))
        })
    });
    ports
        .filter_map(|(name, port)| {
            let mapping = mapped.iter().find(|mapping| mapping["node_port"] == port["nodePort"])?;
            Some((format!("{name}:{}", port["port"]), format!("http://127.0.0.1:{}", mapping["local_port"])))
        })
        .chain(asked)
        .collect()
}

/// Where the Services of a deployment answer that a cloud gave addresses.
pub async fn balanced_addresses(client: &Client, deployment: &str) -> Result<BTreeMap<String, String>, Problem> {
    let balancers = workloads::load_balancers(client, deployment).await?;
    let address = |it: workloads::LoadBalancer| {
        (format!("{}:{}", it.service, it.port), format!("http://{}", it.address.trim_end_matches(":80")))
    };
    Ok(balancers.into_iter().map(address).collect())
}
