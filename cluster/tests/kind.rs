//! kind clusters on the real Docker Engine, one after the other.
//!
//! They run when `INFRA_TEST_KIND` holds the path of the program kind and `INFRA_TEST_KIND_IMAGE` a node image.

use std::env;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cluster::kind::{Spec, declare, find, list, register};
use cluster::{PortMapping, find_contexts};
use engine::{
    Address, Class, Context, Event, Failure, Graph, Held, Node, Observation, Record, Registry, Remains, Resource, Sink,
    Sinks, State,
};
use libtest_mimic::{Arguments, Failed, Trial};
use providers::docker::{Docker, Exec, Settings};
use serde_json::Value;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Two clusters that start at once on a small machine disturb each other.
    arguments.test_threads = Some(1);
    let missing = ["INFRA_TEST_KIND", "INFRA_TEST_KIND_IMAGE"].into_iter().find(|name| env::var_os(name).is_none());
    if let Some(missing) = missing {
        eprintln!("the tests with a real kind are ignored: {missing} is not set");
    }
    let test = |name: &str, body: fn(&World)| {
        let run = move || -> Result<(), Failed> {
            body(&World::new());
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    let tests = vec![
        test("a_cluster_lives_from_its_first_milestone_to_its_receipt", life),
        test("a_node_that_is_left_over_is_replaced_and_every_node_takes_workloads", left_over),
        test("a_cluster_of_somebody_else_is_refused_and_left_alone", foreign),
        test("an_abandoned_create_can_be_deleted", abandoned),
        test("a_kind_that_fails_shows_its_last_lines_and_nothing_remains", failing),
        test("a_kind_that_is_killed_leaves_open_what_remains", killed),
        test("a_taken_port_is_named_before_anything_is_made", taken_port),
    ];
    libtest_mimic::run(&arguments, tests).exit_code()
}

const DEPLOYMENT: &str = "cluster-test";

/// A deployment with a state folder of its own, and everything of it removed at the end.
struct World {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    docker: Docker,
    registry: Registry,
    events: Events,
}

#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<Event>>>);

impl Sink for Events {
    fn take(&self, record: &Record) {
        self.0.lock().unwrap().push(record.event.clone());
    }
}

impl Events {
    fn milestones(&self) -> Vec<String> {
        let milestone = |event: &Event| match event {
            Event::StepMilestone { milestone, .. } => Some(milestone.clone()),
            _ => None,
        };
        self.0.lock().unwrap().iter().filter_map(milestone).collect()
    }
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let docker = Docker::new(Settings::from_environment(|name| env::var_os(name)));
        let mut registry = Registry::default();
        register(&mut registry, &docker, None);
        Self { folder: tempfile::tempdir().unwrap(), runtime, docker, registry, events: Events::default() }
    }

    fn spec(&self) -> Spec {
        Spec {
            deployment: DEPLOYMENT.to_owned(),
            nodes: 1,
            node_image: Some(env::var("INFRA_TEST_KIND_IMAGE").unwrap()),
            ports: Vec::new(),
            kind: Some(PathBuf::from(env::var("INFRA_TEST_KIND").unwrap())),
            kubeconfig: self.folder.path().join("kubeconfig"),
            owner_folder: self.folder.path().join("owner"),
            user_kubeconfig: Some(self.folder.path().join("user/.kube/config")),
        }
    }

    /// The nodes of a spec, each after what it needs: network, cluster, context.
    fn nodes(spec: &Spec) -> [Held; 3] {
        let mut graph = Graph::default();
        declare(spec, &mut graph).unwrap();
        let nodes: Vec<Node> = graph.in_order().unwrap().into_iter().cloned().collect();
        let held = nodes.into_iter().map(|node| Held { node, outputs: Value::Null, state: State::Present });
        held.collect::<Vec<_>>().try_into().unwrap()
    }

    fn context(&self, address: &Address) -> Context {
        Context::detached(DEPLOYMENT, address.clone(), Sinks::new(vec![Box::new(self.events.clone())]))
    }

    fn resource(&self, held: &Held) -> &dyn Resource {
        self.registry.get(&held.node.address).unwrap().as_ref()
    }

    fn create(&self, held: &Held) -> Result<Value, Failure> {
        let context = self.context(&held.node.address);
        self.runtime.block_on(self.resource(held).create(&context, &held.node.inputs))
    }

    fn update(&self, held: &Held) -> Result<Value, Failure> {
        let context = self.context(&held.node.address);
        self.runtime.block_on(self.resource(held).update(&context, &held.node.inputs, &held.node.inputs))
    }

    /// Deletes it, and returns what was found gone as `what name`.
    fn delete(&self, held: &Held) -> Vec<String> {
        let context = self.context(&held.node.address);
        let gone = self.runtime.block_on(self.resource(held).delete(&context, &held.node.inputs)).unwrap();
        gone.into_iter().map(|gone| format!("{} {}", gone.what, gone.name)).collect()
    }

    fn observe(&self, held: &Held) -> Observation {
        self.runtime.block_on(self.resource(held).observe(&[held])).remove(0)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Also after a test that failed half-way, and also what a test made as somebody else's.
        let containers = docker(&["ps", "-aq", "--filter", "label=io.x-k8s.kind.cluster=infra-cluster-test"]);
        for container in containers.lines() {
            docker(&["rm", "-f", "-v", container]);
        }
        docker(&["network", "rm", "infra-cluster-test"]);
    }
}

