//! Pushing to a real registry, with and without a login.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use engine::{Class, Graph, Observation};
use images::Spec;
use libtest_mimic::Trial;
use providers::docker::Credentials;
use serde_json::{Value, json};

use crate::support::{Bench, hello, hello_spec, text};

pub fn tests() -> Vec<Trial> {
    let registry = crate::works("docker-registry", &["--version"]);
    let lacking = (!registry).then_some("docker-registry (Debian package docker-registry)");
    let passwords = crate::works("htpasswd", &["-nbB", "a", "b"]);
    let lacking_login = lacking.or((!passwords).then_some("htpasswd (Debian package apache2-utils)"));
    let lacking_docker = lacking.or((!crate::works("docker", &["version"])).then_some("Docker"));
    vec![
        crate::trial("an_image_is_pushed_to_a_registry_and_only_what_is_new_is_sent", lacking, pushed),
        crate::trial("a_login_is_taken_from_docker_and_a_missing_one_is_said", lacking_login, login),
        crate::trial("a_credential_helper_is_asked_for_the_login", lacking_login, helper),
        crate::trial("a_registry_that_cannot_be_reached_is_said", None, unreachable),
        crate::trial("what_was_pushed_can_be_run_by_docker", lacking_docker, run),
        crate::trial("docker_itself_tags_and_pushes", lacking_docker, pushed_by_docker),
    ]
}

/// A registry that is gone when the test is.
struct Running {
    child: Child,
    port: u16,
}

impl Running {
    fn start(folder: &Path, with_login: bool) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let auth = if with_login {
            let line = Command::new("htpasswd").args(["-nbB", "anna", "secret"]).output().unwrap().stdout;
            fs::write(folder.join("htpasswd"), line).unwrap();
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", folder.join("htpasswd").display())
        } else {
            String::new()
        };
        let data = folder.join("registry").display().to_string();
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {data}\nhttp:\n  addr: 127.0.0.1:{port}\n{auth}"
        );
        fs::write(folder.join("registry.yml"), text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.join("registry.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = Self { child, port };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "the registry does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }

    fn repository(&self) -> String {
        format!("127.0.0.1:{}/team/hello", self.port)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The fixture's image, made; and its graph with the push.
async fn made(bench: &Bench, folder: &Path, to: &str) -> (Graph, Value) {
    let spec = Spec { push: Some(to.to_owned()), ..hello_spec(&hello(folder)) };
    let graph = bench.declare(&spec, None).await;
    let image = bench.create(&graph, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();
    (graph, image)
}

async fn pushed() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Running::start(folder.path(), false);
    let bench = Bench::new("push", &folder.path().join("cache"), None);
    let (graph, image) = made(&bench, folder.path(), &registry.repository()).await;
    let first = bench.create(&graph, "push", &image).await.map_err(|failure| text(&failure)).unwrap();
    let digest = first["digest"].as_str().unwrap();
    assert_eq!(first["reference"], format!("{}@{digest}", registry.repository()));
    let (sent, whole) = (first["sent_bytes"].as_u64().unwrap(), image["bytes"].as_u64().unwrap());
    assert!((1000..whole).contains(&sent), "layers are sent compressed: {sent} of {whole}");
    assert_eq!(bench.observe(&graph, "push", &image, &first).await, Observation::AsRecorded);
    let again = bench.create(&graph, "push", &image).await.map_err(|failure| text(&failure)).unwrap();
    assert_eq!(again["reference"], first["reference"]);
    assert!(again["sent_bytes"].as_u64().unwrap() < 1500, "only the manifest: {again}");
    let other = json!({ "digest": format!("sha256:{}", "0".repeat(64)) });
    assert_eq!(bench.observe(&graph, "push", &image, &other).await, Observation::Absent);
}

fn docker_config(folder: &Path, content: &Value) -> PathBuf {
    let config = folder.join("docker-config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.json"), content.to_string()).unwrap();
    config
}

async fn login() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Running::start(folder.path(), true);
    let host = format!("127.0.0.1:{}", registry.port);
    let cache = folder.path().join("cache");

    let without = Bench::new("push", &cache, Some(docker_config(folder.path(), &json!({}))));
    let (graph, image) = made(&without, folder.path(), &registry.repository()).await;
    let failure = without.create(&graph, "push", &image).await.unwrap_err();
    let wanted = format!(
        "registry {host} refuses the login for team/hello: there is none\nhint: log in with `docker login {host}`"
    );
    assert!(text(&failure).starts_with(&wanted), "{}", text(&failure));
    assert_eq!(failure.class, Class::Missing);

    // anna:wrong
    let wrong = json!({ "auths": { host.clone(): { "auth": "YW5uYTp3cm9uZw==" } } });
    let wrong = Bench::new("push", &cache, Some(docker_config(folder.path(), &wrong)));
    let said = text(&wrong.create(&graph, "push", &image).await.unwrap_err());
    assert!(said.starts_with(&format!("registry {host} refuses the login for team/hello\n")), "{said}");
    assert!(!said.contains("wrong") && !said.contains("YW5"), "{said}");

    // anna:secret
    let right = json!({ "auths": { host: { "auth": "YW5uYTpzZWNyZXQ=" } } });
    let right = Bench::new("push", &cache, Some(docker_config(folder.path(), &right)));
    let pushed = right.create(&graph, "push", &image).await.map_err(|failure| text(&failure)).unwrap();
    assert_eq!(right.observe(&graph, "push", &image, &pushed).await, Observation::AsRecorded);
}

