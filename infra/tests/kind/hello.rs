//! A small scenario with an image that the Docker Engine builds, taken through everything that can happen to it.

use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::machine::{Machine, docker, ended, get, left_in_docker};

const SCENARIO: &str = r"
version: 1
name: hello
provider: kind
images:
  web: { dockerfile: { file: image/Dockerfile, context: image } }
steps:
  - { name: all, apply: manifests, timeout: 90s }
checks:
  - { name: page, http: { service: web, path: /index.html, status: 200, contains: hello } }
local_ports: { web: 18080 }
";

/// Where the page of the scenario answers.
pub const PAGE: &str = "http://127.0.0.1:18080/index.html";

const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY page /page\nUSER 65532\nENTRYPOINT [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/page\"]\n";

const WEB: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web
        envFrom: [{configMapRef: {name: settings}}]
        readinessProbe: {httpGet: {path: /index.html, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
";

pub fn settings(color: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{color: {color}}}\n")
}

/// A machine with the scenario in the folder `hello`, and nothing of it in Docker.
pub fn machine() -> Machine {
    let machine = Machine::new();
    machine.write("hello/scenario.yaml", SCENARIO);
    machine.write("hello/manifests/web.yaml", WEB);
    machine.write("hello/manifests/settings.yaml", &settings("blue"));
    machine.write("hello/image/Dockerfile", DOCKERFILE);
    machine.write("hello/image/page/index.html", "<h1>hello</h1>");
    std::fs::copy("/bin/busybox", machine.path("hello/image/busybox")).expect("busybox-static is installed");
    machine.infra(&["destroy", "--name", "hello", "--yes"]);
    assert_eq!(left_in_docker("hello"), "", "an earlier trial left something");
    machine
}

pub fn assert_nothing_left(machine: &Machine) {
    assert_eq!(left_in_docker("hello"), "");
    assert!(!machine.path("state/deployments/hello").exists());
    let kubeconfig = std::fs::read_to_string(machine.path("kubeconfig")).unwrap_or_default();
    assert!(!kubeconfig.contains("infra-hello"), "{kubeconfig}");
}

pub fn whole_way() -> Result<(), Failed> {
    let machine = machine();
    let text = machine.must(&["apply", "hello", "--yes"]);
    assert!(text.contains("http://127.0.0.1:18080"), "{text}");
    assert_eq!(get(PAGE)?, "<h1>hello</h1>");

    let text = machine.must(&["apply", "hello", "--yes"]);
    assert!(text.contains("nothing to do"), "{text}");
    let pods = machine.kubectl(&["get", "pods", "--output", "name"]);
    assert!(pods.code == 0 && pods.text.starts_with("pod/web-"), "kubectl just works: {}", pods.text);
    assert!(machine.must(&["list"]).contains("applied"));
    assert!(machine.must(&["status", "hello"]).contains("Deployment default/web"));
    assert!(machine.must(&["check", "hello"]).contains("page"));

    machine.write("hello/manifests/settings.yaml", &settings("red"));
    let plan = machine.must(&["plan", "hello"]);
    assert!(plan.contains("blue -> red") && plan.contains("0 to make, 1 to change, 0 to remove"), "{plan}");
    machine.must(&["apply", "hello", "--yes"]);
    std::fs::remove_file(machine.path("hello/manifests/settings.yaml")).unwrap();
    machine
        .write("hello/manifests/web.yaml", &WEB.replace("        envFrom: [{configMapRef: {name: settings}}]\n", ""));
    machine.write("hello/image/page/index.html", "<h1>hello again</h1>");
    machine.must(&["apply", "hello", "--yes"]);
    // The old pod may answer for a moment longer: kube-proxy learns of the new endpoints on its own.
    let answers = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(200));
        get(PAGE)
    });
    assert!(answers.take(50).any(|answer| answer.is_ok_and(|body| body == "<h1>hello again</h1>")));
    assert!(machine.kubectl(&["get", "configmap", "settings"]).text.contains("NotFound"));

    std::fs::remove_dir_all(machine.path("hello")).unwrap();
    let receipt = machine.must(&["destroy", "--name", "hello", "--yes"]);
    for what in ["container", "network", "image", "kubeconfig", "local folder"] {
        assert!(receipt.contains(what), "the receipt lacks {what}:\n{receipt}");
    }
    assert_nothing_left(&machine);
    Ok(())
}

