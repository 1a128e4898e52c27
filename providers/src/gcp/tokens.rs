//! Tokens: got from where the credentials say, kept, renewed in time, and renewed at once when one is refused.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use google_cloud_auth::credentials::{
    AccessTokenCredentials, CacheableResource, CredentialsProvider, EntityTag, external_account, impersonated, mds,
    user_account,
};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap, HeaderValue};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::RwLock;
use tokio::time::timeout;

use super::answer::LOG_IN;
use super::credentials::{self, Credentials};
use super::error::Error;
use super::exchange::Exchange;

/// What a token may be used for: all of Google Cloud, as far as the account's roles allow.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// A token is got within this time, or not at all.
const LIMIT: Duration = Duration::from_secs(20);
/// A metadata server is one hop away: it answers at once, or there is none.
const METADATA_LIMIT: Duration = Duration::from_secs(2);
/// Where the metadata server usually is.
const METADATA: &str = "169.254.169.254:80";
/// The header that says whose quota a call counts against.
const QUOTA_PROJECT: &str = "x-goog-user-project";

/// A bearer token. Its text is not shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl Token {
    /// A token by its text.
    pub(super) fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    /// The text.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(..)")
    }
}

/// The tokens of one account. A clone is another handle on the same ones.
#[derive(Clone, Debug)]
pub(super) struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    credentials: Credentials,
    endpoint: Option<String>,
    project: String,
    source: RwLock<Option<Source>>,
}

#[derive(Clone, Debug)]
enum Source {
    Sdk(AccessTokenCredentials),
    Key(Arc<Exchange>),
    Fixed(Token),
}

impl Tokens {
    pub fn new(credentials: Credentials, endpoint: Option<String>, project: String) -> Self {
        Self(Arc::new(Inner { credentials, endpoint, project, source: RwLock::default() }))
    }

    /// The token that is good now.
    pub async fn get(&self) -> Result<Token, Error> {
        match self.source().await? {
            Source::Fixed(token) => Ok(token),
            Source::Key(exchange) => exchange.token().await,
            Source::Sdk(credentials) => match timeout(LIMIT, credentials.access_token()).await {
                Ok(Ok(found)) => Ok(Token::new(&found.token)),
                Ok(Err(error)) => Err(explain(&error)),
                Err(_) => Err(unauthenticated("no token came within 20 seconds")),
            },
        }
    }

    /// Forgets the token that was refused, if it is still the one that is given out.
    pub async fn renew(&self, refused: &Token) {
        if self.get().await.is_ok_and(|current| current == *refused) {
            *self.0.source.write().await = None;
        }
    }

    async fn source(&self) -> Result<Source, Error> {
        if let Some(source) = &*self.0.source.read().await {
            return Ok(source.clone());
        }
        let mut slot = self.0.source.write().await;
        if let Some(source) = &*slot {
            return Ok(source.clone());
        }
        let source = self.0.make().await?;
        *slot = Some(source.clone());
        Ok(source)
    }

    /// The headers of a call.
    async fn headers(&self) -> Result<HeaderMap, Error> {
        let token = self.get().await?;
        let mut headers = HeaderMap::new();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.secret()))
            .map_err(|_| unauthenticated("the token is not one that can be sent"))?;
        bearer.set_sensitive(true);
        headers.insert(http::header::AUTHORIZATION, bearer);
        if self.is_of_a_user()
            && let Ok(project) = HeaderValue::from_str(&self.0.project)
        {
            headers.insert(QUOTA_PROJECT, project);
        }
        Ok(headers)
    }

    /// A user's calls count against the project of gcloud itself, where many APIs are not enabled, unless they say otherwise.
    pub fn is_of_a_user(&self) -> bool {
        let is_user = |json: &Value| json["type"] == "authorized_user";
        match &self.0.credentials {
            Credentials::Json(json) => is_user(json),
            Credentials::File(path) => credentials::read(path).is_ok_and(|json| is_user(&json)),
            Credentials::Metadata { .. } | Credentials::Token(_) => false,
        }
    }

    /// What they come from, for a person.
    pub fn described(&self) -> String {
        self.0.credentials.described()
    }

    /// The header that says whose quota a call counts against.
    pub fn quota_project(&self) -> Option<(&'static str, &str)> {
        self.is_of_a_user().then_some((QUOTA_PROJECT, self.0.project.as_str()))
    }
}

/// Google's crates take their headers from here, so that a renewed token reaches them, too.
impl CredentialsProvider for Tokens {
    async fn headers(&self, _extensions: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let headers = Tokens::headers(self).await;
        let data = headers.map_err(|error| CredentialsError::from_source(false, error))?;
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

impl Inner {
    async fn make(&self) -> Result<Source, Error> {
        let json = match &self.credentials {
            Credentials::Token(token) => return Ok(Source::Fixed(Token::new(token))),
            Credentials::Metadata { host } => return self.of_metadata(host.as_deref()).await,
            Credentials::File(path) => credentials::read(path).map_err(unauthenticated)?,
            Credentials::Json(json) => json.clone(),
        };
        // A rehearsal gets its tokens where it gets everything else.
        let token_uri = self.endpoint.as_ref().map(|endpoint| format!("{endpoint}/token"));
        let sort = json["type"].as_str().unwrap_or_default().to_owned();
        let built = match sort.as_str() {
            "authorized_user" => {
                let builder = user_account::Builder::new(json);
                let builder = token_uri.into_iter().fold(builder, user_account::Builder::with_token_uri);
                builder.build_access_token_credentials()
            }
            "service_account" => return Exchange::new(&json, token_uri).map(Source::Key),
            "impersonated_service_account" => {
                impersonated::Builder::new(json).with_scopes([SCOPE]).build_access_token_credentials()
            }
            "external_account" => {
                external_account::Builder::new(json).with_scopes([SCOPE]).build_access_token_credentials()
            }
            other => return Err(unauthenticated(format!("credentials of the type {other:?} are not known"))),
        };
        built.map(Source::Sdk).map_err(|error| unauthenticated(format!("the credentials cannot be used: {error}")))
    }

    async fn of_metadata(&self, host: Option<&str>) -> Result<Source, Error> {
        let address = match host {
            Some(host) if host.contains(':') => host.to_owned(),
            Some(host) => format!("{host}:80"),
            None => METADATA.to_owned(),
        };
        // Without a metadata server Google's crate asks for almost a minute.
        if !matches!(timeout(METADATA_LIMIT, TcpStream::connect(&address)).await, Ok(Ok(_))) {
            return Err(unauthenticated("there are none on this machine"));
        }
        let builder = mds::Builder::default().with_endpoint(format!("http://{address}")).with_scopes([SCOPE]);
        let built = builder.build_access_token_credentials();
        built.map(Source::Sdk).map_err(|error| unauthenticated(error.to_string()))
    }
}

pub(super) fn unauthenticated(reason: impl Into<String>) -> Error {
    Error::Unauthenticated { reason: reason.into(), hint: LOG_IN.to_owned() }
}

/// What a failed exchange of credentials for a token means.
fn explain(error: &CredentialsError) -> Error {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = cause.to_string();
        next = cause.source();
    }
    if error.is_transient() {
        return Error::Unavailable { message: format!("no token: {text}"), pause: None };
    }
    let text = if text.contains("invalid_grant") || text.contains("invalid_rapt") {
        "the login has expired or was revoked".to_owned()
    } else {
        text
    };
    unauthenticated(text)
}
