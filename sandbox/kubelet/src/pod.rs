//! One pod: the worker that does what its machine decides.

mod ground;
mod hook;
mod instance;
mod probe;

use crate::machine::{Action, Ending, Ground, Happened, Machine, Plan, ProbeKind};
use crate::read::{container, list, name, namespace, text, uid};
use crate::shared::Shared;
use crate::volumes::{self, Volumes};
use apiserver::DeleteOptions;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// Something for a pod's worker.
pub enum Message {
    /// The object as it is now.
    Object(Arc<Value>),
    /// The object is gone.
    Gone,
    /// Something that the pod refers to changed.
    Related,
    /// The node stops.
    NodeStops {
        /// How long containers may take, in seconds.
        grace_seconds: i64,
    },
    /// An event of the machine.
    Happened(Happened),
    /// Volumes are there.
    Prepared(std::net::Ipv4Addr, Volumes),
    /// The status is written, or cannot be.
    Published,
}

/// Where a pod's worker hears from the others.
pub type Mailbox = UnboundedSender<Message>;

struct Worker {
    shared: Arc<Shared>,
    pod: Arc<Value>,
    machine: Machine,
    sender: Mailbox,
    volumes: Volumes,
    probes: HashMap<(usize, ProbeKind), (String, JoinHandle<()>)>,
    stops: HashMap<usize, JoinHandle<()>>,
    publishing: bool,
    frozen: bool,
    delete: Option<JoinHandle<()>>,
    refresh_at: Option<Timestamp>,
}

/// Starts a pod's worker. It ends when the pod is gone or the node stops.
pub fn start(shared: Arc<Shared>, pod: Arc<Value>) -> (Mailbox, JoinHandle<()>) {
    let (sender, receiver) = unbounded_channel();
    let now = Timestamp::now();
    shared.see(uid(&pod), now);
    let plan = Plan::read(&pod);
    let known = pod["status"]["startTime"].is_string();
    let machine = if known { Machine::restore(plan, &pod, now) } else { Machine::new(plan, now) };
    let worker = Worker {
        shared,
        pod: pod.clone(),
        machine,
        sender: sender.clone(),
        volumes: Volumes::default(),
        probes: HashMap::new(),
        stops: HashMap::new(),
        publishing: false,
        frozen: false,
        delete: None,
        refresh_at: None,
    };
    let _ = sender.send(Message::Object(pod));
    (sender, tokio::spawn(worker.run(receiver)))
}

impl Worker {
    async fn run(mut self, mut receiver: UnboundedReceiver<Message>) {
        let (mut refused, mut first) = (refusal(&self.pod), true);
        loop {
            let wake = self.machine.wake_at().into_iter().chain(self.refresh_at).min();
            tokio::select! {
                message = receiver.recv() => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
                () = sleep_until(wake) => {}
            }
            while let Ok(message) = receiver.try_recv() {
                self.take(message);
            }
            if let Some((reason, message)) = refused.take() {
                self.machine.happened(Happened::Ends(Ending::Failed { reason, message }), Timestamp::now());
            }
            if std::mem::take(&mut first)
                && self.machine.containers.iter().any(|container| container.created > 0)
                && self.machine.ending.is_none()
                && !self.machine.has_finished()
            {
                let text = "Pod sandbox changed, it will be killed and re-created.";
                self.shared.events.normal(&self.pod, None, "SandboxChanged", text);
            }
            self.step();
            if self.is_done() {
                return self.leave().await;
            }
        }
    }

    fn take(&mut self, message: Message) {
        let now = Timestamp::now();
        match message {
            Message::Object(object) => self.take_object(object, now),
            Message::Gone => {
                if !matches!(self.machine.ending, Some(Ending::NodeStops { .. })) {
                    self.machine.happened(Happened::Ends(Ending::Gone), now);
                }
            }
            Message::Related => {
                self.machine.happened(Happened::Retry, now);
                self.refresh();
            }
            Message::NodeStops { grace_seconds } => {
                self.frozen = true;
                self.machine.happened(Happened::Ends(Ending::NodeStops { grace_seconds }), now);
            }
            Message::Prepared(address, volumes) => {
                self.volumes = volumes;
                self.plan_refresh(now);
                self.machine.happened(Happened::Prepared(address), now);
            }
            Message::Happened(event) => {
                if let Happened::Exited { index, .. } = &event
                    && let Some(stop) = self.stops.remove(index)
                {
                    stop.abort();
                }
                self.machine.happened(event, now);
            }
            Message::Published => {
                self.publishing = false;
                if let Ok(current) = self.shared.api.get(kinds::PODS, namespace(&self.pod), name(&self.pod))
                    && uid(&current) == uid(&self.pod)
                {
                    self.pod = current;
                }
            }
        }
    }