/// Interrupts an apply as often as the words say, each a message that the person must see, and lets a second apply finish it.
fn interrupt(machine: &Machine, words: &[&str]) {
    let child = machine.start(&["apply", "hello", "--yes"]);
    let process = child.id().to_string();
    let presses = words.iter().map(|_| {
        std::thread::sleep(Duration::from_secs(3));
        Command::new("kill").args(["-INT", &process]).status().is_ok_and(|status| status.success())
    });
    let sent = presses.filter(|sent| *sent).count();
    let first = ended(&child.wait_with_output().unwrap());
    assert_eq!((sent, first.code), (words.len(), 130), "{}", first.text);
    for word in words {
        assert!(first.text.contains(word), "{}", first.text);
    }
    machine.must(&["apply", "hello", "--yes"]);
    assert_eq!(get(PAGE).unwrap(), "<h1>hello</h1>");
    let nodes = docker(&["ps", "-q", "--filter", "label=io.x-k8s.kind.cluster=infra-hello"]);
    assert_eq!(nodes.lines().count(), 1, "nothing is doubled");
    machine.must(&["destroy", "hello", "--yes"]);
    assert_nothing_left(machine);
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn interrupted() -> Result<(), Failed> {
    let machine = machine();
    interrupt(&machine, &["starting nothing new"]);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn abandoned() -> Result<(), Failed> {
    let machine = machine();
    interrupt(&machine, &["starting nothing new", "abandoning what runs"]);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn labels_alone() -> Result<(), Failed> {
    let machine = machine();
    machine.must(&["apply", "hello", "--yes"]);
    std::fs::remove_dir_all(machine.path("state")).unwrap();
    assert!(machine.must(&["list"]).contains("no journal here"));
    let receipt = machine.must(&["destroy", "--name", "hello", "--yes"]);
    assert!(receipt.contains("container") && receipt.contains("image"), "{receipt}");
    assert_nothing_left(&machine);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn foreign() -> Result<(), Failed> {
    let machine = machine();
    let stranger = ["run", "-d", "--name", "infra-hello-control-plane", "--label", "io.x-k8s.kind.cluster=infra-hello"];
    let image = std::env::var("INFRA_TEST_KIND_IMAGE").unwrap();
    let entrypoint = ["--label", "io.x-k8s.kind.role=control-plane", "--entrypoint", "/bin/sleep", &image, "600"];
    docker(&[&stranger[..], &entrypoint[..]].concat());
    let ended = machine.infra(&["apply", "hello", "--yes"]);
    let still_there = docker(&["ps", "-q", "--filter", "name=infra-hello-control-plane"]);
    let destroyed = machine.infra(&["destroy", "--name", "hello", "--yes"]);
    let spared = docker(&["ps", "-q", "--filter", "name=infra-hello-control-plane"]);
    docker(&["rm", "-f", "-v", "infra-hello-control-plane"]);
    assert_eq!(ended.code, 7, "{}", ended.text);
    assert!(!still_there.is_empty() && still_there == spared, "destroy: {}", destroyed.text);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn blocked() -> Result<(), Failed> {
    let machine = machine();
    machine.write("hello/manifests/web.yaml", &WEB.replace("image: web", "image: registry.invalid/no/such:image"));
    machine.write(
        "hello/scenario.yaml",
        &SCENARIO
            .replace("  web: { dockerfile: { file: image/Dockerfile, context: image } }\n", "")
            .replace("images:\n", ""),
    );
    let began = Instant::now();
    let ended = machine.infra(&["apply", "hello", "--yes"]);
    assert_eq!(ended.code, 4, "{}", ended.text);
    assert!(ended.text.contains("registry.invalid/no/such:image"), "{}", ended.text);
    assert!(began.elapsed() < Duration::from_secs(89), "it did not wait for its deadline");

    machine.write("hello/scenario.yaml", SCENARIO);
    let crash = WEB.replace(
        "        image: web\n",
        "        image: web\n        command: [/bin/busybox, sh, -c, \"echo the disk is missing; exit 3\"]\n",
    );
    machine.write("hello/manifests/web.yaml", &crash);
    let ended = machine.infra(&["apply", "hello", "--yes"]);
    assert_eq!(ended.code, 4, "{}", ended.text);
    assert!(ended.text.contains("the disk is missing"), "the last log lines are shown: {}", ended.text);

    machine.write("hello/manifests/web.yaml", WEB);
    machine.must(&["apply", "hello", "--yes"]);
    machine.must(&["destroy", "hello", "--yes"]);
    assert_nothing_left(&machine);
    Ok(())
}

pub fn taken_port() -> Result<(), Failed> {
    let machine = machine();
    let holder = std::net::TcpListener::bind("127.0.0.1:18080")?;
    let ended = machine.infra(&["apply", "hello", "--yes"]);
    drop(holder);
    assert_eq!(ended.code, 6, "{}", ended.text);
    assert!(ended.text.contains("18080"), "{}", ended.text);
    machine.infra(&["destroy", "--name", "hello", "--yes"]);
    assert_nothing_left(&machine);
    Ok(())
}
