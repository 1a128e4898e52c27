//! `infra logs`: what the deployment's pods print.

use std::io::Write;

use futures::StreamExt;
use workloads::LogSelection;

use crate::arguments;
use crate::report::{Exit, Problem};
use crate::session::{client, next_signal};
use crate::settings::Settings;
use crate::view::style;
use crate::which::{applied, choose};

/// Runs the command. An interrupt ends it quietly.
pub async fn run(command: arguments::Logs, settings: &Settings) -> Result<Exit, Problem> {
    let deployment = choose(&command.which, settings).await?;
    let inventory = settings.state.inventory(&deployment).await?;
    applied(&deployment, &inventory)?;
    let client = client(settings, &deployment, &inventory)?;
    let selection = LogSelection { pods: command.workload, follow: command.follow, tail: command.tail };
    let mut lines = workloads::logs(&client, deployment.name(), &selection).await?.boxed();
    let mut count = 0_usize;
    let mut interrupted = std::pin::pin!(next_signal());
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            _ = &mut interrupted => break,
        };
        let Some(line) = line else { break };
        let line = line?;
        count += 1;
        let text = if settings.json {
            serde_json::to_string(&line)?
        } else {
            format!("{} {}", style::dim(format!("{} |", line.pod)), line.text)
        };
        // A reader that has seen enough (`head`) ends the command without an error.
        if writeln!(anstream::stdout(), "{text}").is_err() {
            break;
        }
    }
    if count == 0 && !settings.json {
        anstream::eprintln!("no lines: no pod of {} that was asked for has printed any", deployment.name());
    }
    Ok(Exit::Done)
}
