//! Probes: asked at their interval for as long as the instance runs.

use crate::http::{self, Target};
use crate::machine::ProbeKind;
use crate::pod::hook::{execute, words};
use crate::read::{text, title};
use crate::shared::Shared;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// The first and the longest pause between early tries.
const EARLY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// One probe of one instance.
pub struct Probe {
    /// What all pods share.
    pub shared: Arc<Shared>,
    /// The pod.
    pub pod: Arc<Value>,
    /// The container.
    pub container: Value,
    /// Which probe.
    pub kind: ProbeKind,
    /// The instance.
    pub id: String,
    /// The pod's address.
    pub address: Ipv4Addr,
    /// How long the instance has been running.
    pub age: Duration,
}

/// What a probe says; a text with a failure.
enum Answer {
    Good,
    Bad(String),
    /// The probe itself could not be made.
    Broken(String),
}

impl Probe {
    fn spec(&self) -> &Value {
        &self.container[self.kind.field()]
    }

    fn seconds(&self, field: &str, default: u64) -> Duration {
        Duration::from_secs(self.spec()[field].as_u64().unwrap_or(default))
    }

    /// Asks until it is dropped; `tell` hears every answer that counts.
    ///
    /// A server needs a moment before it listens. A startup or readiness probe over the network is therefore tried early and
    /// often during its first period, and only success counts until that is over.
    pub async fn run(self, tell: impl Fn(bool)) {
        let period = self.seconds("periodSeconds", 10).max(Duration::from_secs(1));
        sleep(self.seconds("initialDelaySeconds", 0).saturating_sub(self.age)).await;
        let begin = Instant::now();
        if self.kind == ProbeKind::Liveness {
            sleep(Duration::from_secs(1).min(period)).await;
        } else if self.spec()["exec"].is_null() && self.early(begin + period).await {
            tell(true);
            sleep_until(begin + period).await;
        }
        let mut due = Instant::now();
        loop {
            match self.ask().await {
                Answer::Good => tell(true),
                Answer::Bad(why) => {
                    self.event(&format!("{} probe failed: {why}", self.kind.name()));
                    tell(false);
                }
                Answer::Broken(why) => {
                    let name = self.kind.name();
                    self.event(&format!("{name} probe errored and resulted in unknown state: {why}"));
                }
            }
            due = (due + period).max(Instant::now());
            sleep_until(due).await;
        }
    }

    async fn early(&self, until: Instant) -> bool {
        let (mut pause, longest) = EARLY;
        while Instant::now() + pause < until {
            if matches!(self.ask().await, Answer::Good) {
                return true;
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
        false
    }

    fn event(&self, message: &str) {
        self.shared.events.warning(&self.pod, Some(text(&self.container, "name")), "Unhealthy", message);
    }

    async fn ask(&self) -> Answer {
        let timeout = self.seconds("timeoutSeconds", 1).max(Duration::from_secs(1));
        let spec = self.spec();
        if spec["exec"].is_object() {
            return self.ask_command(words(&spec["exec"]["command"]), timeout).await;
        }
        if spec["tcpSocket"].is_object() {
            return self.ask_port(&spec["tcpSocket"], timeout).await;
        }
        if spec["httpGet"].is_object() {
            return self.ask_page(&spec["httpGet"], timeout).await;
        }
        if spec["grpc"].is_object() {
            return Answer::Bad("grpc probes are not supported by the sandbox; use httpGet, tcpSocket or exec".into());
        }
        Answer::Broken(format!("missing probe handler for {}:{}", title(&self.pod), text(&self.container, "name")))
    }

    async fn ask_command(&self, command: Vec<String>, timeout: Duration) -> Answer {
        let shown = command.join(" ");
        match tokio::time::timeout(timeout, execute(&self.shared, &self.id, command)).await {
            Ok(Ok((0, _))) => Answer::Good,
            Ok(Ok((_, output))) => Answer::Bad(output),
            Ok(Err(why)) => Answer::Broken(why),
            Err(_) => Answer::Bad(format!("command timed out: \"{shown}\" timed out after {}s", timeout.as_secs())),
        }
    }

    async fn ask_port(&self, action: &Value, timeout: Duration) -> Answer {
        let port = match http::port(&action["port"], &self.container) {
            Ok(port) => port,
            Err(why) => return Answer::Broken(why),
        };
        let address = text(action, "host").parse().unwrap_or(self.address);
        let socket = SocketAddrV4::new(address, port);
        match tokio::time::timeout(timeout, self.shared.node.connect(socket)).await {
            Ok(Ok(_)) => Answer::Good,
            Ok(Err(error)) => Answer::Bad(http::dial_error(socket, &error)),
            Err(_) => Answer::Bad(format!("dial tcp {socket}: i/o timeout")),
        }
    }

    async fn ask_page(&self, action: &Value, timeout: Duration) -> Answer {
        let target = match Target::read(action, &self.container, self.address) {
            Ok(target) => target,
            Err(why) => return Answer::Bad(why),
        };
        match tokio::time::timeout(timeout, http::get(&self.shared, &target, "kube-probe/1.34")).await {
            Ok(Ok(200..400)) => Answer::Good,
            Ok(Ok(code)) => Answer::Bad(format!("HTTP probe failed with statuscode: {code}")),
            Ok(Err(why)) => Answer::Bad(why),
            Err(_) => Answer::Bad(format!(
                "Get \"{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                target.url()
            )),
        }
    }
}
