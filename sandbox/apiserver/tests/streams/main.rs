//! The real `kubectl` talks to pods through a really listening server. Only the node is made up: its commands, logs and
//! ports live in this process.

mod node;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use apiserver::{Api, Options, User, WriteOptions, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// A server with the pods `web` (one container) and `pair` (two).
struct Sandbox {
    folder: tempfile::TempDir,
    _stop: tokio_util::sync::DropGuard,
}

/// How the programs of the time before `WebSocket`s are asked for.
const SPDY: [(&str, &str); 2] =
    [("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false"), ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")];
const WEB_SOCKETS: [(&str, &str); 2] =
    [("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "true"), ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "true")];

async fn sandbox() -> Sandbox {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::open(folder.path(), &Options::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    std::fs::write(folder.path().join("kubeconfig"), api.credentials().kubeconfig(&server)).unwrap();
    create(&api, kinds::NAMESPACES, json!({"metadata": {"name": "default"}})).await;
    create(&api, kinds::SERVICE_ACCOUNTS, json!({"metadata": {"name": "default"}})).await;
    for (name, containers) in [("web", &["main"][..]), ("pair", &["left", "right"])] {
        let containers: Vec<Value> = containers.iter().map(|name| json!({"name": name, "image": "x"})).collect();
        let spec = json!({"nodeName": "sandbox", "containers": containers});
        create(&api, kinds::PODS, json!({"metadata": {"name": name}, "spec": spec})).await;
        let running = |pod: &mut Value| {
            pod["status"]["phase"] = json!("Running");
            true
        };
        api.modify(&User::system("test"), kinds::PODS, Some("status"), ("default", name), running).await.unwrap();
    }
    let stop = CancellationToken::new();
    tokio::spawn(serve(api, listener, Arc::new(node::Node), stop.clone()));
    Sandbox { folder, _stop: stop.drop_guard() }
}

async fn create(api: &Api, resource: &'static kinds::Resource, object: Value) {
    let namespace = if resource.namespaced { "default" } else { "" };
    api.create(&User::system("test"), resource, namespace, object, &WriteOptions::default()).await.unwrap();
}

/// What a program left behind.
#[derive(Debug, PartialEq)]
struct Done {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Sandbox {
    fn kubectl(&self, arguments: &[&str], protocol: [(&str, &str); 2]) -> Command {
        let mut command = Command::new("kubectl");
        let home: PathBuf = self.folder.path().into();
        command
            .args(arguments)
            .envs(HashMap::from(protocol))
            .env("HOME", &home)
            .env("KUBECONFIG", home.join("kubeconfig"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str], protocol: [(&str, &str); 2]) -> Done {
        let output = self.kubectl(arguments, protocol).output().await.expect("kubectl is installed");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code(), output: text(output.stdout), errors: text(output.stderr) }
    }
}

fn done(code: i32, output: &str, errors: &str) -> Done {
    Done { code: Some(code), output: output.to_owned(), errors: errors.to_owned() }
}

#[tokio::test]
async fn a_command_gives_its_output_its_errors_and_its_exit_code() {
    let sandbox = sandbox().await;
    for protocol in [WEB_SOCKETS, SPDY] {
        let said = sandbox.run(&["exec", "web", "--", "say", "hello", "a b"], protocol).await;
        assert_eq!(said, done(0, "hello a b\n", ""), "{protocol:?}");
        let failed = sandbox.run(&["exec", "web", "--", "fail", "3"], protocol).await;
        assert_eq!(failed, done(3, "", "it failed\ncommand terminated with exit code 3\n"), "{protocol:?}");
    }
}

#[tokio::test]
async fn web_sockets_are_not_fallen_back_from() {
    let sandbox = sandbox().await;
    let said = sandbox.run(&["exec", "-v=6", "web", "--", "say", "hello"], WEB_SOCKETS).await;
    assert!(said.errors.contains("101 Switching Protocols") && !said.errors.contains("fallback"), "{said:?}");
    let mut forward = sandbox.kubectl(&["port-forward", "-v=6", "pod/web", ":8080"], WEB_SOCKETS).spawn().unwrap();
    let mut lines = BufReader::new(forward.stderr.take().unwrap()).lines();
    let mut told = String::new();
    while !told.contains("101 Switching Protocols") {
        told += &lines.next_line().await.unwrap().expect("it goes on");
    }
    assert!(!told.contains("fallback"), "{told}");
}

#[tokio::test]
async fn input_reaches_the_command_and_comes_back_whole() {
    let sandbox = sandbox().await;
    let input: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[number as usize % 2]).collect();
    for protocol in [WEB_SOCKETS, SPDY] {
        let mut command = sandbox.kubectl(&["exec", "-i", "web", "--", "cat"], protocol);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("kubectl is installed");
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut output = Vec::new();
        let sending = async {
            stdin.write_all(&input).await.unwrap();
            drop(stdin);
        };
        let ((), received) = tokio::join!(sending, stdout.read_to_end(&mut output));
        received.unwrap();
        assert!(child.wait().await.unwrap().success(), "{protocol:?}");
        assert!(output == input, "{protocol:?}: {} of {} bytes", output.len(), input.len());
    }
}

#[tokio::test]
async fn a_command_that_cannot_start_is_told() {
    let sandbox = sandbox().await;
    for protocol in [WEB_SOCKETS, SPDY] {
        let done = sandbox.run(&["exec", "web", "--", "unknown"], protocol).await;
        let told = "Internal error occurred: error executing command in container: there is no program unknown";
        assert!(done.errors.contains(told) && done.code == Some(1), "{protocol:?} {done:?}");
    }
    let wrong = sandbox.run(&["exec", "pair", "-c", "middle", "--", "say"], WEB_SOCKETS).await;
    assert!(wrong.errors.contains("container middle is not valid for pod pair"), "{wrong:?}");
}

#[tokio::test]
async fn attaching_shows_what_comes() {
    let sandbox = sandbox().await;
    for protocol in [WEB_SOCKETS, SPDY] {
        let done = sandbox.run(&["attach", "web"], protocol).await;
        assert_eq!((done.code, done.output.as_str()), (Some(0), "main: from now on\n"), "{protocol:?} {done:?}");
    }
}

#[tokio::test]
async fn logs_are_read_whole_in_part_and_as_they_come() {
    let sandbox = sandbox().await;
    assert_eq!(sandbox.run(&["logs", "web"], WEB_SOCKETS).await, done(0, "main: one\nmain: two\nmain: three\n", ""));
    assert_eq!(sandbox.run(&["logs", "web", "--tail=1"], WEB_SOCKETS).await, done(0, "main: three\n", ""));
    assert_eq!(
        sandbox.run(&["logs", "pair", "-c", "right", "--tail=1"], WEB_SOCKETS).await,
        done(0, "right: three\n", "")
    );
    let mut child = sandbox.kubectl(&["logs", "-f", "web"], WEB_SOCKETS).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        told.push(line);
    }
    assert_eq!(told, ["main: one", "main: two", "main: three", "main: from now on"]);
}

/// A port forward that is ready.
struct Forward {
    child: Child,
    port: u16,
}

impl Sandbox {
    async fn forward(&self, port: &str, protocol: [(&str, &str); 2]) -> Forward {
        let mut child =
            self.kubectl(&["port-forward", "pod/web", port], protocol).spawn().expect("kubectl is installed");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().expect("it is ready");
        let words = first.strip_prefix("Forwarding from 127.0.0.1:").expect(&first);
        let port = words.split(' ').next().unwrap().parse().unwrap();
        // Its further lines are read so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Forward { child, port }
    }
}

async fn exchange(port: u16, size: usize) {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let sent: Vec<u8> = (0..size).map(|number| number.to_le_bytes()[0]).collect();
    let (mut reader, mut writer) = connection.split();
    let mut received = Vec::new();
    let sending = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let ((), read) = tokio::join!(sending, reader.read_to_end(&mut received));
    read.unwrap();
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
}

#[tokio::test]
async fn many_connections_go_through_one_port_forward() {
    let sandbox = sandbox().await;
    for protocol in [WEB_SOCKETS, SPDY] {
        let forward = sandbox.forward(":8080", protocol).await;
        for _ in 0..3 {
            let sizes = [1, 1000, 300_000, 0, 70_000, 5, 100_000, 1];
            futures::future::join_all(sizes.map(|size| exchange(forward.port, size))).await;
        }
    }
}

#[tokio::test]
async fn a_port_on_which_nobody_listens_is_told() {
    let sandbox = sandbox().await;
    for protocol in [WEB_SOCKETS, SPDY] {
        let mut forward = sandbox.forward(":9", protocol).await;
        let mut connection = TcpStream::connect(("127.0.0.1", forward.port)).await.unwrap();
        let mut nothing = Vec::new();
        // The connection is closed, one way or the other.
        let _ = connection.read_to_end(&mut nothing).await;
        let mut errors = String::new();
        forward.child.stderr.take().unwrap().read_to_string(&mut errors).await.unwrap();
        let told = "an error occurred forwarding";
        assert!(errors.contains(told) && errors.contains("connection refused"), "{protocol:?} {errors}");
    }
}
