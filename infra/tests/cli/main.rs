//! The command line as a person meets it, in a clean environment without Docker, kind or a home of its own.
#![allow(missing_docs)]

mod place;
mod state;

use place::Place;

const SCENARIO: &str = "version: 1\nname: tiny\nprovider: kind\nsteps:\n  - name: all\n    apply: manifests\n";
const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: blue}\n";

fn tiny() -> Place {
    let place = Place::new();
    place.write("tiny/scenario.yaml", SCENARIO);
    place.write("tiny/manifests/settings.yaml", CONFIG_MAP);
    place
}

#[test]
fn the_help_names_every_command_and_exit_code() {
    insta::assert_snapshot!(Place::new().run(&["--help"]));
}

#[test]
fn a_plan_shows_the_whole_chain_without_docker_and_leaves_nothing_behind() {
    let place = tiny();
    insta::assert_snapshot!(place.run(&["plan", "tiny"]));
    assert!(!place.path("state").exists());
}

#[test]
fn the_current_folder_is_the_default_scenario() {
    let place = tiny();
    assert_eq!(place.run(&["plan", "tiny"]), place.run_in("tiny", &["plan"]));
}

#[test]
fn a_plan_as_json_is_one_object() {
    let output = tiny().output("", &["plan", "tiny", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (plan["deployment"].as_str(), plan["steps"][0]["action"]["action"].as_str()),
        (Some("tiny"), Some("create"))
    );
}

#[test]
fn all_problems_of_a_scenario_are_reported_at_once() {
    let place = tiny();
    place.write("tiny/scenario.yaml", "version: 1\nnmae: tiny\ncluster: {nodes: none}\n");
    insta::assert_snapshot!(place.run(&["plan", "tiny"]));
}

#[test]
fn a_folder_without_a_scenario_is_named() {
    insta::assert_snapshot!(Place::new().run(&["apply", "."]));
}

#[test]
fn a_path_that_does_not_exist_is_named() {
    insta::assert_snapshot!(Place::new().run(&["plan", "nowhere"]));
}

#[test]
fn an_apply_asks_first_and_says_how_to_answer_where_nobody_can_be_asked() {
    let place = tiny();
    insta::assert_snapshot!(place.run(&["apply", "tiny"]));
    assert!(!place.path("state/deployments/tiny").exists());
}

#[test]
fn an_apply_without_docker_says_what_was_tried_and_leaves_nothing_behind() {
    let place = tiny();
    insta::assert_snapshot!(place.run(&["apply", "tiny", "--yes"]));
    assert!(!place.path("state/deployments/tiny").exists());
}

#[test]
fn a_dockerfile_without_docker_says_what_can_be_done() {
    let place = tiny();
    place.write("tiny/scenario.yaml", "version: 1\nname: tiny\nimages:\n  web: { dockerfile: Dockerfile }\n");
    place.write("tiny/Dockerfile", "FROM scratch\n");
    place.write(
        "tiny/manifests/web.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: web}]}\n",
    );
    insta::assert_snapshot!(place.run(&["apply", "tiny", "--yes"]));
    assert!(!place.path("state/deployments/tiny").exists());
}

#[test]
fn a_name_that_could_not_be_a_label_is_refused() {
    insta::assert_snapshot!(tiny().run(&["plan", "tiny", "--name", "../etc"]));
}

#[test]
fn what_needs_a_cluster_says_that_there_is_none() {
    let place = tiny();
    insta::assert_snapshot!(
        [
            place.run(&["status", "tiny"]),
            place.run(&["check", "tiny"]),
            place.run(&["logs", "tiny"]),
            place.run(&["open", "tiny"]),
        ]
        .join("\n")
    );
}

#[test]
fn an_empty_list_says_so() {
    insta::assert_snapshot!(Place::new().run(&["list"]));
}

#[test]
fn destroying_an_unknown_name_without_docker_cannot_be_proven_and_fails() {
    insta::assert_snapshot!(Place::new().run(&["destroy", "--name", "ghost", "--yes"]));
}

#[test]
fn a_damaged_journal_is_named_with_its_line_and_nothing_is_touched() {
    let place = tiny();
    place.write("state/deployments/tiny/journal.jsonl", "{\"v\":1,\"n\":1}\n");
    insta::assert_snapshot!(place.run(&["destroy", "--name", "tiny", "--yes"]));
    assert_eq!(place.read("state/deployments/tiny/journal.jsonl"), "{\"v\":1,\"n\":1}\n");
}
