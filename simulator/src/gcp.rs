//! Google Cloud.
//!
//! Every request goes one way: [`serve`] finds the method that its path is for and holds its fields against Google's tables
//! ([`fields`]), decides by the faults whether it gets that far, and gives it to its interface, which changes the [`world`]
//! under one lock. What takes real time (a cluster's Kubernetes) is done afterwards, outside of the lock ([`work`]).

mod accounts;
mod artifacts;
mod billing;
mod book;
mod call;
mod catalog;
mod compute;
mod container;
mod controllers;
mod fields;
mod filestore;
mod iam;
mod oauth;
mod operations;
mod prices;
mod projects;
mod quotas;
mod rates;
mod refusal;
mod registry;
mod resources;
mod serve;
mod services;
mod sim;
mod work;
mod world;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::clusters::Clusters;
use crate::faults::Faults;
use crate::ledger::Ledger;
use crate::{Options, gcp::world::World};

pub use projects::{Identity, Project};
pub(crate) use refusal::Refusal;
pub(crate) use serve::Request;

/// Google Cloud: the world, and what makes things outside of it.
pub(crate) struct Gcp {
    world: Mutex<World>,
    clock: Arc<Clock>,
    clusters: Arc<dyn Clusters>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Whether a call has met a fault since the faults were set.
    has_met_fault: watch::Sender<bool>,
}

impl Gcp {
    pub fn new(options: Options, address: SocketAddr, stop: CancellationToken, tasks: TaskTracker) -> Self {
        let clock = Arc::new(Clock::new(options.speed));
        let accounts = accounts::Accounts::new(options.tokens, options.anonymous, options.token_lifetime);
        let (base, ids) = (format!("http://{address}"), options.projects.clone());
        let projects = projects::Projects::new(options.projects);
        let mut world = World::new(Arc::clone(&clock), options.seed, base, projects, accounts);
        world.faults.set(options.faults);
        world.rates.enforced = options.rate_limits;
        for project in ids.iter().filter(|project| project.default_network) {
            compute::default_network(&mut world, &project.id);
        }
        let has_met_fault = watch::Sender::new(false);
        Self { world: Mutex::new(world), clock, clusters: options.clusters, stop, tasks, has_met_fault }
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The world as it is now.
    fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(self.clock.now());
        world
    }

    pub fn ledger(&self) -> Ledger {
        sim::ledger(&self.world())
    }

    pub fn set_faults(&self, faults: Faults) {
        self.world().faults.set(faults);
        self.has_met_fault.send_replace(false);
    }

    /// Returns when a call has met a fault since the faults were set.
    pub async fn fault(&self) {
        let mut met = self.has_met_fault.subscribe();
        // The sender is this one's: it lives.
        let _ = met.wait_for(|met| *met).await;
    }

    /// Stops the Kubernetes of every cluster that is there, or was on its way.
    pub async fn stop_clusters(&self) {
        let ids: Vec<String> = {
            let world = self.world();
            let clusters = world.things.values().filter(|thing| thing.kind == "clusters");
            clusters.filter_map(|thing| thing.body["id"].as_str().map(str::to_owned)).collect()
        };
        for id in ids {
            // Nobody is left to tell: what made the clusters knows what it has.
            let _ = self.clusters.stop(&id).await;
        }
    }
}
