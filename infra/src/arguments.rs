//! What can be said on the command line.

mod cloud;
mod destroy;
mod options;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};

use crate::commands::completions::{deployments, scenarios};

pub use cloud::{Preflight, Simulator, Token};
#[cfg(feature = "gcp")]
pub use cloud::{SimulatorCommand, SimulatorGcp};
pub use destroy::Destroy;
pub use options::{Values, Wait, duration};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "infra",
    version,
    about = "Turn one scenario folder into a running machine-learning system on Kubernetes, and back into nothing.",
    after_help = "Exit codes: 0 done, 1 a step failed, 2 wrong usage, 3 wrong scenario, 4 a wait ended without success, \
                  5 a check failed, 6 this machine lacks something, 7 it belongs to somebody else, 8 another process holds it, \
                  10 there is something to do (`plan --exit-code`), 130 interrupted.",
    max_term_width = 110,
    propagate_version = true
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
#[allow(clippy::doc_markdown, reason = "a terminal shows it, where backticks mean nothing")]
pub struct Global {
    /// Where the cluster is [default: where it was, else the scenario's choice, else INFRA_PROVIDER, else sandbox]
    #[arg(long, global = true)]
    pub provider: Option<Provider>,
    /// Print JSON, one object a line, instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Where the journals are: a folder, or a place that a team shares, for example s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or
    /// file:///FOLDER [default: the XDG state folder]
    #[arg(long, global = true, env = "INFRA_STATE", value_name = "PLACE")]
    pub state: Option<PathBuf>,
    /// The folder for what can be made again: images, data sets [default: the XDG cache folder]
    #[arg(long, global = true, env = "INFRA_CACHE", value_name = "FOLDER")]
    pub cache: Option<PathBuf>,
    /// The project of Google Cloud [default: the scenario's, else GOOGLE_CLOUD_PROJECT, else that of gcloud]
    #[arg(long, global = true, value_name = "ID", hide_short_help = true)]
    pub project: Option<String>,
    /// The zone or region of a cloud [default: the scenario's, else CLOUDSDK_COMPUTE_ZONE, else that of gcloud]
    #[arg(long, global = true, value_name = "PLACE", hide_short_help = true)]
    pub location: Option<String>,
    /// Do it in a simulated cloud, in this process: no account, no network, no cost; everything is removed at the end
    #[arg(long, global = true)]
    pub rehearse: bool,
    /// Let things go wrong in the rehearsal, the same ones for the same number
    #[arg(long, global = true, value_name = "SEED", requires = "rehearse", hide_short_help = true)]
    pub faults: Option<u64>,
}

/// Which deployment is meant.
#[derive(Clone, Debug, Args)]
pub struct Which {
    /// A scenario's folder or file, or the name of a deployment [default: the current folder]
    #[arg(value_name = "SCENARIO", add = ArgValueCompleter::new(scenarios))]
    pub scenario: Option<PathBuf>,
    /// The deployment's name [default: the scenario's name]
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(deployments))]
    pub name: Option<String>,
}

/// Where the scenario shall run, and with what.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// The kind program [default: `kind` on the PATH]
    #[arg(long, env = "INFRA_KIND", value_name = "PATH")]
    pub kind: Option<PathBuf>,
    /// The image of kind's nodes [default: the scenario's, else kind's own]
    #[arg(long, env = "INFRA_NODE_IMAGE", value_name = "IMAGE")]
    pub node_image: Option<String>,
}

/// Which part of the scenario is wanted, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct Wanted {
    /// Only this and what it needs, as a plan names it or as kubectl does: deployment/web, image/web (repeatable)
    #[arg(long = "target", value_name = "ADDRESS")]
    pub targets: Vec<String>,
    /// Delete this and make it anew (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    pub replace: Vec<String>,
    /// Take over objects that are there already and that infra did not make; destroy deletes them, too
    #[arg(long)]
    pub adopt: bool,
}

/// A place where clusters are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// A small Kubernetes in one process of this machine: no Docker, no account.
    Sandbox,
    /// Kubernetes in Docker, on this machine.
    Kind,
    /// Google Kubernetes Engine.
    Gke,
}

