//! The page in a real browser: somebody draws, drops a file, and reads the answer.
//!
//! Needs the programs `chromium` and `chromedriver`; where they are missing the test counts as skipped, and says so.
//! `PAGE_SCREENSHOTS` names a folder that receives a picture of each state.

mod browser;
mod common;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use browser::Browser;
use digit_server::{Server, router, watch};
use image::ImageFormat;
use libtest_mimic::{Arguments, Failed, Trial};
use mnist_rnn_model::Store;
use mnist_rnn_server::{INTRODUCTION, newest};
use serde_json::json;

type Test = fn(&Browser, SocketAddr) -> Result<(), Failed>;

const TESTS: [(&str, Test); 3] = [
    ("a_drawn_digit_is_read_and_cleared", draw),
    ("a_dropped_file_is_read_and_a_wrong_one_explained", drop_files),
    ("the_page_looks_right_in_both_themes_and_on_a_phone", look),
];
const PATIENCE: Duration = Duration::from_mins(1);

fn main() {
    let arguments = Arguments::from_args();
    let missing = ["chromium", "chromedriver"].into_iter().find(|program| !is_there(program));
    if let Some(program) = missing {
        eprintln!("the page is not tested: {program} is not installed (Debian: chromium, chromium-driver)");
    }
    let trial =
        |(name, test): (&'static str, Test)| Trial::test(name, move || run(test)).with_ignored_flag(missing.is_some());
    libtest_mimic::run(&arguments, TESTS.map(trial).into()).exit();
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn run(test: Test) -> Result<(), Failed> {
    let address = serve();
    let browser = Browser::start()?;
    browser.open(&format!("http://{address}/"))?;
    test(&browser, address)
}

/// A server with the trained model, for as long as the process lives.
fn serve() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket can be told so");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let server = Server::new(INTRODUCTION);
            let store = Store::new(common::model_folder());
            tokio::spawn(watch(store.manifest_path(), move || newest(&store), server.clone()));
            let listener = tokio::net::TcpListener::from_std(listener).expect("it listens");
            axum::serve(listener, router(server)).await.expect("it serves");
        });
    });
    address
}

/// Reads an element's text until it satisfies.
fn wait_for_text(browser: &Browser, id: &str, is_right: impl Fn(&str) -> bool) -> Result<String, Failed> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = browser.run("return document.getElementById(arguments[0]).textContent", &json!([id]))?;
        let text = text.as_str().unwrap_or_default().to_owned();
        if is_right(&text) {
            return Ok(text);
        }
        if Instant::now() > deadline {
            return Err(format!("#{id} says {text:?}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn screenshot(browser: &Browser, name: &str) -> Result<(), Failed> {
    let Some(folder) = std::env::var_os("PAGE_SCREENSHOTS").map(PathBuf::from) else { return Ok(()) };
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name).with_extension("png"), browser.screenshot()?)?;
    Ok(())
}

/// The strokes of a seven, in parts of the sheet.
const SEVEN: [(f64, f64); 4] = [(0.28, 0.25), (0.5, 0.24), (0.72, 0.25), (0.44, 0.8)];
/// The strokes of a one.
const ONE: [(f64, f64); 2] = [(0.52, 0.2), (0.5, 0.8)];

fn draw(browser: &Browser, _: SocketAddr) -> Result<(), Failed> {
    wait_for_text(browser, "model", |text| text.starts_with("Recognised 9"))?;
    for (strokes, digit) in [(&SEVEN[..], "7"), (&ONE[..], "1")] {
        browser.draw("canvas", strokes)?;
        wait_for_text(browser, "digit", |text| text == digit)?;
        let parts = browser.run(
            "return [...document.querySelectorAll('#bars .part')].map((part) => parseFloat(part.textContent))",
            &json!([]),
        )?;
        let parts = parts.as_array().ok_or("the bars have no numbers")?;
        let sum = parts.iter().filter_map(serde_json::Value::as_f64).sum::<f64>();
        if parts.len() != 10 || (sum - 100.0).abs() > 1.0 {
            return Err(format!("the ten bars sum to {sum} %").into());
        }
        let best = browser.run("return document.querySelector('#bars .best .name').textContent", &json!([]))?;
        if best != digit {
            return Err(format!("the longest bar is that of {best}").into());
        }
        screenshot(browser, &format!("drawn-{digit}"))?;
        browser.click("clear")?;
        wait_for_text(browser, "message", |text| text == "Nothing drawn yet.")?;
    }
    Ok(())
}

/// Drops a file onto the page, as the browser would.
const DROP: &str = "
    const [base64, name, type] = arguments;
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, { type }));
    document.getElementById('canvas').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
";

fn drop_files(browser: &Browser, _: SocketAddr) -> Result<(), Failed> {
    use base64::Engine;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let digits = common::digits(4);
    for index in 0..digits.len() {
        let pixels = digits.images.image(index).to_vec();
        let image = image::GrayImage::from_raw(28, 28, pixels).ok_or("784 pixels")?;
        let mut file = std::io::Cursor::new(Vec::new());
        image.write_to(&mut file, ImageFormat::Png)?;
        browser.run(DROP, &json!([encode(file.get_ref()), "digit.png", "image/png"]))?;
        wait_for_text(browser, "digit", |text| text == digits.labels[index].to_string())?;
    }
    screenshot(browser, "dropped")?;
    browser.run(DROP, &json!([encode(b"no picture"), "note.txt", "text/plain"]))?;
    wait_for_text(browser, "message", |text| text.contains("\"text/plain\" is not understood"))?;
    screenshot(browser, "refused")
}

fn look(browser: &Browser, _: SocketAddr) -> Result<(), Failed> {
    for (theme, width, height) in [("light", 1000, 720), ("dark", 1000, 720), ("light", 390, 1000), ("dark", 390, 1000)]
    {
        browser.emulate(theme, width, height)?;
        browser.click("clear")?;
        browser.draw("canvas", &SEVEN)?;
        wait_for_text(browser, "digit", |text| text == "7")?;
        wait_for_text(browser, "model", |text| text.starts_with("Recognised 9"))?;
        let overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        let overflow = browser.run(overflow, &json!([]))?;
        if overflow != 0 {
            return Err(format!("at {width} pixels the page is {overflow} pixels too wide").into());
        }
        screenshot(browser, &format!("{theme}-{width}"))?;
    }
    Ok(())
}
