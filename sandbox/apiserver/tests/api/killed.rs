//! A process that is killed while it writes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use apiserver::WriteOptions;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;

use crate::served::{make_namespace, open, tester};

const FOLDER: &str = "APISERVER_WRITES_IN";

/// What the test runs in a process of its own: it writes until it is killed, and says each name and revision after it was
/// acknowledged.
async fn write_on(folder: &Path) {
    let api = open(folder);
    if api.get(kinds::NAMESPACES, "", "default").is_err() {
        make_namespace(&api, "default").await;
    }
    let mut writes = FuturesUnordered::new();
    loop {
        while writes.len() < 16 {
            let api = api.clone();
            writes.push(async move {
                let object = json!({"metadata": {"generateName": "c"}, "data": {"text": "x".repeat(300)}});
                api.create(&tester(), kinds::CONFIG_MAPS, "default", object, &WriteOptions::default()).await
            });
        }
        let made = writes.next().await.expect("one is done").expect("it is written");
        let text = |field: &str| made["metadata"][field].as_str().unwrap_or_default().to_owned();
        println!("acknowledged {} {}", text("name"), text("resourceVersion"));
    }
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        return runtime.block_on(write_on(Path::new(&folder)));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    for lines in [40, 1, 170] {
        let mut child = Command::new(std::env::current_exe().expect("a program"))
            .args(["--exact", "killed::what_a_killed_process_acknowledged_is_there", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let before = acknowledged.iter().map(|(_, revision)| *revision).max().unwrap_or_default();
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut seen = 0;
        for line in output.lines() {
            let line = line.expect("a line");
            // The test harness writes its own words before the first one.
            let Some((_, told)) = line.split_once("acknowledged ") else { continue };
            let (name, revision) = told.split_once(' ').expect("two words");
            let revision = revision.parse().expect("a number");
            assert!(revision > before, "revisions go on");
            acknowledged.push((name.to_owned(), revision));
            seen += 1;
            if seen == lines {
                child.kill().expect("it runs");
            }
        }
        child.wait().expect("it ends");
        assert!(seen >= lines, "the writer ended by itself");
        let api = open(folder.path());
        for (name, revision) in &acknowledged {
            let object = api.get(kinds::CONFIG_MAPS, "default", name).expect("it was acknowledged");
            assert_eq!(object["metadata"]["resourceVersion"], revision.to_string());
        }
        assert!(api.revision() >= acknowledged.iter().map(|(_, revision)| *revision).max().unwrap_or_default());
    }
}
