//! What the contract suite is made of, apart from the statements themselves: what a client saw is made comparable
//! ([`normal`]), kept ([`recording`]), and where the sandbox differs by decision that is said ([`differences`]).

pub mod differences;
pub mod normal;
pub mod recording;
