//! The engine from outside: its journal as a file, and whole runs against a world in memory.
#![allow(missing_docs)]

mod journal;
mod lock;
mod plans;
mod recovery;
mod runs;
mod world;
