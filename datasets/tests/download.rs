//! Only whole and proven files are kept, whatever the server does.
#![cfg(feature = "download")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datasets::{DownloadError, File, Name, Origin, Part, Split, download};
use tempfile::TempDir;

const BODY: &[u8] = b"ten digits";
/// The SHA-256 of [`BODY`], from `sha256sum`.
const BODY_SHA256: &str = "f83c944549481e464fa490d7b1e6811985a34800a0e0efc18f5907185d109565";

/// A server that gives every request the same answer and counts the requests.
fn serve(answer: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            count.fetch_add(1, Ordering::SeqCst);
            // A client that has seen enough hangs up; that is its right.
            let _ = stream.write_all(&answer);
        }
    });
    (format!("http://{address}/"), requests)
}

fn answer(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn origin(mirrors: &[&str]) -> Origin {
    let file = File { split: Split::Test, part: Part::Labels, sha256: BODY_SHA256.to_owned() };
    Origin { mirrors: mirrors.iter().map(ToString::to_string).collect(), files: vec![file] }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Downloads from a server that gives this answer, and makes sure that a failure leaves nothing.
async fn failure(answer: Vec<u8>) -> DownloadError {
    let folder = TempDir::new().expect("a temporary folder");
    let (url, _) = serve(answer);
    let error = download(&origin(&[&url]), folder.path()).await.expect_err("the answer is wrong");
    assert_eq!(names_in(folder.path()), [""; 0]);
    error
}

#[tokio::test]
async fn a_right_file_is_kept_and_not_fetched_twice() {
    let folder = TempDir::new().expect("a temporary folder");
    let cache = folder.path().join("made/on/demand");
    let (url, requests) = serve(answer("200 OK", BODY.len(), BODY));
    for _ in 0..2 {
        let paths = download(&origin(&[&url]), &cache).await.expect("the answer is right");
        assert_eq!(paths, [cache.join("t10k-labels-idx1-ubyte.gz")]);
    }
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    assert_eq!(std::fs::read(cache.join("t10k-labels-idx1-ubyte.gz")).expect("it was kept"), BODY);
    assert_eq!(names_in(&cache).len(), 1);
}

#[tokio::test]
async fn a_wrong_checksum_names_both_and_leaves_nothing() {
    let error = failure(answer("200 OK", 4, b"evil")).await;
    let DownloadError::Checksum { expected, found, .. } = error else { panic!("another error: {error}") };
    assert_eq!(expected, BODY_SHA256);
    assert_ne!(found, expected);
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    assert!(matches!(failure(answer("200 OK", BODY.len() + 1, BODY)).await, DownloadError::Request { .. }));
}

#[tokio::test]
async fn a_missing_file_is_reported_by_its_status() {
    assert!(matches!(failure(answer("404 Not Found", 0, b"")).await, DownloadError::Status { status: 404, .. }));
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let endless = answer("200 OK", 65 << 20, &vec![0; 65 << 20]);
    assert!(matches!(failure(endless).await, DownloadError::TooLong { .. }));
}

#[tokio::test]
async fn the_next_mirror_is_asked_when_one_fails() {
    let folder = TempDir::new().expect("a temporary folder");
    let (wrong, _) = serve(answer("200 OK", 4, b"evil"));
    let (right, _) = serve(answer("200 OK", BODY.len(), BODY));
    download(&origin(&[&wrong, &right]), folder.path()).await.expect("the second mirror is right");
    assert_eq!(names_in(folder.path()), ["t10k-labels-idx1-ubyte.gz"]);
}

#[tokio::test]
async fn another_file_of_that_name_is_never_overwritten() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("t10k-labels-idx1-ubyte.gz");
    std::fs::write(&path, b"mine").expect("a small file");
    let (url, requests) = serve(answer("200 OK", BODY.len(), BODY));
    let error = download(&origin(&[&url]), folder.path()).await.expect_err("the place is taken");
    assert!(matches!(error, DownloadError::Occupied { .. }));
    assert_eq!(
        (std::fs::read(&path).expect("still there").as_slice(), requests.load(Ordering::SeqCst)),
        (&b"mine"[..], 0)
    );
}

#[tokio::test]
async fn the_pinned_checksums_of_mnist_are_those_of_the_carried_test_files() {
    let mut origin = Name::Mnist.origin();
    origin.files.retain(|file| file.split == Split::Test);
    // No mirror: had a carried file another checksum, it could only fail.
    origin.mirrors.clear();
    let carried = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist");
    assert_eq!(download(&origin, &carried).await.expect("both files are the original ones").len(), 2);
}
