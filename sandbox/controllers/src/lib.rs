//! The sandbox's controllers: scheduler, jobs, deployments, endpoints, volumes, garbage.
//!
//! Each controller decides by pure functions of what there is and of the time; [`start`] runs them. All share one index
//! of the objects, fed by the API's changes: a change costs time for itself only, and nothing polls. Texts of events and
//! conditions are those of Kubernetes 1.34, since people and programs look for them.

mod action;
mod carry;
mod deployment;
mod endpoints;
mod events;
mod garbage;
mod hub;
mod index;
mod job;
mod meta;
mod namespaces;
mod ownership;
mod pods;
mod queue;
mod quota;
mod replicas;
mod scheduler;
mod small;
mod taints;
mod volumes;

pub use job::Pauses;
pub use small::LoadBalancer;
pub use volumes::{Folders, PROVISIONER, RemoveFolder};

use apiserver::Api;
use hub::{Controller, Hub};
use index::Id;
use jiff::Timestamp;
use kinds::Resource;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinSet;

pub use hub::Clock;

/// What the controllers need to know of their surroundings.
#[derive(Clone)]
pub struct Options {
    /// The clock.
    pub clock: Clock,
    /// Folders for claims of classes with the provisioner [`PROVISIONER`].
    pub folders: Folders,
    /// The certificate that signs the server's, as PEM, for each namespace's `kube-root-ca.crt`.
    pub certificate: String,
    /// Tells the address of a service of type `LoadBalancer`, once it can be reached.
    pub load_balancer: LoadBalancer,
    /// The pauses between failed pods of a job.
    pub job_pauses: Pauses,
}

impl Options {
    /// With volumes in folders below this one, the system's clock, and no load balancers.
    pub fn new(volumes: PathBuf, certificate: String) -> Self {
        Self {
            clock: Arc::new(Timestamp::now),
            folders: Folders::below(volumes),
            certificate,
            load_balancer: Arc::new(|_| None),
            job_pauses: Pauses::default(),
        }
    }
}

/// The running controllers. They stop when this is dropped.
pub struct Controllers {
    hub: Arc<Hub>,
    _tasks: JoinSet<()>,
}

impl Controllers {
    /// Looks at an object again as if it had changed, for instance at a service whose address is known now.
    pub fn look_again(&self, resource: &'static Resource, namespace: &str, name: &str) {
        self.hub.wake(&Id::new(resource, namespace, name));
    }
}

/// Starts all controllers.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn start(api: Api, options: Options) -> Controllers {
    let (recorder, recording) = events::Recorder::new();
    let controllers: Vec<Arc<dyn Controller>> = vec![
        Arc::new(scheduler::Scheduler::default()),
        Arc::new(job::Jobs::new(options.job_pauses)),
        Arc::new(deployment::Deployments),
        Arc::new(replicas::Replicas),
        Arc::new(endpoints::Endpoints),
        Arc::new(volumes::Volumes::new(options.folders)),
        Arc::new(namespaces::Namespaces),
        Arc::new(garbage::Garbage),
        Arc::new(quota::Quotas),
        Arc::new(small::Accounts { certificate: options.certificate }),
        Arc::new(small::LostPods),
        Arc::new(taints::Taints::default()),
        Arc::new(small::OldEvents),
        Arc::new(small::LoadBalancers { address: options.load_balancer }),
    ];
    let changes = api.changes();
    let hub = Arc::new(Hub::new(api.clone(), controllers, options.clock, recorder));
    let mut tasks = JoinSet::new();
    tasks.spawn(recording.write(api));
    hub.observe_all();
    tasks.spawn({
        let hub = hub.clone();
        async move { hub.follow(changes).await }
    });
    for post in 0..hub.posts() {
        let hub = hub.clone();
        tasks.spawn(async move { hub.work(post).await });
    }
    Controllers { hub, _tasks: tasks }
}
