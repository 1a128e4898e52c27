//! What can be said of clouds.

use clap::{Args, Subcommand};

use super::{Target, Values, Which};

/// `infra preflight`
#[derive(Debug, Args)]
pub struct Preflight {
    /// Which scenario.
    #[command(flatten)]
    pub which: Which,
    /// With which values.
    #[command(flatten)]
    pub values: Values,
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// `infra simulator`
#[derive(Debug, Args)]
pub struct Simulator {
    /// Which cloud.
    #[command(subcommand)]
    pub command: SimulatorCommand,
}

/// `infra simulator ...`
#[derive(Debug, Subcommand)]
pub enum SimulatorCommand {
    /// Google Cloud: every API at one address, until an interrupt
    Gcp(SimulatorGcp),
}

/// `infra simulator gcp`
#[derive(Debug, Args)]
pub struct SimulatorGcp {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8100")]
    pub listen: std::net::SocketAddr,
    /// How much faster its time passes
    #[arg(long, value_name = "FACTOR", default_value_t = 60.0)]
    pub speed: f64,
    /// The project that it has [default: that of --project, else demo]
    #[arg(long, value_name = "ID", id = "simulated_project")]
    pub with_project: Option<String>,
    /// Let things go wrong, the same ones for the same number
    #[arg(long = "with-faults", value_name = "SEED")]
    pub with_faults: Option<u64>,
    /// Make no Kubernetes behind the clusters
    #[arg(long)]
    pub no_clusters: bool,
}

/// `infra token`
#[derive(Debug, Args)]
pub struct Token {}
