//! Logins at registries, as `docker login` and credential helpers keep them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

pub use crate::docker::Credentials;
use crate::program::{self, Program};

/// The name that Docker's files give to Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Logins cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not what Docker writes.
    #[error("{} is not a Docker configuration: {reason}", .file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A credential helper that the file names does not work.
    #[error("credential helper {helper} gives no login for {registry}: {reason}")]
    Helper {
        /// The program.
        helper: String,
        /// The registry.
        registry: String,
        /// What it said.
        reason: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Configuration {
    auths: BTreeMap<String, Login>,
    #[serde(rename = "credsStore")]
    helper: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    auth: String,
    #[serde(rename = "identitytoken")]
    identity_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Login {
    fn credentials(&self) -> Option<Credentials> {
        if !self.identity_token.is_empty() {
            return Some(Credentials::Identity { token: self.identity_token.clone() });
        }
        let plain = String::from_utf8(STANDARD.decode(&self.auth).ok()?).ok()?;
        let (username, password) = plain.trim_end_matches('\0').split_once(':')?;
        Some(Credentials::Password { username: username.to_owned(), password: password.to_owned() })
    }
}

/// The logins that stand in `config.json` of Docker's folder itself, by registry. Helpers are not asked.
pub fn stored(folder: &Path) -> Result<BTreeMap<String, Credentials>, Error> {
    let logins = read(folder)?.auths;
    Ok(logins.into_iter().filter_map(|(registry, login)| Some((registry, login.credentials()?))).collect())
}

/// The login for a registry (`host` or `host:port`; `docker.io` for Docker Hub), if there is one: from the helper that
/// `config.json` names for it, else from the file itself.
pub async fn find(folder: &Path, registry: &str) -> Result<Option<Credentials>, Error> {
    let configuration = read(folder)?;
    let names = names(registry);
    let special = names.iter().find_map(|name| Some((name, configuration.helpers.get(name)?)));
    if let Some((name, helper)) = special {
        return ask(helper, name).await;
    }
    let login = names.iter().find_map(|name| configuration.auths.get(name)?.credentials());
    match (&configuration.helper, login) {
        (None, login) => Ok(login),
        (Some(_), Some(login)) => Ok(Some(login)),
        (Some(helper), None) => {
            let known = names.iter().find(|name| configuration.auths.contains_key(*name)).unwrap_or(&names[0]);
            ask(helper, known).await
        }
    }
}

/// Under which names Docker's files may know a registry.
fn names(registry: &str) -> Vec<String> {
    if registry == "docker.io" {
        return vec![DOCKER_HUB.to_owned(), "index.docker.io".to_owned(), "docker.io".to_owned()];
    }
    vec![
        registry.to_owned(),
        format!("https://{registry}"),
        format!("https://{registry}/v1/"),
        format!("https://{registry}/v2/"),
    ]
}

fn read(folder: &Path) -> Result<Configuration, Error> {
    let file = folder.join("config.json");
    match fs::read(&file) {
        Ok(bytes) if bytes.trim_ascii().is_empty() => Ok(Configuration::default()),
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            // The parser's words may hold what the file holds.
            Error::Invalid { file, reason: format!("line {}, column {}", error.line(), error.column()) }
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Configuration::default()),
        Err(source) => Err(Error::Read { file, source }),
    }
}

/// Asks a helper, which reads the registry from its standard input.
async fn ask(name: &str, registry: &str) -> Result<Option<Credentials>, Error> {
    let helper = format!("docker-credential-{name}");
    let failed = |reason: String| Error::Helper { helper: helper.clone(), registry: registry.to_owned(), reason };
    let question = || -> io::Result<fs::File> {
        let mut file = tempfile::tempfile()?;
        file.write_all(registry.as_bytes())?;
        file.rewind()?;
        Ok(file)
    };
    let question = question().map_err(|error| failed(error.to_string()))?;
    let answer = match Program::new(&helper).argument("get").stdin(Some(Arc::new(question))).read().await {
        Ok(answer) => answer,
        Err(program::Error::Exit { last_lines, .. }) if last_lines.iter().any(|line| line.contains("not found")) => {
            return Ok(None);
        }
        Err(program::Error::NotFound { .. }) => return Err(failed("it is not installed, or not in PATH".to_owned())),
        // What it printed may hold a secret.
        Err(program::Error::Exit { code, .. }) => return Err(failed(format!("exit code {code}"))),
        Err(error) => return Err(failed(error.to_string())),
    };
    let answer: Answer =
        serde_json::from_str(&answer).map_err(|_| failed("its answer is not what helpers give".to_owned()))?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Credentials::Identity { token: answer.secret },
        _ => Credentials::Password { username: answer.username, password: answer.secret },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(content: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), content).unwrap();
        folder
    }

    fn password(username: &str, password: &str) -> Credentials {
        Credentials::Password { username: username.to_owned(), password: password.to_owned() }
    }

    #[tokio::test]
    async fn a_login_is_found_under_each_name_that_docker_gives_a_registry() {
        // anna:secret
        let folder = folder(
            r#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "YW5uYTpzZWNyZXQ="},
                "https://one.example": {"auth": "YW5uYTpzZWNyZXQ="},
                "two.example:5000": {"identitytoken": "abc", "auth": ""},
                "three.example": {}
            }}"#,
        );
        let find = async |registry| super::find(folder.path(), registry).await.unwrap();
        assert_eq!(find("docker.io").await, Some(password("anna", "secret")));
        assert_eq!(find("one.example").await, Some(password("anna", "secret")));
        assert_eq!(find("two.example:5000").await, Some(Credentials::Identity { token: "abc".to_owned() }));
        assert_eq!(find("three.example").await, None);
        assert_eq!(find("four.example").await, None);
        assert_eq!(stored(folder.path()).unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_configuration_that_is_missing_or_empty_holds_no_login() {
        let none = tempfile::tempdir().unwrap();
        assert_eq!(find(none.path(), "one.example").await.unwrap(), None);
        assert_eq!(find(folder(" ").path(), "one.example").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_configuration_that_is_no_json_is_said_without_its_content() {
        let folder = folder("{\"auths\": {\"a\": \"secret\"}}");
        let error = find(folder.path(), "a").await.unwrap_err().to_string();
        assert!(error.contains("is not a Docker configuration: line 1") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_login_is_not_shown() {
        assert_eq!(format!("{:?}", password("anna", "secret")), "Credentials(..)");
    }
}
