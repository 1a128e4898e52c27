//! Images, unpacked in a folder.

mod login;
mod pull;
mod reference;
mod registry;

pub use login::{Login, logins};
pub use pull::PulledImages;
pub use reference::{InvalidReference, Reference};
pub use registry::{NodeCredential, RegistryMirror};

use async_trait::async_trait;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// When an image is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Before every start.
    Always,
    /// When it is not there.
    IfNotPresent,
    /// Never.
    Never,
}

/// An unpacked image and what it says of its program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The folder with its files. Nobody may write to it.
    pub root: PathBuf,
    /// Its name in full, as a container's status tells it.
    pub name: String,
    /// What its id is in a container's status.
    pub id: String,
    /// Program and first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, unless others are given.
    pub cmd: Vec<String>,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// Where its program starts; empty for `/`.
    pub working_dir: String,
    /// Its user, as `""`, `1000`, `app` or `app:staff`.
    pub user: String,
    /// The signal that asks it to end; empty for SIGTERM.
    pub stop_signal: String,
}

/// Why an image cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ImageError {
    /// `ErrImagePull`, `InvalidImageName` or `ErrImageNeverPull`.
    pub reason: &'static str,
    /// As the kubelet tells it in status and events.
    pub message: String,
}

/// An image that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedImage<'a> {
    /// Its name, as the container has it.
    pub reference: &'a str,
    /// When it is fetched.
    pub policy: PullPolicy,
    /// Logins that the pod brings, by registry and repository.
    pub logins: &'a [(String, Login)],
}

/// An image that was fetched for this start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// How long that took.
    pub took: Duration,
    /// How large it is, in bytes, as the registry sends it.
    pub size_bytes: u64,
}

/// Where the kubelet gets images from.
#[async_trait]
pub trait Images: Send + Sync {
    /// The image of this name, and how it was fetched, if it was not there. `begin` is called when fetching begins.
    async fn find(
        &self,
        wanted: &WantedImage<'_>,
        begin: &(dyn Fn() + Sync),
    ) -> Result<(Image, Option<Fetched>), ImageError>;
}

/// Images that were delivered to a folder: `references.json` names them, `HEX/rootfs` has their files, `HEX/config.json` their
/// configuration.
pub struct FolderImages {
    folder: PathBuf,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    version: Option<(SystemTime, u64)>,
    by_name: Arc<HashMap<String, String>>,
}

impl FolderImages {
    /// The images below this folder, which need not be there yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), names: Mutex::default() }
    }

    /// The names as they are now; the file is read again only when it changed.
    fn names(&self) -> Result<Arc<HashMap<String, String>>, String> {
        let path = self.folder.join("references.json");
        let Ok(about) = std::fs::metadata(&path) else { return Ok(Arc::default()) };
        let version = about.modified().ok().map(|at| (at, about.len()));
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.version != version || version.is_none() {
            let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let read: HashMap<String, String> =
                serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
            let whole = |(name, hex): (String, String)| Some((Reference::parse(&name).ok()?.whole(), hex));
            names.by_name = Arc::new(read.into_iter().filter_map(whole).collect());
            names.version = version;
        }
        Ok(names.by_name.clone())
    }
}

/// Reads an image's name, or tells in the kubelet's words that it is none.
fn parse(reference: &str) -> Result<Reference, ImageError> {
    Reference::parse(reference).map_err(|InvalidReference(why)| ImageError {
        reason: "InvalidImageName",
        message: format!(
            "Failed to apply default image tag \"{reference}\": couldn't parse image name \"{reference}\": {why}"
        ),
    })
}

fn not_pulled(message: String) -> ImageError {
    ImageError { reason: "ErrImagePull", message }
}

fn never_pulled(reference: &str) -> ImageError {
    let message = format!("Container image \"{reference}\" is not present with pull policy of Never");
    ImageError { reason: "ErrImageNeverPull", message }
}

impl FolderImages {
    /// The image of this name, if it was delivered.
    fn delivered(&self, reference: &Reference) -> Result<Option<Image>, ImageError> {
        let names = self.names().map_err(not_pulled)?;
        let read = |hex: &String| read_image(&self.folder.join(hex), reference, hex).map_err(not_pulled);
        names.get(&reference.whole()).map(read).transpose()
    }
}

