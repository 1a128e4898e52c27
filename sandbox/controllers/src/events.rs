//! Events: repeated ones are counted, similar ones combined, and floods held back.

use crate::action::Note;
use crate::meta::{self, stamp};
use apiserver::{Api, Status, User, WriteOptions};
use futures::future::join_all;
use jiff::Timestamp;
use kinds::Resource;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use tokio::sync::mpsc;

/// At most so many events wait to be written; more are dropped.
const MOST_WAITING: usize = 10_000;
/// So many different messages of one reason are told one by one.
const MOST_SIMILAR: usize = 10;
/// Similar events that are further apart than this are not combined.
const SIMILAR_SECONDS: f64 = 600.0;
/// So many events of one source about one object are told at once.
const BURST: f64 = 25.0;
/// After a burst, one more each so many seconds.
const SECONDS_FOR_ONE: f64 = 300.0;
/// So much is remembered before old things are forgotten.
const MOST_REMEMBERED: usize = 4096;

/// Takes events from controllers; they are written in the background.
#[derive(Debug, Clone)]
pub struct Recorder {
    events: mpsc::Sender<Event>,
}

/// The other end of a [`Recorder`].
#[derive(Debug)]
pub struct Recording {
    events: mpsc::Receiver<Event>,
}

/// One event as a controller tells it.
#[derive(Debug, Clone)]
pub struct Event {
    component: &'static str,
    about: Value,
    note: Note,
    at: Timestamp,
}

impl Recorder {
    /// A recorder and where its events arrive.
    pub fn new() -> (Self, Recording) {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        (Self { events: sender }, Recording { events: receiver })
    }

    /// Tells an event about an object.
    pub fn tell(&self, component: &'static str, resource: &Resource, object: &Value, note: Note, at: Timestamp) {
        let mut about =
            json!({"apiVersion": resource.api_version(), "kind": resource.kind, "name": meta::name(object)});
        for (field, value) in [
            ("namespace", meta::namespace(object)),
            ("resourceVersion", meta::text(object, "/metadata/resourceVersion")),
            ("uid", meta::uid(object)),
        ] {
            if !value.is_empty() {
                about[field] = value.into();
            }
        }
        // When nobody keeps up, events are the first thing to do without.
        let _ = self.events.try_send(Event { component, about, note, at });
    }
}

impl Recording {
    /// Writes events for ever.
    pub async fn write(mut self, api: Api) {
        let mut correlator = Correlator::default();
        let mut waiting = Vec::new();
        while self.events.recv_many(&mut waiting, 256).await > 0 {
            let mut batch: BTreeMap<(String, String), (Value, bool)> = BTreeMap::new();
            for event in waiting.drain(..) {
                if let Some((object, new)) = correlator.correlate(&event) {
                    let key = (meta::namespace(&object).to_owned(), meta::name(&object).to_owned());
                    let new = new || batch.get(&key).is_some_and(|(_, new)| *new);
                    batch.insert(key, (object, new));
                }
            }
            join_all(batch.into_values().map(|(object, new)| write(&api, object, new))).await;
        }
    }
}

/// An event that cannot be written is gone: there is nobody left to tell it to.
async fn write(api: &Api, object: Value, new: bool) {
    let _: Result<(), Status> = async {
        let by = User::system("kube-controller-manager");
        let options = WriteOptions::default();
        let namespace = meta::namespace(&object).to_owned();
        if !new {
            let (count, last) = (object["count"].clone(), object["lastTimestamp"].clone());
            let (message, name) = (object["message"].clone(), meta::name(&object).to_owned());
            let changed = api.modify(&by, kinds::EVENTS, None, (&namespace, &name), |event| {
                event["count"] = count.clone();
                event["lastTimestamp"] = last.clone();
                event["message"] = message.clone();
                true
            });
            match changed.await {
                Err(status) if status.is_not_found() => {}
                other => return other.map(drop),
            }
        }
        api.create(&by, kinds::EVENTS, &namespace, object, &options).await.map(drop)
    }
    .await;
}

/// What was told before.
#[derive(Debug, Default)]
struct Correlator {
    similar: HashMap<String, Similar>,
    told: HashMap<String, Told>,
    floods: HashMap<String, (f64, Timestamp)>,
}

#[derive(Debug)]
struct Similar {
    messages: HashSet<String>,
    last: Timestamp,
}

