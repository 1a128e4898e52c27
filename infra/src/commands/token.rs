//! `infra token`: a token for kubectl.

use serde_json::{Value, json};

use crate::google;
use crate::report::{Exit, Problem};
use crate::settings::Settings;

/// The variable in which kubectl says what it wants to hear.
const ASKED: &str = "KUBERNETES_EXEC_INFO";
/// The version of the answer where nobody says one.
const VERSION: &str = "client.authentication.k8s.io/v1";

/// Runs the command: prints an `ExecCredential` with a token of Google Cloud, as a kubeconfig's `exec` entry has programs do it.
pub async fn run(settings: &Settings) -> Result<Exit, Problem> {
    let token = google::token(settings).await?;
    let asked = std::env::var(ASKED).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let version = asked.as_ref().and_then(|asked| asked["apiVersion"].as_str()).unwrap_or(VERSION);
    println!("{}", json!({ "apiVersion": version, "kind": "ExecCredential", "status": { "token": token } }));
    Ok(Exit::Done)
}
