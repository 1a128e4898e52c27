//! Images of cargo programs, without Docker.

mod support;

use std::collections::BTreeMap;
use std::fs;

use engine::Observation;
use images::{FileEntry, Store};
use serde_json::{Value, json};
use support::{Bench, hello, hello_spec, text};

fn blob(bench: &Bench, digest: &str) -> Vec<u8> {
    fs::read(Store::open(&bench.cache).unwrap().path(digest)).unwrap()
}

/// The files of all layers: path to owner, mode and time.
fn content(bench: &Bench, image: &Value) -> BTreeMap<String, String> {
    let manifest: Value = serde_json::from_slice(&blob(bench, image["digest"].as_str().unwrap())).unwrap();
    let mut found = BTreeMap::new();
    for layer in manifest["layers"].as_array().unwrap() {
        let bytes = blob(bench, layer["digest"].as_str().unwrap());
        let mut archive = tar::Archive::new(&bytes[..]);
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            let about = format!(
                "{}:{} {:o} {}",
                header.uid().unwrap(),
                header.gid().unwrap(),
                header.mode().unwrap(),
                header.mtime().unwrap()
            );
            found.insert(entry.path().unwrap().display().to_string(), about);
        }
    }
    found
}

#[tokio::test]
async fn a_cargo_image_holds_one_static_program_and_its_files_and_runs_as_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new("one", &folder.path().join("cache"), None);
    let mut spec = hello_spec(&hello(folder.path()));
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/greeting.txt"), "good day").unwrap();
    spec.files = vec![FileEntry { from: folder.path().join("data"), to: "/data".to_owned() }];
    let graph = bench.declare(&spec, None).await;
    let image = bench.create(&graph, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();

    let digest = image["digest"].as_str().unwrap();
    assert_eq!(image["reference"], format!("infra.local/one/hello@{digest}"));
    let manifest: Value = serde_json::from_slice(&blob(&bench, digest)).unwrap();
    let configuration = blob(&bench, manifest["config"]["digest"].as_str().unwrap());
    let configuration: Value = serde_json::from_slice(&configuration).unwrap();
    let labels = json!({ "infra.deployment": "one", "infra.image": "hello" });
    let wanted = json!({ "Entrypoint": ["/hello"], "Env": ["PATH=/"], "Labels": labels, "User": "65532:65532", "WorkingDir": "/" });
    assert_eq!(configuration["config"], wanted);
    let found = content(&bench, &image);
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let wanted =
        ["data/", "data/greeting.txt", "etc/", "etc/group", "etc/nsswitch.conf", "etc/passwd", "hello", "tmp/"];
    assert_eq!(names, wanted);
    assert_eq!((found["hello"].as_str(), found["tmp/"].as_str()), ("0:0 755 0", "0:0 1777 0"));
    assert!(image["bytes"].as_u64().unwrap() < 5_000_000, "{}", image["bytes"]);
    assert_eq!(bench.observe(&graph, "image", &json!({}), &image).await, Observation::AsRecorded);
}

#[tokio::test]
async fn the_same_source_gives_the_same_image_wherever_it_lies() {
    let mut digests = Vec::new();
    for place in ["here", "a/rather/longer/place"] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(place);
        fs::create_dir_all(&root).unwrap();
        let bench = Bench::new("same", &root.join("cache"), None);
        let graph = bench.declare(&hello_spec(&hello(&root)), None).await;
        let image = bench.create(&graph, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();
        digests.push(image["digest"].clone());
    }
    assert_eq!(digests[0], digests[1]);
}

#[tokio::test]
async fn a_program_that_does_not_compile_shows_what_the_compiler_says() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new("wrong", &folder.path().join("cache"), None);
    let source = hello(folder.path());
    fs::write(source.join("src/main.rs"), "fn main() { let x: u8 = \"text\"; }").unwrap();
    let graph = bench.declare(&hello_spec(&source), None).await;
    let failure = bench.create(&graph, "image", &json!({})).await.unwrap_err();
    let said = text(&failure);
    assert!(said.starts_with("cargo build of package \"hello\" failed\n"), "{said}");
    assert!(said.contains("mismatched types") && said.contains("src/main.rs:1:25"), "{said}");
    assert!(!said.contains("\"reason\""), "{said}");
    assert_eq!(failure.remains, engine::Remains::Nothing);
}

#[tokio::test]
async fn a_package_that_is_not_there_is_said_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = hello_spec(&hello(folder.path()));
    let images::Source::Cargo(source) = &mut spec.source else { unreachable!() };
    source.package = "helo".to_owned();
    let store = Store::open(&folder.path().join("cache")).unwrap();
    let error = images::fingerprint(&store, &spec).await.unwrap_err();
    assert!(error.to_string().ends_with("has no package \"helo\"; it has: hello"), "{error}");
}

#[tokio::test]
async fn a_damaged_image_is_noticed_and_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new("damaged", &folder.path().join("cache"), None);
    let graph = bench.declare(&hello_spec(&hello(folder.path())), None).await;
    let image = bench.create(&graph, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();
    let manifest: Value = serde_json::from_slice(&blob(&bench, image["digest"].as_str().unwrap())).unwrap();
    let layer = manifest["layers"][1]["digest"].as_str().unwrap();
    let path = Store::open(&bench.cache).unwrap().path(layer);
    let mut bytes = fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(bench.observe(&graph, "image", &json!({}), &image).await, Observation::Absent);
    let again = bench.create(&graph, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();
    assert_eq!(again, image);
    assert_eq!(bench.observe(&graph, "image", &json!({}), &image).await, Observation::AsRecorded);
}

#[tokio::test]
async fn a_deleted_image_is_no_longer_there() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new("gone", &folder.path().join("cache"), None);
    let graph = bench.declare(&hello_spec(&hello(folder.path())), None).await;
    let image = bench.create(&graph, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();
    assert_eq!(bench.delete(&graph, "image", &json!({})).await, ["image infra.local/gone/hello"]);
    assert_eq!(bench.observe(&graph, "image", &json!({}), &image).await, Observation::Absent);
    assert_eq!(bench.delete(&graph, "image", &json!({})).await, ["image infra.local/gone/hello"]);
}

#[tokio::test]
async fn the_fingerprint_follows_what_goes_in_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let source = hello(folder.path());
    let mut spec = hello_spec(&source);
    let store = Store::open(&folder.path().join("cache")).unwrap();
    fs::write(folder.path().join("data.txt"), "one").unwrap();
    spec.files = vec![FileEntry { from: folder.path().join("data.txt"), to: "/data.txt".to_owned() }];
    let now = async |spec: &_| images::fingerprint(&store, spec).await.unwrap();
    let first = now(&spec).await;
    fs::create_dir_all(source.join("tests")).unwrap();
    fs::write(source.join("tests/a.rs"), "").unwrap();
    fs::create_dir_all(source.join("target")).unwrap();
    fs::write(source.join("target/made"), "").unwrap();
    spec.push = Some("localhost:5000/hello".to_owned());
    assert_eq!(now(&spec).await, first, "tests, what cargo makes, and where it goes do not matter");
    let mut seen = vec![first];
    fs::write(folder.path().join("data.txt"), "two").unwrap();
    seen.push(now(&spec).await);
    fs::write(source.join("src/other.rs"), "").unwrap();
    seen.push(now(&spec).await);
    fs::write(source.join("Cargo.lock"), "version = 4\n").unwrap();
    seen.push(now(&spec).await);
    spec.user = Some("1000".to_owned());
    seen.push(now(&spec).await);
    let distinct: std::collections::BTreeSet<&String> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "{seen:#?}");
}