#[derive(Debug)]
struct Told {
    name: String,
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Correlator {
    /// The object to write and whether it is new; nothing when there are too many.
    fn correlate(&mut self, event: &Event) -> Option<(Value, bool)> {
        self.forget_old(event.at);
        let about = event.about.get("uid").unwrap_or(&event.about["name"]).to_string();
        let source = format!("{}|{}|{about}|{}", event.component, event.about["kind"], event.note.warning);
        if !self.admit(&source, event.at) {
            return None;
        }
        let group = format!("{source}|{}", event.note.reason);
        let (key, message) = if self.is_one_of_many(&group, event) {
            (group, format!("(combined from similar events): {}", event.note.message))
        } else {
            (format!("{group}|{}", event.note.message), event.note.message.clone())
        };
        let name = || format!("{}.{:x}", meta::text(&event.about, "/name"), event.at.as_nanosecond());
        let told = self.told.entry(key);
        let new = matches!(told, std::collections::hash_map::Entry::Vacant(_));
        let told = told.or_insert_with(|| Told { name: name(), count: 0, first: event.at, last: event.at });
        told.count += 1;
        told.last = event.at;
        Some((object(event, told, &message), new))
    }

    /// Bounds what one source tells about one object.
    fn admit(&mut self, source: &str, now: Timestamp) -> bool {
        let (tokens, since) = self.floods.get(source).copied().unwrap_or((BURST, now));
        let tokens = (tokens + meta::seconds_since(since, now).max(0.0) / SECONDS_FOR_ONE).min(BURST);
        let admitted = tokens >= 1.0;
        self.floods.insert(source.to_owned(), (if admitted { tokens - 1.0 } else { tokens }, now));
        admitted
    }

    fn is_one_of_many(&mut self, group: &str, event: &Event) -> bool {
        let similar = self.similar.entry(group.to_owned());
        let similar = similar.or_insert_with(|| Similar { messages: HashSet::new(), last: event.at });
        if meta::seconds_since(similar.last, event.at) > SIMILAR_SECONDS {
            similar.messages.clear();
        }
        similar.last = event.at;
        if similar.messages.len() < MOST_SIMILAR {
            similar.messages.insert(event.note.message.clone());
        }
        similar.messages.len() >= MOST_SIMILAR
    }

    fn forget_old(&mut self, now: Timestamp) {
        let recent = |last: Timestamp| meta::seconds_since(last, now) <= SIMILAR_SECONDS;
        if self.told.len() > MOST_REMEMBERED {
            self.told.retain(|_, told| recent(told.last));
            self.similar.retain(|_, similar| recent(similar.last));
            self.floods.retain(|_, (_, since)| recent(*since));
        }
        if self.told.len() > 2 * MOST_REMEMBERED {
            self.told.clear();
        }
    }
}

fn object(event: &Event, told: &Told, message: &str) -> Value {
    let namespace = match meta::text(&event.about, "/namespace") {
        "" => "default",
        namespace => namespace,
    };
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": told.name, "namespace": namespace},
        "involvedObject": event.about,
        "reason": event.note.reason,
        "message": message,
        "source": {"component": event.component},
        "firstTimestamp": stamp(told.first),
        "lastTimestamp": stamp(told.last),
        "count": told.count,
        "type": if event.note.warning { "Warning" } else { "Normal" },
        "eventTime": null,
        "reportingComponent": event.component,
        "reportingInstance": "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str, second: i64) -> Event {
        Event {
            component: "job-controller",
            about: json!({"kind": "Job", "namespace": "a", "name": "j", "uid": "u"}),
            note: Note::normal("SuccessfulCreate", message),
            at: Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn a_repeated_event_is_counted() {
        let mut correlator = Correlator::default();
        let (first, new) = correlator.correlate(&event("one", 0)).unwrap();
        assert!(new);
        let (second, new) = correlator.correlate(&event("one", 5)).unwrap();
        assert!(!new);
        assert_eq!(first["metadata"]["name"], second["metadata"]["name"]);
        assert_eq!((&second["count"], &second["lastTimestamp"]), (&json!(2), &json!("1970-01-01T00:00:05Z")));
        assert_eq!(second["firstTimestamp"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn the_tenth_similar_event_is_combined() {
        let mut correlator = Correlator::default();
        let objects: Vec<Value> = (0..12)
            .filter_map(|number| correlator.correlate(&event(&format!("pod {number}"), number)))
            .map(|it| it.0)
            .collect();
        assert_eq!(objects[8]["message"], "pod 8");
        assert_eq!(objects[9]["message"], "(combined from similar events): pod 9");
        assert_eq!(
            (&objects[11]["count"], &objects[11]["metadata"]["name"]),
            (&json!(3), &objects[9]["metadata"]["name"])
        );
    }

    #[test]
    fn a_flood_is_cut_off() {
        let mut correlator = Correlator::default();
        let told = (0..100).filter(|_| correlator.correlate(&event("again", 0)).is_some()).count();
        assert_eq!(told, 25);
        assert!(correlator.correlate(&event("again", 301)).is_some());
        assert!(correlator.correlate(&event("again", 302)).is_none());
    }

    #[test]
    fn an_event_about_no_namespace_goes_to_default() {
        let mut about = event("m", 0);
        about.about = json!({"kind": "Node", "name": "n"});
        let (object, _) = Correlator::default().correlate(&about).unwrap();
        assert_eq!(object["metadata"]["namespace"], "default");
    }
}
