//! Checks against small services in this process.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::{Address, Sinks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::spec::Expectation;

/// Answers each request with what `answer` makes of its number and its body.
async fn serve(answer: impl Fn(usize, &str) -> (u16, String) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (answer, count) = (answer.clone(), count.clone());
            tokio::spawn(async move {
                let (mut socket, body) = read_request(socket).await;
                let (status, text) = answer(count.fetch_add(1, Ordering::SeqCst), &body);
                let head =
                    format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
                socket.write_all(format!("{head}{text}").as_bytes()).await.expect("a listener");
            });
        }
    });
    port
}

async fn read_request(mut socket: TcpStream) -> (TcpStream, String) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_lowercase();
            let length = lower
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().expect("a length"));
            if body.len() >= length {
                let body = body.to_owned();
                return (socket, body);
            }
        }
        assert_ne!(socket.read_buf(&mut bytes).await.expect("a request"), 0, "the request ended early");
    }
}

async fn check(port: u16, question: Question, timeout_seconds: u64) -> Result<Passed, CheckError> {
    let check = spec::Check {
        name: "test".into(),
        namespace: "test".into(),
        service: "server".into(),
        port: 80,
        path: "/predict".into(),
        timeout_seconds,
        question,
    };
    let context = Context::detached("test", Address::new("check", "test"), Sinks::default());
    let client = Client::new(Path::new("/nonexistent"));
    run(&context, &client, &check, Access { local_port: Some(port), load_balancer: false }).await
}

fn http(expect: Expectation) -> Question {
    Question::Http { method: "GET".into(), body: None, expect }
}

/// Ten images of four pixels; the label of each is its first pixel.
fn digits(folder: &Path) {
    let mut images = vec![0, 0, 8, 3, 0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 2];
    let mut labels = vec![0, 0, 8, 1, 0, 0, 0, 10];
    for digit in 0..10 {
        images.extend([digit; 4]);
        labels.push(digit);
    }
    std::fs::write(folder.join("t10k-images-idx3-ubyte"), images).expect("a file");
    std::fs::write(folder.join("t10k-labels-idx1-ubyte"), labels).expect("a file");
}

/// A service that takes every digit above `largest` for a zero.
fn knows(largest: u64) -> impl Fn(usize, &str) -> (u16, String) {
    move |_, body| {
        let body: Value = serde_json::from_str(body).expect("JSON");
        let images = body["images"].as_array().expect("images").iter();
        let first = images.map(|image| image[0].as_u64().expect("a pixel"));
        let answers: Vec<Value> =
            first.map(|digit| json!({"digit": if digit <= largest { digit } else { 0 }})).collect();
        (200, Value::from(answers).to_string())
    }
}

#[tokio::test]
async fn a_service_that_is_busy_at_first_is_asked_again() {
    let port = serve(|number, _| if number == 0 { (503, "starting".into()) } else { (200, "fine".into()) }).await;
    let passed = check(port, http(Expectation { contains: Some("fine".into()), ..Expectation::default() }), 30).await;
    assert_eq!(passed.map(|passed| passed.detail).map_err(|error| error.to_string()).as_deref(), Ok("200 OK"));
}

#[tokio::test]
async fn a_wrong_answer_fails_without_another_try() {
    let port = serve(|number, _| if number == 0 { (200, "wrong".into()) } else { (200, "fine".into()) }).await;
    let error = check(port, http(Expectation { contains: Some("fine".into()), ..Expectation::default() }), 30)
        .await
        .err()
        .expect("a wrong answer");
    assert_eq!(error.to_string(), "get the wanted answer from server/predict: \"fine\" is not in the answer: wrong");
    assert_eq!(error.failure().class, Class::Check);
}

#[tokio::test]
async fn a_service_that_never_answers_is_said_to_be_silent() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let error = check(port, http(Expectation::default()), 1).await.err().expect("nothing answers");
    assert!(
        error.to_string().starts_with("get an answer from server/predict within 1 seconds: Connection refused"),
        "{error}"
    );
}

#[tokio::test]
async fn accuracy_is_counted_and_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    digits(folder.path());
    let question = |at_least| Question::Accuracy { images: folder.path().to_owned(), count: 1000, at_least };
    let port = serve(knows(8)).await;
    let passed =
        check(port, question(0.9), 30).await.map_err(|error| error.to_string()).expect("nine of ten are enough");
    assert_eq!(passed.detail, "0.900 of 10 (at least 0.90)");
    assert_eq!(passed.figures["right"], 9);
    let error = check(port, question(0.95), 30).await.err().expect("nine of ten are too few");
    assert_eq!(error.to_string(), "get the wanted answer from server/predict: accuracy 0.900 of 10 (at least 0.95)");
}

#[tokio::test]
async fn missing_test_images_are_an_error_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let question = Question::Accuracy { images: folder.path().to_owned(), count: 10, at_least: 0.9 };
    let error = check(1, question, 30).await.err().expect("there are no images");
    assert!(matches!(error, CheckError::Images(_)), "{error}");
}
