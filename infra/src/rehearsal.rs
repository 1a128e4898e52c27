//! Rehearsals: a scenario goes the whole way in a simulated cloud, in this process, and back into nothing.

pub mod clusters;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use providers::gcp::{self, Credentials};
use serde_json::json;
use simulator::{Faults, Ledger, Options, Project, Running};
use tempfile::TempDir;

use crate::arguments::{self, Command, Provider, Values, Wait, Wanted, Which};
use crate::commands;
use crate::google::Google;
use crate::report::{Exit, Problem, of_report};
use crate::settings::Settings;
use crate::state::State;
use crate::view::{self, count, style};
use crate::which::{check_name, scenario_file};
use clusters::SandboxClusters;

/// Simulated seconds for each real one: a cluster that takes six minutes is there after six seconds.
const SPEED: f64 = 60.0;
/// How often a command is run at most that faults have made fail.
const MOST_TIMES: usize = 5;
/// The project where nobody names one.
const PROJECT: &str = "rehearsal";
/// The zone where nobody names one.
const ZONE: &str = "us-central1-a";
const ACCOUNT: &str = "rehearsal@example.com";

/// A simulated cloud with everything that a run of this process needs of it.
struct Stage {
    simulator: Running,
    settings: Settings,
    scenario: String,
    has_faults: bool,
    /// The deployments' folders and the clusters; goes with the rehearsal.
    _folder: TempDir,
}

/// One act of a rehearsal.
struct Act {
    name: &'static str,
    seconds: f64,
    exit: Result<Exit, Problem>,
}

impl Act {
    fn is_done(&self) -> bool {
        matches!(self.exit, Ok(Exit::Done))
    }

    fn print(&self, as_json: bool) {
        if let Err(problem) = &self.exit {
            problem.print(as_json);
        }
    }
}

/// Runs a command in a simulated cloud. All but those that only look apply the scenario before, and destroy it afterwards.
pub async fn run(command: Command, faults: Option<u64>, settings: Settings) -> Result<Exit, Problem> {
    let (which, values, target) = meant(&command)?;
    let stage = stage(&which, &values, faults, settings).await?;
    let settings = &stage.settings;
    let ended = match command {
        Command::Plan(command) => commands::plan::run(command, settings).await,
        Command::Preflight(command) => commands::preflight::run(command, settings).await,
        Command::Apply(apply) => stage.whole(arguments::Apply { yes: true, ..apply }, None).await,
        other => {
            let wanted = Wanted::default();
            let apply = arguments::Apply { which, values, target, wanted, yes: true, wait: Wait::default() };
            stage.whole(apply, Some(other)).await
        }
    };
    stage.simulator.stop().await;
    ended
}

/// The scenario that a command is about; only commands that are about one can be rehearsed.
fn meant(command: &Command) -> Result<(Which, Values, arguments::Target), Problem> {
    let target = || arguments::Target { kind: None, node_image: None };
    Ok(match command {
        Command::Apply(command) => (command.which.clone(), command.values.clone(), command.target.clone()),
        Command::Plan(command) => (command.which.clone(), command.values.clone(), command.target.clone()),
        Command::Preflight(command) => (command.which.clone(), command.values.clone(), command.target.clone()),
        Command::Status(command) => (command.which.clone(), Values::default(), target()),
        Command::Check(command) => (command.which.clone(), Values::default(), target()),
        Command::Logs(command) => (command.which.clone(), Values::default(), target()),
        Command::Destroy(command) => (command.which.clone(), Values::default(), target()),
        _ => {
            return Err(Problem::usage("rehearse this command: it is about no scenario")
                .hint("apply, plan, preflight, status, check, logs and destroy can be rehearsed"));
        }
    })
}

async fn stage(which: &Which, values: &Values, faults: Option<u64>, settings: Settings) -> Result<Stage, Problem> {
    if settings.provider.is_some_and(|provider| provider != Provider::Gke) {
        return Err(Problem::usage("rehearse on this provider: only clouds are rehearsed")
            .hint("leave --rehearse out: kind and sandbox cost nothing; or say --provider gke"));
    }
    let file = scenario_file(which)?;
    let values = scenarios::Values { said: values.set.clone(), ..scenarios::Values::default() };
    let scenario = scenarios::load_with(&file, &values).map_err(of_report)?;
    let name = which.name.clone().unwrap_or_else(|| scenario.name.clone());
    check_name(&name)?;
    let named = scenario.cluster.gke.project.clone().or_else(|| settings.google.project());
    let project = named.unwrap_or_else(|| PROJECT.to_owned());
    let location = settings.google.location().unwrap_or_else(|| ZONE.to_owned());
    let folder = tempfile::Builder::new().prefix("infra-rehearsal-").tempdir()?;
    let mut options = Options::new(Arc::new(SandboxClusters::new(folder.path().join("clusters"))));
    options.speed = SPEED;
    options.projects = vec![Project::new(&project)];
    if let Some(seed) = faults {
        (options.seed, options.faults) = (seed, Faults::by_seed(seed));
    }
    let simulator = simulator::start(options).await?;
    let google = gcp::Settings {
        project,
        // A login as a person has one, so that tokens expire and are renewed.
        credentials: Credentials::Json(json!({
            "type": "authorized_user", "client_id": PROJECT, "client_secret": PROJECT, "refresh_token": ACCOUNT,
        })),
        endpoint: Some(simulator.url()),
        pace: SPEED,
    };
    let settings = Settings {
        state: State::local(folder.path().join("state")),
        kubeconfig: folder.path().join("kubeconfig"),
        provider: Some(Provider::Gke),
        google: Google::rehearsed(google, Some(location)),
        ..settings
    };
    Ok(Stage { simulator, settings, scenario: name, has_faults: faults.is_some(), _folder: folder })
}

