//! The server's flags, its start and its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mnist_rnn_model::Store;
use mnist_rnn_server::{Server, router, watch};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Serves the newest trained model. Each flag can also be given in the environment.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on.
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Folder with the trained models.
    #[arg(long, env = "MODEL_FOLDER", default_value = "/model")]
    model: PathBuf,
    /// Seconds between the signal to stop and the last new connection; load balancers need them to look elsewhere.
    #[arg(long, env = "DRAIN_SECONDS", default_value_t = 2)]
    drain_seconds: u64,
    /// Seconds that open requests are given after that.
    #[arg(long, env = "SHUTDOWN_SECONDS", default_value_t = 10)]
    shutdown_seconds: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("start the runtime: {error}")),
    };
    let outcome = runtime.block_on(serve(&arguments));
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

async fn serve(arguments: &Arguments) -> Result<(), String> {
    let signals = |error| format!("listen for signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| format!("listen on {}: {error}", arguments.listen))?;
    let address = listener.local_addr().map_err(|error| format!("listen on {}: {error}", arguments.listen))?;
    println!("listening on http://{address}, models from {}", arguments.model.display());
    let server = Server::default();
    tokio::spawn(watch(Store::new(arguments.model.clone()), server.clone()));
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
