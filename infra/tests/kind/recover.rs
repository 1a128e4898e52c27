//! A whole state folder is lost: labels and marks are enough to go on.

use libtest_mimic::Failed;

use crate::machine::{Machine, get, left_in_docker};

const SCENARIO: &str = r"
version: 1
name: lost
provider: kind
images:
  web: { dockerfile: { file: image/Dockerfile, context: image } }
steps:
  - { name: all, apply: manifests, timeout: 90s }
checks:
  - { name: page, http: { service: web, path: /index.html, status: 200, contains: hello } }
local_ports: { web: 18085 }
";

const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY page /page\nUSER 65532\nENTRYPOINT [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/page\"]\n";

const MANIFESTS: &str = r"
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
        resources: {requests: {cpu: '0.01'}}
        volumeMounts: [{name: data, mountPath: /data}]
        readinessProbe: {httpGet: {path: /index.html, port: 8080}, periodSeconds: 1}
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: once, image: web, command: [/bin/busybox, 'true'], resources: {requests: {cpu: '0.01'}}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
";

fn machine() -> Machine {
    let machine = Machine::new();
    machine.write("lost/scenario.yaml", SCENARIO);
    machine.write("lost/manifests/all.yaml", MANIFESTS);
    machine.write("lost/image/Dockerfile", DOCKERFILE);
    machine.write("lost/image/page/index.html", "<h1>hello</h1>");
    std::fs::copy("/bin/busybox", machine.path("lost/image/busybox")).expect("busybox-static is installed");
    machine.infra(&["destroy", "--name", "lost", "--yes"]);
    assert_eq!(left_in_docker("lost"), "", "an earlier trial left something");
    machine
}

/// What a recovery must not make anew.
fn identities(machine: &Machine) -> String {
    let columns = "--output=custom-columns=NAME:.metadata.name,UID:.metadata.uid";
    machine.kubectl(&["get", "nodes,pods,deployments,jobs,services,persistentvolumeclaims", columns]).text
}

pub fn lost_state() -> Result<(), Failed> {
    let machine = machine();
    machine.must(&["apply", "lost", "--yes"]);
    let before = identities(&machine);
    assert!(before.contains("once"), "{before}");

    let elsewhere = machine.path("elsewhere");
    let ended =
        machine.infra(&["recover", "--name", "lost", "--provider", "kind", "--state", elsewhere.to_str().unwrap()]);
    assert!(ended.code == 7 && ended.text.contains("--state"), "{}: {}", ended.code, ended.text);
    assert!(!elsewhere.join("deployments/lost").exists(), "a refused search leaves nothing behind");

    std::fs::remove_dir_all(machine.path("state")).unwrap();
    let text = machine.must(&["recover", "--name", "lost", "--provider", "kind"]);
    for what in ["Docker network", "kind cluster", "context", "Job default/once", "image web in the nodes"] {
        assert!(text.contains(what), "it found no {what}:\n{text}");
    }
    let plan = machine.must(&["plan", "lost"]);
    assert!(plan.contains("0 to make") && plan.contains("0 to remove"), "{plan}");
    machine.must(&["apply", "lost", "--yes"]);
    assert_eq!(identities(&machine), before);
    assert_eq!(get("http://127.0.0.1:18085/index.html")?, "<h1>hello</h1>");
    let again = machine.must(&["apply", "lost", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");

    std::fs::remove_dir_all(machine.path("state")).unwrap();
    machine.must(&["recover", "--name", "lost", "--provider", "kind"]);
    machine.must(&["destroy", "--name", "lost", "--yes"]);
    assert_eq!(left_in_docker("lost"), "");
    assert!(!machine.path("state/deployments/lost").exists());
    Ok(())
}
