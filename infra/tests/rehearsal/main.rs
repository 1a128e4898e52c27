//! Google Cloud, rehearsed: the whole way in a simulated cloud, from the outside; and that cloud beside Google's own clients.

#[path = "../machine/mod.rs"]
mod machine;

mod gcloud;
mod kept;
mod rehearsed;
mod shared;
mod simulated;

use libtest_mimic::{Arguments, Failed, Trial};

type Run = fn() -> Result<(), Failed>;

/// The trials that make no cluster.
const QUICK: [&str; 2] =
    ["a_plan_and_a_preflight_are_rehearsed_and_make_nothing", "what_stands_in_the_way_is_told_before_anything_is_made"];

fn main() {
    // Most of the time is that of a cloud, which nobody's processor passes.
    let arguments = Arguments { test_threads: Some(3), ..Arguments::from_args() };
    let trials: [(&str, Run); 10] = [
        ("mnist_rnn_is_rehearsed_on_gke_and_nothing_is_left", rehearsed::mnist),
        ("what_goes_wrong_in_a_rehearsal_is_survived", rehearsed::faults),
        ("a_plan_and_a_preflight_are_rehearsed_and_make_nothing", rehearsed::looks),
        ("what_stands_in_the_way_is_told_before_anything_is_made", simulated::refused),
        ("an_apply_that_is_killed_goes_on_and_a_lost_journal_is_recovered", simulated::killed),
        ("pods_on_different_nodes_share_what_is_in_their_claims_on_gke", shared::on_gke),
        ("pods_on_different_nodes_share_what_is_in_their_claims_in_the_sandbox", shared::in_the_sandbox),
        ("a_deployment_without_a_journal_is_destroyed_by_its_marks", simulated::without_journal),
        ("disks_are_kept_listed_and_taken_up_again", kept::kept),
        ("disks_that_were_kept_are_destroyed_by_their_marks", kept::without_journal),
    ];
    let is_fast = std::env::var_os("INFRA_TEST_FAST").is_some();
    if is_fast {
        println!("skipped: rehearsals that make clusters: a cloud takes its time");
    }
    let is_left_out = |name: &str| is_fast && !QUICK.contains(&name);
    let trial = |(name, run): (&'static str, Run)| Trial::test(name, run).with_ignored_flag(is_left_out(name));
    let mut trials: Vec<Trial> = trials.into_iter().map(trial).collect();
    let has_gcloud = gcloud::is_there();
    if !has_gcloud {
        println!("skipped: gcloud is not on the PATH, so it cannot look at what infra made");
    }
    let of_gcloud: [(&str, Run); 2] = [
        ("gcloud_and_kubectl_see_what_infra_made_field_by_field", gcloud::agrees),
        ("a_pool_that_gcloud_resized_is_seen_and_put_back", gcloud::resizes),
    ];
    let trial = |(name, run): (&'static str, Run)| Trial::test(name, run).with_ignored_flag(!has_gcloud || is_fast);
    trials.extend(of_gcloud.map(trial));
    libtest_mimic::run(&arguments, trials).exit();
}
