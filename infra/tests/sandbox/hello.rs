//! A small scenario with a program of this workspace, taken through everything that can happen to it.

use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::machine::{Ended, Machine, ended, get};

const SCENARIO: &str = r"
version: 1
name: hello
images:
  web: { cargo: { package: contract-tool, workspace: WORKSPACE } }
steps:
  - { name: all, apply: manifests, timeout: 60s }
checks:
  - { name: page, http: { service: web, path: /, status: 200, contains: hello } }
local_ports: { web: 18081 }
";

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
        args: [serve, '8080', hello]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
";

const RECEIPT: &str = "state/receipts/hello.json";

const PAGE: &str = "http://127.0.0.1:18081/";

fn machine() -> Machine {
    let machine = Machine::bare();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    machine.write("hello/scenario.yaml", &SCENARIO.replace("WORKSPACE", workspace.to_str().unwrap()));
    machine.write("hello/manifests/web.yaml", WEB);
    machine
}

/// No folder, no context, no process, no port.
fn assert_nothing_left(machine: &Machine) {
    assert!(!machine.path("state/deployments/hello").exists());
    let kubeconfig = std::fs::read_to_string(machine.path("kubeconfig")).unwrap_or_default();
    assert!(!kubeconfig.contains("infra-hello"), "{kubeconfig}");
    assert_eq!(processes_of(machine), Vec::<u32>::new());
    assert!(get(PAGE).is_err(), "nobody listens any more");
}

/// The processes of the machine's sandbox, by its folder in their command line.
fn processes_of(machine: &Machine) -> Vec<u32> {
    let folder = machine.path("state");
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    let is_ours = |process: &u32| {
        let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(folder)
    };
    numbers.filter(is_ours).collect()
}

