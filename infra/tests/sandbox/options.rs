//! Sandboxes that another program starts: with options of their own, and no longer than that program wants them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::machine::Machine;

pub fn with_input() -> Result<(), Failed> {
    let machine = Machine::bare();
    machine.write(
        "options.json",
        r#"{"nodes":[{"name":"a","cpu_millis":940},{"name":"b"}],"load_balancers":"127.190.0.0/24"}"#,
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_infra"));
    command.args(["sandbox", "run", "--with-input", "--folder"]).arg(machine.path("own"));
    command.arg("--options").arg(machine.path("options.json"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("it says something")?).read_line(&mut line)?;
    let ready: Value = serde_json::from_str(&line)?;
    assert_eq!(ready["kubeconfig"], machine.path("own/kubeconfig").canonicalize()?.to_str().unwrap_or_default());
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(machine.path("own/options.json"))?)?;
    assert_eq!((&kept["nodes"][1]["name"], &kept["load_balancers"]), (&"b".into(), &"127.190.0.0/24".into()));
    let since = Instant::now();
    drop(child.stdin.take());
    let ended = child.wait()?;
    assert!(ended.success() && since.elapsed() < Duration::from_secs(15), "{ended} after {:?}", since.elapsed());
    assert!(!machine.path("own/ready").exists(), "nobody is to be reached there");
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn refused() -> Result<(), Failed> {
    let machine = Machine::bare();
    machine.write("options.json", r#"{"nodes":[{"name":"a"},{"name":"a"}]}"#);
    let folder = machine.path("own");
    let folder = folder.to_str().unwrap_or_default();
    let ended = machine.infra(&["sandbox", "run", "--folder", folder, "--options", "options.json"]);
    assert!(ended.code != 0 && ended.text.contains("two nodes are named \"a\""), "{}", ended.text);
    assert!(!machine.path("own").exists(), "nothing is made");
    Ok(())
}
