//! One deployment under work: its lock, its journal, the behaviour of everything, and a run with its events.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{
    Deployment, DeploymentLock, Event, Inventory, Journal, Outcome, Patience, Plan, Policy, Record, Registry, Sink,
    Sinks, Stop, StopHandle, execute,
};
use providers::kubernetes::{Client, Clients};
use workloads::Vault;

use crate::arguments::Wait;
use crate::google;
use crate::launcher::SelfLauncher;
use crate::record::{Planned, Recorder};
use crate::report::{Problem, of_state};
use crate::settings::Settings;
use crate::shared::{Lease, Shared, Terms};
use crate::state::of_shared;
use crate::view::progress::{JsonLines, Progress};
use crate::view::style;

/// How long a child of a killed run may go on before its deployment counts as held: `kind create cluster` on a slow machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// A deployment that this process works on.
pub struct Session {
    /// The deployment.
    pub deployment: Deployment,
    /// Its journal.
    pub journal: Journal,
    /// The record of this run.
    pub record: Recorder,
    asked: Asked,
    /// Given up before the lock.
    lease: Option<(Shared, Lease)>,
    lock: DeploymentLock,
}

/// What a run is for.
#[derive(Clone)]
pub struct Asked {
    /// `apply` or `destroy`.
    pub command: &'static str,
    /// The scenario's file, where there is one.
    pub scenario: Option<String>,
}

/// What came of a run, with its events.
pub struct Run {
    /// The outcome.
    pub outcome: Outcome,
    /// The events, without what programs printed.
    pub records: Vec<Record>,
}

impl Session {
    /// Makes the deployment's folder where it is missing, takes its lock and reads its journal.
    /// Where another run holds it, waits for it at most as long as `wait` says, and says for whom.
    pub async fn open(deployment: Deployment, asked: Asked, wait: Wait, settings: &Settings) -> Result<Self, Problem> {
        let lock = lock(&deployment, wait, settings)?;
        Self::locked(deployment, lock, asked, wait, settings).await
    }

    /// Begins the record of the run and reads the journal of a deployment whose lock is taken. A shared one is taken from other
    /// machines, too.
    pub async fn locked(
        deployment: Deployment,
        lock: DeploymentLock,
        asked: Asked,
        wait: Wait,
        settings: &Settings,
    ) -> Result<Self, Problem> {
        let record = Recorder::begin(settings, deployment.name(), asked.command, asked.scenario.clone())?;
        let opened = journal(&deployment, &lock, wait, settings).await;
        let (journal, lease) = opened.inspect_err(|problem| record.end(Err(problem)))?;
        Ok(Self { deployment, journal, record, asked, lease, lock })
    }

    /// The locked file, as standard input of child processes: they keep the deployment locked as long as they live.
    pub fn lock_file(&self) -> Result<Arc<File>, Problem> {
        Ok(Arc::new(self.lock.file()?))
    }

    /// Carries out what was decided, telling the person and the record of the run.
    pub async fn run(
        &mut self,
        plan: &Plan,
        registry: &Registry,
        policy: Policy,
        as_json: bool,
    ) -> Result<Run, Problem> {
        let view: Box<dyn Sink> =
            if as_json { Box::new(JsonLines) } else { Box::new(Progress::new(&Planned::all(plan))) };
        let sinks = Sinks::new(vec![Box::new(self.record.clone()), view]);
        let name = self.deployment.name().to_owned();
        let Asked { command, scenario } = self.asked.clone();
        sinks.emit(Event::RunBegan { deployment: name.clone(), command: command.to_owned(), scenario });
        let began = Instant::now();
        let stop = StopHandle::default();
        let signals = tokio::spawn(press_on_signals(stop.clone()));
        let outcome = execute(&name, plan, &mut self.journal, registry, &sinks, &stop, policy).await;
        signals.abort();
        let success = outcome.as_ref().is_ok_and(Outcome::is_success);
        sinks.emit(Event::RunEnded { success, seconds: began.elapsed().as_secs_f64() });
        self.record.remember(self.journal.inventory(), outcome.as_ref().ok());
        Ok(Run { outcome: outcome?, records: self.record.take_events() })
    }

