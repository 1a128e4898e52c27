//! The life of one pod as data: what happened goes in, what to do and what to tell comes out.
//!
//! Nothing here waits, reads a clock or touches a process, so that every order of events can be tried. The worker feeds
//! [`Happened`] values in, asks [`Machine::decide`] what to do, and writes [`Machine::status`] when it changed.

mod back_off;
mod conditions;
mod decide;
mod ending;
mod happened;
mod plan;
mod restore;
mod status;
#[cfg(test)]
mod tests;

pub use back_off::BackOff;
use jiff::Timestamp;
pub use plan::{Plan, Planned, ProbeKind, RestartPolicy, Role};
pub use status::CONTAINER_SCHEME;
use std::net::Ipv4Addr;

/// How one instance of a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Termination {
    /// The exit code; 128 + signal when a signal ended it.
    pub exit_code: i32,
    /// The signal, told when the process was ended by one.
    pub signal: Option<i32>,
    /// `Completed`, `Error`, `OOMKilled`, `StartError` or `Unknown`.
    pub reason: String,
    /// The termination message.
    pub message: Option<String>,
    /// When it started; the epoch when it never did.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The instance, with its scheme.
    pub container_id: String,
}

/// Why a container is not running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// `ErrImagePull`, `CrashLoopBackOff` and so on.
    pub reason: String,
    /// The details.
    pub message: Option<String>,
}

/// A running instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The instance, without scheme.
    pub id: String,
    /// When it started.
    pub since: Timestamp,
    /// Its start hook has not ended yet: neither started nor ready nor probed until then.
    pub hook: bool,
    /// The startup probe has succeeded, or there is none.
    pub started: bool,
    /// The readiness probe says so, or there is none.
    pub ready: bool,
    counters: [Counter; 3],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counter {
    success: bool,
    run: u32,
}

/// Where a container's instance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// There is none.
    Idle,
    /// One is being started.
    Starting,
    /// One runs.
    Running(Running),
    /// One still runs and was told to end.
    Stopping(Running),
}

/// The image of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedImage {
    /// As the pod's definition asked for it.
    pub asked: String,
    /// As it was found.
    pub found: FoundImage,
}

/// An image as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundImage {
    /// Its name in full.
    pub name: String,
    /// Its id.
    pub id: String,
}

/// One container of the pod and its history.
#[derive(Clone, Debug)]
pub struct Container {
    /// Where its instance is.
    pub life: Life,
    /// How its latest instance ended; none while one runs.
    pub exited: Option<Termination>,
    /// How the instance before that ended.
    pub last: Option<Termination>,
    /// Why it is not running.
    pub waiting: Option<Waiting>,
    /// How many instances came after the first one.
    pub restart_count: u32,
    /// How many instances were made.
    pub created: u32,
    /// The image that the latest instance was started with.
    pub image: Option<UsedImage>,
    /// The latest instance, without scheme.
    pub latest_id: Option<String>,
    restart_anyway: bool,
    back_off: BackOff,
    image_back_off: BackOff,
    retry_at: Option<Timestamp>,
    then_waiting: Option<(Timestamp, Waiting)>,
}

impl Container {
    fn new() -> Self {
        Self {
            life: Life::Idle,
            exited: None,
            last: None,
            waiting: None,
            restart_count: 0,
            created: 0,
            image: None,
            latest_id: None,
            restart_anyway: false,
            back_off: BackOff::default(),
            image_back_off: BackOff::default(),
            retry_at: None,
            then_waiting: None,
        }
    }

    /// The running instance, also when it was told to end.
    pub fn running(&self) -> Option<&Running> {
        match &self.life {
            Life::Running(running) | Life::Stopping(running) => Some(running),
            Life::Idle | Life::Starting => None,
        }
    }
}

/// The pod's own namespaces and volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Not made yet.
    Absent,
    /// Being made.
    Preparing,
    /// There.
    Ready(Ipv4Addr),
    /// Being taken away.
    Clearing,
    /// Taken away, for good.
    Cleared,
}

/// Why the whole pod ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The object has a deletion timestamp.
    Deleted {
        /// How long containers may take, in seconds.
        grace_seconds: i64,
    },
    /// The object is gone already: nobody is left to be told.
    Gone,
    /// The kubelet gives the pod up.
    Failed {
        /// The status's reason, like `DeadlineExceeded`.
        reason: String,
        /// The status's message.
        message: String,
    },
    /// The node stops; the pod's object stays as it is.
    NodeStops {
        /// How long containers may take, in seconds.
        grace_seconds: i64,
    },
}

