//! What a program says of Google Cloud that was built without it.

#![allow(clippy::unused_async, reason = "the whole program waits here")]

use std::path::Path;

use cluster::gke_spec::{Cloud, Data, Finding, Spec};
use engine::{Discover, Inventory, Node, Registry};
use providers::kubernetes::Clients;

use super::Google;
use crate::report::{Exit, Problem};
use crate::settings::Settings;

/// Nothing is called.
#[derive(Default)]
pub struct Connection(());

impl Google {
    /// Whether it is a simulated cloud that ends with this command.
    #[allow(clippy::unused_self, reason = "the whole program looks")]
    pub fn is_rehearsed(&self) -> bool {
        false
    }
}

/// The problem of every command that would call Google.
pub fn left_out() -> Problem {
    Problem::usage("use Google Cloud: this program was built without it")
        .exit(Exit::Missing)
        .hint("build it with its default features: `cargo run -- ...` in its folder")
}

/// See the same function of the whole program.
pub fn register(_: &Settings, _: &mut Registry, _: &mut images::Options) -> Result<(), Problem> {
    Err(left_out())
}

/// See the same function of the whole program.
pub fn clients(_: &Settings) -> Result<Clients, Problem> {
    Err(left_out())
}

/// See the same function of the whole program.
pub async fn find(_: &Settings, _: &str, _: &str, _: &Path) -> Result<Vec<Node>, Problem> {
    Err(left_out())
}

/// See the same function of the whole program.
pub fn discover(_: &Settings) -> Result<Box<dyn Discover>, Problem> {
    Err(left_out())
}

/// See the same function of the whole program.
pub async fn preflight(_: &Settings, _: &Spec) -> Result<Vec<Finding>, Problem> {
    Err(left_out())
}

/// See the same function of the whole program.
pub async fn token(_: &Settings) -> Result<String, Problem> {
    Err(left_out())
}

/// See the same function of the whole program.
pub fn credentials(_: &Settings) -> Result<(String, bool), Problem> {
    Err(left_out())
}

/// See the same function of the whole program.
pub async fn enable_compute(_: &Settings, _: &Spec) -> Result<(), Problem> {
    Err(left_out())
}

/// See the same function of the whole program.
pub async fn status(_: &Settings, _: &Inventory) -> Result<Cloud, Problem> {
    Err(left_out())
}

/// See the same function of the whole program.
pub async fn data(_: &Settings, _: &Inventory) -> Result<Vec<Data>, Problem> {
    Err(left_out())
}

/// See the same function of the whole program.
pub fn keep_data(_: &Settings, _: &mut Registry) -> Result<(), Problem> {
    Err(left_out())
}
