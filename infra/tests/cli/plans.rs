//! What can be asked of a plan, where nothing was ever applied.

use std::os::unix::fs::PermissionsExt;

use crate::{SCENARIO, tiny};

#[test]
fn a_plan_with_something_to_do_ends_with_its_own_code_where_that_is_asked_for() {
    let place = tiny();
    assert_eq!(place.output("", &["plan", "tiny"]).status.code(), Some(0));
    assert_eq!(place.output("", &["plan", "tiny", "--exit-code"]).status.code(), Some(10));
}

#[test]
fn a_part_of_a_plan_comes_with_what_it_needs_and_counts_what_it_leaves_out() {
    let place = tiny();
    insta::assert_snapshot!(place.run(&["plan", "tiny", "--target", "docker-network/infra-tiny"]));
}

#[test]
fn an_address_that_is_none_is_answered_with_what_was_meant() {
    let place = tiny();
    let [mistyped, unknown] =
        ["confgmap/settings", "nothing"].map(|what| place.run(&["plan", "tiny", "--target", what]));
    insta::assert_snapshot!([mistyped, unknown].join("\n"));
}

#[test]
fn a_saved_plan_is_private_and_refused_when_its_scenario_has_changed() {
    let place = tiny();
    insta::assert_snapshot!("saved", place.run(&["plan", "tiny", "--save", "tiny.plan"]));
    let mode = std::fs::metadata(place.path("tiny.plan")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    place.write("tiny/manifests/settings.yaml", &crate::CONFIG_MAP.replace("blue", "red"));
    let refused = place.run(&["apply", "tiny.plan"]);
    let since = refused.find("the plan of ").expect("it says of when it is") + "the plan of ".len();
    insta::assert_snapshot!("refused", refused.replace(&refused[since..since + "2026-01-01 00:00:00".len()], "[then]"));
}

#[test]
fn a_saved_plan_that_is_damaged_or_of_another_format_is_said_to_be_so() {
    let place = tiny();
    place.run(&["plan", "tiny", "--save", "tiny.plan"]);
    let text = place.read("tiny.plan");
    place.write("newer.plan", &text.replacen("{\"infra_plan\":1", "{\"infra_plan\":9", 1));
    place.write("torn.plan", &text[..16]);
    place.write("edited.plan", &text.replace("blue", "red"));
    let said = ["newer.plan", "torn.plan", "edited.plan"].map(|file| place.run(&["apply", file]));
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_saved_plan_is_not_changed_by_options() {
    let place = tiny();
    place.run(&["plan", "tiny", "--save", "tiny.plan"]);
    insta::assert_snapshot!(place.run(&["apply", "tiny.plan", "--adopt"]));
}

#[test]
fn the_value_of_a_secret_is_in_no_plan() {
    let place = tiny();
    place.write("tiny/scenario.yaml", SCENARIO);
    place.write(
        "tiny/manifests/login.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: correct-horse}\n",
    );
    let shown = place.run(&["plan", "tiny", "--json", "--save", "tiny.plan"]);
    let saved = place.read("tiny.plan");
    for text in ["correct-horse", "Y29ycmVjdC1ob3JzZ"] {
        assert!(!shown.contains(text) && !saved.contains(text));
    }
    assert!(shown.contains("(secret)") && !shown.contains("sealed:"), "{shown}");
}

#[test]
fn a_value_that_is_set_is_shown_and_goes_with_a_saved_plan() {
    let place = tiny();
    place.write(
        "tiny/scenario.yaml",
        &format!("{SCENARIO}vars: {{ colour: blue, count: {{ default: 2, maximum: 5 }} }}\n"),
    );
    place.write("tiny/manifests/settings.yaml", &crate::CONFIG_MAP.replace("blue", "$<colour> \"$<count>\""));
    let shown = place.run(&["plan", "tiny", "--set", "colour=red", "--set", "count=2", "--save", "tiny.plan"]);
    assert!(shown.contains("  variables\n    + colour = red  default blue\n") && !shown.contains("count"), "{shown}");
    let saved = place.read("tiny.plan");
    assert!(saved.contains("red \\\"2\\\"") && saved.contains(r#""set":[["colour","red"],["count","2"]]"#), "{saved}");
    insta::assert_snapshot!("set_wrong", place.run(&["plan", "tiny", "--set", "color=red", "--set", "count=6"]));
    insta::assert_snapshot!("set_nothing", place.run(&["plan", "tiny", "--set", "colour"]));
}
