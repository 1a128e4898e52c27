//! The Docker Engine: connected to as the docker command line would, and only when it is needed.

mod build;
mod container;
mod error;
mod exec;
mod export;
mod freezer;
mod image;
mod network;
mod push;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use bollard::API_DEFAULT_VERSION;
use tokio::sync::OnceCell;
use tokio::time::timeout;

pub use build::Build;
pub use container::{Container, Mount, PublishedPort};
pub use error::Error;
pub use exec::{Exec, ExecOutput};
pub use image::Image;
pub use network::Network;
pub use push::Credentials;
pub use settings::Settings;

/// How long an engine may take to answer its first call.
const FIRST_ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long any later call may take until its answer begins.
const ANSWER_LIMIT_SECONDS: u64 = 120;

/// A Docker Engine. A clone is another handle on the same connection.
///
/// Nothing is connected before the first call, so that commands that need no Docker never fail for the lack of it. A connection that
/// could not be made is tried anew with the next call.
#[derive(Clone, Debug)]
pub struct Docker {
    settings: Arc<Settings>,
    connected: Arc<OnceCell<Connected>>,
}

#[derive(Debug)]
struct Connected {
    host: String,
    client: bollard::Docker,
}

impl Docker {
    /// An engine that is found by these settings when it is first needed.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), connected: Arc::default() }
    }

    /// The address of the engine that answers, in the form of `DOCKER_HOST`: for programs that look for Docker themselves.
    pub async fn host(&self) -> Result<&str, Error> {
        Ok(&self.connected().await?.host)
    }

    /// The version of the engine that answers, for example `28.3.1`.
    pub async fn version(&self) -> Result<String, Error> {
        let version = self.client().await?.version().await;
        let version = version.map_err(|error| Error::new("ask for the version of Docker", error))?;
        Ok(version.version.unwrap_or_else(|| "unknown".to_owned()))
    }

    /// The connected client.
    pub(crate) async fn client(&self) -> Result<&bollard::Docker, Error> {
        Ok(&self.connected().await?.client)
    }

    async fn connected(&self) -> Result<&Connected, Error> {
        self.connected.get_or_try_init(|| self.connect()).await
    }

    /// The first engine that answers, of those that the settings name.
    async fn connect(&self) -> Result<Connected, Error> {
        let mut tried = Vec::new();
        for host in self.settings.hosts()? {
            match first_answer(&host).await {
                Ok(client) => return Ok(Connected { host, client }),
                Err(reason) => tried.push(format!("{host}: {reason}")),
            }
        }
        Err(Error::NoEngine { tried })
    }
}

async fn first_answer(host: &str) -> Result<bollard::Docker, String> {
    let client = match host.strip_prefix("unix://") {
        Some(path) => bollard::Docker::connect_with_unix(path, ANSWER_LIMIT_SECONDS, API_DEFAULT_VERSION),
        None => bollard::Docker::connect_with_http(host, ANSWER_LIMIT_SECONDS, API_DEFAULT_VERSION),
    };
    let client = client.map_err(|error| match error {
        bollard::errors::Error::SocketNotFoundError(_) => "there is no such socket".to_owned(),
        error => error::innermost(&error),
    })?;
    match timeout(FIRST_ANSWER_LIMIT, client.negotiate_version()).await {
        Ok(answer) => answer.map_err(|error| error::innermost(&error)),
        Err(_) => Err(format!("no answer within {} seconds", FIRST_ANSWER_LIMIT.as_secs())),
    }
}
