//! A registry, asked for images by the OCI distribution protocol.

use super::login::Login;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The forms of manifests that are understood.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                         application/vnd.docker.distribution.manifest.v2+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json";
/// A manifest is small.
const MOST_MANIFEST_BYTES: usize = 4 << 20;
const CONNECTING: Duration = Duration::from_secs(10);
/// A registry that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Where the images of a registry are really fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryMirror {
    /// The registry, as images name it: `europe-docker.pkg.dev`.
    pub host: String,
    /// The address that answers for it: `http://127.0.0.1:5000`.
    pub url: String,
    /// The node's own credential, if it has one. What a pod brings goes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<NodeCredential>,
}

/// Where a node gets its token for a registry. It is used as the password of the user `oauth2accesstoken`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeCredential {
    /// An address that answers as the metadata server of a cloud does: `{"access_token": "..."}`.
    TokenUrl(String),
    /// A file that holds the token and nothing else.
    TokenFile(PathBuf),
}

/// An answer of a registry that is no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RegistryError {
    /// There is no such image.
    #[error("not found{0}")]
    NotFound(String),
    /// The login is missing or is not enough.
    #[error("authorization failed: {0}")]
    Unauthorized(String),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// Part of an image: the fields of a descriptor that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: String,
    #[serde(default)]
    pub size: u64,
}

/// A manifest as the registry has it.
pub(super) struct Manifest {
    /// The digest of its bytes.
    pub digest: String,
    pub value: Value,
}

/// One repository of a registry, asked with one login.
pub(super) struct Session<'a> {
    pub client: &'a Client,
    pub mirrors: &'a [RegistryMirror],
    pub mirror: &'a RegistryMirror,
    /// Without the registry.
    pub repository: &'a str,
    pub login: Option<Login>,
    /// What the registry wants to see, once that is known.
    pub authorization: Mutex<Option<HeaderValue>>,
}

/// A client for registries and token servers.
pub(super) fn client(mirrors: &[RegistryMirror]) -> Result<Client, String> {
    // TLS needs a provider in the process; one that is there is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().no_proxy().connect_timeout(CONNECTING).read_timeout(SILENCE);
    // Where nobody speaks TLS, no certificates are read.
    let plain = mirrors.iter().all(|mirror| mirror.url.starts_with("http:"));
    let builder = if plain { builder.tls_certs_only([]) } else { builder };
    builder.build().map_err(|error| described(&error))
}

impl NodeCredential {
    /// The login with the token of this moment.
    pub(super) async fn login(&self, client: &Client) -> Result<Login, String> {
        let token = match self {
            Self::TokenFile(path) => {
                tokio::fs::read_to_string(path).await.map_err(|error| format!("{}: {error}", path.display()))?
            }
            Self::TokenUrl(url) => {
                let request = client.get(url).header("Metadata-Flavor", "Google");
                let answer = request.send().await.map_err(|error| described(&error))?;
                let status = answer.status();
                let body = answer.bytes().await.map_err(|error| described(&error))?;
                let read: Value = serde_json::from_slice(&body).unwrap_or_default();
                let token = read["access_token"].as_str().map(str::to_owned);
                token.ok_or_else(|| format!("{url} answers {status} and no access_token"))?
            }
        };
        Ok(Login::Password { user: "oauth2accesstoken".to_owned(), password: token.trim().to_owned() })
    }
}

