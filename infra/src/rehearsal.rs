//! Rehearsals: a whole cloud on this machine.

pub mod clusters;
