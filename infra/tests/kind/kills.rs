//! Runs killed at random moments, and the same command again.
//!
//! `INFRA_TEST_KILLS` says how many runs are killed (30 when it is not set), `INFRA_TEST_KILL_SEED` which moments are taken.

use std::time::{Duration, Instant, SystemTime};

use libtest_mimic::Failed;

use crate::hello::{PAGE, assert_nothing_left, machine, settings};
use crate::machine::{Machine, docker, get};

const KILLS: u64 = 30;
const APPLY: [&str; 3] = ["apply", "hello", "--yes"];
const DESTROY: [&str; 4] = ["destroy", "--name", "hello", "--yes"];

/// How long an undisturbed run of each sort took: the moments are spread over that time.
struct Lengths {
    create: Duration,
    update: Duration,
    destroy: Duration,
}

/// The random moments of one seed (`SplitMix64`: Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
struct Moments(u64);

impl Moments {
    fn within(&mut self, length: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        length.mul_f64(f64::from(u32::try_from(mixed >> 40).expect("24 bits are left")) / f64::from(1 << 24))
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn timed(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

/// Kills a run with SIGKILL after a time; says whether it was still at work.
fn kill_after(machine: &Machine, arguments: &[&str], moment: Duration) -> bool {
    let mut child = machine.start(arguments);
    std::thread::sleep(moment);
    let at_work = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    println!("killed after {:.2} s of {}{}", moment.as_secs_f64(), arguments[0], if at_work { "" } else { " (done)" });
    at_work
}

/// What an apply leaves: one cluster, one network, one pod, and the page.
fn assert_applied(machine: &Machine, color: &str) {
    assert_eq!(get(PAGE).unwrap(), "<h1>hello</h1>");
    let counted = |list: &[&str]| docker(list).lines().count();
    assert_eq!(counted(&["ps", "-aq", "--filter", "label=io.x-k8s.kind.cluster=infra-hello"]), 1, "one node");
    assert_eq!(counted(&["network", "ls", "-q", "--filter", "label=infra.deployment=hello"]), 1, "one network");
    let held = machine.kubectl(&["get", "configmap", "settings", "--output", "jsonpath={.data.color}"]).text;
    assert_eq!(held, color, "what was wanted last is there");
    let sets = machine.kubectl(&["get", "replicasets", "--output", "name"]).text;
    assert_eq!(sets.lines().count(), 1, "nothing is doubled: {sets}");
    assert!(machine.must(&APPLY).contains("nothing to do"));
}

fn undisturbed(machine: &Machine) -> Lengths {
    let create = timed(|| drop(machine.must(&APPLY)));
    machine.write("hello/manifests/settings.yaml", &settings("red"));
    let update = timed(|| drop(machine.must(&APPLY)));
    Lengths { create, update, destroy: timed(|| drop(machine.must(&DESTROY))) }
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn at_random_moments() -> Result<(), Failed> {
    let since_epoch = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later").as_secs();
    let (kills, seed) = (number("INFRA_TEST_KILLS").unwrap_or(KILLS), number("INFRA_TEST_KILL_SEED"));
    let seed = seed.unwrap_or_else(since_epoch);
    println!("to see these moments again: INFRA_TEST_KILL_SEED={seed} INFRA_TEST_KILLS={kills}");
    let (machine, mut moments) = (machine(), Moments(seed));
    let lengths = undisturbed(&machine);
    let mut killed = 0;
    while killed < kills {
        let mut kill = |arguments: &[&str], length: Duration| {
            killed += u64::from(kill_after(&machine, arguments, moments.within(length)));
        };
        machine.write("hello/manifests/settings.yaml", &settings("blue"));
        kill(&APPLY, lengths.create);
        kill(&APPLY, lengths.create);
        machine.must(&APPLY);
        assert_applied(&machine, "blue");
        machine.write("hello/manifests/settings.yaml", &settings("red"));
        kill(&APPLY, lengths.update);
        kill(&APPLY, lengths.update);
        machine.must(&APPLY);
        assert_applied(&machine, "red");
        kill(&DESTROY, lengths.destroy);
        kill(&DESTROY, lengths.destroy);
        machine.must(&DESTROY);
        assert_nothing_left(&machine);
        println!("{killed} of {kills}");
    }
    Ok(())
}
