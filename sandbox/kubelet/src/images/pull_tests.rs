//! Images fetched from a registry in the test.

use super::*;
use crate::images::{Login, NodeCredential};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sha2::{Digest, Sha256};

const HOST: &str = "europe-docker.pkg.dev";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A registry with the repository `p/r/app`.
#[derive(Clone, Default)]
struct Registry {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// Answers by the last two parts of the path: `manifests/1`, `blobs/sha256:...`.
    content: HashMap<String, Vec<u8>>,
    /// The password that the token server wants, if it wants any.
    password: Option<String>,
    url: String,
    asked: Vec<String>,
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn layer(path: &str, text: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(text.len() as u64);
    archive.append_data(&mut header, path, text.as_bytes()).expect("added");
    archive.into_inner().and_then(flate2::write::GzEncoder::finish).expect("ended")
}

impl Registry {
    async fn start() -> (Self, RegistryMirror) {
        let registry = Self::default();
        let app = Router::new()
            .route("/token", axum::routing::get(token))
            .route("/v2/p/r/app/{kind}/{what}", axum::routing::get(answer))
            .with_state(registry.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        url.clone_into(&mut registry.inner().url);
        tokio::spawn(async move { axum::serve(listener, app).await });
        (registry, RegistryMirror { host: HOST.to_owned(), url, credential: None })
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("whole")
    }

    fn put(&self, kind: &str, name: &str, bytes: &[u8]) {
        self.inner().content.insert(format!("{kind}/{name}"), bytes.to_vec());
    }

    /// An image of one file, with this tag; answers the digest of its manifest.
    fn put_image(&self, tag: &str, text: &str) -> String {
        let (config, layer) = (json!({ "config": { "Cmd": [text] } }).to_string().into_bytes(), layer("file", text));
        let blob =
            |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() });
        let kind = "application/vnd.oci.image.config.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": blob(kind, &config), "layers": [blob(LAYER, &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        for bytes in [&config, &layer] {
            self.put("blobs", &digest(bytes), bytes);
        }
        self.put("manifests", tag, &manifest);
        self.put("manifests", &digest(&manifest), &manifest);
        digest(&manifest)
    }

    fn asked(&self) -> usize {
        std::mem::take(&mut self.inner().asked).len()
    }
}

async fn token(State(registry): State<Registry>, headers: HeaderMap) -> Response {
    use base64::Engine;
    let inner = registry.inner();
    let wanted = inner.password.as_ref().map(|password| {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("oauth2accesstoken:{password}")))
    });
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
    if wanted.is_some() && wanted.as_deref() != shown {
        let body = json!({ "errors": [{ "code": "DENIED", "message": "the token is not enough" }] });
        return (StatusCode::FORBIDDEN, axum::Json(body)).into_response();
    }
    axum::Json(json!({ "token": "let-in" })).into_response()
}

