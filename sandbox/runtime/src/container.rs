//! From one of this program's processes to a program in a container.

mod copy;
mod identity;
pub mod mounts;
mod program;
mod root;

pub use self::identity::Person;
pub use self::program::{find, lookup_failed, run};
pub use self::root::{assemble, layer};