impl Provider {
    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Kind => "kind",
            Self::Gke => "gke",
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the world as the scenario says: cluster, images, objects; wait until it works; check it
    Apply(Apply),
    /// Show what apply would do, and what was changed outside of infra; do nothing
    Plan(Plan),
    /// Look whether a cloud allows and has what the scenario needs: credentials, rights, names, quotas; change nothing
    Preflight(Preflight),
    /// Show what runs, and what blocks what does not
    Status(Status),
    /// Run the scenario's checks again
    Check(Check),
    /// Print the logs of the deployment's pods
    Logs(Logs),
    /// Forward a Service or pod to a local port and print the address
    Open(Open),
    /// Remove everything that was made, and prove that it is gone
    Destroy(Destroy),
    /// Write a lost or damaged journal anew, from labels and marks of what is there
    Recover(Recover),
    /// Show how the last run went: what failed and why, where the time went, what answers
    Report(Report),
    /// Print the events of the last run, or follow the one that is under way
    Events(Events),
    /// List the deployments of this machine, or of the place that a team shares
    List(List),
    /// Free a shared deployment whose run is dead, without waiting for its lease
    Unlock(Unlock),
    /// List the images that this machine keeps for deployments, and clean the image cache
    Images(Images),
    /// Look after the sandbox of a deployment: the built-in Kubernetes
    Sandbox(Sandbox),
    /// Be a cloud on the wire, for rehearsals and for clients of others
    Simulator(Simulator),
    /// Print a token for kubectl, as it asks programs for it
    Token(Token),
    /// Show what this machine lacks for each provider, and how to get it
    Doctor(Doctor),
    /// Print the JSON schema of the scenario file, for editors
    #[command(after_help = SCHEMA_HELP)]
    Schema(Schema),
    /// Print the script that makes a shell complete commands, options and deployments
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(Completions),
    /// Print the manual page, or write those of all commands into a folder
    Man(Man),
}

/// `infra apply`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "SCENARIO may also be a file that `infra plan --save` wrote: it is carried out as it is, or not at all."
)]
pub struct Apply {
    /// Which scenario, or a saved plan.
    #[command(flatten)]
    pub which: Which,
    /// With which values.
    #[command(flatten)]
    pub values: Values,
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// Which part, and how.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Do not ask before changing something
    #[arg(long, short)]
    pub yes: bool,
    /// How long to wait for another run.
    #[command(flatten)]
    pub wait: Wait,
}

/// `infra plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// Which scenario.
    #[command(flatten)]
    pub which: Which,
    /// With which values.
    #[command(flatten)]
    pub values: Values,
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// Which part, and how.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Write the plan into a file, which `infra apply FILE` carries out if nothing has moved on
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// End with exit code 10 where there is something to do
    #[arg(long)]
    pub exit_code: bool,
}

/// `infra status`
#[derive(Debug, Args)]
pub struct Status {
    /// Which deployment.
    #[command(flatten)]
    pub which: Which,
}

/// `infra check`
#[derive(Debug, Args)]
pub struct Check {
    /// Which deployment.
    #[command(flatten)]
    pub which: Which,
}

/// `infra logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// Which deployment.
    #[command(flatten)]
    pub which: Which,
    /// Only pods of this workload or with this name, for example `train`
    #[arg(long, short, value_name = "NAME")]
    pub workload: Option<String>,
    /// Go on as lines are printed, and pick up new pods
    #[arg(long, short)]
    pub follow: bool,
    /// Only so many of the last lines of each container
    #[arg(long, value_name = "LINES")]
    pub tail: Option<u32>,
}

/// `infra open`
#[derive(Debug, Args)]
pub struct Open {
    /// Which deployment.
    #[command(flatten)]
    pub which: Which,
    /// `service/NAME`, `pod/NAME`, or a name [default: the only load balancer]
    #[arg(long, short, value_name = "TARGET")]
    pub target: Option<String>,
    /// The local port [default: one that is free]
    #[arg(long, short, value_name = "PORT")]
    pub port: Option<u16>,
}