async fn answer(
    State(registry): State<Registry>,
    Path((kind, what)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let mut inner = registry.inner();
    if inner.password.is_some() && headers.get("authorization").is_none_or(|shown| shown != "Bearer let-in") {
        let challenge = format!("Bearer realm=\"{}/token\",service=\"{HOST}\"", inner.url);
        return (StatusCode::UNAUTHORIZED, [("WWW-Authenticate", challenge)]).into_response();
    }
    inner.asked.push(format!("{kind}/{what}"));
    if let Some(bytes) = inner.content.get(&format!("{kind}/{what}")) {
        return bytes.clone().into_response();
    }
    let body = json!({ "errors": [{ "code": "MANIFEST_UNKNOWN", "message": "no such image" }] });
    (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
}

fn images(mirror: &RegistryMirror) -> (tempfile::TempDir, PulledImages) {
    let folder = tempfile::tempdir().expect("a folder");
    let images = PulledImages::new(folder.path(), vec![mirror.clone()]).expect("a client");
    (folder, images)
}

async fn find(
    images: &PulledImages,
    reference: &str,
    policy: PullPolicy,
    logins: &[(String, Login)],
) -> Result<(Image, Option<Fetched>), ImageError> {
    images.find(&WantedImage { reference, policy, logins }, &|| ()).await
}

#[tokio::test]
async fn an_image_is_fetched_once_and_found_again_after_a_restart() {
    let (registry, mirror) = Registry::start().await;
    let digest = registry.put_image("1", "one");
    let (folder, images) = images(&mirror);
    let name = format!("{HOST}/p/r/app:1");
    let (image, fetched) = find(&images, &name, PullPolicy::IfNotPresent, &[]).await.expect("fetched");
    assert_eq!((image.cmd, image.id), (vec!["one".to_owned()], format!("{HOST}/p/r/app@{digest}")));
    assert_eq!(std::fs::read_to_string(image.root.join("file")).expect("a file"), "one");
    assert!(fetched.is_some_and(|fetched| fetched.size_bytes > 0) && registry.asked() == 3);
    let again = PulledImages::new(folder.path(), vec![mirror]).expect("a client");
    let (_, fetched) = find(&again, &name, PullPolicy::IfNotPresent, &[]).await.expect("there");
    assert_eq!((fetched, registry.asked()), (None, 0));
    find(&again, &format!("{HOST}/p/r/app@{digest}"), PullPolicy::IfNotPresent, &[]).await.expect("by its digest");
    assert_eq!(registry.asked(), 1, "its files are there already");
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 2, "one image, and the names");
}

#[tokio::test]
async fn a_tag_is_looked_up_again_where_the_policy_says_so() {
    let (registry, mirror) = Registry::start().await;
    registry.put_image("1", "one");
    let (_folder, images) = images(&mirror);
    let name = format!("{HOST}/p/r/app:1");
    let never = find(&images, &name, PullPolicy::Never, &[]).await.expect_err("not there");
    assert_eq!((never.reason, registry.asked()), ("ErrImageNeverPull", 0));
    for (policy, pushed, found) in [
        (PullPolicy::Always, "one", "one"),
        (PullPolicy::IfNotPresent, "two", "one"),
        (PullPolicy::Always, "two", "two"),
        (PullPolicy::Never, "three", "two"),
    ] {
        registry.put_image("1", pushed);
        let (image, _) = find(&images, &name, policy, &[]).await.expect("there");
        assert_eq!(image.cmd, [found], "{policy:?}");
    }
}

#[tokio::test]
async fn an_index_leads_to_the_image_of_this_machine() {
    let (registry, mirror) = Registry::start().await;
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let entry = |architecture: &str, digest: &str| json!({ "mediaType": MANIFEST, "digest": digest, "platform": { "os": "linux", "architecture": architecture } });
    let (theirs, ours) = (registry.put_image("a", "theirs"), registry.put_image("b", "ours"));
    let index = json!({ "schemaVersion": 2, "manifests": [entry("s390x", &theirs), entry(architecture, &ours)] });
    registry.put("manifests", "1", index.to_string().as_bytes());
    let foreign = json!({ "schemaVersion": 2, "manifests": [entry("s390x", &theirs)] });
    registry.put("manifests", "2", foreign.to_string().as_bytes());
    let (_folder, images) = images(&mirror);
    let (image, _) = find(&images, &format!("{HOST}/p/r/app:1"), PullPolicy::IfNotPresent, &[]).await.expect("ours");
    assert_eq!(image.cmd, ["ours"]);
    assert!(image.id.ends_with(&digest(index.to_string().as_bytes())), "{}", image.id);
    let none = find(&images, &format!("{HOST}/p/r/app:2"), PullPolicy::IfNotPresent, &[]).await.expect_err("none");
    assert!(none.message.contains("no match for platform linux/"), "{}", none.message);
}

#[tokio::test]
async fn what_is_wrong_is_told_in_the_registrys_words() {
    let (registry, mirror) = Registry::start().await;
    let good = registry.put_image("1", "one");
    let (folder, images) = images(&mirror);
    let told = async |version: &str| {
        let name = format!("{HOST}/p/r/app{version}");
        find(&images, &name, PullPolicy::IfNotPresent, &[]).await.expect_err("wrong").message
    };
    let whole = format!("{HOST}/p/r/app:2");
    assert_eq!(
        told(":2").await,
        format!(
            "failed to pull and unpack image \"{whole}\": failed to resolve reference \"{whole}\": {whole}: not found: server \
             message: manifest unknown: no such image"
        )
    );
    registry.put("manifests", &good, b"{\"layers\":[]}");
    assert!(told(&format!("@{good}")).await.contains("the registry sent sha256:"));
    registry.put_image("3", "three");
    let blob = digest(&layer("file", "three"));
    registry.put("blobs", &blob, b"something else");
    assert!(told(":3").await.contains(&format!("where {blob} was asked for")));
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0, "nothing is left");
}

#[tokio::test]
async fn a_login_of_the_pod_or_else_of_the_node_lets_in() {
    let (registry, mut mirror) = Registry::start().await;
    registry.put_image("1", "one");
    registry.inner().password = Some("good".to_owned());
    let name = format!("{HOST}/p/r/app:1");
    let login = |password: &str| {
        let login = Login::Password { user: "oauth2accesstoken".to_owned(), password: password.to_owned() };
        vec![(HOST.to_owned(), login)]
    };
    let (_one, nobody) = images(&mirror);
    for logins in [vec![], login("bad")] {
        let refused = find(&nobody, &name, PullPolicy::Always, &logins).await.expect_err("refused");
        assert_eq!(refused.reason, "ErrImagePull");
        assert!(
            refused.message.contains("403 Forbidden: server message: denied: the token is not enough"),
            "{refused}"
        );
        assert!(!refused.message.contains("bad"), "no password is told");
    }
    find(&nobody, &name, PullPolicy::Always, &login("good")).await.expect("the pod's");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "good\n").expect("written");
    mirror.credential = Some(NodeCredential::TokenFile(file.path().to_owned()));
    let (_other, node) = images(&mirror);
    find(&node, &name, PullPolicy::Always, &login("bad")).await.expect("the node's, after the pod's");
}

#[tokio::test]
async fn registries_without_a_mirror_are_not_asked() {
    let (_registry, mirror) = Registry::start().await;
    let (_folder, images) = images(&mirror);
    let refused = find(&images, "docker.io/p/r/app:1", PullPolicy::Always, &[]).await.expect_err("not delivered");
    assert!(refused.message.contains("pulls none from registries"), "{}", refused.message);
}
