//! What of a pod's definition matters to its life.

use serde_json::Value;

/// When a container is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whatever its exit code.
    Always,
    /// When it failed.
    OnFailure,
    /// Never.
    Never,
}

/// What a container is in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// Starts among the init containers and stays.
    Sidecar,
    /// The pod is for these.
    Main,
}

/// The three probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// Holds the others back until it succeeds.
    Startup,
    /// Whether the pod is an endpoint.
    Readiness,
    /// Whether the container is to be restarted.
    Liveness,
}

impl ProbeKind {
    /// In the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Readiness, Self::Liveness];

    /// The name in an object's field.
    pub fn field(self) -> &'static str {
        match self {
            Self::Startup => "startupProbe",
            Self::Readiness => "readinessProbe",
            Self::Liveness => "livenessProbe",
        }
    }

    /// The name in a message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// How many equal answers in a row count.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// To turn good.
    pub success: u32,
    /// To turn bad.
    pub failure: u32,
    /// The probe's own grace for a restart, in seconds.
    pub grace_seconds: Option<i64>,
}

/// One container.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// Its image as written.
    pub image: String,
    /// What it is in its pod.
    pub role: Role,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// By [`ProbeKind`].
    pub probes: [Option<Thresholds>; 3],
}

/// One pod.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Init containers and sidecars in their order, then the others.
    pub containers: Vec<Planned>,
    /// How long containers may take to end, in seconds.
    pub grace_seconds: i64,
    /// How long the pod may live, in seconds.
    pub active_deadline_seconds: Option<i64>,
    /// As messages name the pod: `name_namespace(uid)`.
    pub title: String,
}

impl Plan {
    /// Reads a pod that has been defaulted and validated.
    pub fn read(pod: &Value) -> Self {
        let spec = &pod["spec"];
        let policy = policy(spec["restartPolicy"].as_str()).unwrap_or(RestartPolicy::Always);
        let planned = |container: &Value, init: bool| {
            let own = crate::read::text(container, "restartPolicy");
            let (role, restart) = match (init, own) {
                (true, "Always") => (Role::Sidecar, RestartPolicy::Always),
                (true, _) if policy == RestartPolicy::Always => (Role::Init, RestartPolicy::OnFailure),
                (true, _) => (Role::Init, policy),
                (false, _) => (Role::Main, policy),
            };
            Planned {
                name: crate::read::text(container, "name").to_owned(),
                image: crate::read::text(container, "image").to_owned(),
                role,
                restart,
                probes: ProbeKind::ALL.map(|kind| thresholds(&container[kind.field()])),
            }
        };
        let init = crate::read::list(&spec["initContainers"]).iter().map(|container| planned(container, true));
        let main = crate::read::list(&spec["containers"]).iter().map(|container| planned(container, false));
        Self {
            containers: init.chain(main).collect(),
            grace_seconds: spec["terminationGracePeriodSeconds"].as_i64().unwrap_or(30),
            active_deadline_seconds: spec["activeDeadlineSeconds"].as_i64(),
            title: crate::read::title(pod),
        }
    }

    /// Whether there are containers that run before the others.
    pub fn has_init(&self) -> bool {
        self.containers.iter().any(|container| container.role != Role::Main)
    }
}

fn policy(text: Option<&str>) -> Option<RestartPolicy> {
    match text? {
        "Always" => Some(RestartPolicy::Always),
        "OnFailure" => Some(RestartPolicy::OnFailure),
        "Never" => Some(RestartPolicy::Never),
        _ => None,
    }
}

fn thresholds(probe: &Value) -> Option<Thresholds> {
    let count = |field: &str, default: u32| {
        probe[field].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(default).max(1)
    };
    probe.is_object().then(|| Thresholds {
        success: count("successThreshold", 1),
        failure: count("failureThreshold", 3),
        grace_seconds: probe["terminationGracePeriodSeconds"].as_i64(),
    })
}
