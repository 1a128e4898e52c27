//! Hooks: what a container's definition wants to be done after its start and before its end.

use crate::http::{self, Target};
use crate::read::{list, text, title};
use crate::shared::Shared;
use runtime::{ExecConfig, ExecHandle};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// How much output of a command is kept, in bytes.
const OUTPUT_BYTES: u64 = 10 * 1024;
/// How long an HTTP hook may take.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs one hook.
///
/// # Errors
/// The kubelet's message of a failed hook.
pub async fn run(
    shared: &Shared,
    pod: &Value,
    container: &Value,
    id: &str,
    address: Ipv4Addr,
    handler: &Value,
) -> Result<(), String> {
    let place = format!("for Container \"{}\" in Pod \"{}\" failed", text(container, "name"), title(pod));
    if handler["exec"].is_object() {
        let command = words(&handler["exec"]["command"]);
        let shown = command.join(" ");
        return match execute(shared, id, command).await {
            Ok((0, _)) => Ok(()),
            Ok((code, output)) => Err(format!(
                "Exec lifecycle hook ([{shown}]) {place} - error: command '{shown}' exited with {code}: {output}, message: \
                 {output:?}"
            )),
            Err(why) => Err(format!("Exec lifecycle hook ([{shown}]) {place} - error: {why}, message: \"\"")),
        };
    }
    if handler["httpGet"].is_object() {
        let target = Target::read(&handler["httpGet"], container, address);
        let answer = match target {
            Ok(target) => tokio::time::timeout(HTTP_TIMEOUT, http::get(shared, &target, "kube-lifecycle/1.34")).await,
            Err(why) => Ok(Err(why)),
        };
        let path = text(&handler["httpGet"], "path");
        return match answer {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(why)) => Err(format!("HTTP lifecycle hook ({path}) {place} - error: {why}")),
            Err(_) => Err(format!("HTTP lifecycle hook ({path}) {place} - error: it took too long")),
        };
    }
    if let Some(seconds) = handler["sleep"]["seconds"].as_u64() {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        return Ok(());
    }
    Err("Cannot run handler: invalid handler".to_owned())
}

/// A list of texts.
pub fn words(value: &Value) -> Vec<String> {
    list(value).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Runs a command in a container; its exit code and its output.
pub async fn execute(shared: &Shared, id: &str, arguments: Vec<String>) -> Result<(i32, String), String> {
    let config = ExecConfig { arguments, stdout: true, stderr: true, ..ExecConfig::default() };
    let handle = shared.node.exec(id, config).await.map_err(|error| error.to_string())?;
    let ExecHandle { stdout, stderr, mut exit, .. } = handle;
    let read = |stream: Option<runtime::Stream>| async move {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            let _ = stream.take(OUTPUT_BYTES).read_to_end(&mut bytes).await;
        }
        bytes
    };
    let (out, err, exit) = tokio::join!(read(stdout), read(stderr), exit.wait());
    let code = exit.map_err(|error| error.to_string())?.code;
    Ok((code, String::from_utf8_lossy(&[out, err].concat()).into_owned()))
}
