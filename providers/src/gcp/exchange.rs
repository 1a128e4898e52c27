//! A service account's key, exchanged for a real access token.
//!
//! Google's crate signs its own tokens with the key, which the APIs take, and registries and Kubernetes do not. The protocol is RFC
//! 7523: a signed assertion for a token.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use google_cloud_auth::credentials::service_account;
use google_cloud_auth::signer::Signer;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::Error;
use super::tokens::{SCOPE, Token, unauthenticated};

/// Google's address for it.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// How long an assertion is good.
const ASSERTION_SECONDS: i64 = 3600;
/// A token is renewed so long before it expires.
const SLACK: Duration = Duration::from_mins(4);

/// Exchanges one key.
#[derive(Debug)]
pub(super) struct Exchange {
    account: String,
    key_id: String,
    token_uri: String,
    /// What the assertion is for: Google's own address, whoever stands in for it.
    audience: String,
    signer: Signer,
    http: reqwest::Client,
    kept: Mutex<Option<(Token, Instant)>>,
}

impl Exchange {
    pub fn new(key: &Value, token_uri: Option<String>) -> Result<Arc<Self>, Error> {
        let text = |name: &str| key[name].as_str().map(str::to_owned);
        let signer = service_account::Builder::new(key.clone()).build_signer();
        let signer = signer.map_err(|error| unauthenticated(format!("the key cannot be used: {error}")))?;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(15)).build();
        let audience = text("token_uri").unwrap_or_else(|| TOKEN_URI.to_owned());
        Ok(Arc::new(Self {
            account: text("client_email").ok_or_else(|| unauthenticated("the key has no client_email"))?,
            key_id: text("private_key_id").unwrap_or_default(),
            token_uri: token_uri.unwrap_or_else(|| audience.clone()),
            audience,
            signer,
            http: http.map_err(|error| Error::Protocol(Box::new(error)))?,
            kept: Mutex::default(),
        }))
    }

    /// The token that is kept, or a new one.
    pub async fn token(&self) -> Result<Token, Error> {
        let mut kept = self.kept.lock().await;
        if let Some((token, until)) = kept.as_ref().filter(|(_, until)| *until > Instant::now()) {
            let _ = until;
            return Ok(token.clone());
        }
        let assertion = self.assertion().await?;
        let body = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let request = self.http.post(&self.token_uri);
        let request = request.header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let unavailable = |error: reqwest::Error| Error::Unavailable {
            message: format!("no token: {}", error.without_url()),
            pause: None,
        };
        let answer = request.send().await.map_err(unavailable)?;
        let status = answer.status();
        let answer: Value = serde_json::from_slice(&answer.bytes().await.map_err(unavailable)?).unwrap_or_default();
        let Some(token) = answer["access_token"].as_str().map(Token::new) else {
            let said = answer["error_description"].as_str().or(answer["error"].as_str()).unwrap_or_default();
            if status.is_server_error() || status.as_u16() == 429 {
                return Err(Error::Unavailable { message: format!("no token: {status} {said}"), pause: None });
            }
            return Err(unauthenticated(format!("the key of {} is refused: {said}", self.account)));
        };
        let good = Duration::from_secs(answer["expires_in"].as_u64().unwrap_or(3600));
        *kept = Some((token.clone(), Instant::now() + good.saturating_sub(SLACK.min(good / 2))));
        Ok(token)
    }

    /// `header.claims.signature`, each in base64.
    async fn assertion(&self) -> Result<String, Error> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({
            "iss": self.account, "scope": SCOPE, "aud": self.audience, "iat": now, "exp": now + ASSERTION_SECONDS,
        });
        let text = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.signer.sign(text.clone()).await;
        let signature = signature.map_err(|_| unauthenticated("the key cannot sign"))?;
        Ok(format!("{text}.{}", encode(&signature)))
    }
}
