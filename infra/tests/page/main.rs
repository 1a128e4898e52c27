//! The page of a run in a real browser: what is on it, where, and that it asks for nothing else.
//!
//! Needs the programs `chromium` and `chromedriver`; where they are missing the tests count as skipped, and say so.
//! `PAGE_SCREENSHOTS` names a folder that receives a picture of each page.

#[path = "../../../apps/mnist-rnn-server/tests/browser/mod.rs"]
mod browser;
#[path = "../../../apps/mnist-rnn-server/tests/common/request.rs"]
mod request;
mod common {
    pub use crate::request::request;
}

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use browser::Browser;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

type Test = fn(&Browser, &Pages) -> Result<(), Failed>;

const TESTS: [(&str, Test); 4] = [
    ("every_step_has_a_bar_in_its_row_and_the_console_says_nothing", bars),
    ("failures_come_first_with_their_causes_and_logs", failures_first),
    ("a_box_hides_the_steps_of_its_section_without_a_script", filters),
    ("the_page_looks_right_in_both_themes_and_on_a_phone", look),
];

const RECORDS: [(&str, &str); 3] = [
    ("done", include_str!("../records/done.jsonl")),
    ("failed", include_str!("../records/failed.jsonl")),
    ("killed", include_str!("../records/killed.jsonl")),
];

