use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Address, Class, Remains};

/// What happens in a run. One stream of these feeds the terminal, `--json` and the record of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run begins.
    RunBegan {
        /// The deployment's name.
        deployment: String,
        /// What was asked for: `apply`, `destroy`, ...
        command: String,
        /// The scenario's file, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scenario: Option<String>,
    },
    /// A step starts; its intent is on disk.
    StepBegan {
        /// The node.
        address: Address,
        /// What a person reads.
        title: String,
        /// `create`, `update`, `delete`.
        operation: crate::Operation,
    },
    /// A running step says what it does right now, in a few words.
    StepProgress {
        /// The node.
        address: Address,
        /// For example `starting the control plane`.
        message: String,
    },
    /// A running step passes on a line that a program printed (a build, a container).
    StepOutput {
        /// The node.
        address: Address,
        /// The line, without its end.
        line: String,
    },
    /// What a wait waits for. An empty list says that nothing blocks any more.
    StepBlocked {
        /// The node.
        address: Address,
        /// Every cause known now.
        blockers: Vec<Blocker>,
    },
    /// A running step has reached a point that others wait for.
    StepMilestone {
        /// The node.
        address: Address,
        /// The milestone's name.
        milestone: String,
    },
    /// A step is done; its result is on disk.
    StepEnded {
        /// The node.
        address: Address,
        /// What was done.
        operation: crate::Operation,
        /// Time from its start.
        seconds: f64,
        /// True where it turned out that there was nothing to change.
        unchanged: bool,
    },
    /// A step has failed.
    StepFailed {
        /// The node.
        address: Address,
        /// What was tried.
        operation: crate::Operation,
        /// Time from its start.
        seconds: f64,
        /// The error and its causes, outermost first.
        causes: Vec<String>,
        /// What the person can do.
        hint: Option<String>,
        /// What it left behind.
        remains: Remains,
        /// What sort of failure it is.
        class: Class,
    },
    /// A step was not tried because of an earlier failure or an interrupt.
    StepNotTried {
        /// The node.
        address: Address,
        /// The title of the step.
        title: String,
        /// What it needs and what failed, where that is the reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<Address>,
    },
    /// The run is over.
    RunEnded {
        /// Whether everything that was planned is done.
        success: bool,
        /// Time from its start.
        seconds: f64,
    },
}

/// One cause that keeps a workload from being ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// The object that is blocked, for example `pod train-x7k2p`.
    pub subject: String,
    /// The cause in the field's words, for example `ErrImagePull`.
    pub cause: String,
    /// The cluster's own message, shortened where it is long.
    pub message: String,
    /// What the person can do.
    pub hint: Option<String>,
    /// Whether waiting longer can help. A cause that will not heal ends the wait.
    pub heals: bool,
    /// The last lines of a crashed container's log.
    pub log: Vec<String>,
}

/// An event with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Somebody who is told of every event, in order. Called from the engine's own task: it must not block for long.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn take(&self, record: &Record);
}

/// All the sinks of a run; a clone is another handle on the same ones.
#[derive(Clone, Default)]
pub struct Sinks(Arc<Vec<Box<dyn Sink>>>);

impl Sinks {
    /// Events go to each of these, in this order.
    pub fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        Self(Arc::new(sinks))
    }

    /// Stamps an event with the time and passes it on.
    pub fn emit(&self, event: Event) {
        let record = Record { at: Timestamp::now(), event };
        for sink in self.0.iter() {
            sink.take(&record);
        }
    }
}