/// `infra recover`
#[derive(Debug, Args)]
pub struct Recover {
    /// The deployment's name
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The kind program [default: `kind` on the PATH]
    #[arg(long, env = "INFRA_KIND", value_name = "PATH")]
    pub kind: Option<PathBuf>,
    /// Move a journal that is there aside, for example a damaged one
    #[arg(long)]
    pub force: bool,
    /// How long to wait for another run.
    #[command(flatten)]
    pub wait: Wait,
}

/// `infra report`
#[derive(Debug, Args)]
pub struct Report {
    /// Which deployment; one that was destroyed still has its last runs.
    #[command(flatten)]
    pub which: Which,
    /// The run's number [default: the last one]
    #[arg(long, value_name = "RUN")]
    pub run: Option<u32>,
    /// List the runs whose records are kept
    #[arg(long, conflicts_with_all = ["run", "html"])]
    pub list: bool,
    /// Write a page for a browser, in one file that needs nothing else; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// `infra events`
#[derive(Debug, Args)]
pub struct Events {
    /// Which deployment.
    #[command(flatten)]
    pub which: Which,
    /// Go on until the run ends, and end with its exit code
    #[arg(long, short)]
    pub follow: bool,
    /// The run's number [default: the last one]
    #[arg(long, value_name = "RUN")]
    pub run: Option<u32>,
}

/// `infra unlock`
#[derive(Debug, Args)]
pub struct Unlock {
    /// Which deployment.
    #[command(flatten)]
    pub which: Which,
    /// Do not ask whether that run is dead
    #[arg(long, short)]
    pub yes: bool,
}

/// `infra images`
#[derive(Debug, Args)]
pub struct Images {
    /// What to do with them [default: list]
    #[command(subcommand)]
    pub command: Option<ImagesCommand>,
}

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub enum ImagesCommand {
    /// List them, with what the image cache takes
    List,
    /// Remove what no deployment of this machine needs
    Prune(Prune),
}

/// `infra images prune`
#[derive(Debug, Args)]
pub struct Prune {
    /// Remove the images of deployments, too: the next apply makes them anew
    #[arg(long)]
    pub all: bool,
}

/// `infra sandbox`
#[derive(Debug, Args)]
pub struct Sandbox {
    /// What to do with it.
    #[command(subcommand)]
    pub command: SandboxCommand,
}

/// What can be done with a sandbox.
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Start it again, for example after the machine was restarted
    Start(Which),
    /// Stop it and its pods; what it holds stays
    Stop(Which),
    /// Show whether it runs, where, and what it can and cannot do here
    Status(Which),
    /// Print what it said
    Logs(Which),
    /// Be one, until told to stop
    #[command(hide = true)]
    Run {
        /// The folder that it keeps everything in.
        #[arg(long)]
        folder: PathBuf,
        /// A file with what it is to be beyond the usual, from now on: nodes, registries, tokens, addresses of load balancers.
        #[arg(long)]
        options: Option<PathBuf>,
        /// End when the standard input ends, as it does when the process dies that holds it.
        #[arg(long)]
        with_input: bool,
    },
}

/// `infra list`
#[derive(Debug, Args)]
pub struct List {}

/// `infra doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// The kind program [default: `kind` on the PATH]
    #[arg(long, env = "INFRA_KIND", value_name = "PATH")]
    pub kind: Option<PathBuf>,
}

/// How editors learn of the schema.
const SCHEMA_HELP: &str = "\
An editor with a YAML language server completes and checks a scenario whose first line names the schema:

  infra schema > scenario.schema.json
  # yaml-language-server: $schema=scenario.schema.json";

/// `infra schema`
#[derive(Debug, Args)]
pub struct Schema {}

/// How a shell takes the script.
const COMPLETIONS_HELP: &str = "\
Into the shell's start-up file:

  bash        source <(infra completions bash)
  zsh         source <(infra completions zsh)
  fish        infra completions fish | source
  elvish      eval (infra completions elvish | slurp)
  powershell  infra completions powershell | Out-String | Invoke-Expression";

/// `infra completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

/// A shell that completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Elvish.
    Elvish,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
    /// Zsh.
    Zsh,
}

impl Shell {
    /// Its program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Elvish => "elvish",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Zsh => "zsh",
        }
    }
}

/// `infra man`
#[derive(Debug, Args)]
pub struct Man {
    /// Write a page per command into this folder instead
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}
