//! The whole way on a real kind cluster, from the outside: the program, Docker, kubectl's kubeconfig, the network.
//!
//! Runs where `INFRA_TEST_KIND` (the path of kind) and `INFRA_TEST_KIND_IMAGE` (the image of its nodes) are set.

#[path = "../machine/mod.rs"]
mod machine;

mod hello;
mod kills;
mod mnist;
mod recover;
mod shared;

use libtest_mimic::{Arguments, Failed, Trial};

type Run = fn() -> Result<(), Failed>;

/// One trial after the other: they share two cores, and ports.
fn main() {
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let missing =
        ["INFRA_TEST_KIND", "INFRA_TEST_KIND_IMAGE"].into_iter().find(|name| std::env::var_os(name).is_none());
    if let Some(name) = missing {
        eprintln!("skipped: {name} is not set, so there is no kind to test with");
    }
    let trials: [(&str, Run); 11] = [
        ("an_apply_goes_the_whole_way_and_a_destroy_leaves_nothing", hello::whole_way),
        ("what_is_killed_at_random_moments_goes_on", kills::at_random_moments),
        ("an_interrupted_apply_goes_on", hello::interrupted),
        ("an_abandoned_apply_goes_on", hello::abandoned),
        ("labels_alone_are_enough_to_destroy", hello::labels_alone),
        ("a_lost_state_folder_is_recovered_from_marks", recover::lost_state),
        ("a_cluster_of_somebody_else_is_not_touched", hello::foreign),
        ("causes_that_will_not_heal_end_an_apply_with_an_explanation", hello::blocked),
        ("a_taken_port_is_named_before_anything_is_made", hello::taken_port),
        ("pods_on_different_nodes_share_what_is_in_their_claim", shared::whole_way),
        ("mnist_rnn_is_trained_served_checked_and_removed", mnist::whole_way),
    ];
    let trials =
        trials.into_iter().map(|(name, trial)| Trial::test(name, trial).with_ignored_flag(missing.is_some())).collect();
    let _ports = machine::alone_with("kind");
    libtest_mimic::run(&arguments, trials).exit();
}
