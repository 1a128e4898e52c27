//! State that a team shares, from the outside: several machines, a real S3 server, processes that race, hang and are killed.

#[path = "../machine/mod.rs"]
mod machine;

mod server;

use std::os::unix::net::UnixListener;
use std::process::Child;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};

use machine::{Machine, ended};
use server::Server;

const SCENARIO: &str = "version: 1\nname: tiny\nsteps:\n  - name: all\n    apply: manifests\n";
const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: blue}\n";
const APPLY: [&str; 3] = ["apply", "tiny", "--yes"];
const ON_KIND: [&str; 5] = ["apply", "tiny", "--yes", "--provider", "kind"];

type Run = fn(&Server);

fn main() {
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let trials: [(&str, Run); 4] = [
        ("of_two_runs_that_start_at_once_one_has_the_deployment", race),
        ("a_killed_run_of_another_machine_is_waited_for_as_long_as_its_lease", killed),
        ("a_run_that_was_taken_for_dead_stops_and_the_next_one_goes_on", taken_for_dead),
        ("a_journal_that_cannot_be_reached_ends_a_run_before_it_begins_anything", unreachable),
    ];
    let program = std::env::var_os("INFRA_TEST_S3");
    let trials = trials.into_iter().map(|(name, run)| {
        let Some(program) = program.clone() else {
            println!("skipped: {name}: INFRA_TEST_S3 names no S3 server");
            return Trial::test(name, || Ok(())).with_ignored_flag(true);
        };
        Trial::test(name, move || {
            run(&Server::start(&program));
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

/// One of the team's machines: a home of its own, and a lease that is over soon.
fn machine(server: &Server) -> Machine {
    let machine = Machine::bare();
    machine.write("tiny/scenario.yaml", SCENARIO);
    machine.write("tiny/manifests/settings.yaml", CONFIG_MAP);
    let own = machine.path("own").to_str().unwrap().to_owned();
    let shared = [("INFRA_STATE", "s3://team/infra"), ("INFRA_LEASE", "5s"), ("XDG_STATE_HOME", &own)];
    let machine = shared.into_iter().fold(machine, |machine, (name, value)| machine.with(name, value));
    server.variables().into_iter().fold(machine, |machine, (name, value)| machine.with(name, &value))
}

/// With a Docker that never answers: a run that needs it holds its deployment until it is killed.
fn hanging(server: &Server) -> (Machine, UnixListener) {
    let machine = machine(server);
    let socket = machine.path("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let machine = machine.with("DOCKER_HOST", &format!("unix://{}", socket.display()));
    (machine, listener)
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn race(server: &Server) {
    let machines = [hanging(server), hanging(server)];
    let mut runs: Vec<Child> = machines.iter().map(|(machine, _)| machine.start(&ON_KIND)).collect();
    let mut loser = None;
    wait_until(|| {
        loser = runs.iter_mut().position(|run| run.try_wait().unwrap().is_some());
        loser.is_some()
    });
    let loser = ended(&runs.remove(loser.unwrap()).wait_with_output().unwrap());
    assert!(loser.code == 8 && loser.text.contains("holds it: `"), "{}", loser.text);
    let mut winner = runs.remove(0);
    assert!(winner.try_wait().unwrap().is_none(), "nobody has it");
    winner.kill().unwrap();
    winner.wait().unwrap();
}

fn killed(server: &Server) {
    let (here, _docker) = hanging(server);
    let elsewhere = machine(server);
    let mut run = here.start(&ON_KIND);
    wait_until(|| server.keys().iter().any(|key| key.contains("/lock/")));
    let refused = elsewhere.infra(&ON_KIND);
    assert_eq!(refused.code, 8, "{}", refused.text);
    run.kill().unwrap();
    run.wait().unwrap();
    // It gets the deployment, and then finds no Docker.
    let next = elsewhere.infra(&[&ON_KIND[..], &["--wait"]].concat());
    assert!(next.code == 6 && next.text.contains("note: waiting: process "), "{}", next.text);
    assert_eq!(server.keys(), Vec::<String>::new());
    // On its own machine a killed run holds nothing, however long its lease is.
    let (here, _docker) = hanging(server);
    let here = here.with("INFRA_LEASE", "1h");
    let mut run = here.start(&ON_KIND);
    wait_until(|| server.keys().iter().any(|key| key.contains("/lock/")));
    run.kill().unwrap();
    run.wait().unwrap();
    let next = here.with("DOCKER_HOST", "unix:///nowhere/docker.sock").infra(&ON_KIND);
    assert_eq!(next.code, 6, "{}", next.text);
}

fn taken_for_dead(server: &Server) {
    let (here, elsewhere) = (machine(server), machine(server));
    let run = here.start(&APPLY);
    wait_until(|| server.keys().iter().any(|key| key.contains("/journal/")));
    signal(&run, "-STOP");
    let unlocked = elsewhere.must(&["unlock", "--name", "tiny", "--yes"]);
    signal(&run, "-CONT");
    assert!(unlocked.contains("tiny is free"), "{unlocked}");
    let stopped = ended(&run.wait_with_output().unwrap());
    assert!(stopped.code == 1 && stopped.text.contains("this run was taken for dead"), "{}", stopped.text);
    here.must(&APPLY);
    assert!(here.must(&APPLY).contains("nothing to do"));
    assert!(elsewhere.must(&["list"]).contains("applied"));
    for command in [&["plan", "tiny"][..], &["status", "tiny"], &["destroy", "tiny", "--yes"], &APPLY] {
        let refused = elsewhere.infra(command);
        assert!(refused.code == 7 && refused.text.contains("made its cluster on that machine"), "{}", refused.text);
    }
    here.must(&["destroy", "tiny", "--yes"]);
    assert_eq!(server.keys(), Vec::<String>::new());
    assert_eq!(elsewhere.must(&["list"]).trim(), "no deployments");
}

fn unreachable(server: &Server) {
    let machine = machine(server).with("INFRA_STATE", "s3://nobody/infra");
    let ended = machine.infra(&APPLY);
    assert!(ended.code == 1 && ended.text.contains("s3://nobody/infra"), "{}", ended.text);
    assert!(ended.text.contains("hint: keys and endpoints are read from"), "{}", ended.text);
}
