//! Rules of this repository that neither the compiler nor clippy checks.
//!
//! [`source`] looks at one Rust file, [`tree`] finds the files and the crates. The rules themselves, and what is exempt
//! from which, are the tests of this crate: `cargo test -p tidy`.

pub mod source;
pub mod tree;
