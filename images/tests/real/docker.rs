//! Images of Dockerfiles.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use engine::Observation;
use images::{DockerfileSource, FileEntry, Source, Spec, Store};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{Bench, hello, hello_spec, text};

pub fn tests() -> Vec<Trial> {
    let lacking = (!crate::works("docker", &["version"])).then_some("Docker");
    vec![
        crate::trial("a_dockerfile_becomes_an_image_in_the_store_and_leaves_docker_when_deleted", lacking, built),
        crate::trial("a_build_that_fails_shows_its_last_lines", lacking, fails),
        crate::trial("what_only_buildkit_can_is_said", lacking, buildkit),
        crate::trial("a_missing_dockerfile_is_said", lacking, missing),
        crate::trial("an_image_is_tagged_inspected_and_removed", lacking, tagged),
    ]
}

fn dockerfile_spec(folder: &Path, dockerfile: &str) -> Spec {
    let context = folder.join("context");
    fs::create_dir_all(&context).unwrap();
    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    let arguments = [("GREETING".to_owned(), "from an argument".to_owned())].into();
    let source =
        DockerfileSource { file: context.join("Dockerfile"), context, arguments, target: Some("wanted".to_owned()) };
    let (files, environment) = (Vec::new(), BTreeMap::new());
    Spec { name: "made".to_owned(), source: Source::Dockerfile(source), files, user: None, environment, push: None }
}

