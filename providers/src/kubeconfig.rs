//! The user's kubeconfig: a context is merged in and taken out again, and everything else stays as it is, byte for byte.

mod file;
mod lock;
mod text;
mod yaml;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::Kubeconfig;
use serde_json::{Value, json};

/// The first line of a file that infra made; such a file is removed again when nothing else is in it.
const MADE_HERE: &str = "# made by infra\n";
/// A file without any entry.
const EMPTY: &str = "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: \"\"\n";
/// The name of the extension that marks an entry as made by infra.
const MARK: &str = "infra";

/// Why a kubeconfig cannot be read or changed. The file is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not a kubeconfig.
    #[error("read {}: {reason}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// The file is a kubeconfig but written in a form that cannot be changed in place.
    #[error("change {}: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is unusual about it.
        reason: String,
    },
    /// Another program keeps the file locked.
    #[error("lock {}: {} exists for {} seconds", path.display(), lock.display(), waited.as_secs())]
    Locked {
        /// The file.
        path: PathBuf,
        /// Its lock.
        lock: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// An entry of this name exists, and infra did not make it for this deployment.
    #[error("add {name} to {}: it has an entry of this name already", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The entry's name.
        name: String,
    },
}

impl Error {
    /// What the person can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { .. } => None,
            Self::Broken { path, .. } => Some(format!(
                "`kubectl config view --kubeconfig {}` shows the same problem; the file was not changed",
                path.display()
            )),
            Self::Form { path, .. } => Some(format!(
                "`kubectl config view --raw --kubeconfig {}` prints it in the usual form; the file was not changed",
                path.display()
            )),
            Self::Locked { lock, .. } => {
                Some(format!("if no other program is changing the file, remove {}", lock.display()))
            }
            Self::Foreign { name, .. } => Some(format!(
                "choose another deployment name, or rename the entry: `kubectl config rename-context {name} NEW`"
            )),
        }
    }
}

/// What a context leads to: the cluster with its address, and the user with the credentials.
#[derive(Clone, PartialEq)]
pub struct Entry {
    cluster: Value,
    user: Value,
}

/// The file that kubectl changes: the first that `KUBECONFIG` names, or `.kube/config` in the home folder.
pub fn user_file(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = variable("KUBECONFIG")
        .and_then(|paths| std::env::split_paths(&paths).find(|path| !path.as_os_str().is_empty()));
    named.or_else(|| Some(PathBuf::from(variable("HOME").filter(|home| !home.is_empty())?).join(".kube/config")))
}

/// The name of a file's current context, if the file exists and has one.
pub fn current_context(path: &Path) -> Result<Option<String>, Error> {
    Ok(parsed(path)?.and_then(|parsed| parsed.current_context).filter(|context| !context.is_empty()))
}

/// What a context of a file leads to, if the file and the context exist. Marks of infra are left out.
pub fn entry(path: &Path, context: &str) -> Result<Option<Entry>, Error> {
    let Some(parsed) = parsed(path)? else { return Ok(None) };
    let Some(context) =
        parsed.contexts.iter().find(|named| named.name == context).and_then(|named| named.context.as_ref())
    else {
        return Ok(None);
    };
    let cluster =
        parsed.clusters.iter().find(|named| named.name == context.cluster).and_then(|named| named.cluster.as_ref());
    let user = parsed.auth_infos.iter().find(|named| Some(&named.name) == context.user.as_ref());
    let (Some(cluster), Some(user)) = (cluster, user.and_then(|named| named.auth_info.as_ref())) else {
        return Ok(None);
    };
    Ok(Some(Entry { cluster: plain(cluster), user: plain(user) }))
}

/// The names of the contexts that infra made for a deployment, in the file's order. Empty when there is no file.
pub fn contexts_of(path: &Path, deployment: &str) -> Result<Vec<String>, Error> {
    let contexts = parsed(path)?.map(|parsed| parsed.contexts).unwrap_or_default();
    let ours = contexts.into_iter().filter(|named| {
        let extensions = named.context.iter().flat_map(|context| context.extensions.iter().flatten());
        extensions
            .into_iter()
            .any(|extension| extension.name == MARK && extension.extension["deployment"] == deployment)
    });
    Ok(ours.map(|named| named.name).collect())
}

/// Puts a context with its cluster and its user into a file, each named `context` and marked as made for `deployment`, and makes it
/// the current one; the mark remembers which ones were current before.
///
/// The file is made (mode 0600) when it does not exist. An entry of an earlier call is replaced; one that infra did not make for this
/// deployment is refused. The file is locked as kubectl does it, and replaced in one step; a symbolic link stays one.
pub async fn merge(path: &Path, deployment: &str, context: &str, entry: &Entry) -> Result<(), Error> {
    let _lock = lock::take(path).await?;
    let target = file::target(path)?;
    let old = file::read(&target)?;
    let text = match old.as_deref().map(str::trim) {
        None => format!("{MADE_HERE}{EMPTY}"),
        Some("") => EMPTY.to_owned(),
        Some(_) => old.clone().unwrap_or_default(),
    };
    let document = text::Document::parse(&text).map_err(|problem| problem.in_file(path))?;
    let previous = document.previous_for(context);
    let mark = json!([{ "name": MARK, "extension": { "deployment": deployment } }]);
    let marked = |value: &Value| {
        let mut value = value.clone();
        value["extensions"] = mark.clone();
        value
    };
    let mut leads_to = marked(&json!({ "cluster": context, "user": context }));
    if !previous.is_empty() {
        leads_to["extensions"][0]["extension"]["previous"] = Value::from(previous);
    }
    let cluster = json!({ "cluster": marked(&entry.cluster), "name": context });
    let user = json!({ "name": context, "user": marked(&entry.user) });
    let edited = document
        .with_item("clusters", deployment, context, &cluster)
        .and_then(|edited| {
            edited.with_item("contexts", deployment, context, &json!({ "context": leads_to, "name": context }))
        })
        .and_then(|edited| edited.with_item("users", deployment, context, &user))
        .and_then(|edited| edited.with_current_context(context))
        .map_err(|problem| problem.in_file(path))?;
    text::check_others(&text, edited.text(), context).map_err(|problem| problem.in_file(path))?;
    if old.as_deref() == Some(edited.text()) { Ok(()) } else { file::replace(&target, edited.text()) }
}

