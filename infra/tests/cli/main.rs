//! The command line as a person meets it, in a clean environment without Docker, kind or a home of its own.
#![allow(missing_docs)]

mod place;
mod plans;
mod record;
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

#[test]
fn the_doctor_names_what_a_provider_lacks_and_how_to_get_it() {
    let place = Place::new();
    let output = place.output_with("", &["doctor", "--provider", "kind"], &[("PATH", "/nowhere")]);
    assert_eq!(output.status.code(), Some(6));
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "ok       state folder         state, ",
        "missing  Docker               no Docker Engine answers",
        "missing  kind                 kind is not installed, or not in PATH",
        "hint: install kind",
        "ok       kubectl              not installed; infra does without it",
        "missing  cargo                not installed",
        "✗ kind (the usual one) cannot be used: Docker, kind",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert!(!place.path("state").exists() && !place.path("cache").exists());
}

#[test]
fn the_doctor_as_json_says_of_each_provider_whether_it_can_be_used() {
    let output = Place::new().output("", &["doctor", "--json", "--provider", "kind"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((told["usual"].as_str(), told["providers"]["kind"].as_bool()), (Some("kind"), Some(false)));
    let docker = told["checks"].as_array().unwrap().iter().find(|check| check["name"] == "Docker").unwrap();
    assert_eq!((docker["part"].as_str(), docker["verdict"].as_str()), (Some("kind"), Some("missing")));
}

#[test]
fn the_schema_is_printed_as_it_is() {
    let output = Place::new().output("", &["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn every_command_that_is_shown_has_a_page_of_the_manual() {
    let place = Place::new();
    assert_eq!(place.run(&["man", "--out", "pages"]), "exit code 0\n--- stdout\n--- stderr\n");
    let page = place.read("pages/infra.1");
    assert_eq!(String::from_utf8(place.output("", &["man"]).stdout).unwrap().lines().next(), page.lines().next());
    let help = place.run(&["--help"]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What a command does may take a second line, which begins further in.
    let commands = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    for command in commands.filter(|command| *command != "help") {
        assert!(place.read(&format!("pages/infra-{command}.1")).contains(command), "{command}");
    }
    assert!(place.path("pages/infra-sandbox-start.1").exists());
    assert!(!place.path("pages/infra-sandbox-run.1").exists(), "a hidden command has no page");
}

#[test]
fn a_shell_completes_commands_providers_and_deployments() {
    let place = tiny();
    place.write("state/deployments/tiny-two/journal.jsonl", "");
    let completed = |words: &[&str]| {
        let mut arguments = vec!["--"];
        arguments.extend(words);
        let index = (words.len() - 1).to_string();
        let shell = [("COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", &index), ("_CLAP_IFS", "\n")];
        String::from_utf8(place.output_with("", &arguments, &shell).stdout).unwrap()
    };
    assert_eq!(completed(&["infra", "doc"]), "doctor");
    assert_eq!(completed(&["infra", "plan", "--provider", "k"]), "kind");
    assert_eq!(completed(&["infra", "status", "--name", "t"]), "tiny-two");
    assert_eq!(completed(&["infra", "status", "ti"]).lines().collect::<Vec<_>>(), ["tiny-two", "tiny/"]);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = place.run(&["completions", shell]);
        assert!(script.starts_with("exit code 0") && script.contains("COMPLETE"), "{shell}: {script}");
    }
}

#[test]
fn a_journal_that_is_there_is_not_recovered() {
    let place = Place::new();
    place.write("state/deployments/tiny/journal.jsonl", "{}\n");
    insta::assert_snapshot!(place.run(&["recover", "--name", "tiny"]));
    assert_eq!(place.read("state/deployments/tiny/journal.jsonl"), "{}\n");
}

#[test]
fn a_recovery_that_finds_nothing_says_where_it_looked_and_leaves_all_as_it_was() {
    let place = Place::new();
    insta::assert_snapshot!(place.run(&["recover", "--name", "ghost"]));
    assert!(!place.path("state/deployments/ghost").exists());
    place.write("state/deployments/tiny/journal.jsonl", "{}\n");
    assert!(place.run(&["recover", "--name", "tiny", "--force"]).contains("exit code 1"));
    assert_eq!(place.read("state/deployments/tiny/journal.jsonl"), "{}\n");
}

#[test]
fn a_recovery_from_kind_needs_docker() {
    insta::assert_snapshot!(Place::new().run(&["recover", "--name", "ghost", "--provider", "kind"]));
}

#[test]
fn a_misspelt_field_and_a_missing_project_are_told_with_what_to_do() {
    let place = tiny();
    let said = place.run(&["plan", "tiny", "--provider", "gke"]);
    assert!(said.contains("nobody says in which project") && said.contains("hint: say it in the scenario"), "{said}");
    place.write("tiny/scenario.yaml", "version: 1\nname: tiny\nstepz: []\n");
    assert!(place.run(&["plan", "tiny"]).contains("did you mean `steps`?"));
}