/// A static program that can be run in an image without anything else: the fixture, taken out of its own image.
async fn program(folder: &Path, to: &Path) {
    let bench = Bench::new("program", &folder.join("program-cache"), None);
    let graph = bench.declare(&hello_spec(&hello(folder)), None).await;
    let image = bench.create(&graph, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();
    let store = Store::open(&bench.cache).unwrap();
    let manifest: Value =
        serde_json::from_slice(&fs::read(store.path(image["digest"].as_str().unwrap())).unwrap()).unwrap();
    let layer = manifest["layers"].as_array().unwrap().last().unwrap();
    let bytes = fs::read(store.path(layer["digest"].as_str().unwrap())).unwrap();
    tar::Archive::new(&bytes[..]).unpack(to).unwrap();
}

const DOCKERFILE: &str = "FROM scratch AS wanted
ARG GREETING
COPY . /
LABEL greeting=$GREETING
RUN [\"/hello\", \"in the build\"]
USER 1000
ENTRYPOINT [\"/hello\"]
FROM scratch
COPY hello /never
";

async fn built() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new("docker-test", &folder.path().join("cache"), None);
    let mut spec = dockerfile_spec(folder.path(), DOCKERFILE);
    let context = folder.path().join("context");
    program(folder.path(), &context).await;
    fs::write(context.join("secret.txt"), "not for the image").unwrap();
    fs::write(context.join(".dockerignore"), "*.txt\nDockerfile\n.dockerignore\n").unwrap();
    fs::write(folder.path().join("greeting.txt"), "good day").unwrap();
    spec.files = vec![FileEntry { from: folder.path().join("greeting.txt"), to: "/data/greeting.txt".to_owned() }];
    let graph = bench.declare(&spec, None).await;
    let image = bench.create(&graph, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();
    assert!(bench.heard.lines().iter().any(|line| line.contains("hello in the build")), "{:#?}", bench.heard.lines());

    let store = Store::open(&bench.cache).unwrap();
    let read = |digest: &Value| fs::read(store.path(digest.as_str().unwrap())).unwrap();
    let manifest: Value = serde_json::from_slice(&read(&image["digest"])).unwrap();
    let configuration: Value = serde_json::from_slice(&read(&manifest["config"]["digest"])).unwrap();
    assert_eq!(configuration["config"]["Labels"]["greeting"], "from an argument");
    assert_eq!(configuration["config"]["Labels"]["infra.deployment"], "docker-test");
    assert_eq!(
        (&configuration["config"]["User"], &configuration["config"]["Entrypoint"]),
        (&json!("1000"), &json!(["/hello"]))
    );
    let mut names = Vec::new();
    for layer in manifest["layers"].as_array().unwrap() {
        let bytes = read(&layer["digest"]);
        let mut archive = tar::Archive::new(&bytes[..]);
        names.extend(archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()));
    }
    names.retain(|name| !name.ends_with('/'));
    assert_eq!(names, ["hello", "data/greeting.txt"]);

    let tag = listed("docker-test");
    assert_eq!(tag.len(), 1, "{tag:?}");
    assert!(tag[0].starts_with("infra.local/docker-test/made:"), "{tag:?}");
    assert_eq!(bench.observe(&graph, "image", &json!({}), &image).await, Observation::AsRecorded);

    // Another context, another image; the old one does not stay.
    fs::write(context.join("more"), "x").unwrap();
    let changed = bench.declare(&spec, None).await;
    let other = bench.create(&changed, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();
    assert_ne!(other["digest"], image["digest"]);
    assert_eq!(listed("docker-test").len(), 1);
    // The same context again gives the same image, even where nothing of it is remembered.
    fs::remove_file(context.join("more")).unwrap();
    let elsewhere = Bench::new("docker-test", &folder.path().join("another-cache"), None);
    let same = elsewhere.create(&graph, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();
    assert_eq!(same["layers"], image["layers"]);

    // From the labels alone.
    let found = images::find(&bench.docker, "docker-test").await.unwrap();
    assert_eq!(found.iter().map(|node| node.address.to_string()).collect::<Vec<_>>(), ["image/made"]);
    let mut graph = engine::Graph::default();
    graph.add(found.into_iter().next().unwrap()).unwrap();
    let gone = bench.delete(&graph, "image", &json!({})).await;
    assert!(gone.iter().any(|line| line.starts_with("image in Docker infra.local/docker-test/made:")), "{gone:?}");
    assert_eq!(listed("docker-test"), Vec::<String>::new());
    assert_eq!(images::find(&bench.docker, "docker-test").await.unwrap(), []);
    assert_eq!(bench.delete(&graph, "image", &json!({})).await, ["image infra.local/docker-test/made"]);
}

/// The references of a deployment's images in Docker.
fn listed(deployment: &str) -> Vec<String> {
    let filter = format!("label=infra.deployment={deployment}");
    let output = Command::new("docker")
        .args(["images", "--filter", &filter, "--format", "{{.Repository}}:{{.Tag}}"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with("<none>"))
        .map(str::to_owned)
        .collect()
}

async fn fails() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new("docker-fails", &folder.path().join("cache"), None);
    let spec = dockerfile_spec(folder.path(), "FROM scratch AS wanted\nCOPY nothing-here /x\n");
    let graph = bench.declare(&spec, None).await;
    let failure = bench.create(&graph, "image", &json!({})).await.unwrap_err();
    let said = text(&failure);
    assert!(said.contains("nothing-here") && said.contains("Step 2/4 : COPY nothing-here /x"), "{said}");
}

async fn buildkit() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new("docker-buildkit", &folder.path().join("cache"), None);
    let spec =
        dockerfile_spec(folder.path(), "FROM scratch AS wanted\nRUN --mount=type=cache,target=/x [\"/hello\"]\n");
    let graph = bench.declare(&spec, None).await;
    let failure = bench.create(&graph, "image", &json!({})).await.unwrap_err();
    assert!(text(&failure).contains("hint: the Dockerfile uses what only BuildKit has"), "{}", text(&failure));
}

async fn missing() {
    let folder = tempfile::tempdir().unwrap();
    let spec = dockerfile_spec(folder.path(), "FROM scratch AS wanted\n");
    fs::remove_file(folder.path().join("context/Dockerfile")).unwrap();
    let store = Store::open(&folder.path().join("cache")).unwrap();
    let error = images::fingerprint(&store, &spec).await.unwrap_err();
    assert!(error.to_string().starts_with("there is no Dockerfile "), "{error}");
}

async fn tagged() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new("docker-tag", &folder.path().join("cache"), None);
    let spec = dockerfile_spec(folder.path(), "FROM scratch AS wanted\nCOPY Dockerfile /\n");
    let graph = bench.declare(&spec, None).await;
    bench.create(&graph, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();
    let made = listed("docker-tag").remove(0);
    bench.docker.tag_image(&made, "infra.local/docker-tag/other", "one").await.unwrap();
    let image = bench.docker.image("infra.local/docker-tag/other:one").await.unwrap().unwrap();
    assert_eq!(image.labels["infra.deployment"], "docker-tag");
    bench.docker.remove_image("infra.local/docker-tag/other:one").await.unwrap();
    assert_eq!(bench.docker.image("infra.local/docker-tag/other:one").await.unwrap(), None);
    bench.delete(&graph, "image", &json!({})).await;
}
