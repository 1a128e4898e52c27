//! The engine: graph, plan, journal, execution and events.
//!
//! It knows no cloud, no Kubernetes and no terminal. Data lives in the [`Graph`], behaviour in the [`Registry`] (by kind), so
//! that a journal alone is enough to tear a deployment down. See `docs/architecture.md` for the rules it keeps.

mod address;
mod blame;
mod difference;
mod discover;
mod entry;
mod event;
mod execute;
mod graph;
mod inventory;
mod journal;
mod lock;
mod narrow;
mod plan;
mod resource;
mod schedule;
mod state;
mod timing;
mod wishes;

pub use address::{Address, InvalidAddress};
pub use difference::{FieldChange, differences};
pub use discover::{Discover, Discovered};
pub use entry::{Change, Entry, Operation};
pub use event::{Blocker, Event, Record, Sink, Sinks};
pub use execute::{Outcome, Policy, Stop, StopHandle, execute};
pub use graph::{Graph, GraphError, Need, Node, output};
pub use inventory::{Held, Illegal, Inventory, State};
pub use journal::{Journal, JournalError, Log};
pub use lock::{Claim, DeploymentLock, Owner, Patience};
pub use plan::{Action, Drifted, Plan, PlanError, Step, plan, plan_with};
pub use resource::{Class, Context, Drift, Failure, Gone, Observation, Registry, Remains, Resource};
pub use state::{Deployment, StateError, StateFolder};
pub use timing::{Link, Timed, Timing, timing, timing_of};
pub use wishes::{Existing, InTheWay, MoveError, Moved, Wishes};