fn until_it_answers(text: &str) -> Result<(), Failed> {
    let began = Instant::now();
    loop {
        let answer = get(PAGE);
        match &answer {
            Ok(body) if body.contains(text) => return Ok(()),
            _ if began.elapsed() > Duration::from_secs(20) => return Err(format!("{answer:?}").into()),
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

pub fn whole_way() -> Result<(), Failed> {
    let machine = machine();
    machine.write(RECEIPT, "{}");
    let applying = machine.start(&["apply", "hello", "--yes"]);
    let followed = follow(&machine);
    let ended = ended(&applying.wait_with_output()?);
    let text = ended.text;
    assert!(text.contains("hello on sandbox") && text.contains("http://127.0.0.1:18081"), "{text}");
    assert_eq!((ended.code, followed.code), (0, 0), "{}", followed.text);
    // Whoever follows sees the lines that the run itself prints where its output is piped.
    for line in text.lines().filter(|line| line.starts_with("  ✓")) {
        assert!(followed.text.contains(line), "{line:?} is missing in:\n{}", followed.text);
    }
    let report = machine.must(&["report", "hello"]);
    for part in ["apply of hello on sandbox: done", "✓ check page", "sha256:", "http://127.0.0.1:18081", "in all"] {
        assert!(report.contains(part), "{part:?} is missing in:\n{report}");
    }
    assert!(!machine.path(RECEIPT).exists(), "an earlier receipt says nothing any more");
    until_it_answers("hello")?;
    let text = machine.must(&["apply", "hello", "--yes"]);
    assert!(text.contains("nothing to do"), "{text}");
    assert!(machine.must(&["list"]).contains("sandbox"));
    assert!(machine.must(&["status", "hello"]).contains("Deployment default/web"));
    assert!(machine.must(&["check", "hello"]).contains("page"));
    assert!(machine.must(&["images"]).contains("hello/web"));

    machine
        .write("hello/manifests/web.yaml", &WEB.replace("blue", "red").replace("'8080', hello", "'8080', hello again"));
    let plan = machine.must(&["plan", "hello"]);
    assert!(plan.contains("blue -> red") && plan.contains("0 to make"), "{plan}");
    machine.must(&["apply", "hello", "--yes"]);
    until_it_answers("hello again")?;

    let refused = machine.infra(&["destroy", "--name", "hello", "--keep-data", "--yes"]);
    assert!(refused.code == 2 && refused.text.contains("hello/sandbox/volumes"), "{}", refused.text);
    std::fs::remove_dir_all(machine.path("hello")).unwrap();
    let receipt = machine.must(&["destroy", "--name", "hello", "--yes"]);
    for what in ["sandbox", "image", "kubeconfig context", "local folder"] {
        assert!(receipt.contains(what), "the receipt lacks {what}:\n{receipt}");
    }
    assert_nothing_left(&machine);
    let report = machine.must(&["report", "--name", "hello"]);
    assert!(report.contains("destroy of hello on sandbox: done") && report.contains("found gone"), "{report}");
    let list = machine.must(&["report", "--name", "hello", "--list"]);
    assert_eq!(list.matches(" check ").count() + list.matches(" apply ").count(), 4, "{list}");
    Ok(())
}

/// Follows the run that is about to begin, to its end.
fn follow(machine: &Machine) -> Ended {
    let began = Instant::now();
    while !machine.path("state/runs/hello/0001.jsonl").exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "the run leaves no record");
        std::thread::sleep(Duration::from_millis(5));
    }
    machine.infra(&["events", "--follow", "--name", "hello"])
}

pub fn killed() -> Result<(), Failed> {
    let machine = machine();
    for milliseconds in [50, 150, 400, 900] {
        let mut child = machine.start(&["apply", "hello", "--yes"]);
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let list = machine.must(&["report", "--name", "hello", "--list"]);
    assert!(list.contains(" killed "), "{list}");
    machine.must(&["apply", "hello", "--yes"]);
    until_it_answers("hello")?;
    for milliseconds in [20, 100] {
        let mut child = machine.start(&["destroy", "hello", "--yes"]);
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    machine.must(&["destroy", "--name", "hello", "--yes"]);
    assert_nothing_left(&machine);
    Ok(())
}

pub fn killed_sandbox() -> Result<(), Failed> {
    let machine = machine();
    machine.must(&["apply", "hello", "--yes"]);
    for process in processes_of(&machine) {
        let _ = std::process::Command::new("kill").args(["-9", &process.to_string()]).status();
    }
    let began = Instant::now();
    while get(PAGE).is_ok() && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(get(PAGE).is_err(), "no pod outlives its sandbox");
    let plan = machine.must(&["plan", "hello"]);
    assert!(plan.contains("~ sandbox infra-hello") && plan.contains("it does not run"), "{plan}");
    machine.must(&["apply", "hello", "--yes"]);
    until_it_answers("hello")?;
    machine.must(&["destroy", "hello", "--yes"]);
    assert_nothing_left(&machine);
    Ok(())
}

pub fn stopped_and_started() -> Result<(), Failed> {
    let machine = machine();
    machine.must(&["apply", "hello", "--yes"]);
    assert!(machine.must(&["sandbox", "stop", "hello"]).contains("stopped"));
    assert!(get(PAGE).is_err());
    assert!(machine.must(&["sandbox", "status", "hello"]).contains("stopped"));
    assert!(machine.must(&["sandbox", "start", "hello"]).contains("running"));
    until_it_answers("hello")?;
    let text = machine.must(&["apply", "hello", "--yes"]);
    assert!(text.contains("nothing to do"), "{text}");
    machine.must(&["sandbox", "logs", "hello"]);
    // The journal outlives a receipt that cannot be written.
    machine.write("state/receipts", "in the way");
    let refused = machine.infra(&["destroy", "--name", "hello", "--yes"]);
    assert!(refused.code != 0 && refused.text.contains("keep the receipt of hello"), "{}", refused.text);
    assert!(machine.path("state/deployments/hello/journal.jsonl").exists());
    std::fs::remove_file(machine.path("state/receipts")).unwrap();
    machine.must(&["destroy", "hello", "--yes"]);
    assert_nothing_left(&machine);
    Ok(())
}

pub fn nodes() -> Result<(), Failed> {
    let machine = machine();
    let one = std::fs::read_to_string(machine.path("hello/scenario.yaml"))?;
    let with_nodes = |count: usize| {
        let two = one.replace("name: hello\nimages", &format!("name: hello\ncluster: {{ nodes: {count} }}\nimages"));
        machine.write("hello/scenario.yaml", &two);
    };
    let status = || machine.must(&["sandbox", "status", "hello"]);
    with_nodes(3);
    machine.must(&["apply", "hello", "--yes"]);
    let text = status();
    assert!(["sandbox: ", "sandbox-2: ", "sandbox-3: "].into_iter().all(|node| text.contains(node)), "{text}");
    machine.must(&["sandbox", "stop", "hello"]);
    assert!(machine.must(&["sandbox", "start", "hello"]).contains("sandbox-3: "), "it has them after a restart");
    with_nodes(1);
    let plan = machine.must(&["plan", "hello"]);
    assert!(plan.contains("nodes"), "{plan}");
    machine.must(&["apply", "hello", "--yes"]);
    assert!(!status().contains("sandbox-2"), "{}", status());
    until_it_answers("hello")?;
    machine.must(&["destroy", "hello", "--yes"]);
    assert_nothing_left(&machine);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn without_journal() -> Result<(), Failed> {
    let machine = machine();
    machine.must(&["apply", "hello", "--yes"]);
    std::fs::remove_file(machine.path("state/deployments/hello/journal.jsonl")).unwrap();
    let receipt = machine.must(&["destroy", "--name", "hello", "--yes"]);
    assert!(receipt.contains("sandbox") && receipt.contains("kubeconfig context"), "{receipt}");
    assert_nothing_left(&machine);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn blocked() -> Result<(), Failed> {
    let machine = machine();
    machine.write(
        "hello/manifests/web.yaml",
        &WEB.replace("'8080', hello", "'8080', hello, '+', exit, '3'").replace("serve", "print"),
    );
    let began = Instant::now();
    let ended = machine.infra(&["apply", "hello", "--yes"]);
    assert_eq!(ended.code, 4, "{}", ended.text);
    assert!(ended.text.contains("8080 hello"), "the last log lines are shown: {}", ended.text);
    assert!(began.elapsed() < Duration::from_secs(50), "it did not wait for its deadline");
    let report = machine.must(&["report", "hello"]);
    let place = |part: &str| report.find(part).unwrap_or_else(|| panic!("{part:?} is missing in:\n{report}"));
    assert!(place("✗ wait for Deployment default/web") < place("8080 hello"), "{report}");
    assert!(place("8080 hello") < place("where the time went"), "{report}");

    machine.write("hello/manifests/web.yaml", &WEB.replace("image: web", "image: registry.invalid/no/such:image"));
    let ended = machine.infra(&["apply", "hello", "--yes"]);
    assert_eq!(ended.code, 4, "{}", ended.text);
    assert!(ended.text.contains("registry.invalid/no/such:image"), "{}", ended.text);

    let claim = "\n---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec:\n  serviceName: db\n  \
                 selector: {matchLabels: {app: db}}\n  template:\n    metadata: {labels: {app: db}}\n    \
                 spec: {containers: [{name: db, image: web}]}\n";
    machine.write("hello/manifests/web.yaml", &(WEB.to_owned() + claim));
    let ended = machine.infra(&["apply", "hello", "--yes"]);
    assert!(ended.code != 0 && ended.text.contains("use a Deployment"), "{}: {}", ended.code, ended.text);

    machine.write("hello/manifests/web.yaml", WEB);
    machine.must(&["apply", "hello", "--yes"]);
    machine.must(&["destroy", "hello", "--yes"]);
    assert_nothing_left(&machine);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn moved() -> Result<(), Failed> {
    let machine = machine();
    machine.must(&["apply", "hello", "--yes"]);
    let scenario = std::fs::read_to_string(machine.path("hello/scenario.yaml")).unwrap();
    let renamed = scenario.replace("name: page", "name: front") + "moved: [{ from: check/page, to: check/front }]\n";
    machine.write("hello/scenario.yaml", &renamed);
    let plan = machine.infra(&["plan", "hello", "--exit-code"]);
    assert!(plan.code == 10 && plan.text.contains("→ check/page is check/front from now on"), "{}", plan.text);
    let text = machine.must(&["apply", "hello", "--yes"]);
    assert!(!text.contains("✓"), "nothing is called: {text}");
    assert!(machine.must(&["apply", "hello", "--yes"]).contains("nothing to do"));
    machine.must(&["destroy", "hello", "--yes"]);
    assert_nothing_left(&machine);
    Ok(())
}

pub fn taken_port() -> Result<(), Failed> {
    let machine = machine();
    let holder = std::net::TcpListener::bind("127.0.0.1:18081")?;
    let ended = machine.infra(&["apply", "hello", "--yes"]);
    drop(holder);
    assert_eq!(ended.code, 6, "{}", ended.text);
    assert!(ended.text.contains("18081"), "{}", ended.text);
    machine.must(&["destroy", "--name", "hello", "--yes"]);
    assert_nothing_left(&machine);
    Ok(())
}
