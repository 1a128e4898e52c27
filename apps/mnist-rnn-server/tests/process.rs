//! The server as a pod sees it: it starts, becomes ready, and stops without dropping anybody.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use common::{model_folder, request};

const PATIENCE: Duration = Duration::from_mins(1);

struct Running {
    child: Child,
    address: SocketAddr,
    lines: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(model: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mnist-rnn-server"))
            .env_clear()
            .args(["--listen=127.0.0.1:0", "--drain-seconds=3", "--model"])
            .arg(model)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("its output is text");
        let address =
            line.trim_start_matches("listening on http://").split(',').next().and_then(|text| text.parse().ok());
        let address = address.unwrap_or_else(|| panic!("the first line names the address: {line}"));
        Self { child, address, lines }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let (status, body) = request(self.address, "GET", path, "", b"").expect("the server answers");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    fn wait_for_status(&self, path: &str, status: u16) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path);
            if answer.0 == status {
                return answer.1;
            }
            assert!(Instant::now() < deadline, "{path} still answers {answer:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn it_is_ready_with_a_model_and_stops_politely() {
    let mut server = Running::start(&model_folder());
    assert_eq!(server.get("/healthz").0, 200);
    server.wait_for_status("/readyz", 200);
    let kill = Command::new("kill").arg("-TERM").arg(server.child.id().to_string()).status().expect("kill is there");
    assert!(kill.success());
    let reason = server.wait_for_status("/readyz", 503);
    assert!(reason.contains("the server is stopping"), "{reason}");
    assert_eq!(server.get("/").0, 200, "it answers while it drains");
    let status = server.child.wait().expect("it was started here");
    let mut rest = String::new();
    server.lines.read_to_string(&mut rest).expect("its output is text");
    assert!(status.success(), "{rest}");
    assert!(rest.contains("stopped, every request was answered"), "{rest}");
}

#[test]
fn without_a_model_it_lives_and_is_not_ready() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Running::start(folder.path());
    assert_eq!(server.get("/healthz").0, 200);
    let (status, reason) = server.get("/readyz");
    assert_eq!((status, reason.contains("no model has been trained yet")), (503, true), "{reason}");
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_mnist-rnn-server")).env_clear().args(["--listen", &address]).output();
    let output = output.expect("the server starts");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with(&format!("error: failed to listen on {address}: ")), "{text}");
}
