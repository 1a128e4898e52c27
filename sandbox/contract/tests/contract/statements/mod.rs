//! The statements, by area. A statement's name says what holds; what its function sees is what is compared.

mod deletion;
mod discovery;
mod jobs;
mod kubectl;
mod lists;
mod lives;
mod objects;
mod patches;
mod pods;
mod policies;
mod services;
mod workloads;

use futures::future::BoxFuture;

use crate::case::Case;

/// One behaviour.
#[derive(Clone, Copy)]
pub struct Statement {
    /// The module it stands in.
    pub area: &'static str,
    /// What holds, as the name of its function.
    pub name: &'static str,
    /// Acts as a client and records what it sees.
    pub run: for<'a> fn(&'a Case) -> BoxFuture<'a, ()>,
}

impl Statement {
    /// Area and name.
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.area, self.name)
    }
}

/// Lists functions of a module as its statements.
macro_rules! statements {
    ($area:literal: $($name:ident),* $(,)?) => {
        /// The statements of this area.
        pub fn all() -> Vec<crate::statements::Statement> {
            vec![$(crate::statements::Statement {
                area: $area,
                name: stringify!($name),
                run: |case| Box::pin($name(case)),
            }),*]
        }
    };
}
use statements;

/// All statements.
pub fn all() -> Vec<Statement> {
    [
        discovery::all(),
        objects::all(),
        patches::all(),
        lists::all(),
        deletion::all(),
        pods::all(),
        lives::all(),
        jobs::all(),
        services::all(),
        policies::all(),
        kubectl::all(),
        workloads::all(),
    ]
    .concat()
}