/// Takes out what [`merge`] put in; says whether anything was there.
///
/// When the context is still the current one, the last one before it that still exists becomes it again, else none is. Entries of the
/// name that infra did not make for this deployment stay. A file that infra made is removed when nothing is left in it.
pub async fn remove(path: &Path, deployment: &str, context: &str) -> Result<bool, Error> {
    let target = file::target(path)?;
    if file::read(&target)?.is_none() {
        return Ok(false);
    }
    let lock = lock::take(path).await?;
    let Some(text) = file::read(&target)?.filter(|text| !text.trim().is_empty()) else { return Ok(false) };
    let document = text::Document::parse(&text).map_err(|problem| problem.in_file(path))?;
    let previous = document.previous_of(context);
    let edited = document
        .without_item("clusters", deployment, context)
        .and_then(|edited| edited.without_item("contexts", deployment, context))
        .and_then(|edited| edited.without_item("users", deployment, context))
        .and_then(|edited| edited.without_current_context(context, &previous))
        .map_err(|problem| problem.in_file(path))?;
    text::check_others(&text, edited.text(), context).map_err(|problem| problem.in_file(path))?;
    if edited.text() == text {
        return Ok(false);
    }
    if text.starts_with(MADE_HERE) && edited.is_empty() {
        file::remove(&target)?;
        drop(lock);
        file::remove_empty_folder(&target);
    } else {
        file::replace(&target, edited.text())?;
    }
    Ok(true)
}

/// A kubeconfig with just this context, as text.
pub fn private(context: &str, entry: &Entry) -> String {
    let file = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "cluster": entry.cluster, "name": context }],
        "contexts": [{ "context": { "cluster": context, "user": context }, "name": context }],
        "current-context": context,
        "users": [{ "name": context, "user": entry.user }],
    });
    yaml::block(&file).join("\n") + "\n"
}

/// Writes [`private`] to a file of its own, mode 0600, in one step.
pub fn write_private(path: &Path, context: &str, entry: &Entry) -> Result<(), Error> {
    let text = private(context, entry);
    match file::read(path)? {
        Some(old) if old == text => Ok(()),
        _ => file::replace(path, &text),
    }
}

impl Entry {
    /// What the current context of this text leads to, with another server address: a cluster's own `admin.conf` as seen from outside.
    pub fn from_admin(text: &str, server: &str) -> Result<Self, Error> {
        let path = PathBuf::from("admin.conf");
        let broken = |reason: String| Error::Broken { path: path.clone(), reason };
        let parsed = Kubeconfig::from_yaml(text).map_err(|error| broken(error.to_string()))?;
        let cluster = parsed
            .clusters
            .iter()
            .find_map(|named| named.cluster.as_ref())
            .ok_or_else(|| broken("it has no cluster".into()))?;
        let user = parsed
            .auth_infos
            .iter()
            .find_map(|named| named.auth_info.as_ref())
            .ok_or_else(|| broken("it has no user".into()))?;
        let mut entry = Self { cluster: plain(cluster), user: plain(user) };
        entry.cluster["server"] = Value::from(server);
        Ok(entry)
    }

    /// An API server whose tokens a program prints (an exec credential plugin): the program with its arguments, and the
    /// certificate of the API server's authority in base64.
    pub fn of_program(server: &str, certificate_authority: &str, program: &[String]) -> Self {
        let (command, arguments) =
            program.split_first().map_or(("", &[][..]), |(command, rest)| (command.as_str(), rest));
        Self {
            cluster: json!({ "certificate-authority-data": certificate_authority, "server": server }),
            user: json!({
                "exec": {
                    "apiVersion": "client.authentication.k8s.io/v1",
                    "command": command,
                    "args": arguments,
                    "interactiveMode": "IfAvailable",
                    "provideClusterInfo": true,
                }
            }),
        }
    }

    /// The address of the API server.
    pub fn server(&self) -> &str {
        self.cluster["server"].as_str().unwrap_or_default()
    }
}

/// A part of a kubeconfig as data, without the mark of infra.
fn plain(part: &impl serde::Serialize) -> Value {
    let mut value = serde_json::to_value(part).expect("a parsed kubeconfig is data");
    if let Some(extensions) = value["extensions"].as_array_mut() {
        extensions.retain(|extension| extension["name"] != MARK);
    }
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null() && !member.as_array().is_some_and(Vec::is_empty));
    }
    value
}

fn parsed(path: &Path) -> Result<Option<Kubeconfig>, Error> {
    let Some(text) = file::read(&file::target(path)?)?.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let parsed = Kubeconfig::from_yaml(&text);
    parsed.map(Some).map_err(|error| Error::Broken { path: path.to_owned(), reason: text::innermost(&error) })
}

#[cfg(test)]
mod tests;
