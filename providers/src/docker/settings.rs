use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Error;

/// Where the system's own engine listens.
const SYSTEM_SOCKET: &str = "unix:///var/run/docker.sock";

/// What decides which Docker Engine is used, in the order in which the docker command line looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub context: Option<String>,
    /// `DOCKER_TLS_VERIFY`, when it is not empty.
    pub tls: bool,
    /// The folder with `config.json`: `DOCKER_CONFIG`, or `.docker` in the home folder.
    pub configuration: Option<PathBuf>,
    /// The home folder.
    pub home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime: Option<PathBuf>,
}

impl Settings {
    /// Takes the settings from environment variables, which `variable` looks up. Reads no file.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().into_owned());
        let home = set("HOME").map(PathBuf::from);
        Self {
            host: text("DOCKER_HOST"),
            context: text("DOCKER_CONTEXT"),
            tls: set("DOCKER_TLS_VERIFY").is_some(),
            configuration: set("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".docker"))),
            home,
            runtime: set("XDG_RUNTIME_DIR").map(PathBuf::from),
        }
    }

    /// The addresses to try, in order. Only one when the user names it; otherwise the places where engines usually listen.
    pub(super) fn hosts(&self) -> Result<Vec<String>, Error> {
        if let Some(host) = &self.host {
            if self.tls && !host.starts_with("unix://") {
                return Err(unusable("DOCKER_TLS_VERIFY", "an engine behind TLS is not supported".to_owned()));
            }
            return usable("DOCKER_HOST", host).map(|host| vec![host]);
        }
        let (setting, context) = match &self.context {
            Some(context) => ("DOCKER_CONTEXT".to_owned(), Some(context.clone())),
            None => self.current_context()?,
        };
        match context.filter(|context| context != "default") {
            Some(context) => self.context_host(&setting, &context).map(|host| vec![host]),
            None => Ok(self.usual_hosts()),
        }
    }

    /// The current context of `config.json`, with the file's path for errors.
    fn current_context(&self) -> Result<(String, Option<String>), Error> {
        let Some(path) = self.configuration.as_ref().map(|folder| folder.join("config.json")) else {
            return Ok((String::new(), None));
        };
        let setting = path.display().to_string();
        let Ok(text) = fs::read_to_string(&path) else { return Ok((setting, None)) };
        let configuration: Value =
            serde_json::from_str(&text).map_err(|error| unusable(&setting, error.to_string()))?;
        let context = configuration["currentContext"].as_str().filter(|context| !context.is_empty());
        Ok((setting, context.map(ToOwned::to_owned)))
    }

    /// The address that a named context holds. A context's folder is named by the SHA-256 of its name.
    fn context_host(&self, setting: &str, context: &str) -> Result<String, Error> {
        let folder = format!("{:x}", Bytes::copy_from_slice(&Sha256::digest(context)));
        let path = self.configuration.clone().unwrap_or_default().join("contexts/meta").join(folder).join("meta.json");
        let text = fs::read_to_string(&path)
            .map_err(|error| unusable(setting, format!("context {context:?} is not in {}: {error}", path.display())))?;
        let meta: Value = serde_json::from_str(&text)
            .map_err(|error| unusable(setting, format!("{} is not JSON: {error}", path.display())))?;
        match meta["Endpoints"]["docker"]["Host"].as_str() {
            Some(host) => usable(&format!("{setting} (context {context:?})"), host),
            None => {
                Err(unusable(setting, format!("context {context:?} names no Docker endpoint in {}", path.display())))
            }
        }
    }

    /// The system's socket, Docker Desktop's, the rootless engine's, Colima's and Rancher Desktop's.
    fn usual_hosts(&self) -> Vec<String> {
        let in_home = [
            ".docker/run/docker.sock",
            ".docker/desktop/docker.sock",
            ".colima/default/docker.sock",
            ".rd/docker.sock",
        ];
        let home = in_home.iter().filter_map(|path| Some(self.home.as_ref()?.join(path)));
        let runtime = self.runtime.iter().map(|folder| folder.join("docker.sock"));
        let existing =
            runtime.chain(home).filter(|path| path.exists()).map(|path| format!("unix://{}", path.display()));
        [SYSTEM_SOCKET.to_owned()].into_iter().chain(existing).collect()
    }
}

/// An address as it is, if its scheme can be used.
fn usable(setting: &str, host: &str) -> Result<String, Error> {
    match host.split_once("://") {
        Some(("unix" | "tcp" | "http", _)) => Ok(host.to_owned()),
        Some((scheme, _)) => {
            Err(unusable(setting, format!("{host:?} begins with {scheme}://; unix:// and tcp:// are supported")))
        }
        None => Err(unusable(setting, format!("{host:?} is not an address; expected for example {SYSTEM_SOCKET}"))),
    }
}

fn unusable(setting: &str, reason: String) -> Error {
    Error::Setting { setting: setting.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let configuration = Some(folder.path().join(".docker"));
        let settings = Settings { configuration, home: Some(folder.path().to_owned()), ..Settings::default() };
        (folder, settings)
    }

    /// `printf colima | sha256sum`
    const COLIMA: &str =
        ".docker/contexts/meta/f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16/meta.json";

    #[test]
    fn docker_host_comes_before_every_context() {
        let (_folder, mut settings) = in_folder(&[(".docker/config.json", r#"{"currentContext":"colima"}"#)]);
        settings.host = Some("tcp://127.0.0.1:2375".to_owned());
        assert_eq!(settings.hosts().unwrap(), ["tcp://127.0.0.1:2375"]);
    }

    #[test]
    fn the_current_context_names_the_only_host() {
        let (_folder, settings) = in_folder(&[
            (".docker/config.json", r#"{"currentContext":"colima"}"#),
            (COLIMA, r#"{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///somewhere/docker.sock"}}}"#),
        ]);
        assert_eq!(settings.hosts().unwrap(), ["unix:///somewhere/docker.sock"]);
    }

    #[test]
    fn a_context_that_is_not_there_is_an_error_that_names_it() {
        let (_folder, settings) = in_folder(&[(".docker/config.json", r#"{"currentContext":"gone"}"#)]);
        let error = settings.hosts().unwrap_err().to_string();
        assert!(error.contains("config.json names: context \"gone\" is not in"), "{error}");
    }

    #[test]
    fn without_any_setting_the_usual_sockets_are_tried() {
        let (folder, settings) = in_folder(&[(".colima/default/docker.sock", "")]);
        let colima = format!("unix://{}/.colima/default/docker.sock", folder.path().display());
        assert_eq!(settings.hosts().unwrap(), [SYSTEM_SOCKET.to_owned(), colima]);
    }

    #[test]
    fn an_address_that_cannot_be_used_says_which_can() {
        let settings = Settings { host: Some("ssh://build-server".to_owned()), ..Settings::default() };
        let error = settings.hosts().unwrap_err().to_string();
        assert!(error.contains("unix:// and tcp:// are supported"), "{error}");
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let settings = Settings::from_environment(|name| (name == "DOCKER_HOST").then(OsString::new));
        assert_eq!(settings, Settings::default());
    }
}
