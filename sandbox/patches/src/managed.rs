//! `metadata.managedFields`: who owns which fields.

use serde_json::{Map, Value, json};

use crate::fields::FieldSet;

/// How a manager wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// What tells managers apart. The order is that of messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    /// Empty for appliers, who stay themselves in every version.
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

impl Identity {
    pub(crate) fn new(name: &str, operation: Operation, api_version: &str, subresource: Option<&str>) -> Self {
        let api_version = if operation == Operation::Apply { "" } else { api_version };
        let name = if name.is_empty() { "unknown" } else { name };
        Self {
            name: name.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource.unwrap_or_default().to_owned(),
        }
    }

    /// As conflicts name the manager.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {:?}", self.subresource);
        }
        if self.operation == Operation::Update {
            text = format!("{text} using {}", self.api_version);
        }
        text
    }
}

/// One entry of managedFields.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    pub(crate) identity: Identity,
    pub(crate) api_version: String,
    pub(crate) time: Option<String>,
    pub(crate) set: FieldSet,
}

/// An object's managers, each once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Managers(pub(crate) Vec<Manager>);

/// So many managers may be remembered for their updates; the oldest are joined beyond that.
const MAXIMUM_UPDATERS: usize = 10;

impl Managers {
    /// Reads an object's entries; none if it has none.
    pub(crate) fn decode(object: &Value) -> Result<Self, String> {
        let Some(entries) = entries(object) else {
            return Ok(Self::default());
        };
        let managers = entries.iter().enumerate().map(|(index, entry)| decode_entry(index, entry));
        Ok(Self(managers.collect::<Result<_, _>>()?))
    }

    pub(crate) fn get(&self, identity: &Identity) -> Option<&Manager> {
        self.0.iter().find(|manager| manager.identity == *identity)
    }

    pub(crate) fn get_mut(&mut self, identity: &Identity) -> Option<&mut Manager> {
        self.0.iter_mut().find(|manager| manager.identity == *identity)
    }

    pub(crate) fn remove(&mut self, identity: &Identity) -> Option<Manager> {
        let index = self.0.iter().position(|manager| manager.identity == *identity)?;
        Some(self.0.remove(index))
    }

    /// Joins the managers that updated longest ago, when there are too many.
    pub(crate) fn join_oldest(&mut self) {
        let mut updaters: Vec<Identity> = self
            .0
            .iter()
            .filter(|manager| manager.identity.operation == Operation::Update)
            .map(|manager| manager.identity.clone())
            .collect();
        if updaters.len() <= MAXIMUM_UPDATERS {
            return;
        }
        updaters.sort_by_cached_key(|identity| {
            (self.get(identity).and_then(|manager| manager.time.clone()), identity.clone())
        });
        let surplus = updaters.len() - MAXIMUM_UPDATERS;
        let Some(api_version) = self.get(&updaters[0]).map(|manager| manager.api_version.clone()) else {
            return;
        };
        let mut joined = Manager {
            identity: Identity::new("ancient-changes", Operation::Update, &api_version, None),
            api_version,
            time: None,
            set: FieldSet::default(),
        };
        for identity in &updaters[..=surplus] {
            if let Some(manager) = self.remove(identity) {
                joined.set = joined.set.union(&manager.set);
                joined.time = manager.time;
            }
        }
        self.0.push(joined);
    }

    /// Writes the entries into the object, in their order.
    pub(crate) fn encode(mut self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
            return;
        };
        self.0.sort_by(|left, right| {
            let key = |manager: &Manager| (manager.identity.operation, manager.time.clone());
            let rest = |manager: &Manager| {
                (manager.identity.name.clone(), manager.api_version.clone(), manager.identity.subresource.clone())
            };
            key(left).cmp(&key(right)).then_with(|| rest(left).cmp(&rest(right)))
        });
        if self.0.is_empty() {
            metadata.shift_remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), Value::Array(self.0.iter().map(encode_entry).collect()));
        }
    }
}

/// An object's entries as they are written; `None` if there is no list.
pub(crate) fn entries(object: &Value) -> Option<&Vec<Value>> {
    object.get("metadata")?.get("managedFields")?.as_array()
}

/// Takes the entries out of an object.
pub(crate) fn take_out(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
}

fn decode_entry(index: usize, entry: &Value) -> Result<Manager, String> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err("operation must be `Apply` or `Update`".to_owned()),
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() {
        return Err("apiVersion must not be empty".to_owned());
    }
    match text("fieldsType") {
        "FieldsV1" => {}
        "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
        other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {index}")),
    }
    let set = match entry.get("fieldsV1") {
        None | Some(Value::Null) => FieldSet::default(),
        Some(fields) => FieldSet::decode(fields).map_err(|problem| format!("error decoding set: {problem}"))?,
    };
    let identity = Identity {
        name: text("manager").to_owned(),
        operation,
        api_version: if operation == Operation::Apply { String::new() } else { api_version.to_owned() },
        subresource: text("subresource").to_owned(),
    };
    let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
    Ok(Manager { identity, api_version: api_version.to_owned(), time, set })
}

fn encode_entry(manager: &Manager) -> Value {
    let mut entry = Map::new();
    let operation = if manager.identity.operation == Operation::Apply { "Apply" } else { "Update" };
    entry.insert("manager".to_owned(), json!(manager.identity.name));
    entry.insert("operation".to_owned(), json!(operation));
    entry.insert("apiVersion".to_owned(), json!(manager.api_version));
    entry.extend(manager.time.as_ref().map(|time| ("time".to_owned(), json!(time))));
    entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
    entry.insert("fieldsV1".to_owned(), manager.set.encode());
    if !manager.identity.subresource.is_empty() {
        entry.insert("subresource".to_owned(), json!(manager.identity.subresource));
    }
    Value::Object(entry)
}
