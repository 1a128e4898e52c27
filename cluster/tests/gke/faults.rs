//! Whatever goes wrong on the way: the same commands get there, and nothing is left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use cluster::gke::{OtherZones, Place};
use simulator::Faults;

use crate::world::{World, ZONE, failures, pool};
use crate::{NOTHING, file_server};

/// How many stories are told where nobody says it.
const STORIES: u64 = 40;
/// A story keeps large values of Google's types on the stack, several of them at once where nothing is optimised.
const STACK_BYTES: usize = 16 << 20;

/// `INFRA_TEST_CLOUD_SEEDS` says how many stories are told (`N`) or which (`M..N`); each has a time and a cloud of its own.
#[test]
fn faults_of_a_seed_are_survived_and_leave_nothing() {
    let asked = std::env::var("INFRA_TEST_CLOUD_SEEDS").unwrap_or_else(|_| STORIES.to_string());
    let (begin, end) = asked.split_once("..").unwrap_or(("0", &asked));
    let (next, end) = (AtomicU64::new(begin.parse().expect("a number")), end.parse().expect("a number"));
    let tell = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return failed;
            }
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
            failed.extend(runtime.block_on(survived(seed)).err());
        }
    };
    let failed: Vec<String> = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let start = |_| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, tell).expect("a thread");
        let tellers: Vec<_> = (0..threads).map(start).collect();
        tellers.into_iter().flat_map(|teller| teller.join().expect("a story does not panic")).collect()
    });
    assert_eq!(failed, NOTHING);
}

/// The story of one seed; what is wrong with it.
async fn survived(seed: u64) -> Result<(), String> {
    let mut world = World::with(Faults::by_seed(seed), |_| ()).await;
    let mut spec = world.spec();
    spec.place = Place::Zone { zone: ZONE.to_owned(), others: OtherZones::Any };
    spec.node_pools.push(pool("more", 1));
    spec.file_servers = vec![file_server(1024)];
    for (wanted, what) in [(Some(&spec), "apply"), (None, "destroy")] {
        let mut said = Vec::new();
        for _ in 0..8 {
            let outcome = world.run(wanted).await;
            said = failures(&outcome);
            if outcome.is_success() {
                break;
            }
        }
        if !said.is_empty() {
            return Err(format!("seed {seed}: {what} does not get there: {said:?}"));
        }
    }
    let left = world.left();
    if left.is_empty() { Ok(()) } else { Err(format!("seed {seed}: {left:?} are left")) }
}