impl Stage {
    /// Applies, runs a further command where there is one, destroys, and tells what the cloud has seen of it.
    async fn whole(&self, apply: arguments::Apply, further: Option<Command>) -> Result<Exit, Problem> {
        let mut acts = self.until_done("apply", || commands::apply::run(apply.clone(), &self.settings)).await;
        if acts.last().is_some_and(Act::is_done) {
            acts.extend(self.further(further).await);
        }
        // What was refused before anything was made has left nothing to destroy.
        if self.settings.state.has_journal(&self.settings.state.deployment(&self.scenario)).await? {
            let which = Which { scenario: None, name: Some(self.scenario.clone()) };
            let (targets, keep_data) = (Vec::new(), false);
            let destroy = arguments::Destroy { which, targets, keep_data, yes: true, wait: Wait::default() };
            acts.extend(self.until_done("destroy", || commands::destroy::run(destroy.clone(), &self.settings)).await);
        }
        let ledger = self.simulator.ledger();
        self.tell(&acts, &ledger);
        // What failed and then went well was the same command again, as a person would type it.
        let settled = |act: &Act| acts.iter().rfind(|other| other.name == act.name).is_some_and(Act::is_done);
        let failed = acts.iter().position(|act| !settled(act));
        let failed = failed.map(|index| acts.swap_remove(index));
        match failed {
            // What went wrong was told when it did.
            Some(act) => Ok(act.exit.unwrap_or_else(|problem| problem.exit)),
            None if ledger.left().next().is_some() => Ok(Exit::Failed),
            None => Ok(Exit::Done),
        }
    }

    /// Runs a command and, while faults are asked for and it fails, the same one again, some times.
    async fn until_done<F: Future<Output = Result<Exit, Problem>>>(
        &self,
        name: &'static str,
        command: impl Fn() -> F,
    ) -> Vec<Act> {
        let mut acts: Vec<Act> = Vec::new();
        let most = if self.has_faults { MOST_TIMES } else { 1 };
        while acts.len() < most && !acts.last().is_some_and(Act::is_done) {
            if !self.settings.json && (name != "apply" || !acts.is_empty()) {
                println!();
            }
            let act = self.act(name, command()).await;
            act.print(self.settings.json);
            acts.push(act);
        }
        acts
    }

    async fn further(&self, command: Option<Command>) -> Option<Act> {
        let settings = &self.settings;
        Some(match command? {
            Command::Status(command) => self.act("status", commands::status::run(command, settings)).await,
            Command::Check(command) => self.act("check", commands::check::run(command, settings)).await,
            Command::Logs(command) => self.act("logs", commands::logs::run(command, settings)).await,
            Command::Destroy(command) if command.keep_data => {
                let destroy = arguments::Destroy { yes: true, ..command };
                self.act("keep", commands::destroy::run(destroy, settings)).await
            }
            _ => return None,
        })
    }

    async fn act(&self, name: &'static str, command: impl Future<Output = Result<Exit, Problem>>) -> Act {
        let began = Instant::now();
        let exit = Box::pin(command).await;
        Act { name, seconds: began.elapsed().as_secs_f64() * SPEED, exit }
    }

    fn tell(&self, acts: &[Act], ledger: &Ledger) {
        let left: Vec<&str> = ledger.left().map(|entry| entry.name.as_str()).collect();
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in &ledger.entries {
            *kinds.entry(&entry.kind).or_default() += 1;
        }
        let faults = ledger.calls.iter().filter(|call| call.fault.is_some()).count();
        if self.settings.json {
            let acts: BTreeMap<&str, f64> = acts.iter().map(|act| (act.name, act.seconds)).collect();
            println!(
                "{}",
                json!({ "event": "rehearsed", "deployment": self.scenario, "speed": SPEED, "acts": acts,
                "made": kinds, "left": left, "calls": ledger.calls_total, "faults": faults, "cost": ledger.cost() })
            );
            return;
        }
        anstream::println!("\n{}", style::bold(format!("rehearsal of {}, {SPEED} times as fast", self.scenario)));
        for act in acts {
            let mark = if act.is_done() { style::good("✓") } else { style::bad("✗") };
            anstream::println!("  {mark} {:<9} {} on the cloud's clock", act.name, view::duration(act.seconds));
        }
        let made: Vec<String> = kinds.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
        anstream::println!("    made      {}: {}", count(ledger.entries.len(), "thing"), made.join(", "));
        anstream::println!("    calls     {}, of which {faults} met a fault", ledger.calls_total);
        anstream::println!("    cost      {:.2} USD by list prices", ledger.cost().abs());
        if left.is_empty() {
            anstream::println!("  {} nothing is left", style::good("✓"));
        } else {
            anstream::println!(
                "  {} {}: {}",
                style::bad("✗ left behind:"),
                count(left.len(), "thing"),
                left.join(", ")
            );
        }
    }
}
