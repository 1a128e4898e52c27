use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use tokio::sync::RwLock;

use super::kinds::Kinds;
use super::tokens::{Bearer, BearerTokens};
use super::{KubernetesError, transport};
use crate::gate::Gate;
use crate::retry::{self, Policy};

/// No single call takes longer than this; watches and logs are not single calls.
const CALL_LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Some twenty seconds: as long as a control plane that answers at all needs to get its rules and accounts in place.
const START_UP: Policy =
    Policy { attempts: 12, first_delay: Duration::from_millis(100), max_delay: Duration::from_secs(3) };

/// How many calls an API server gets at once, as long as it does not ask for fewer.
const MOST_CALLS: u32 = 64;
/// Some half a minute: what is throttled is asked for again, by fewer at once.
const THROTTLED: Policy =
    Policy { attempts: 10, first_delay: Duration::from_millis(100), max_delay: Duration::from_secs(10) };

/// Clients by the path of their kubeconfig. A clone is another handle on the same ones.
#[derive(Clone, Default)]
pub struct Clients {
    by_path: Arc<Mutex<HashMap<PathBuf, Client>>>,
    tokens: Option<Arc<dyn BearerTokens>>,
}

impl Clients {
    /// Clients that take tokens from here where a kubeconfig would have a program run for them.
    pub fn with_tokens(tokens: Arc<dyn BearerTokens>) -> Self {
        Self { by_path: Arc::default(), tokens: Some(tokens) }
    }

    /// The client of a kubeconfig. The file is read at the first call that needs it.
    pub fn get(&self, kubeconfig: &Path) -> Client {
        let mut clients = self.by_path.lock().expect("no panic while the lock is held");
        let client = || Client { tokens: self.tokens.clone(), ..Client::new(kubeconfig) };
        clients.entry(kubeconfig.to_owned()).or_insert_with(client).clone()
    }
}

/// A handle on one API server, connected when first used.
///
/// When the credentials are refused or the connection fails and the kubeconfig has changed since it was read, it is read anew and
/// the call is made once more. All handles share one [`Gate`]: an API server that throttles gets fewer calls from all of them.
#[derive(Clone)]
pub struct Client {
    path: Arc<Path>,
    tokens: Option<Arc<dyn BearerTokens>>,
    connection: Arc<RwLock<Option<Connection>>>,
    pub(super) kinds: Arc<Kinds>,
    gate: Gate,
}

#[derive(Clone)]
pub(super) struct Connection {
    text: Arc<str>,
    pub(super) server: Arc<str>,
    pub(super) sdk: kube::Client,
    /// For calls that turn into something else than HTTP.
    pub(super) upgrading: kube::Client,
    bearer: Option<Bearer>,
}

impl Client {
    /// A client of its own, not shared by path.
    pub fn new(kubeconfig: &Path) -> Self {
        let (connection, kinds) = (Arc::default(), Arc::default());
        Self { path: kubeconfig.into(), tokens: None, connection, kinds, gate: Gate::new(MOST_CALLS) }
    }

    /// The kubeconfig's path.
    pub fn kubeconfig(&self) -> &Path {
        &self.path
    }

    /// Makes a call; reads a changed kubeconfig anew and tries once more where the credentials or the connection failed.
    pub(super) async fn call<T, F>(&self, call: impl Fn(Connection) -> F) -> Result<T, KubernetesError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let connection = self.connection().await?;
        let error = match self.limited(&connection, &call).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if !matches!(error, KubernetesError::Unauthorized(_) | KubernetesError::Unreachable { .. }) {
            return Err(error);
        }
        if let (KubernetesError::Unauthorized(_), Some(bearer)) = (&error, &connection.bearer) {
            bearer.was_refused().await;
            return self.limited(&connection, &call).await;
        }
        match self.reconnect(&connection).await? {
            Some(renewed) => self.limited(&renewed, &call).await,
            None => Err(error),
        }
    }

    /// Makes a call again for some twenty seconds while its error looks like a control plane that is still starting.
    pub async fn patiently<T, F>(&self, call: impl Fn() -> F) -> Result<T, KubernetesError>
    where
        F: Future<Output = Result<T, KubernetesError>>,
    {
        retry::retry(&START_UP, KubernetesError::heals_at_start, call).await
    }

    /// Makes a call through the gate, with the time limit of a single call; again where it is throttled.
    async fn limited<T, F>(
        &self,
        connection: &Connection,
        call: &impl Fn(Connection) -> F,
    ) -> Result<T, KubernetesError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let once = || async {
            match tokio::time::timeout(CALL_LIMIT, call(connection.clone())).await {
                Ok(result) => result.map_err(|error| KubernetesError::from_sdk(&connection.server, error)),
                Err(_) => Err(KubernetesError::unreachable(&connection.server, "no answer within 30 seconds")),
            }
        };
        retry::retry_through(&self.gate, &THROTTLED, KubernetesError::throttling, once).await
    }

    pub(super) async fn connection(&self) -> Result<Connection, KubernetesError> {
        if let Some(connection) = &*self.connection.read().await {
            return Ok(connection.clone());
        }
        let mut slot = self.connection.write().await;
        if let Some(connection) = &*slot {
            return Ok(connection.clone());
        }
        let connection = self.connect(self.read().await?).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// A new connection if the file differs from what `stale` was made of.
    async fn reconnect(&self, stale: &Connection) -> Result<Option<Connection>, KubernetesError> {
        let mut slot = self.connection.write().await;
        if let Some(current) = slot.as_ref().filter(|current| current.text != stale.text) {
            return Ok(Some(current.clone()));
        }
        let Ok(text) = self.read().await else { return Ok(None) };
        if *text == *stale.text {
            return Ok(None);
        }
        let connection = self.connect(text).await?;
        *slot = Some(connection.clone());
        Ok(Some(connection))
    }

    async fn read(&self) -> Result<String, KubernetesError> {
        tokio::fs::read_to_string(&*self.path).await.map_err(|error| self.unusable(error))
    }

    async fn connect(&self, text: String) -> Result<Connection, KubernetesError> {
        let kubeconfig = Kubeconfig::from_yaml(&text).map_err(|error| self.unusable(error))?;
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(|error| self.unusable(error))?;
        config.connect_timeout = Some(CONNECT_LIMIT);
        let server: Arc<str> = config.cluster_url.to_string().into();
        let bearer = self.tokens.clone().filter(|_| config.auth_info.exec.is_some()).map(Bearer::new);
        if bearer.is_some() {
            config.auth_info = AuthInfo::default();
        }
        let sdk = transport::multiplexed(&config, bearer.as_ref()).map_err(|error| self.unusable(error))?;
        let upgrading = match &bearer {
            Some(bearer) => transport::upgrading(&config, bearer).map_err(|error| self.unusable(error))?,
            None => kube::Client::try_from(config).map_err(|error| self.unusable(error))?,
        };
        Ok(Connection { text: text.into(), server, sdk, upgrading, bearer })
    }

    fn unusable(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> KubernetesError {
        KubernetesError::Kubeconfig { path: self.path.to_path_buf(), source: source.into() }
    }
}
