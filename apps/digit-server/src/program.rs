//! The server's flags, its start and its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use digits::StoreError;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::follow::watch;
use crate::routes::{Server, router};
use crate::served::Served;

/// The flags of every server. Each can also be given in the environment.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Address to listen on.
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Folder with the trained models.
    #[arg(long, env = "MODEL_FOLDER", default_value = "/model")]
    pub model: PathBuf,
    /// Seconds between the signal to stop and the last new connection; load balancers need them to look elsewhere.
    #[arg(long, env = "DRAIN_SECONDS", default_value_t = 2)]
    pub drain_seconds: u64,
    /// Seconds that open requests are given after that.
    #[arg(long, env = "SHUTDOWN_SECONDS", default_value_t = 10)]
    pub shutdown_seconds: u64,
}

/// Serves until told to stop.
///
/// `manifest` is the file of a store that changes when there is a newer model, and `load` reads it. The introduction is a sentence
/// on the page.
pub fn run<L>(arguments: &Arguments, introduction: &str, manifest: PathBuf, load: L) -> ExitCode
where
    L: Fn() -> Result<Option<Served>, StoreError> + Send + Sync + 'static,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("start the runtime: {error}")),
    };
    let server = Server::new(introduction);
    let outcome = runtime.block_on(async {
        tokio::spawn(watch(manifest, load, server.clone()));
        serve(arguments, server).await
    });
    // A prediction that is still computed must not hold the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("error: failed to {message}");
    ExitCode::FAILURE
}

async fn serve(arguments: &Arguments, server: Server) -> Result<(), String> {
    let signals = |error| format!("listen for signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| format!("listen on {}: {error}", arguments.listen))?;
    let address = listener.local_addr().map_err(|error| format!("listen on {}: {error}", arguments.listen))?;
    println!("listening on http://{address}, models from {}", arguments.model.display());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let graceful = axum::serve(listener, router(server.clone())).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let serving = tokio::spawn(async move { graceful.await });
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    println!("stopping: not ready any more, still answering for {} s", arguments.drain_seconds);
    server.begin_to_drain();
    tokio::time::sleep(Duration::from_secs(arguments.drain_seconds)).await;
    let _ = stop.send(());
    match tokio::time::timeout(Duration::from_secs(arguments.shutdown_seconds), serving).await {
        Ok(Ok(Ok(()))) => println!("stopped, every request was answered"),
        Ok(Ok(Err(error))) => return Err(format!("serve: {error}")),
        Ok(Err(error)) => return Err(format!("serve: {error}")),
        Err(_) => println!("stopped, some connections were still open after {} s", arguments.shutdown_seconds),
    }
    Ok(())
}
