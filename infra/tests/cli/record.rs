//! The record of a run: what is kept, and what `report` and `events` tell of it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use crate::place::Place;
use crate::tiny;

const DONE: &str = include_str!("../records/done.jsonl");
const FAILED: &str = include_str!("../records/failed.jsonl");
const KILLED: &str = include_str!("../records/killed.jsonl");
const REFUSED: &str = include_str!("../records/refused.jsonl");

/// A place with four recorded runs of a deployment that is gone.
fn recorded() -> Place {
    let place = Place::new();
    for (index, text) in [DONE, FAILED, KILLED, REFUSED].iter().enumerate() {
        place.write(&format!("state/runs/hello/000{}.jsonl", index + 1), text);
    }
    place
}

#[test]
fn a_run_that_is_done_tells_what_changed_what_answered_and_where_the_time_went() {
    insta::assert_snapshot!(recorded().run(&["report", "hello", "--run", "1"]));
}

#[test]
fn a_run_that_failed_tells_its_failure_first_with_causes_hint_and_log() {
    insta::assert_snapshot!(recorded().run(&["report", "hello", "--run", "2"]));
}

#[test]
fn a_run_that_was_killed_tells_what_was_under_way() {
    insta::assert_snapshot!(recorded().run(&["report", "hello", "--run", "3"]));
}

#[test]
fn a_run_that_ended_before_its_first_step_tells_why() {
    insta::assert_snapshot!(recorded().run(&["report", "--name", "hello"]));
}

#[test]
fn the_kept_runs_are_listed_the_last_one_first() {
    insta::assert_snapshot!(recorded().run(&["report", "hello", "--list"]));
}

#[test]
fn a_run_that_is_not_kept_is_named_with_those_that_are() {
    insta::assert_snapshot!(recorded().run(&["report", "hello", "--run", "9"]));
}

#[test]
fn a_name_without_runs_and_a_file_that_is_no_record_are_said() {
    let place = Place::new();
    place.write("state/runs/odd/0001.jsonl", "no record\n");
    insta::assert_snapshot!([place.run(&["report", "--name", "none"]), place.run(&["report", "odd"])].join("\n"));
}

#[test]
fn the_events_of_a_run_are_the_lines_that_its_progress_showed() {
    insta::assert_snapshot!(recorded().run(&["events", "hello", "--run", "2"]));
}

#[test]
fn the_events_as_json_are_the_lines_of_the_record() {
    let output = recorded().output("", &["events", "hello", "--run", "2", "--json"]);
    let lines = |text: &str| -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(lines(&String::from_utf8(output.stdout).unwrap()), lines(FAILED));
}

#[test]
fn following_a_run_ends_with_its_exit_code_and_says_when_its_process_is_gone() {
    let place = recorded();
    let code = |run: &str| place.output("", &["events", "-f", "hello", "--run", run]).status.code().unwrap();
    assert_eq!([code("1"), code("2"), code("3"), code("4")], [0, 4, 1, 6]);
    insta::assert_snapshot!(place.run(&["events", "-f", "hello", "--run", "3"]));
}

#[test]
fn a_run_that_goes_on_is_said_to_go_on() {
    let place = recorded();
    let writer = File::open(place.path("state/runs/hello/0003.jsonl")).unwrap();
    writer.lock().unwrap();
    let report = place.run(&["report", "hello", "--run", "3"]);
    assert!(report.contains("apply of hello on kind: under way"), "{report}");
    let events = place.run(&["events", "hello", "--run", "3"]);
    assert!(events.starts_with("exit code 0") && events.contains("`infra events --follow --name hello`"), "{events}");
}

#[test]
fn an_apply_that_ended_before_its_first_step_leaves_a_record_that_only_its_owner_can_read() {
    let place = tiny();
    place.run(&["apply", "tiny", "--yes"]);
    let report = place.run(&["report", "tiny"]);
    assert!(report.contains("apply of tiny on kind: failed"), "{report}");
    assert!(report.contains("infra apply tiny --yes") && report.contains("error: failed to"), "{report}");
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state/runs/tiny"), mode("state/runs/tiny/0001.jsonl")), (0o700, 0o600));
}

#[test]
fn an_apply_that_nobody_agreed_to_leaves_no_record() {
    let place = tiny();
    place.run(&["apply", "tiny"]);
    assert!(!place.path("state/runs/tiny").exists());
}

#[test]
fn only_the_last_twenty_records_are_kept() {
    let place = tiny();
    for run in 1..=25 {
        place.write(&format!("state/runs/tiny/{run:04}.jsonl"), REFUSED);
    }
    place.run(&["apply", "tiny", "--yes"]);
    let mut kept: Vec<String> = fs::read_dir(place.path("state/runs/tiny"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!((kept.len(), &*kept[0], &*kept[19]), (20, "0007.jsonl", "0026.jsonl"));
}

#[test]
fn what_a_record_says_cannot_become_part_of_the_page() {
    let place = Place::new();
    let bad = "<script>alert(1)</script>\\\" onload='x' \\u001b[31m";
    place.write("state/runs/hello/0001.jsonl", &FAILED.replace("Deployment default/web", bad).replace("ada", bad));
    let page = place.run(&["report", "hello", "--html", "-"]);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=&#39;x&#39; \u{fffd}[31m"), "{page}");
    assert!(!page.contains("<script") && !page.contains("onload='"), "{page}");
    for outside in ["src=", "@import", "url(", "<link rel=\"stylesheet\""] {
        assert!(!page.contains(outside), "the page asks for something else: {outside}");
    }
}