/// Runs docker and returns what it prints.
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn kubectl(world: &World, arguments: &[&str]) -> String {
    let output = Command::new("kubectl")
        .args(arguments)
        .env("KUBECONFIG", world.folder.path().join("kubeconfig"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn life(world: &World) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let spec = Spec { ports: vec![PortMapping { local_port: port, node_port: 30080 }], ..world.spec() };
    let [network, cluster, mut context] = World::nodes(&spec);
    world.create(&network).unwrap();
    assert_eq!(world.observe(&network), Observation::AsRecorded);
    assert_eq!(world.observe(&cluster), Observation::Absent);

    let outputs = world.create(&cluster).unwrap();
    assert_eq!(world.events.milestones(), ["nodes", "api"]);
    assert_eq!(std::fs::metadata(&spec.kubeconfig).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(kubectl(world, &["get", "namespace", "default", "-o", "name"]), "namespace/default");
    assert_eq!(world.observe(&cluster), Observation::AsRecorded);
    assert_eq!(
        std::fs::read_dir(world.folder.path()).unwrap().count(),
        2,
        "only the kubeconfig and the owner's folder stay"
    );

    context.node.inputs["server"] = outputs["server"].clone();
    world.create(&context).unwrap();
    assert_eq!(world.observe(&context), Observation::AsRecorded);

    adopted_and_restarted(world, &cluster, &outputs);
    found_by_labels_alone(world, &spec);
    programs_in_a_node(world);

    assert_eq!(world.delete(&context), ["kubeconfig context infra-cluster-test"]);
    let gone = world.delete(&cluster);
    assert_eq!(gone[..2], ["kind cluster infra-cluster-test", "container infra-cluster-test-control-plane"]);
    assert!(gone[2].starts_with("volume "), "{gone:?}");
    assert!(!spec.kubeconfig.exists());
    assert_eq!(world.observe(&cluster), Observation::Absent);
    assert_eq!(world.delete(&cluster).len(), 2, "a second deletion finds the cluster and its file gone");
    assert_eq!(world.delete(&network), ["network infra-cluster-test"]);
    assert_eq!(world.delete(&network), ["network infra-cluster-test"]);
}

/// A second create uses the nodes that are there; a node that was stopped is started again with the same address.
fn adopted_and_restarted(world: &World, cluster: &Held, outputs: &Value) {
    let node = || docker(&["ps", "-aq", "--no-trunc", "--filter", "name=infra-cluster-test-control-plane"]);
    let before = node();
    assert_eq!(&world.create(cluster).unwrap(), outputs);
    assert_eq!(node(), before);
    docker(&["stop", "infra-cluster-test-control-plane"]);
    let changed = world.observe(cluster);
    assert!(matches!(&changed, Observation::Changed(how) if how.what.contains("does not run")), "{changed:?}");
    assert_eq!(&world.update(cluster).unwrap(), outputs);
    assert_eq!(node(), before);
    assert_eq!(world.observe(cluster), Observation::AsRecorded);
}

fn found_by_labels_alone(world: &World, spec: &Spec) {
    let mut found = world.runtime.block_on(find(&world.docker, DEPLOYMENT, &spec.kubeconfig)).unwrap();
    let user_kubeconfig = spec.user_kubeconfig.as_deref().unwrap();
    found.extend(find_contexts(user_kubeconfig, DEPLOYMENT, &spec.kubeconfig, &found));
    let addresses: Vec<String> = found.iter().map(|node| node.address.to_string()).collect();
    let expected =
        ["docker-network", "kind-cluster", "kubeconfig-context"].map(|kind| format!("{kind}/infra-cluster-test"));
    assert_eq!(addresses, expected);
    assert_eq!(found[1].inputs["owner_folder"], spec.owner_folder.to_str().unwrap());
    let seen = world.runtime.block_on(list(&world.docker)).unwrap();
    let ours = seen.iter().find(|seen| seen.deployment == DEPLOYMENT).unwrap();
    assert_eq!((ours.nodes, ours.running), (1, 1));
}

/// A program's input ends where it shall, also when the program does not read all of it.
fn programs_in_a_node(world: &World) {
    let node = "infra-cluster-test-control-plane";
    let run = |command: &[&str], parts: usize| {
        let input = (0..parts).map(|_| Ok(Bytes::from(vec![b'x'; 100_000])));
        let exec = Exec::new(command.iter().copied()).stdin(futures::stream::iter(input));
        world.runtime.block_on(world.docker.exec(node, exec)).unwrap()
    };
    let counted = run(&["wc", "-c"], 30);
    assert_eq!((counted.exit_code, counted.stdout.trim_ascii()), (0, b"3000000".as_slice()));
    let early = run(&["sh", "-c", "head -c 3; echo enough >&2; exit 3"], 100);
    assert_eq!((early.exit_code, early.stdout.as_slice(), early.message().as_str()), (3, b"xxx".as_slice(), "enough"));
    assert_eq!(run(&["no-such-program"], 0).exit_code, 126);
    let missing = world.runtime.block_on(world.docker.exec("no-such-container", Exec::new(["true"])));
    assert!(missing.unwrap_err().is_missing());
    let file = world.runtime.block_on(world.docker.read_file(node, "/etc/hostname")).unwrap();
    assert_eq!(file.trim_ascii(), node.as_bytes());
}

fn left_over(world: &World) {
    let spec = Spec { nodes: 2, ..world.spec() };
    let [network, cluster, _] = World::nodes(&spec);
    world.create(&network).unwrap();
    std::fs::create_dir_all(&spec.owner_folder).unwrap();
    let mount = format!("{}:/etc/infra/deployment/{DEPLOYMENT}:ro", spec.owner_folder.display());
    let left = docker(&[
        "create",
        "--name",
        "infra-cluster-test-worker",
        "--label",
        "io.x-k8s.kind.cluster=infra-cluster-test",
        "--label",
        "io.x-k8s.kind.role=worker",
        "--volume",
        &mount,
        spec.node_image.as_deref().unwrap(),
    ]);
    assert_eq!(world.observe(&cluster), Observation::Absent, "a cluster without its control plane is none");
    world.create(&cluster).unwrap();
    assert_eq!(docker(&["ps", "-aq", "--no-trunc", "--filter", &format!("id={left}")]), "");
    // A worker has joined before its kubelet has told the API server of it.
    let look = || {
        let columns = "jsonpath={range .items[*]}{.metadata.name} {.spec.taints[*].key}{\"\\n\"}{end}";
        kubectl(world, &["get", "nodes", "-o", columns])
    };
    let looks = std::iter::repeat_with(look).inspect(|_| std::thread::sleep(std::time::Duration::from_millis(500)));
    let taints = looks.take(60).find(|taints| taints.lines().count() == 2).expect("both nodes are there");
    assert!(!taints.contains("node-role.kubernetes.io/control-plane"), "{taints}");
    let gone = world.delete(&cluster);
    assert_eq!(gone.iter().filter(|gone| gone.starts_with("container ")).count(), 2);
    world.delete(&network);
}

fn foreign(world: &World) {
    let [_, cluster, _] = World::nodes(&world.spec());
    let image = env::var("INFRA_TEST_KIND_IMAGE").unwrap();
    let other = docker(&[
        "create",
        "--label",
        "io.x-k8s.kind.cluster=infra-cluster-test",
        "--label",
        "io.x-k8s.kind.role=control-plane",
        &image,
    ]);
    let failure = world.create(&cluster).unwrap_err();
    assert_eq!((failure.class, failure.remains), (Class::Foreign, Remains::Nothing));
    assert!(failure.hint.unwrap().contains("kind delete cluster --name infra-cluster-test"));
    assert_eq!(world.observe(&cluster), Observation::Absent);
    world.delete(&cluster);
    assert_eq!(docker(&["ps", "-aq", "--no-trunc", "--filter", &format!("id={other}")]), other);
}

fn abandoned(world: &World) {
    let [network, cluster, _] = World::nodes(&world.spec());
    world.create(&network).unwrap();
    let context = world.context(&cluster.node.address);
    world.runtime.block_on(async {
        let create = world.resource(&cluster).create(&context, &cluster.node.inputs);
        let nodes_run = async {
            while world.events.milestones().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            created = create => panic!("it ended before its first milestone: {:?}", created.map_err(|failure| failure.causes())),
            () = nodes_run => {}
        }
    });
    let gone = world.delete(&cluster);
    assert!(gone.contains(&"container infra-cluster-test-control-plane".to_owned()), "{gone:?}");
    world.delete(&network);
}

fn failing(world: &World) {
    let spec = Spec { node_image: Some("infra.invalid/no-such-image:v1".to_owned()), ..world.spec() };
    let [network, cluster, _] = World::nodes(&spec);
    world.create(&network).unwrap();
    let failure = world.create(&cluster).unwrap_err();
    assert_eq!((failure.class, failure.remains), (Class::Failed, Remains::Nothing));
    let causes = failure.causes().join("\n");
    assert!(causes.starts_with("kind failed with exit code 1\n") && causes.contains("no-such-image"), "{causes}");
    assert!(failure.hint.unwrap().contains("node image"));
    world.delete(&network);
}

fn killed(world: &World) {
    let program = world.folder.path().join("kind");
    std::fs::write(&program, "#!/bin/sh\necho ' • Preparing nodes' >&2\nkill -KILL $$\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let [_, cluster, _] = World::nodes(&Spec { kind: Some(program), ..world.spec() });
    let failure = world.create(&cluster).unwrap_err();
    assert_eq!(failure.remains, Remains::Unknown);
    assert_eq!(failure.causes(), ["kind was ended by signal 9\n     • Preparing nodes"]);
    world.delete(&cluster);
}

fn taken_port(world: &World) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let local_port = listener.local_addr().unwrap().port();
    let spec = Spec { ports: vec![PortMapping { local_port, node_port: 30080 }], ..world.spec() };
    let [_, cluster, _] = World::nodes(&spec);
    let failure = world.create(&cluster).unwrap_err();
    assert_eq!((failure.class, failure.remains), (Class::Missing, Remains::Nothing));
    let process = format!("(process {}) holds it", std::process::id());
    assert!(failure.causes()[0].ends_with(&process), "{:?}", failure.causes());
    assert!(failure.hint.unwrap().contains("local_port"));
}