    /// Removes the deployment's folder, which must not be needed any more, and gives the lock up.
    pub async fn remove(mut self) -> Result<(), Problem> {
        self.take_from_shared().await?;
        self.deployment.remove().map_err(of_state)?;
        drop(self.lock);
        Ok(())
    }

    /// Removes what a shared place holds of the deployment, and gives the lock up. The deployment's folder stays.
    pub async fn remove_shared(mut self) -> Result<(), Problem> {
        self.take_from_shared().await
    }

    async fn take_from_shared(&mut self) -> Result<(), Problem> {
        let Some((shared, lease)) = self.lease.take() else { return Ok(()) };
        shared.remove(self.deployment.name(), lease).await.map_err(of_shared)
    }
}

/// Opens the journal for this run alone: that of the folder whose lock it has, or that of the shared place.
async fn journal(
    deployment: &Deployment,
    lock: &DeploymentLock,
    wait: Wait,
    settings: &Settings,
) -> Result<(Journal, Option<(Shared, Lease)>), Problem> {
    let Some(shared) = settings.state.place() else { return Ok((Journal::open(&deployment.journal())?, None)) };
    let (name, dead) = (deployment.name(), lock.former());
    let terms = Terms { owner: &settings.owner, lease: settings.lease, wait: wait.longest(), dead };
    let lease = shared.lock(name, &terms, waiting).await.map_err(of_shared)?;
    let journal = shared.open(name, &lease).await.map_err(of_shared)?;
    if journal.inventory().last_number() == 0 {
        settings.state.settle(deployment, &settings.owner).await?;
    }
    settings.state.is_within_reach(deployment, journal.inventory()).await?;
    Ok((journal, Some((shared.clone(), lease))))
}

fn waiting(owner: &str) {
    anstream::eprintln!("{} waiting: {owner}", style::change("note:"));
}

/// Makes the deployment's folder where it is missing and takes its lock, as [`Session::open`] does it.
pub fn lock(deployment: &Deployment, wait: Wait, settings: &Settings) -> Result<DeploymentLock, Problem> {
    deployment.make().map_err(of_state)?;
    let patience = Patience { run: wait.longest(), child: PATIENCE };
    deployment.lock(&settings.owner, settings.lease, patience, waiting).map_err(of_state)
}

/// The behaviour of every kind that this program knows; that of Google's only where a deployment is there, or shall be. Children
/// that change the world hold `lock` open while they live.
pub fn registry(
    settings: &Settings,
    vault: &Vault,
    lock: Option<Arc<File>>,
    is_google: bool,
) -> Result<Registry, Problem> {
    let mut registry = Registry::default();
    cluster::kind::register(&mut registry, &settings.docker, lock.clone());
    cluster::sandbox::register(&mut registry, Arc::new(SelfLauncher));
    let mut images = images::Options {
        cache: settings.images(),
        lock,
        docker_config: settings.docker_config.clone(),
        ..images::Options::default()
    };
    if is_google {
        google::register(settings, &mut registry, &mut images)?;
    }
    images::register(&mut registry, &settings.docker, &images);
    scenarios::register(&mut registry);
    workloads::register(&mut registry, &clients(settings, is_google)?, vault);
    Ok(registry)
}

/// Clients of Kubernetes. Those of Google's clusters get their tokens from this process.
pub fn clients(settings: &Settings, is_google: bool) -> Result<Clients, Problem> {
    if is_google { google::clients(settings) } else { Ok(Clients::default()) }
}

/// The client of a deployment's cluster.
pub fn client(settings: &Settings, deployment: &Deployment, inventory: &Inventory) -> Result<Client, Problem> {
    Ok(clients(settings, google::holds(inventory))?.get(&deployment.kubeconfig()))
}

/// Turns interrupts into requests to stop, and says what each of them means.
async fn press_on_signals(stop: StopHandle) {
    while next_signal().await.is_ok() {
        match stop.press() {
            Stop::Abandon => anstream::eprintln!(
                "{} abandoning what runs; the same command goes on from here later",
                style::bad("stopping:")
            ),
            _ => anstream::eprintln!(
                "{} starting nothing new, letting what changes the world finish; once more to abandon it",
                style::change("stopping:")
            ),
        }
    }
}

/// The next interrupt from the keyboard, or a polite request to end.
pub async fn next_signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
