use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where tokens come from.
#[derive(Clone, PartialEq)]
pub enum Credentials {
    /// A file as `gcloud auth application-default login` writes it, or a key: of a user, a service account, an impersonated one, or
    /// of workload identity federation.
    File(PathBuf),
    /// What stands in such a file.
    Json(Value),
    /// The metadata server of a machine at Google, at `host` or `host:port`.
    Metadata {
        /// Its address, where it is not the usual one.
        host: Option<String>,
    },
    /// One token, which is never renewed.
    Token(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "File({})", path.display()),
            Self::Json(_) => write!(formatter, "Json(..)"),
            Self::Metadata { host } => write!(formatter, "Metadata({host:?})"),
            Self::Token(_) => write!(formatter, "Token(..)"),
        }
    }
}

impl Credentials {
    /// The application default credentials, in the order in which all of Google's libraries look for them: the file that
    /// `GOOGLE_APPLICATION_CREDENTIALS` names, that of gcloud in `CLOUDSDK_CONFIG` or below the home folder, the metadata server.
    pub fn application_default(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(file) = set("GOOGLE_APPLICATION_CREDENTIALS") {
            return Self::File(file.into());
        }
        let folder = set("CLOUDSDK_CONFIG")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(set("HOME")?).join(".config/gcloud")));
        let file = folder.map(|folder| folder.join("application_default_credentials.json"));
        match file.filter(|file| file.is_file()) {
            Some(file) => Self::File(file),
            None => Self::Metadata { host: set("GCE_METADATA_HOST").and_then(|host| host.into_string().ok()) },
        }
    }

    /// What they are, for a person, without anything secret.
    pub fn described(&self) -> String {
        match self {
            Self::File(path) => {
                let sort = read(path).ok().map(|json| sort(&json)).unwrap_or_default();
                format!("{}{sort}", path.display())
            }
            Self::Json(json) => format!("given credentials{}", sort(json)),
            Self::Metadata { .. } => "the metadata server of this machine".to_owned(),
            Self::Token(_) => "a given token".to_owned(),
        }
    }
}

fn sort(json: &Value) -> String {
    let account = json["client_email"].as_str().map(|account| format!(" {account}")).unwrap_or_default();
    json["type"].as_str().map(|sort| format!(" ({}{account})", sort.replace('_', " "))).unwrap_or_default()
}

/// Reads a file of credentials. The error does not repeat what stands in it.
pub(super) fn read(path: &Path) -> Result<Value, String> {
    let text = std::fs::read(path).map_err(|error| format!("read {}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| {
        format!("{} is no file of credentials: line {}, column {}", path.display(), error.line(), error.column())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_looked_for_in_the_usual_order() {
        let home = tempfile::tempdir().unwrap();
        let here = home.path().join(".config/gcloud/application_default_credentials.json");
        let variable = |named: Option<&'static str>| {
            let home = home.path().as_os_str().to_owned();
            move |name: &str| match name {
                "GOOGLE_APPLICATION_CREDENTIALS" => named.map(OsString::from),
                "HOME" => Some(home.clone()),
                _ => None,
            }
        };
        assert_eq!(Credentials::application_default(variable(None)), Credentials::Metadata { host: None });
        std::fs::create_dir_all(here.parent().unwrap()).unwrap();
        std::fs::write(&here, "{\"type\": \"authorized_user\"}").unwrap();
        let found = Credentials::application_default(variable(None));
        assert_eq!(found.described(), format!("{} (authorized user)", here.display()));
        assert_eq!(found, Credentials::File(here));
        let named = Credentials::application_default(variable(Some("/key.json")));
        assert_eq!(named, Credentials::File("/key.json".into()));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let key = Credentials::Json(serde_json::json!({ "type": "service_account", "private_key": "secret" }));
        assert_eq!(format!("{key:?} {:?}", Credentials::Token("secret".into())), "Json(..) Token(..)");
    }
}
