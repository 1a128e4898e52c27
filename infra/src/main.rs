//! The command line of infra: the only crate that prints, reads flags or the environment, or picks an exit code.

mod addressing;
mod arguments;
mod commands;
mod doctor;
mod google;
mod launcher;
mod prepare;
mod receipt;
mod record;
#[cfg(feature = "gcp")]
mod rehearsal;
mod report;
mod saved;
mod session;
mod settings;
mod shared;
mod state;
mod view;
mod which;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use arguments::{Arguments, Command, Sandbox, SandboxCommand};
use report::{Exit, Problem};
use settings::Settings;

/// The stack of a thread: as much as the main one has. Values of Google's types take many kilobytes each, and unoptimised code keeps
/// several of them at once. Only what is used costs memory.
const STACK_BYTES: usize = 8 << 20;

fn main() -> ExitCode {
    // Processes of a sandbox are this program too, in another role.
    if let Some(ended) = sandbox::entry() {
        return ended;
    }
    // A shell that asks what could be typed next says so in its environment.
    clap_complete::CompleteEnv::with_factory(Arguments::command).complete();
    let arguments = Arguments::parse();
    let json = arguments.global.json;
    let ended = match run(arguments) {
        Ok(exit) => exit,
        Err(problem) => {
            problem.print(json);
            problem.exit
        }
    };
    ExitCode::from(ended as u8)
}

fn run(arguments: Arguments) -> Result<Exit, Problem> {
    if let Command::Sandbox(Sandbox { command: SandboxCommand::Run { folder, options, with_input } }) =
        &arguments.command
    {
        return commands::sandbox::be_one(folder, options.as_deref(), *with_input);
    }
    match &arguments.command {
        Command::Completions(command) => return commands::completions::run(command),
        Command::Man(command) => return commands::man::run(command),
        Command::Schema(_) => return commands::schema::run(),
        _ => {}
    }
    let settings = Settings::new(&arguments.global)?;
    let (rehearses, faults) = (arguments.global.rehearse, arguments.global.faults);
    // Two threads: one TLS handshake or digest must not hold up everything else, and more would only cost memory.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).thread_stack_size(STACK_BYTES).enable_all().build()?;
    let ended = runtime.block_on(async {
        if rehearses {
            return rehearse(arguments.command, faults, settings).await;
        }
        match arguments.command {
            Command::Apply(command) => commands::apply::run(command, &settings).await,
            Command::Plan(command) => commands::plan::run(command, &settings).await,
            Command::Preflight(command) => commands::preflight::run(command, &settings).await,
            Command::Status(command) => commands::status::run(command, &settings).await,
            Command::Check(command) => commands::check::run(command, &settings).await,
            Command::Logs(command) => commands::logs::run(command, &settings).await,
            Command::Open(command) => commands::open::run(command, &settings).await,
            Command::Destroy(command) => commands::destroy::run(command, &settings).await,
            Command::Recover(command) => commands::recover::run(command, &settings).await,
            Command::Report(command) => commands::report::run(&command, &settings).await,
            Command::Events(command) => commands::events::run(&command, &settings).await,
            Command::List(_) => commands::list::run(&settings).await,
            Command::Unlock(command) => commands::unlock::run(command, &settings).await,
            Command::Images(command) => commands::images::run(command.command.as_ref(), &settings).await,
            Command::Sandbox(command) => commands::sandbox::run(command.command, &settings).await,
            #[cfg(feature = "gcp")]
            Command::Simulator(command) => commands::simulator::run(command.command, &settings).await,
            #[cfg(not(feature = "gcp"))]
            Command::Simulator(_) => Err(google::left_out()),
            Command::Token(_) => commands::token::run(&settings).await,
            Command::Doctor(command) => commands::doctor::run(command, &settings).await,
            Command::Completions(_) | Command::Man(_) | Command::Schema(_) => unreachable!("they need no settings"),
        }
    });
    // A second interrupt abandons what runs; blocking work must not keep the process alive then.
    runtime.shutdown_background();
    ended
}

#[cfg(feature = "gcp")]
async fn rehearse(command: Command, faults: Option<u64>, settings: Settings) -> Result<Exit, Problem> {
    Box::pin(rehearsal::run(command, faults, settings)).await
}

#[cfg(not(feature = "gcp"))]
#[allow(clippy::unused_async, reason = "the whole program waits here")]
async fn rehearse(_: Command, _: Option<u64>, _: Settings) -> Result<Exit, Problem> {
    Err(google::left_out())
}
