//! What can be said of a destroy.

use clap::Args;

use super::{Wait, Which};

/// `infra destroy`
#[derive(Clone, Debug, Args)]
pub struct Destroy {
    /// Which deployment.
    #[command(flatten)]
    pub which: Which,
    /// Only this and what needs it (repeatable); the rest stays
    #[arg(long = "target", value_name = "ADDRESS")]
    pub targets: Vec<String>,
    /// Keep the disks of a cloud, those of claims too, and tell what they cost; a destroy without it removes them
    #[arg(long, conflicts_with = "targets")]
    pub keep_data: bool,
    /// Do not ask first
    #[arg(long, short)]
    pub yes: bool,
    /// How long to wait for another run.
    #[command(flatten)]
    pub wait: Wait,
}
