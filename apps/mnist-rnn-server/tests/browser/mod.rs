//! A headless Chromium, driven over `WebDriver`. The pages of other crates are looked at with it, too.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use libtest_mimic::Failed;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::request;

/// One browser window with a profile of its own. Ends with its value.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser with the session, and is ended after it.
        let _ = self.call("DELETE", "", &json!({}));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// Starts driver and browser.
    pub fn start() -> Result<Self, Failed> {
        let profile = TempDir::new()?;
        let mut driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(driver.stdout.take().ok_or("its output is piped")?).lines();
        let mut port = None;
        for line in lines {
            // "ChromeDriver was started successfully on port 12345."
            if let Some((_, rest)) = line?.split_once("successfully on port ") {
                port = rest.trim_end_matches('.').parse::<u16>().ok();
                break;
            }
        }
        let address = SocketAddr::from(([127, 0, 0, 1], port.ok_or("chromedriver names no port")?));
        let mut browser = Self { driver, address, session: String::new(), profile };
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ];
        let mut flags = flags.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", browser.profile.path().display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": 60_000, "pageLoad": 60_000 },
        } } });
        let session = browser.call("POST", "", &wanted)?;
        let id = session["sessionId"].as_str().ok_or("the driver opens no session")?;
        browser.session = format!("/{id}");
        Ok(browser)
    }

    /// One command of the `WebDriver` protocol.
    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failed> {
        let path = format!("/session{}{path}", self.session);
        let kind = "application/json";
        let (status, answer) = request(self.address, method, &path, kind, body.to_string().as_bytes())?;
        let answer: Value = serde_json::from_slice(&answer)?;
        if status == 200 {
            return Ok(answer["value"].clone());
        }
        Err(format!("{method} {path}: {}", answer["value"]["message"]).into())
    }

    /// Goes to an address and waits until it is loaded.
    pub fn open(&self, url: &str) -> Result<(), Failed> {
        self.call("POST", "/url", &json!({ "url": url })).map(drop)
    }

    /// Runs a script with these arguments and gives what it returns.
    pub fn run(&self, script: &str, arguments: &Value) -> Result<Value, Failed> {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// Clicks on the element with this id.
    pub fn click(&self, id: &str) -> Result<(), Failed> {
        let element = self.element(id)?;
        self.call("POST", &format!("/element/{element}/click"), &json!({})).map(drop)
    }

    /// Draws one stroke with a real pointer; the points are parts of the element's width and height.
    pub fn draw(&self, id: &str, points: &[(f64, f64)]) -> Result<(), Failed> {
        let element = self.element(id)?;
        let origin = json!({ "element-6066-11e4-a52e-4f735466cecf": element });
        let size = self.run(
            "const box = arguments[0].getBoundingClientRect(); return [box.width, box.height]",
            &json!([origin]),
        )?;
        let (width, height) = (size[0].as_f64().unwrap_or_default(), size[1].as_f64().unwrap_or_default());
        let mut actions = Vec::new();
        for (index, (x, y)) in points.iter().enumerate() {
            // The origin is the middle of the element.
            let (x, y) = (((x - 0.5) * width).round(), ((y - 0.5) * height).round());
            actions.push(json!({ "type": "pointerMove", "duration": 50, "origin": origin, "x": x, "y": y }));
            if index == 0 {
                actions.push(json!({ "type": "pointerDown", "button": 0 }));
            }
        }
        actions.push(json!({ "type": "pointerUp", "button": 0 }));
        let pen =
            json!({ "type": "pointer", "id": "pen", "parameters": { "pointerType": "mouse" }, "actions": actions });
        self.call("POST", "/actions", &json!({ "actions": [pen] })).map(drop)
    }

    /// Sets the theme that the page sees, and the size of the window in pixels.
    pub fn emulate(&self, theme: &str, width: u32, height: u32) -> Result<(), Failed> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.developer_tool("Emulation.setDeviceMetricsOverride", &size)?;
        let feature = |name: &str, value: &str| json!({ "name": name, "value": value });
        // Without motion, so that a picture never shows a bar on its way.
        let theme = feature("prefers-color-scheme", theme);
        let features = json!({ "features": [theme, feature("prefers-reduced-motion", "reduce")] });
        self.developer_tool("Emulation.setEmulatedMedia", &features)
    }

    /// What the page's console says since the last call: errors of scripts, what could not be loaded or was forbidden.
    pub fn console(&self) -> Result<Vec<String>, Failed> {
        let lines = self.call("POST", "/se/log", &json!({ "type": "browser" }))?;
        Ok(lines.as_array().into_iter().flatten().map(|line| line["message"].to_string()).collect())
    }

    fn developer_tool(&self, command: &str, parameters: &Value) -> Result<(), Failed> {
        self.call("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).map(drop)
    }

    /// A PNG file of what is seen.
    pub fn screenshot(&self) -> Result<Vec<u8>, Failed> {
        let encoded = self.call("GET", "/screenshot", &json!({}))?;
        let encoded = encoded.as_str().ok_or("the driver takes no picture")?;
        Ok(base64::engine::general_purpose::STANDARD.decode(encoded)?)
    }

    fn element(&self, id: &str) -> Result<String, Failed> {
        let found = self.call("POST", "/element", &json!({ "using": "css selector", "value": format!("#{id}") }))?;
        let element = found["element-6066-11e4-a52e-4f735466cecf"].as_str().ok_or("the driver names no element")?;
        Ok(element.to_owned())
    }
}
