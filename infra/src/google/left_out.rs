//! What a program says of Google Cloud that was built without it.

#![allow(clippy::unused_async, reason = "the whole program waits here")]

use std::path::Path;

use cluster::gke_spec::{Finding, Spec};
use engine::{Discover, Node, Registry};
use providers::kubernetes::Clients;

use crate::report::{Exit, Problem};
use crate::settings::Settings;

/// Nothing is called.
#[derive(Default)]
pub struct Connection(());

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