/// The program `docker-credential-infra-test` that [`crate::main`] puts on the path knows anna.
async fn helper() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Running::start(folder.path(), true);
    let host = format!("127.0.0.1:{}", registry.port);
    let configuration = json!({ "credHelpers": { host.clone(): "infra-test" } });
    let bench = Bench::new("push", &folder.path().join("cache"), Some(docker_config(folder.path(), &configuration)));
    let (graph, image) = made(&bench, folder.path(), &registry.repository()).await;
    bench.create(&graph, "push", &image).await.map_err(|failure| text(&failure)).unwrap();

    let configuration = json!({ "credHelpers": { host.clone(): "infra-not-there" } });
    let bench = Bench::new("push", &folder.path().join("cache"), Some(docker_config(folder.path(), &configuration)));
    let said = text(&bench.create(&graph, "push", &image).await.unwrap_err());
    let wanted =
        format!("credential helper docker-credential-infra-not-there gives no login for {host}: it is not installed");
    assert!(said.starts_with(&wanted), "{said}");
}

async fn unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bench = Bench::new("push", &folder.path().join("cache"), None);
    let (graph, image) = made(&bench, folder.path(), &format!("127.0.0.1:{port}/hello")).await;
    let said = text(&bench.create(&graph, "push", &image).await.unwrap_err());
    assert!(
        said.starts_with(&format!("reach registry 127.0.0.1:{port}: ")) && said.contains("Connection refused"),
        "{said}"
    );
}

async fn run() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Running::start(folder.path(), false);
    let bench = Bench::new("push", &folder.path().join("cache"), None);
    let (graph, image) = made(&bench, folder.path(), &registry.repository()).await;
    let pushed = bench.create(&graph, "push", &image).await.map_err(|failure| text(&failure)).unwrap();
    let reference = pushed["reference"].as_str().unwrap();
    let output =
        Command::new("docker").args(["run", "--rm", "--read-only", reference, "from the registry"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("hello from the registry\n"), "{said} {}", String::from_utf8_lossy(&output.stderr));
    bench.docker.remove_image(reference).await.unwrap();
}

async fn pushed_by_docker() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Running::start(folder.path(), false);
    let bench = Bench::new("push", &folder.path().join("cache"), None);
    let (graph, image) = made(&bench, folder.path(), &registry.repository()).await;
    let first = bench.create(&graph, "push", &image).await.map_err(|failure| text(&failure)).unwrap();
    let reference = first["reference"].as_str().unwrap();
    assert!(crate::works("docker", &["pull", reference]));
    let other = format!("127.0.0.1:{}/team/other", registry.port);
    bench.docker.tag_image(reference, &other, "one").await.unwrap();
    let nobody = Credentials::Password { username: "anna".to_owned(), password: "any".to_owned() };
    let mut lines = Vec::new();
    let digest =
        bench.docker.push_image(&other, "one", Some(&nobody), |line| lines.push(line.to_owned())).await.unwrap();
    assert!(digest.starts_with("sha256:") && !lines.is_empty(), "{digest} {lines:?}");
    assert!(crate::works("docker", &["pull", &format!("{other}@{digest}")]));
    for left in [reference, &format!("{other}:one"), &format!("{other}@{digest}")] {
        bench.docker.remove_image(left).await.unwrap();
    }
    let missing = bench.docker.push_image(&other, "two", None, |_| {}).await.unwrap_err();
    assert!(missing.to_string().contains("push image"), "{missing}");
}
