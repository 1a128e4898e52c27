//! A node on this machine: as root, and as an ordinary user.

#[path = "node/containers.rs"]
mod containers;
#[path = "node/life.rs"]
mod life;
#[path = "node/machine.rs"]
mod machine;
#[path = "node/network.rs"]
mod network;

use std::future::Future;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use self::machine::{Machine, Result};

/// A test with a node of its own.
macro_rules! with_machine {
    ($module:ident :: $name:ident) => {
        Trial::test(stringify!($name), || {
            block_on(async {
                let machine = Machine::start().await?;
                let result = $module::$name(&machine).await;
                machine.stop().await;
                result
            })
        })
    };
}

fn block_on(test: impl Future<Output = Result>) -> std::result::Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(test)?)
}

fn main() -> ExitCode {
    if let Some(code) = runtime::entry() {
        return code;
    }
    if let Some(code) = life::entry() {
        return code;
    }
    let arguments = Arguments::from_args();
    let mut tests = vec![
        with_machine!(containers::a_program_runs_as_process_1_and_its_end_is_told),
        with_machine!(containers::signals_reach_the_program_and_after_the_grace_it_is_killed),
        with_machine!(containers::a_program_that_cannot_be_started_says_why),
        with_machine!(containers::the_image_stays_as_it_is_and_nothing_of_the_machine_is_seen),
        with_machine!(containers::users_groups_folders_and_mounts_are_as_asked),
        with_machine!(containers::memory_is_shared_by_containers_and_reached_by_the_owner),
        with_machine!(containers::programs_can_be_started_in_a_running_container),
        with_machine!(containers::limits_hold_where_they_can_be_had),
        with_machine!(network::pods_have_ports_of_their_own_and_reach_each_other_and_services),
        with_machine!(network::datagrams_reach_a_service_and_come_back),
        with_machine!(network::the_owner_can_listen_inside),
        Trial::test("nothing_beyond_the_cluster_is_reached_unless_asked", || {
            block_on(network::nothing_beyond_the_cluster_is_reached_unless_asked())
        }),
        with_machine!(life::what_is_given_up_or_unknown_leaves_nothing),
        with_machine!(life::a_node_that_stops_says_so),
        with_machine!(life::a_killed_keeper_takes_everything_with_it),
        with_machine!(life::options_that_cannot_be_met_are_refused),
        Trial::test("nothing_outlives_an_owner_that_is_killed", || block_on(life::nothing_outlives_its_owner())),
    ];
    tests.extend(life::as_ordinary_user());
    if machine::busybox().is_none() {
        eprintln!("skipped: all tests of the node: busybox is not installed (package busybox-static)");
        tests = tests.into_iter().map(|test| test.with_ignored_flag(true)).collect();
    }
    libtest_mimic::run(&arguments, tests).exit_code()
}
