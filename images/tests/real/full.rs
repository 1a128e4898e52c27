//! A disk without space.

use std::path::Path;
use std::process::Command;

use engine::{Class, Remains};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Bench, hello, hello_spec, text};

pub fn tests() -> Vec<Trial> {
    let folder = tempfile::tempdir().unwrap();
    let lacking = Small::mount(folder.path()).is_none().then_some("the right to mount a tmpfs");
    vec![crate::trial("a_full_disk_is_said_and_leaves_nothing_half_done", lacking, full)]
}

/// A file system of 200 kB.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(folder: &'a Path) -> Option<Self> {
        let mounted = crate::works("mount", &["-t", "tmpfs", "-o", "size=200k", "tmpfs", folder.to_str()?]);
        mounted.then_some(Self(folder))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.0).status().unwrap();
    }
}

async fn full() {
    let folder = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let _small = Small::mount(cache.path()).unwrap();
    let bench = Bench::new("full", cache.path(), None);
    let graph = bench.declare(&hello_spec(&hello(folder.path())), None).await;
    let failure = bench.create(&graph, "image", &json!({})).await.unwrap_err();
    let said = text(&failure);
    assert!(said.starts_with("cannot write the image cache ") && said.contains("No space left on device"), "{said}");
    assert!(said.contains("hint: free some space"), "{said}");
    assert_eq!((failure.remains, failure.class), (Remains::Nothing, Class::Missing));
    let left = std::fs::read_dir(cache.path().join("temporary")).unwrap().count();
    assert_eq!(left, 0, "what was begun is gone");
}