    fn take_object(&mut self, object: Arc<Value>, now: Timestamp) {
        self.machine.plan = Plan::read(&object);
        if object["metadata"]["deletionTimestamp"].is_string() && !self.frozen {
            let grace = object["metadata"]["deletionGracePeriodSeconds"].as_i64();
            let grace_seconds = grace.unwrap_or(self.machine.plan.grace_seconds);
            self.machine.happened(Happened::Ends(Ending::Deleted { grace_seconds }), now);
        }
        let fields = ["labels", "annotations"];
        let changed = fields.iter().any(|field| object["metadata"][field] != self.pod["metadata"][field]);
        // What is being written is newer than what comes back meanwhile.
        if !self.publishing {
            self.pod = object;
        }
        if changed {
            self.refresh();
        }
    }

    fn step(&mut self) {
        let now = Timestamp::now();
        if self.refresh_at.is_some_and(|at| at <= now) {
            self.refresh();
            self.plan_refresh(now);
        }
        for action in self.machine.decide(now) {
            self.act(action);
        }
        self.keep_probes(now);
        self.publish(now);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Prepare => {
                let (shared, pod, sender) = (self.shared.clone(), self.pod.clone(), self.sender.clone());
                tokio::spawn(async move {
                    let message = match ground::prepare(&shared, &pod).await {
                        Some((address, volumes)) => Message::Prepared(address, volumes),
                        None => Message::Happened(Happened::NotPrepared),
                    };
                    let _ = sender.send(message);
                });
            }
            Action::Start { index, attempt } => self.start_instance(index, attempt),
            Action::Stop { index, id, grace_seconds, message } => self.stop(index, id, grace_seconds, message),
            Action::TellBackOff { index, image } => self.tell_back_off(index, image),
            Action::TellDeadline => {
                let text = "Pod was active on the node longer than the specified deadline";
                self.shared.events.normal(&self.pod, None, "DeadlineExceeded", text);
            }
            Action::Clear => {
                let (shared, pod, sender) = (self.shared.clone(), self.pod.clone(), self.sender.clone());
                tokio::spawn(async move {
                    ground::clear(&shared, &pod).await;
                    let _ = sender.send(Message::Happened(Happened::Cleared));
                });
            }
        }
    }

    fn definition(&self, index: usize) -> Value {
        container(&self.pod, &self.machine.plan.containers[index].name).cloned().unwrap_or_default()
    }

    fn start_instance(&self, index: usize, attempt: u32) {
        let Ground::Ready(address) = self.machine.ground else { return };
        let start = instance::Start {
            shared: self.shared.clone(),
            pod: self.pod.clone(),
            index,
            container: self.definition(index),
            attempt,
            address,
            volumes: self.volumes.clone(),
        };
        let sender = self.sender.clone();
        tokio::spawn(instance::run(start, move |event| drop(sender.send(Message::Happened(event)))));
    }

    fn stop(&mut self, index: usize, id: String, grace_seconds: i64, message: Option<String>) {
        let container = self.definition(index);
        let hurry = message.is_none();
        if let Some(message) = message {
            self.shared.events.normal(&self.pod, Some(text(&container, "name")), "Killing", &message);
        }
        let (shared, pod) = (self.shared.clone(), self.pod.clone());
        let address = self.machine.address.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
        let stop = tokio::spawn(async move {
            let mut grace = Duration::from_secs(u64::try_from(grace_seconds).unwrap_or(1));
            let handler = &container["lifecycle"]["preStop"];
            if handler.is_object() && !hurry {
                let begin = tokio::time::Instant::now();
                let hook = hook::run(&shared, &pod, &container, &id, address, handler);
                if let Ok(Err(_)) = tokio::time::timeout(grace, hook).await {
                    let name = Some(text(&container, "name"));
                    shared.events.warning(&pod, name, "FailedPreStopHook", "PreStopHook failed");
                }
                grace = grace.saturating_sub(begin.elapsed()).max(Duration::from_secs(2));
            }
            let signal = shared.instance(uid(&pod), text(&container, "name")).map_or(15, |it| it.stop_signal);
            // One that ends by itself meanwhile needs no stopping.
            let _ = shared.node.stop_container(&id, signal, grace).await;
        });
        if let Some(before) = self.stops.insert(index, stop) {
            before.abort();
        }
    }

    fn tell_back_off(&self, index: usize, image: bool) {
        let planned = &self.machine.plan.containers[index];
        let events = &self.shared.events;
        if image {
            let message = format!("Back-off pulling image \"{}\"", planned.image);
            events.normal(&self.pod, Some(&planned.name), "BackOff", &message);
            events.warning(&self.pod, Some(&planned.name), "Failed", "Error: ImagePullBackOff");
        } else {
            let title = &self.machine.plan.title;
            let message = format!("Back-off restarting failed container {} in pod {title}", planned.name);
            events.warning(&self.pod, Some(&planned.name), "BackOff", &message);
        }
    }

    fn keep_probes(&mut self, now: Timestamp) {
        let wanted = self.machine.wanted_probes().into_iter();
        let wanted = wanted.map(|(index, running, kind)| ((index, kind), (running.id.clone(), running.since)));
        let wanted = wanted.collect::<HashMap<_, _>>();
        self.probes.retain(|key, (id, probe)| {
            let keep = wanted.get(key).is_some_and(|(wanted, _)| wanted == id);
            if !keep {
                probe.abort();
            }
            keep
        });
        let Ground::Ready(address) = self.machine.ground else { return };
        for (key, (id, since)) in wanted {
            if self.probes.contains_key(&key) {
                continue;
            }
            let (index, kind) = key;
            let probe = probe::Probe {
                shared: self.shared.clone(),
                pod: self.pod.clone(),
                container: self.definition(index),
                kind,
                id: id.clone(),
                address,
                age: Duration::try_from(now.duration_since(since)).unwrap_or_default(),
            };
            let (sender, probed) = (self.sender.clone(), id.clone());
            let run = probe.run(move |success| {
                let event = Happened::Probed { index, id: probed.clone(), kind, success };
                let _ = sender.send(Message::Happened(event));
            });
            self.probes.insert(key, (id, tokio::spawn(run)));
        }
    }

    /// Writes the status when it differs, one write at a time: what changes meanwhile goes with the next one.
    fn publish(&mut self, now: Timestamp) {
        let gone = matches!(self.machine.ending, Some(Ending::Gone));
        if self.publishing || self.frozen || gone || self.delete.is_some() {
            return;
        }
        let host_address = self.shared.place(&self.pod).address.clone();
        let status = self.machine.status(&self.pod, &host_address, now);
        if status == self.pod["status"] {
            return;
        }
        self.publishing = true;
        let (shared, pod, machine) = (self.shared.clone(), self.pod.clone(), self.machine.clone());
        Arc::make_mut(&mut self.pod)["status"] = status;
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let place = (namespace(&pod), name(&pod));
            let written = shared.api.modify(&shared.by, kinds::PODS, Some("status"), place, |object| {
                let same = uid(object) == uid(&pod);
                if same {
                    object["status"] = machine.status(object, &host_address, now);
                }
                same
            });
            // A pod that is gone meanwhile is told in another way; everything else is tried again with the next change.
            let _ = written.await;
            let _ = sender.send(Message::Published);
        });
    }

    /// Writes the volumes made from objects again.
    fn refresh(&self) {
        if matches!(self.machine.ground, Ground::Ready(_)) {
            let (shared, pod, address) = (self.shared.clone(), self.pod.clone(), self.machine.address);
            tokio::spawn(async move {
                for failure in volumes::refresh(&shared, &pod, address).await {
                    shared.events.warning(&pod, None, "FailedMount", &failure.message());
                }
            });
        }
    }

    /// Tokens are renewed when four fifths of their time are over.
    fn plan_refresh(&mut self, now: Timestamp) {
        let shortest = list(&self.pod["spec"]["volumes"]).iter().filter_map(volumes::token_seconds).min();
        self.refresh_at = shortest.and_then(|seconds| {
            let seconds = i64::try_from(seconds / 5 * 4).ok()?.clamp(60, 24 * 3600);
            now.checked_add(jiff::SignedDuration::from_secs(seconds)).ok()
        });
    }

    fn is_done(&mut self) -> bool {
        if !self.machine.is_over() {
            return false;
        }
        self.refresh_at = None;
        match self.machine.ending {
            Some(Ending::Gone | Ending::NodeStops { .. }) => true,
            Some(Ending::Deleted { .. }) if !self.publishing => {
                self.delete_object();
                false
            }
            _ => false,
        }
    }

    /// The last word on a deleted pod; then its removal is told as every other one.
    fn delete_object(&mut self) {
        if self.delete.is_some() {
            return;
        }
        let (shared, pod) = (self.shared.clone(), self.pod.clone());
        self.delete = Some(tokio::spawn(async move {
            let options = DeleteOptions {
                grace_period_seconds: Some(0),
                uid: Some(uid(&pod).to_owned()),
                ..DeleteOptions::default()
            };
            // Who finds it gone or another one in its place has nothing to do.
            let _ = shared.api.delete(&shared.by, kinds::PODS, (namespace(&pod), name(&pod)), &options).await;
        }));
    }

    async fn leave(self) {
        self.probes.into_values().for_each(|(_, probe)| probe.abort());
        if matches!(self.machine.ending, Some(Ending::Gone)) {
            let pod = uid(&self.pod);
            let _ = self.shared.node.remove_folder(&self.shared.pod_folder(pod)).await;
            self.shared.forget(pod);
        }
    }
}

async fn sleep_until(at: Option<Timestamp>) {
    match at {
        Some(at) => {
            let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
            tokio::time::sleep(wait).await;
        }
        None => std::future::pending().await,
    }
}

/// What the sandbox has not, by name.
fn refusal(pod: &Value) -> Option<(String, String)> {
    let spec = &pod["spec"];
    let flags = ["hostNetwork", "hostPID", "hostIPC"];
    let field = flags.into_iter().find(|field| spec[field] == true)?;
    let message = format!(
        "{field} is not supported by the sandbox: its pods have namespaces of their own. Take spec.{field} away or use a \
         cluster of its own machines"
    );
    Some(("NotSupported".to_owned(), message))
}