/// What went wrong at the start of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFailure {
    /// The image cannot be had.
    Image {
        /// `ErrImagePull`, `InvalidImageName` or `ErrImageNeverPull`.
        reason: &'static str,
        /// The details.
        message: String,
    },
    /// Something that the container's definition refers to is missing.
    Config(String),
    /// The container cannot be made.
    Create(String),
    /// The container was made, and its program cannot be started.
    Run(String),
}

/// Something happened to the pod.
#[derive(Clone, Debug)]
pub enum Happened {
    /// Namespaces and volumes are there.
    Prepared(Ipv4Addr),
    /// They could not be made; to be tried again.
    NotPrepared,
    /// An instance runs.
    Started {
        /// Which container.
        index: usize,
        /// The instance.
        id: String,
        /// The image as found.
        image: FoundImage,
        /// The start hook runs now; [`Happened::Hook`] follows.
        hook: bool,
    },
    /// The start hook ended.
    Hook {
        /// Which container.
        index: usize,
        /// The instance.
        id: String,
        /// What went wrong, if anything.
        failed: Option<String>,
    },
    /// An instance could not be started.
    NotStarted {
        /// Which container.
        index: usize,
        /// Why.
        failure: StartFailure,
        /// The image as found, when that much worked.
        image: Option<FoundImage>,
    },
    /// An instance ended.
    Exited {
        /// Which container.
        index: usize,
        /// How.
        termination: Termination,
    },
    /// A probe answered.
    Probed {
        /// Which container.
        index: usize,
        /// The instance that was probed.
        id: String,
        /// Which probe.
        kind: ProbeKind,
        /// What it said.
        success: bool,
    },
    /// The pod ends.
    Ends(Ending),
    /// Something that starts may depend on has changed: try now what waits for another try.
    Retry,
    /// Namespaces and volumes are gone.
    Cleared,
}

/// What the worker is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make volumes and namespaces.
    Prepare,
    /// Start an instance.
    Start {
        /// Which container.
        index: usize,
        /// The number of the instance, which names its log.
        attempt: u32,
    },
    /// End an instance.
    Stop {
        /// Which container.
        index: usize,
        /// The instance.
        id: String,
        /// How long it may take, in seconds.
        grace_seconds: i64,
        /// The text of the event; none when this hurries an earlier stop.
        message: Option<String>,
    },
    /// Tell that a container is in back-off.
    TellBackOff {
        /// Which container.
        index: usize,
        /// Pulling its image, not restarting it.
        image: bool,
    },
    /// Tell that the deadline has passed.
    TellDeadline,
    /// Take namespaces and volumes away.
    Clear,
}

/// One pod's life.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What of the pod's definition matters here.
    pub plan: Plan,
    /// In the plan's order.
    pub containers: Vec<Container>,
    /// Namespaces and volumes.
    pub ground: Ground,
    /// The address, kept after the end.
    pub address: Option<Ipv4Addr>,
    /// When the kubelet first saw the pod.
    pub start_time: Timestamp,
    /// Why it ends, if it does.
    pub ending: Option<Ending>,
    initialized: bool,
    ending_since: Option<Timestamp>,
    told_grace: Option<i64>,
    prepare_delay_seconds: i64,
    prepare_at: Option<Timestamp>,
    wake: Option<Timestamp>,
}

impl Machine {
    /// A pod that was never seen before.
    pub fn new(plan: Plan, now: Timestamp) -> Self {
        let containers = plan.containers.iter().map(|_| Container::new()).collect();
        Self {
            plan,
            containers,
            ground: Ground::Absent,
            address: None,
            start_time: now,
            ending: None,
            initialized: false,
            ending_since: None,
            told_grace: None,
            prepare_delay_seconds: 0,
            prepare_at: None,
            wake: None,
        }
    }

    /// When to decide again although nothing happened; as of the latest decision.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.wake
    }

    /// Whether nothing will ever happen to this pod again.
    pub fn is_over(&self) -> bool {
        self.ground == Ground::Cleared
    }

    fn wake_by(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |other| other.min(at)));
    }

    /// The probes that should be running now: container, instance, since when, kind.
    pub fn wanted_probes(&self) -> Vec<(usize, &Running, ProbeKind)> {
        let mut wanted = Vec::new();
        for (index, (container, planned)) in self.containers.iter().zip(&self.plan.containers).enumerate() {
            let (Life::Running(running) | Life::Stopping(running)) = &container.life else { continue };
            if running.hook {
                continue;
            }
            let stopping = matches!(container.life, Life::Stopping(_)) || self.ending.is_some();
            for kind in ProbeKind::ALL {
                let due = match kind {
                    ProbeKind::Startup => !running.started && !stopping,
                    ProbeKind::Liveness => running.started && !stopping,
                    ProbeKind::Readiness => running.started,
                };
                if due && planned.probes[kind as usize].is_some() {
                    wanted.push((index, running, kind));
                }
            }
        }
        wanted
    }
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}
