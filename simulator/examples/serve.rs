//! A simulated Google Cloud by itself: `cargo run -p simulator --example serve -- [PORT [SPEED [SEED]]]`.
//!
//! The project is `demo`, and every request is answered, with credentials or without. Clusters have no Kubernetes. The ledger
//! is at `/sim/ledger`.

use std::net::SocketAddr;
use std::sync::Arc;

use simulator::{Faults, NoClusters, Options};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options::new(Arc::new(NoClusters));
    options.anonymous = true;
    if let Some(port) = arguments.next() {
        options.listen = SocketAddr::from(([127, 0, 0, 1], port.parse()?));
    }
    if let Some(speed) = arguments.next() {
        options.speed = speed.parse()?;
    }
    if let Some(seed) = arguments.next() {
        options.faults = Faults::by_seed(seed.parse()?);
    }
    let running = simulator::start(options).await?;
    println!("{}", running.url());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}
