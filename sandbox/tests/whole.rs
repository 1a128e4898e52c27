//! Whole sandboxes, with real pods.

#[path = "whole/nodes.rs"]
mod nodes;
#[path = "whole/pods.rs"]
mod pods;
#[path = "whole/registry.rs"]
mod registry;
#[path = "whole/services.rs"]
mod services;
#[path = "whole/state.rs"]
mod state;
#[path = "whole/world.rs"]
mod world;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use world::World;

/// A test that makes its sandboxes itself.
macro_rules! alone {
    ($module:ident :: $name:ident) => {
        Trial::test(stringify!($name), || {
            world::block_on($module::$name());
            Ok(())
        })
    };
}

/// A test with a sandbox of its own.
macro_rules! with_world {
    ($module:ident :: $name:ident) => {
        Trial::test(stringify!($name), || {
            world::block_on(async {
                let world = World::start().await;
                $module::$name(&world).await;
                world.sandbox.stop().await;
            });
            Ok(())
        })
    };
}

fn main() -> ExitCode {
    if let Some(code) = sandbox::entry() {
        return code;
    }
    if let Some(folder) = std::env::var_os(world::SERVE) {
        return world::serve(folder.into());
    }
    let arguments = Arguments::from_args();
    let tests = vec![
        with_world!(pods::a_job_runs_its_pod_to_the_end),
        with_world!(pods::a_failing_container_is_restarted_and_then_backs_off),
        with_world!(pods::a_container_that_is_not_live_is_restarted),
        with_world!(pods::what_cannot_start_says_why),
        with_world!(pods::init_containers_come_first_and_volumes_are_shared),
        with_world!(pods::settings_reach_programs_and_change_while_they_run),
        with_world!(pods::a_deleted_pod_ends_within_its_grace),
        with_world!(pods::commands_run_in_containers_and_ports_are_reached),
        with_world!(services::a_service_leads_to_ready_pods_by_its_name),
        with_world!(services::a_load_balancer_is_reached_from_the_machine),
        alone!(nodes::pods_are_spread_over_nodes_and_move_when_one_goes),
        alone!(nodes::a_volume_for_one_node_is_on_one_node_at_a_time),
        alone!(nodes::a_disk_is_a_folder_that_outlives_its_cluster),
        alone!(nodes::a_file_server_in_the_cluster_exports_what_its_ready_pod_has),
        alone!(nodes::another_process_changes_the_nodes),
        alone!(nodes::nodes_stay_as_they_are_over_a_restart),
        alone!(nodes::a_pod_that_does_not_tolerate_a_taint_goes),
        alone!(registry::a_pod_runs_an_image_from_a_registry),
        alone!(services::load_balancers_have_addresses_of_their_own),
        Trial::test("claims_keep_their_files_over_pods", || {
            world::block_on(state::claims_keep_their_files_over_pods());
            Ok(())
        }),
        Trial::test("a_restarted_sandbox_keeps_its_objects_and_runs_its_pods_again", || {
            world::block_on(state::a_restarted_sandbox_keeps_its_objects_and_runs_its_pods_again());
            Ok(())
        }),
        Trial::test("a_folder_has_one_sandbox_which_others_can_stop", || {
            world::block_on(state::a_folder_has_one_sandbox());
            Ok(())
        }),
        Trial::test("many_pods_run_soon", || {
            world::block_on(state::many_pods_run_soon());
            Ok(())
        })
        .with_ignored_flag(true),
    ];
    libtest_mimic::run(&arguments, tests).exit_code()
}
