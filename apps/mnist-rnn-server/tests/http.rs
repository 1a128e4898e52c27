//! Every address, every kind of request, and every kind of mistake.

mod common;

use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, StatusCode, header};
use common::{digits, model_folder};
use digit_server::{Server, router, watch};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, imageops};
use mnist_rnn_model::Store;
use mnist_rnn_server::{INTRODUCTION, newest};
use serde_json::{Value, json};
use tower::ServiceExt;

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

async fn send(server: &Server, request: Request<Body>) -> Answer {
    let response = router(server.clone()).oneshot(request).await.expect("the router does not fail");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("the body is whole");
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(server: &Server, path: &str) -> Answer {
    send(server, Request::get(path).body(Body::empty()).expect("a right request")).await
}

async fn post(server: &Server, kind: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post("/predict").header(header::CONTENT_TYPE, kind).body(body.into());
    send(server, request.expect("a right request")).await
}

fn with_model() -> Server {
    let server = Server::new(INTRODUCTION);
    let store = Store::new(model_folder());
    server.put_model(newest(&store).expect("the store is whole").expect("it has a model"));
    server
}

fn file(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("writing to memory");
    bytes.into_inner()
}

fn as_image(pixels: &[u8]) -> GrayImage {
    GrayImage::from_raw(28, 28, pixels.to_vec()).expect("784 pixels")
}

/// The digit as a photograph: dark on light, large, off the middle, with a margin.
fn as_photograph(pixels: &[u8]) -> DynamicImage {
    let large = imageops::resize(&as_image(pixels), 110, 110, imageops::FilterType::Triangle);
    let mut sheet = GrayImage::from_pixel(200, 150, Luma([225]));
    for (x, y, pixel) in large.enumerate_pixels() {
        sheet.put_pixel(x + 75, y + 10, Luma([225 - pixel.0[0] / 4 * 3]));
    }
    DynamicImage::ImageLuma8(sheet).to_rgb8().into()
}

#[tokio::test]
async fn pixels_are_understood_flat_nested_and_in_parts_of_one() {
    let server = with_model();
    let digit = digits(1);
    let pixels = digit.images.image(0);
    let rows = pixels.chunks(28).collect::<Vec<_>>();
    let parts = pixels.iter().map(|&pixel| f64::from(pixel) / 255.0).collect::<Vec<_>>();
    let mut answers = Vec::new();
    for body in [json!({ "pixels": pixels }), json!({ "pixels": rows }), json!({ "pixels": parts })] {
        let answer = post(&server, "application/json; charset=utf-8", body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answers.push(answer.json());
    }
    assert_eq!(answers[0]["digit"], digit.labels[0]);
    assert_eq!(answers[0].as_object().expect("an object").keys().collect::<Vec<_>>(), ["digit", "probabilities"]);
    let sum = answers[0]["probabilities"].as_array().expect("a list").iter().filter_map(Value::as_f64).sum::<f64>();
    assert!((sum - 1.0).abs() < 1e-4, "the probabilities sum to {sum}");
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn a_batch_of_test_digits_is_recognised() {
    let server = with_model();
    let digits = digits(300);
    let images = (0..digits.len()).map(|index| digits.images.image(index)).collect::<Vec<_>>();
    let answer = post(&server, "application/json", json!({ "images": images }).to_string()).await.json();
    let answers = answer.as_array().expect("a list");
    let right = answers.iter().zip(&digits.labels).filter(|(answer, label)| answer["digit"] == **label).count();
    assert_eq!(answers.len(), digits.len());
    assert!(right >= 270, "{right} of 300 are right");
}

#[tokio::test]
async fn files_of_any_size_and_shade_are_recognised_like_their_pixels() {
    let server = with_model();
    let digits = digits(60);
    let mut right = [0; 4];
    for index in 0..digits.len() {
        let pixels = digits.images.image(index);
        let small = file(&as_image(pixels).into(), ImageFormat::Png);
        let photograph = as_photograph(pixels);
        let form = [
            &b"--x\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--x\r\ncontent-disposition: form-data; name=\"image\"; filename=\"digit.png\"\r\n\r\n"[..],
            &small,
            b"\r\n--x--\r\n",
        ]
        .concat();
        let requests = [
            ("image/png", small),
            ("image/png", file(&photograph, ImageFormat::Png)),
            ("image/jpeg", file(&photograph, ImageFormat::Jpeg)),
            ("multipart/form-data; boundary=x", form),
        ];
        for (place, (kind, body)) in requests.into_iter().enumerate() {
            let answer = post(&server, kind, body).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            assert_eq!(answer.json()["pixels"].as_array().map(Vec::len), Some(784));
            right[place] += usize::from(answer.json()["digit"] == digits.labels[index]);
        }
    }
    assert!(right.iter().all(|&right| right >= 54), "{right:?} of 60 are right");
}

#[tokio::test]
async fn wrong_json_is_refused_with_a_reason() {
    let server = with_model();
    let pixels = vec![0; 784];
    let nested = vec![vec![0; 28]; 28];
    let mut mixed = vec![json!(0); 756];
    mixed.push(json!(vec![0; 28]));
    let cases = [
        (String::new(), "EOF"),
        ("{".to_owned(), "EOF"),
        ("[]".to_owned(), "not understood"),
        ("{}".to_owned(), "either \"pixels\" or \"images\""),
        (json!({ "pixels": pixels, "images": [pixels] }).to_string(), "either"),
        (json!({ "pixel": pixels }).to_string(), "unknown field"),
        (json!({ "pixels": pixels, "size": 28 }).to_string(), "unknown field"),
        (json!({ "pixels": &pixels[1..] }).to_string(), "783 pixels and should have 784"),
        (json!({ "pixels": vec![0; 785] }).to_string(), "more than 784"),
        (json!({ "pixels": &nested[1..] }).to_string(), "756 pixels and should have 784"),
        (json!({ "pixels": vec![vec![0; 27]; 28] }).to_string(), "a row has 27 pixels"),
        (json!({ "pixels": vec![vec![0; 29]; 28] }).to_string(), "a row has more than 28"),
        (json!({ "pixels": [vec![nested]] }).to_string(), "a row holds another list"),
        (json!({ "pixels": mixed }).to_string(), "mixes numbers and rows"),
        (json!({ "pixels": vec![-1; 784] }).to_string(), "a pixel is -1"),
        (json!({ "pixels": vec![256; 784] }).to_string(), "a pixel is 256"),
        (json!({ "pixels": vec!["0"; 784] }).to_string(), "a number from 0 to 255"),
        (json!({ "pixels": vec![Value::Null; 784] }).to_string(), "a number from 0 to 255"),
        (json!({ "pixels": "0" }).to_string(), "784 numbers"),
        (json!({ "images": [] }).to_string(), "there are no pictures"),
        (json!({ "images": vec![vec![0; 784]; 1001] }).to_string(), "more than 1000 pictures"),
    ];
    for (body, reason) in cases {
        let answer = post(&server, "application/json", body.clone()).await;
        let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        let start = body.chars().take(60).collect::<String>();
        assert!(
            answer.status == StatusCode::BAD_REQUEST && error.contains(reason),
            "{start}: {} {error}",
            answer.status
        );
    }
}

#[tokio::test]
async fn wrong_files_are_refused_with_a_reason() {
    let server = with_model();
    let png = |image: GrayImage| file(&image.into(), ImageFormat::Png);
    let whole = png(as_image(digits(1).images.image(0)));
    let form = |text: &str| text.replace('\n', "\r\n").into_bytes();
    let two = "--x\ncontent-disposition: form-data; name=\"a\"; filename=\"a\"\n\n1\n--x\ncontent-disposition: form-data; name=\"b\"; filename=\"b\"\n\n2\n--x--\n";
    let cases = [
        ("image/png", Vec::new(), 415, "neither PNG nor JPEG"),
        ("image/png", b"GIF89a..............".to_vec(), 415, "neither PNG nor JPEG"),
        ("image/png", whole[..whole.len() / 2].to_vec(), 400, "damaged"),
        ("image/jpeg", b"\xff\xd8\xff\xe0 and then nothing of use".to_vec(), 400, "damaged"),
        ("image/png", png(GrayImage::from_pixel(30, 30, Luma([200]))), 400, "blank"),
        ("image/png", png(GrayImage::new(4097, 1)), 413, "larger than 4096"),
        ("image/png", vec![0; (8 << 20) + 1], 413, "more than 8388608 bytes"),
        ("application/json", vec![b' '; (8 << 20) + 1], 413, "more than 8388608 bytes"),
        ("text/plain", b"7".to_vec(), 415, "\"text/plain\" is not understood"),
        ("multipart/form-data", b"".to_vec(), 400, "form cannot be read"),
        ("multipart/form-data; boundary=x", b"nonsense".to_vec(), 400, "form cannot be read"),
        (
            "multipart/form-data; boundary=x",
            form("--x\ncontent-disposition: form-data; name=\"a\"\n\n1\n--x--\n"),
            400,
            "has no file",
        ),
        ("multipart/form-data; boundary=x", form(two), 400, "several files"),
    ];
    for (kind, body, status, reason) in cases {
        let answer = post(&server, kind, body).await;
        let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(
            answer.status.as_u16() == status && error.contains(reason),
            "{kind} {reason}: {} {error}",
            answer.status
        );
    }
    let request = Request::post("/predict").body(Body::from("7")).expect("a right request");
    let answer = send(&server, request).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(answer.text().contains("the Content-Type header is missing"), "{}", answer.text());
}

/// The header of a PNG of 60,000 x 60,000 pixels, which would unpack to 3.6 GB.
fn bomb() -> Vec<u8> {
    let mut bytes = file(&GrayImage::new(1, 1).into(), ImageFormat::Png);
    bytes[16..24].copy_from_slice(&[60_000_u32.to_be_bytes(), 60_000_u32.to_be_bytes()].concat());
    let mut crc = u32::MAX;
    for &byte in &bytes[12..29] {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

#[tokio::test]
async fn a_decompression_bomb_is_refused_before_it_is_unpacked() {
    let answer = post(&with_model(), "image/png", bomb()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text());
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_refused_in_json() {
    let server = with_model();
    let missing = get(&server, "/nothing").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.json()["error"].as_str().is_some_and(|error| error.starts_with("nothing is at /nothing")));
    let wrong = get(&server, "/predict").await;
    assert_eq!((wrong.status, wrong.headers[header::ALLOW].as_bytes()), (StatusCode::METHOD_NOT_ALLOWED, &b"POST"[..]));
    assert!(wrong.json()["error"].as_str().is_some_and(|error| error.starts_with("/predict does not answer GET")));
}

#[tokio::test]
async fn probes_tell_alive_ready_and_stopping_apart() {
    let server = Server::new(INTRODUCTION);
    assert_eq!(get(&server, "/healthz").await.status, StatusCode::OK);
    let unready = get(&server, "/readyz").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(unready.json()["reason"], "no model has been trained yet");
    let refused = post(&server, "application/json", json!({ "pixels": vec![0; 784] }).to_string()).await;
    assert_eq!(
        (refused.status, refused.headers[header::RETRY_AFTER].as_bytes()),
        (StatusCode::SERVICE_UNAVAILABLE, &b"1"[..])
    );
    assert_eq!(get(&server, "/model").await.status, StatusCode::SERVICE_UNAVAILABLE);

    let server = with_model();
    assert_eq!(get(&server, "/readyz").await.status, StatusCode::OK);
    server.begin_to_drain();
    let draining = get(&server, "/readyz").await;
    assert_eq!(
        (draining.status, &draining.json()["reason"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("the server is stopping"))
    );
    let answered = post(&server, "application/json", json!({ "pixels": vec![0; 784] }).to_string()).await;
    assert_eq!((get(&server, "/healthz").await.status, answered.status), (StatusCode::OK, StatusCode::OK));
}

#[tokio::test]
async fn the_page_is_in_one_piece_and_its_policy_allows_nothing_else() {
    let page = get(&with_model(), "/").await;
    let text = page.text();
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().expect("it is text");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(text.contains("<canvas id=\"canvas\"") && text.contains("getContext(\"2d\"") && text.contains("--ground"));
    for outside in ["http://", "https://", "src=", "@import", "url(", " style="] {
        assert!(!text.contains(outside), "the page has {outside}");
    }
}

#[tokio::test]
async fn the_model_is_described() {
    let answer = get(&with_model(), "/model").await.json();
    assert!(answer["metrics"]["test_accuracy"].as_f64().is_some_and(|accuracy| accuracy >= 0.93), "{answer}");
    assert_eq!((&answer["metrics"]["test_images"], &answer["metrics"]["dataset"]), (&json!(10_000), &json!("mnist")));
}

#[tokio::test]
async fn metrics_count_requests_and_predictions() {
    let server = with_model();
    post(&server, "application/json", json!({ "images": [vec![0; 784], vec![0; 784]] }).to_string()).await;
    post(&server, "text/plain", "7").await;
    get(&server, "/who/knows?x=%22").await;
    let answer = get(&server, "/metrics").await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text();
    let lines = text.lines().collect::<Vec<_>>();
    for expected in [
        "# TYPE http_requests_total counter",
        "http_requests_total{route=\"/predict\",method=\"POST\",status=\"200\"} 1",
        "http_requests_total{route=\"/predict\",method=\"POST\",status=\"415\"} 1",
        "http_requests_total{route=\"unmatched\",method=\"GET\",status=\"404\"} 1",
        "# TYPE prediction_seconds histogram",
        "prediction_seconds_bucket{le=\"+Inf\"} 1",
        "prediction_seconds_count 1",
        "predicted_pictures_total 2",
        "# TYPE model_loaded gauge",
        "model_loaded 1",
        "# TYPE model_test_accuracy_ratio gauge",
    ] {
        assert!(lines.contains(&expected), "{expected} is not in\n{text}");
    }
    assert!(get(&Server::new(INTRODUCTION), "/metrics").await.text().contains("\nmodel_loaded 0\n"));
}

#[tokio::test]
async fn more_requests_than_the_queue_holds_are_turned_away() {
    let server = with_model();
    let app = router(server.clone());
    // Bodies that never end hold their places.
    let mut waiting = Vec::new();
    for _ in 0..64 {
        let body = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let request =
            Request::post("/predict").header(header::CONTENT_TYPE, "image/png").body(body).expect("a right request");
        waiting.push(tokio::spawn(app.clone().oneshot(request)));
    }
    // Each of them has to be looked at once before it holds its place.
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    let refused = post(&server, "image/png", "x").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    for task in waiting {
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    }
    assert_eq!(post(&server, "image/png", "x").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

/// Asks for the readiness until the answer contains this.
async fn wait_for(server: &Server, path: &str, wanted: &str) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let text = get(server, path).await.text();
        if text.contains(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "{path} has no {wanted}: {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_newer_model_is_served_without_a_restart_and_a_damaged_one_is_not() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::new(folder.path().to_owned());
    let server = Server::new(INTRODUCTION);
    let watched = store.clone();
    let watching = tokio::spawn(watch(store.manifest_path(), move || newest(&watched), server.clone()));
    wait_for(&server, "/readyz", "no model has been trained yet").await;

    let trained = Store::new(model_folder()).newest().expect("the store is whole").expect("it has a model");
    let first = store.publish(&trained.classifier, &trained.metrics).expect("it can be written");
    wait_for(&server, "/readyz", &first).await;

    let mut metrics = trained.metrics.clone();
    metrics.seed = 99;
    let second = store.publish(&trained.classifier, &metrics).expect("it can be written");
    assert_ne!(first, second);
    wait_for(&server, "/readyz", &second).await;

    damage(&folder.path().join("versions").join(&second).join("weights.bpk"));
    let manifest = std::fs::read(store.manifest_path()).expect("there is a manifest");
    std::fs::remove_file(store.manifest_path()).expect("there is a manifest");
    std::fs::write(store.manifest_path(), manifest).expect("it can be written");
    wait_for(&server, "/metrics", "model_load_failures_total 1").await;
    wait_for(&server, "/readyz", &second).await;
    watching.abort();
}

fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("it can be written");
}