fn main() {
    let arguments = Arguments::from_args();
    let missing = ["chromium", "chromedriver"].into_iter().find(|program| !is_there(program));
    if let Some(program) = missing {
        eprintln!("skipped: the page of a run: {program} is not installed (Debian: chromium, chromium-driver)");
    }
    let trial =
        |(name, test): (&'static str, Test)| Trial::test(name, move || run(test)).with_ignored_flag(missing.is_some());
    libtest_mimic::run(&arguments, TESTS.map(trial).into()).exit();
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn run(test: Test) -> Result<(), Failed> {
    test(&Browser::start()?, &Pages::new()?)
}

/// A page for each record, made by the program.
struct Pages {
    folder: tempfile::TempDir,
    records: Vec<(&'static str, String)>,
}

impl Pages {
    fn new() -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let mut records: Vec<(&'static str, String)> =
            RECORDS.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        records.push(("many", many()));
        for (name, text) in &records {
            let runs = folder.path().join("state/runs").join(name);
            std::fs::create_dir_all(&runs)?;
            std::fs::write(runs.join("0001.jsonl"), text)?;
            let page = folder.path().join(name).with_extension("html");
            let made = Command::new(env!("CARGO_BIN_EXE_infra"))
                .args(["report", "--name", name, "--html"])
                .arg(page)
                .env("INFRA_STATE", folder.path().join("state"))
                .output()?;
            if !made.status.success() {
                return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
            }
        }
        Ok(Self { folder, records })
    }

    fn open(&self, browser: &Browser, name: &str) -> Result<(), Failed> {
        browser.open(&format!("file://{}/{name}.html", self.folder.path().display()))
    }
}

/// The record of a run of 300 steps, each ten of which wait for the ten before.
fn many() -> String {
    let mut text = String::from(
        "{\"record\":\"begin\",\"version\":1,\"run\":1,\"deployment\":\"many\",\"command\":\"apply\",\"command_line\":\"infra apply many\",\
         \"infra\":\"0.1.0\",\"user\":\"ada\",\"host\":\"box\",\"process\":1,\"at\":\"2030-01-01T12:00:00Z\"}\n",
    );
    let address = |step: i64| format!("object/v1/ConfigMap/default/c{step}");
    let step = |number: i64| {
        let needs: Vec<Value> = (number >= 10).then(|| json!({"address": address(number - 10)})).into_iter().collect();
        let title = format!("ConfigMap default/c{number}");
        let section = if number % 2 == 0 { "objects" } else { "volumes" };
        json!({"address": address(number), "title": title, "section": section, "lasting": true, "action": "create", "needs": needs})
    };
    let steps: Vec<Value> = (0..300).map(step).collect();
    let _ = writeln!(text, "{}", json!({"record": "plan", "provider": "kind", "kept": 0, "steps": steps}));
    let at =
        |milliseconds: i64| jiff::Timestamp::from_millisecond(1_893_499_200_000 + milliseconds).unwrap().to_string();
    let mut events = vec![(0, json!({"event": "run_began", "deployment": "many", "command": "apply"}))];
    for number in 0..300 {
        let (began, took) = (number / 10 * 1000, 100 + number * 37 % 900);
        let title = format!("ConfigMap default/c{number}");
        events.push((
            began,
            json!({"event": "step_began", "address": address(number), "title": title, "operation": "create"}),
        ));
        let seconds = Value::from(f64::from(i32::try_from(took).unwrap()) / 1000.0);
        let ended = json!({"event": "step_ended", "address": address(number), "operation": "create", "seconds": seconds, "unchanged": false});
        events.push((began + took, ended));
    }
    events.push((30_000, json!({"event": "run_ended", "success": true, "seconds": 30.0})));
    events.sort_by_key(|(at, _)| *at);
    for (when, mut event) in events {
        event["at"] = at(when).into();
        let _ = writeln!(text, "{event}");
    }
    let _ = writeln!(text, "{}", json!({"record": "end", "at": at(30_000), "exit_code": 0, "seconds": 30.0}));
    text
}

/// For each bar: whether it is wide enough to be seen, and inside of its cell.
const BARS: &str = "
    return [...document.querySelectorAll('#timeline tbody tr')].map((row) => {
        const cell = row.querySelector('td.axis').getBoundingClientRect();
        const bar = row.querySelector('.bar').getBoundingClientRect();
        return bar.width >= 2.9 && bar.height >= 4 && bar.left >= cell.left - 1 && bar.right <= cell.right + 4;
    });
";

fn bars(browser: &Browser, pages: &Pages) -> Result<(), Failed> {
    for (name, record) in &pages.records {
        pages.open(browser, name)?;
        let begun = record.matches("\"event\":\"step_began\"").count();
        let bars = browser.run(BARS, &json!([]))?;
        let bars = bars.as_array().ok_or("no bars")?;
        if bars.len() != begun || begun == 0 {
            return Err(format!("{name}: {begun} steps began, and there are {} bars", bars.len()).into());
        }
        if let Some(row) = bars.iter().position(|is_right| is_right != true) {
            return Err(format!("{name}: the bar of row {row} cannot be seen in its place").into());
        }
        let outside =
            browser.run("return performance.getEntriesByType('resource').map((one) => one.name)", &json!([]))?;
        let console = browser.console()?;
        if !console.is_empty() || outside != json!([]) {
            return Err(format!("{name}: the console says {console:?}, and {outside} was loaded").into());
        }
    }
    Ok(())
}

fn failures_first(browser: &Browser, pages: &Pages) -> Result<(), Failed> {
    let order = "return [...document.querySelectorAll('main > section')].map((section) => section.id)";
    let text = "return document.getElementById('failures').innerText";
    for (name, wanted) in [
        ("failed", ["wait for Deployment default/web", "no model in /model & <nothing> to serve", "What to do:"]),
        ("killed", ["ended without a word", "killed", "The same command goes on"]),
    ] {
        pages.open(browser, name)?;
        let order = browser.run(order, &json!([]))?;
        if order[0] != "failures" {
            return Err(format!("{name}: the page begins with {order}").into());
        }
        let text = browser.run(text, &json!([]))?;
        let text = text.as_str().unwrap_or_default();
        if let Some(part) = wanted.iter().find(|part| !text.contains(**part)) {
            return Err(format!("{name}: {part:?} is missing in {text:?}").into());
        }
    }
    pages.open(browser, "done")?;
    let order = browser.run(order, &json!([]))?;
    if order[0] == "timeline" { Ok(()) } else { Err(format!("what is done begins with {order}").into()) }
}

fn filters(browser: &Browser, pages: &Pages) -> Result<(), Failed> {
    let shown = |browser: &Browser| -> Result<(u64, u64), Failed> {
        let script =
            "const rows = [...document.querySelectorAll('#timeline tbody tr')].filter((row) => row.offsetHeight > 0);
            return [rows.length, rows.filter((row) => row.classList.contains('chain')).length]";
        let shown = browser.run(script, &json!([]))?;
        Ok((shown[0].as_u64().unwrap_or_default(), shown[1].as_u64().unwrap_or_default()))
    };
    pages.open(browser, "many")?;
    let (all, chain) = shown(browser)?;
    browser.click("show-0")?;
    let (half, _) = shown(browser)?;
    browser.click("show-0")?;
    browser.click("only-chain")?;
    let (only, marked) = shown(browser)?;
    if (all, half, only, marked) == (300, 150, chain, chain) && chain == 30 {
        return Ok(());
    }
    Err(format!("of {all} steps {half} are shown without a half, and {only} with the chain of {chain} alone").into())
}

fn look(browser: &Browser, pages: &Pages) -> Result<(), Failed> {
    for (name, _) in &pages.records {
        pages.open(browser, name)?;
        for (theme, width) in [("light", 1200), ("dark", 1200), ("light", 390), ("dark", 390)] {
            browser.emulate(theme, width, 1400)?;
            let colours = browser.run("return getComputedStyle(document.body).backgroundColor", &json!([]))?;
            let is_dark = colours.as_str().is_some_and(|colour| colour.contains("(20, 23, 26)"));
            let overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
            let overflow = browser.run(overflow, &json!([]))?;
            if overflow != 0 || is_dark != (theme == "dark") {
                return Err(format!("{name}, {theme}, {width}: {overflow} pixels too wide, paper {colours}").into());
            }
            screenshot(browser, &format!("{name}-{theme}-{width}"))?;
        }
    }
    Ok(())
}

fn screenshot(browser: &Browser, name: &str) -> Result<(), Failed> {
    let Some(folder) = std::env::var_os("PAGE_SCREENSHOTS").map(PathBuf::from) else { return Ok(()) };
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name).with_extension("png"), browser.screenshot()?)?;
    Ok(())
}
