//! Watches while many write.

use std::collections::BTreeMap;

use apiserver::{DeleteOptions, EventKind, Selector, WatchOptions, WriteOptions};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::served::{make_namespace, open, tester};

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a revision")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_each_change_once_while_many_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let api = open(folder.path());
    make_namespace(&api, "default").await;
    let begin = api.revision();
    let writers = (0..8).map(|writer| {
        let api = api.clone();
        tokio::spawn(async move {
            let (by, options) = (tester(), WriteOptions::default());
            let name = format!("w{writer}");
            for round in 0..30 {
                let object = json!({"metadata": {"name": name}, "data": {"round": round.to_string()}});
                api.create(&by, kinds::CONFIG_MAPS, "default", object, &options).await.expect("it is new");
                let change = |object: &mut Value| {
                    object["data"]["changed"] = json!("yes");
                    true
                };
                api.modify(&by, kinds::CONFIG_MAPS, None, ("default", &name), change).await.expect("it is there");
                api.delete(&by, kinds::CONFIG_MAPS, ("default", &name), &DeleteOptions::default())
                    .await
                    .expect("it is there");
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    // One that begins at the beginning, and one that joins at every tenth event.
    let mut from = begin;
    let mut told = Vec::new();
    while told.len() < 8 * 30 * 3 {
        let options = WatchOptions { from: Some(from), ..WatchOptions::default() };
        let mut watch = api.watch(kinds::CONFIG_MAPS, Some("default"), options).expect("a watch");
        for _ in 0..10 {
            let event = watch.next().await.expect("an event");
            from = revision(&event.object);
            told.push((from, event.kind));
        }
    }
    for writer in writers {
        writer.await.expect("it writes");
    }
    let revisions: Vec<u64> = told.iter().map(|(revision, _)| *revision).collect();
    assert_eq!(revisions, (begin + 1..=begin + 720).collect::<Vec<_>>());
    let mut told_kinds = BTreeMap::new();
    for (_, kind) in told {
        *told_kinds.entry(kind.as_str()).or_insert(0) += 1;
    }
    assert_eq!(told_kinds, BTreeMap::from([("ADDED", 240), ("MODIFIED", 240), ("DELETED", 240)]));
}

#[tokio::test]
async fn a_selecting_watch_sees_objects_come_and_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let api = open(folder.path());
    make_namespace(&api, "default").await;
    let (by, options) = (tester(), WriteOptions::default());
    let object = json!({"metadata": {"name": "one", "labels": {"color": "red"}}});
    api.create(&by, kinds::CONFIG_MAPS, "default", object, &options).await.expect("it is new");
    let labels = Selector::parse("color=red").expect("a selector");
    let options = WatchOptions { labels, initial_events: true, bookmarks: true, ..WatchOptions::default() };
    let mut watch = api.watch(kinds::CONFIG_MAPS, None, options).expect("a watch");
    let begin = [watch.next().await, watch.next().await].map(|event| event.expect("an event").kind);
    assert_eq!(begin, [EventKind::Added, EventKind::Bookmark]);
    let mut kinds_told = Vec::new();
    for color in ["red", "blue", "green", "red"] {
        let round = kinds_told.len().to_string();
        let paint = |object: &mut Value| {
            object["metadata"]["labels"]["color"] = json!(color);
            object["data"] = json!({"round": round});
            true
        };
        api.modify(&by, kinds::CONFIG_MAPS, None, ("default", "one"), paint).await.expect("it is there");
        // Green is not told: nothing that was selected changed.
        if color != "green" {
            kinds_told.push(watch.next().await.expect("an event").kind);
        }
    }
    assert_eq!(kinds_told, [EventKind::Modified, EventKind::Deleted, EventKind::Added]);
}

#[tokio::test]
async fn a_watch_from_before_the_history_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let api = open(folder.path());
    make_namespace(&api, "default").await;
    drop(api);
    let api = open(folder.path());
    let options = WatchOptions { from: Some(1), ..WatchOptions::default() };
    let mut watch = api.watch(kinds::NAMESPACES, None, options).expect("a watch");
    let event = watch.next().await.expect("an event");
    assert_eq!(event.kind, EventKind::Error);
    assert_eq!(event.object["code"], 410);
    assert_eq!(event.object["reason"], "Expired");
    assert!(watch.next().await.is_none());
}
