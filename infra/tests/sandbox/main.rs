//! The whole way in the sandbox, from the outside: a machine without Docker, the program, the network.

#[path = "../machine/mod.rs"]
mod machine;

mod distributed;
mod hello;
mod mnist;
mod options;
mod plans;
mod recover;
mod secrets;
mod somebody;

use libtest_mimic::{Arguments, Failed, Trial};

type Run = fn() -> Result<(), Failed>;

/// One trial after the other: they share two cores, and ports.
fn main() {
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let trials: [(&str, Run); 20] = [
        ("an_apply_goes_the_whole_way_and_a_destroy_leaves_nothing", hello::whole_way),
        ("a_killed_apply_goes_on_and_a_killed_destroy_is_finished", hello::killed),
        ("a_killed_sandbox_is_started_again_with_everything_in_it", hello::killed_sandbox),
        ("a_sandbox_is_stopped_and_started", hello::stopped_and_started),
        ("a_sandbox_has_the_nodes_that_the_scenario_asks_for", hello::nodes),
        ("a_sandbox_ends_with_its_input_and_keeps_its_options", options::with_input),
        ("options_that_cannot_be_are_refused_before_anything_is_made", options::refused),
        ("a_sandbox_without_its_journal_is_destroyed", hello::without_journal),
        ("a_lost_or_damaged_journal_is_written_anew", recover::lost_or_damaged),
        ("causes_that_will_not_heal_end_an_apply_with_an_explanation", hello::blocked),
        ("a_taken_port_is_named_before_anything_is_made", hello::taken_port),
        ("drift_is_shown_apart_and_put_back", plans::drift),
        ("a_saved_plan_is_carried_out_as_it_is_or_not_at_all", plans::saved),
        ("a_part_of_a_plan_leaves_the_rest_and_says_so", plans::parts),
        ("what_is_there_already_is_refused_or_adopted", plans::adopted),
        ("what_waits_for_a_failed_step_is_not_tried_and_said_once", plans::not_tried),
        ("a_check_with_another_name_is_moved_and_not_asked_again", hello::moved),
        ("a_secret_that_a_container_prints_is_seen_nowhere", secrets::printed),
        ("several_workers_learn_at_once_and_a_killed_one_changes_nothing", distributed::whole_way),
        ("mnist_rnn_is_trained_served_checked_and_removed", mnist::whole_way),
    ];
    let trials = trials.into_iter().map(|(name, trial)| Trial::test(name, trial)).collect();
    let _ports = machine::alone_with("sandbox");
    libtest_mimic::run(&arguments, trials).exit();
}