impl Session<'_> {
    /// The manifest of a tag or digest. Its content is checked against the digest, the asked one or the told one.
    pub async fn manifest(&self, version: &str) -> Result<Manifest, RegistryError> {
        let mut answer = self.get(&format!("manifests/{version}"), MANIFESTS).await?;
        let told =
            answer.headers().get("Docker-Content-Digest").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_MANIFEST_BYTES {
                return Err(RegistryError::Other(format!("the manifest of {version} is too large")));
            }
        }
        let digest = written(&Sha256::digest(&bytes));
        let asked = Some(version.to_owned()).filter(|version| version.starts_with("sha256:"));
        if let Some(wanted) = asked.or(told).filter(|wanted| wanted.starts_with("sha256:") && *wanted != digest) {
            return Err(mismatch(&wanted, &digest));
        }
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| RegistryError::Other(format!("the manifest of {version} is not JSON: {error}")))?;
        Ok(Manifest { digest, value })
    }

    /// Fetches a blob into a file of this folder, and checks it. The file is at its start.
    pub async fn blob(&self, blob: &Descriptor, folder: &Path) -> Result<std::fs::File, RegistryError> {
        let mut answer = self.get(&format!("blobs/{}", blob.digest), "*/*").await?;
        let failed = |error: std::io::Error| RegistryError::Other(format!("{}: {error}", folder.display()));
        let mut file = tempfile::tempfile_in(folder).map_err(failed)?;
        let (mut hash, mut length) = (Sha256::new(), 0);
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            hash.update(&chunk);
            length += chunk.len() as u64;
            if blob.size > 0 && length > blob.size {
                break;
            }
            file.write_all(&chunk).map_err(failed)?;
        }
        let digest = written(&hash.finalize());
        if digest != blob.digest {
            return Err(mismatch(&blob.digest, &digest));
        }
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok(file)
    }

    async fn get(&self, what: &str, accept: &str) -> Result<Response, RegistryError> {
        let url = format!("{}/v2/{}/{what}", self.mirror.url.trim_end_matches('/'), self.repository);
        let mut answer = self.send(&url, accept).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let challenge = answer.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            let challenge = challenge.unwrap_or_default().to_owned();
            if let Some(authorization) = self.answer_challenge(&challenge).await? {
                *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(authorization);
                answer = self.send(&url, accept).await?;
            }
        }
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let words = words(&answer.bytes().await.unwrap_or_default());
        Err(match status {
            StatusCode::NOT_FOUND => RegistryError::NotFound(words),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                RegistryError::Unauthorized(format!("unexpected status from GET request to {url}: {status}{words}"))
            }
            _ => RegistryError::Other(format!("unexpected status from GET request to {url}: {status}{words}")),
        })
    }

    async fn send(&self, url: &str, accept: &str) -> Result<Response, RegistryError> {
        let authorization = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = self.client.get(url).header(ACCEPT, accept);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().await.map_err(broken)
    }

    /// What the registry wants to see, by its own challenge; nothing when there is nothing to show.
    async fn answer_challenge(&self, challenge: &str) -> Result<Option<HeaderValue>, RegistryError> {
        let (scheme, parameters) = challenge.split_once(' ').unwrap_or((challenge, ""));
        let basic = self.login.as_ref().and_then(|login| match login {
            Login::Password { user, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            Login::Token(_) => None,
        });
        if let Some(Login::Token(token)) = &self.login {
            return Ok(secret(&format!("Bearer {token}")));
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Ok(basic.and_then(|basic| secret(&basic)));
        }
        let realm = parameter(parameters, "realm").unwrap_or_default();
        let mut query = Vec::new();
        for name in ["service", "scope"] {
            query.extend(parameter(parameters, name).map(|value| (name, value)));
        }
        if !query.iter().any(|(name, _)| *name == "scope") {
            query.push(("scope", format!("repository:{}:pull", self.repository)));
        }
        let url = reqwest::Url::parse_with_params(&self.mirrored(&realm), &query)
            .map_err(|error| RegistryError::Other(format!("the token server {realm:?}: {error}")))?;
        let mut request = self.client.get(url);
        if let Some(basic) = basic.and_then(|basic| secret(&basic)) {
            request = request.header(AUTHORIZATION, basic);
        }
        let answer = request.send().await.map_err(broken)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(broken)?;
        let read: Value = serde_json::from_slice(&body).unwrap_or_default();
        let token = read["token"].as_str().or_else(|| read["access_token"].as_str());
        match token.filter(|_| status.is_success()) {
            Some(token) => Ok(secret(&format!("Bearer {token}"))),
            None => Err(RegistryError::Unauthorized(format!(
                "failed to fetch a token: unexpected status from GET request to {realm}: {status}{}",
                words(&body)
            ))),
        }
    }

    /// A token server at a registry that has a mirror is reached there, too.
    fn mirrored(&self, realm: &str) -> String {
        let rest = realm.strip_prefix("https://").and_then(|rest| rest.split_once('/'));
        let found = rest.and_then(|(host, path)| {
            let mirror = self.mirrors.iter().find(|mirror| mirror.host == host)?;
            Some(format!("{}/{path}", mirror.url.trim_end_matches('/')))
        });
        found.unwrap_or_else(|| realm.to_owned())
    }
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A parameter of a challenge: `realm="https://..."`.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']);
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = left;
    }
    None
}

/// What a registry says is wrong.
fn words(body: &[u8]) -> String {
    let read: Value = serde_json::from_slice(body).unwrap_or_default();
    let one = |error: &Value| {
        let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("code").to_ascii_lowercase().replace('_', " "), text("message"))
    };
    let told: Vec<String> = read["errors"].as_array().into_iter().flatten().map(one).collect();
    if told.is_empty() { String::new() } else { format!(": server message: {}", told.join("; ")) }
}

fn mismatch(wanted: &str, found: &str) -> RegistryError {
    RegistryError::Other(format!("the registry sent {found} where {wanted} was asked for"))
}

fn written(hash: &[u8]) -> String {
    use std::fmt::Write as _;
    hash.iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn broken(error: impl std::error::Error) -> RegistryError {
    RegistryError::Other(described(&error))
}

/// An error with its causes.
pub(super) fn described(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
    std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_tells_its_parameters() {
        let text = r#"realm="https://r.example/token?a=b,c",service=r.example, scope="repository:x:pull""#;
        let read = ["realm", "service", "scope", "error"].map(|name| parameter(text, name));
        let expected = ["https://r.example/token?a=b,c", "r.example", "repository:x:pull"];
        assert_eq!(read[..3].iter().flatten().collect::<Vec<_>>(), expected);
        assert_eq!(read[3], None);
    }

    #[test]
    fn a_registrys_own_words_are_told() {
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such tag"}]}"#;
        assert_eq!(words(body), ": server message: manifest unknown: no such tag");
        assert_eq!(words(b"<html>"), "");
    }
}
