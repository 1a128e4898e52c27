//! Google Cloud on the wire, in one process, with one clock and faults on purpose.
//!
//! [`start`] serves, at one address, the paths of all of Google's interfaces that a cluster needs: Kubernetes Engine, Compute
//! Engine, Artifact Registry (with a working OCI registry), Service Usage, IAM, Resource Manager, Billing and the token endpoint.
//! Requests are held against the fields of Google's discovery documents. What takes time takes the time that it takes there,
//! on a clock that may run faster ([`Clock`]). What can go wrong there goes wrong here when it is told to ([`Faults`]).
//! Everything that ever existed is in the [`ledger`].
//!
//! The clusters' Kubernetes is not made here: [`Clusters`] makes it.

pub mod clock;
pub mod clusters;
pub mod faults;
mod gcp;
mod hash;
pub mod ledger;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;

use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use clock::Clock;
pub use clusters::{ClusterError, ClusterShape, Clusters, Kubernetes, NoClusters, NodeShape, Taint};
pub use faults::{Fault, FaultKind, Faults, LeaveBehind};
pub use gcp::{Identity, Project};
pub use ledger::{Call, Entry, Finished, Ledger, Rate};

/// How a simulator is to be.
pub struct Options {
    /// Where it listens; port 0 for a free one.
    pub listen: SocketAddr,
    /// Simulated seconds for each real one. With 0 the time stands still and only [`Running::skip`] moves it.
    pub speed: f64,
    /// Decides every number that Google would draw, and how long each operation takes within its range.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// What makes the Kubernetes behind each cluster.
    pub clusters: Arc<dyn Clusters>,
    /// The projects that exist. The first one is where the identities' service accounts are at home.
    pub projects: Vec<Project>,
    /// Whether requests without credentials, or with tokens that were never given out, are answered.
    pub anonymous: bool,
    /// Whether more calls in a minute of simulated time than Google takes by default are refused.
    pub rate_limits: bool,
    /// Tokens that are good for ever, with the e-mail address that each stands for.
    pub tokens: Vec<Identity>,
    /// How long a token of the token endpoint is good, in simulated time.
    pub token_lifetime: Duration,
}

impl Options {
    /// A free port of the loopback address, 60 times as fast, one project, no faults.
    pub fn new(clusters: Arc<dyn Clusters>) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            speed: 60.0,
            seed: 0,
            faults: Faults::default(),
            clusters,
            projects: vec![Project::new("demo")],
            anonymous: false,
            rate_limits: false,
            tokens: Vec::new(),
            token_lifetime: Duration::from_hours(1),
        }
    }
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be had.
    #[error("listen at {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

/// A simulator that runs. Dropped, it goes on until the runtime ends; [`Running::stop`] ends it.
pub struct Running {
    address: SocketAddr,
    gcp: Arc<gcp::Gcp>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Starts a simulator on the current runtime. It takes requests as soon as this returns.
///
/// # Errors
/// When the address cannot be had.
pub async fn start(options: Options) -> Result<Running, StartError> {
    let address = options.listen;
    let wrong = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let gcp = Arc::new(gcp::Gcp::new(options, address, stop.clone(), tasks.clone()));
    tasks.spawn(server::serve(listener, Arc::clone(&gcp), stop.clone()));
    Ok(Running { address, gcp, stop, tasks })
}

/// A look at a simulator. It keeps nothing running.
#[derive(Clone)]
pub struct Watch(Arc<gcp::Gcp>);

impl Watch {
    /// All that ever existed, and every call so far.
    pub fn ledger(&self) -> Ledger {
        self.0.ledger()
    }

    /// Returns when a call has met a fault since the faults were set.
    pub async fn fault(&self) {
        self.0.fault().await;
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of every interface, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        self.gcp.clock()
    }

    /// All that ever existed, and every call so far.
    pub fn ledger(&self) -> Ledger {
        self.gcp.ledger()
    }

    /// Something to look at it with, for others than its owner.
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.gcp))
    }

    /// Lets this much simulated time pass at once.
    pub fn skip(&self, time: Duration) {
        self.gcp.clock().skip(time);
    }

    /// What goes wrong from now on. What calls counted so far stays counted.
    pub fn set_faults(&self, faults: Faults) {
        self.gcp.set_faults(faults);
    }

    /// Stops to listen, gives up what is under way, and stops every cluster that is still there.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.gcp.stop_clusters().await;
    }
}