#[async_trait]
impl Images for FolderImages {
    async fn find(
        &self,
        wanted: &WantedImage<'_>,
        _begin: &(dyn Fn() + Sync),
    ) -> Result<(Image, Option<Fetched>), ImageError> {
        let parsed = parse(wanted.reference)?;
        if let Some(image) = self.delivered(&parsed)? {
            return Ok((image, None));
        }
        if wanted.policy == PullPolicy::Never {
            return Err(never_pulled(wanted.reference));
        }
        let whole = parsed.whole();
        Err(not_pulled(format!(
            "failed to pull and unpack image \"{whole}\": failed to resolve reference \"{whole}\": {whole}: not found (the \
             sandbox runs the images that were delivered to it and pulls none from registries)"
        )))
    }
}

/// Reads an unpacked image; `hex` is the digest that its id tells.
fn read_image(folder: &Path, reference: &Reference, hex: &str) -> Result<Image, String> {
    let path = folder.join("config.json");
    let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let whole: Value = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let config = &whole["config"];
    let words = |field: &str| {
        let all = config[field].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let text = |field: &str| config[field].as_str().unwrap_or_default().to_owned();
    let pair = |each: String| each.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Image {
        root: folder.join("rootfs"),
        name: reference.whole(),
        id: format!("{}@sha256:{hex}", reference.repository()),
        entrypoint: words("Entrypoint"),
        cmd: words("Cmd"),
        environment: words("Env").into_iter().filter_map(pair).collect(),
        working_dir: text("WorkingDir"),
        user: text("User"),
        stop_signal: text("StopSignal"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn folder(names: &Value) -> (tempfile::TempDir, FolderImages) {
        let folder = tempfile::tempdir().expect("a folder");
        write_names(folder.path(), names);
        let images = FolderImages::new(folder.path());
        (folder, images)
    }

    async fn find(images: &FolderImages, reference: &str, policy: PullPolicy) -> Result<Image, ImageError> {
        let wanted = WantedImage { reference, policy, logins: &[] };
        images.find(&wanted, &|| panic!("nothing is fetched")).await.map(|(image, _)| image)
    }

    fn write_names(folder: &Path, names: &Value) {
        std::fs::write(folder.join("references.json"), names.to_string()).expect("written");
    }

    fn add(folder: &Path, hex: &str, config: &Value) {
        std::fs::create_dir_all(folder.join(hex).join("rootfs")).expect("made");
        std::fs::write(folder.join(hex).join("config.json"), json!({ "config": config }).to_string()).expect("written");
    }

    #[tokio::test]
    async fn a_delivered_image_is_found_by_every_spelling_of_its_name() {
        let (folder, images) = folder(&json!({ "docker.io/library/tool:latest": "aa" }));
        add(folder.path(), "aa", &json!({ "Entrypoint": ["/tool"], "Env": ["A=1=2"], "User": "7" }));
        for name in ["tool", "tool:latest", "library/tool", "docker.io/tool", "docker.io/library/tool:latest"] {
            let image = find(&images, name, PullPolicy::Never).await.expect(name);
            assert_eq!(image.entrypoint, ["/tool"]);
            assert_eq!(image.environment, [("A".to_owned(), "1=2".to_owned())]);
            assert_eq!(image.name, "docker.io/library/tool:latest");
            assert_eq!(image.id, "docker.io/library/tool@sha256:aa");
        }
    }

    #[tokio::test]
    async fn an_image_that_is_delivered_later_is_found_without_a_restart() {
        let (folder, images) = folder(&json!({}));
        let missing = find(&images, "tool:1", PullPolicy::IfNotPresent).await.expect_err("not there");
        assert_eq!(missing.reason, "ErrImagePull");
        assert!(missing.message.contains("docker.io/library/tool:1: not found"), "{}", missing.message);
        add(folder.path(), "bb", &json!({}));
        write_names(folder.path(), &json!({ "tool:1": "bb" }));
        find(&images, "tool:1", PullPolicy::IfNotPresent).await.expect("it is there now");
    }

    #[tokio::test]
    async fn a_name_that_is_none_and_an_image_that_may_not_be_pulled_have_reasons_of_their_own() {
        let (_folder, images) = folder(&json!({}));
        let wrong = find(&images, "Tool:1", PullPolicy::Always).await.expect_err("upper case");
        assert_eq!(wrong.reason, "InvalidImageName");
        let never = find(&images, "tool", PullPolicy::Never).await.expect_err("not there");
        assert_eq!(never.message, "Container image \"tool\" is not present with pull policy of Never");
    }
}
