//! A container's environment and arguments.

use crate::fields::{Facts, field, resource};
use crate::objects::{Find, decode, missing};
use crate::read::{list, text};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Replaces `$(NAME)` by what `find` knows of it; what it does not know stays as it is, and `$$` is one `$`.
pub fn expand(text: &str, find: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inside| inside.split_once(')')) {
            match find(name) {
                Some(value) => out.push_str(&value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

/// Variables in the order of their first mention; a later value replaces an earlier one.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    order: Vec<String>,
    values: HashMap<String, String>,
}

impl Environment {
    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        if self.values.insert(name.to_owned(), value.into()).is_none() {
            self.order.push(name.to_owned());
        }
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All of them.
    pub fn into_pairs(mut self) -> Vec<(String, String)> {
        let values = &mut self.values;
        self.order.into_iter().filter_map(|name| values.remove(&name).map(|value| (name, value))).collect()
    }
}

/// The variables that the pod's definition and the services give a container. Variables of the image are not among them.
///
/// # Errors
/// What is missing, in the kubelet's words.
pub fn environment(
    container: &Value,
    services: &BTreeMap<String, String>,
    find: Find<'_>,
    facts: &Facts<'_>,
) -> Result<Environment, String> {
    let mut own = Environment::default();
    for from in list(&container["envFrom"]) {
        let prefix = text(from, "prefix");
        for (key, value) in all_of(from, find)? {
            own.set(&format!("{prefix}{key}"), value);
        }
    }
    for variable in list(&container["env"]) {
        let name = text(variable, "name");
        let value = match variable["value"].as_str().filter(|value| !value.is_empty()) {
            Some(value) => {
                Some(expand(value, |name| own.get(name).map(str::to_owned).or_else(|| services.get(name).cloned())))
            }
            None => referred(&variable["valueFrom"], container, find, facts)?,
        };
        if let Some(value) = value {
            own.set(name, value);
        }
    }
    let mut all = Environment::default();
    for (name, value) in services.iter().filter(|(name, _)| own.get(name).is_none()) {
        all.set(name, value.as_str());
    }
    for (name, value) in own.into_pairs() {
        all.set(&name, value);
    }
    Ok(all)
}

/// Program and arguments of a container.
pub fn arguments(container: &Value, entrypoint: &[String], cmd: &[String], environment: &Environment) -> Vec<String> {
    let words = |field: &str| {
        let all = list(&container[field]).iter().filter_map(Value::as_str);
        all.map(|word| expand(word, |name| environment.get(name).map(str::to_owned))).collect::<Vec<_>>()
    };
    let (command, args) = (words("command"), words("args"));
    match (command.is_empty(), args.is_empty()) {
        (false, _) => [command, args].concat(),
        (true, false) => [entrypoint, &args].concat(),
        (true, true) => [entrypoint, cmd].concat(),
    }
}

fn all_of(from: &Value, find: Find<'_>) -> Result<Vec<(String, String)>, String> {
    let (resource, reference) = if from["configMapRef"].is_object() {
        (kinds::CONFIG_MAPS, &from["configMapRef"])
    } else {
        (kinds::SECRETS, &from["secretRef"])
    };
    let name = text(reference, "name");
    match find(resource, name) {
        None if reference["optional"] == true => Ok(Vec::new()),
        None => Err(missing(resource, name)),
        Some(object) => {
            let data = object["data"].as_object().into_iter().flatten();
            Ok(data.map(|(key, value)| (key.clone(), plain(resource, value))).collect())
        }
    }
}

fn plain(resource: &kinds::Resource, value: &Value) -> String {
    let value = value.as_str().unwrap_or_default();
    if resource == kinds::SECRETS { String::from_utf8_lossy(&decode(value)).into_owned() } else { value.to_owned() }
}

fn referred(from: &Value, container: &Value, find: Find<'_>, facts: &Facts<'_>) -> Result<Option<String>, String> {
    if from["fieldRef"].is_object() {
        return field(facts, text(&from["fieldRef"], "fieldPath")).map(Some);
    }
    if from["resourceFieldRef"].is_object() {
        return resource(facts, container, &from["resourceFieldRef"]).map(Some);
    }
    for (resource, kind, reference) in
        [(kinds::CONFIG_MAPS, "ConfigMap", "configMapKeyRef"), (kinds::SECRETS, "Secret", "secretKeyRef")]
    {
        let reference = &from[reference];
        if !reference.is_object() {
            continue;
        }
        let (name, key, optional) = (text(reference, "name"), text(reference, "key"), reference["optional"] == true);
        let Some(object) = find(resource, name) else {
            return if optional { Ok(None) } else { Err(missing(resource, name)) };
        };
        return match object["data"].get(key) {
            Some(value) => Ok(Some(plain(resource, value))),
            None if optional => Ok(None),
            None => Err(format!("couldn't find key {key} in {kind} {}/{name}", crate::read::namespace(facts.pod))),
        };
    }
    Ok(Some(String::new()))
}

/// The variables that tell a container of services: name of the service, address, and its ports as (name, port, protocol).
pub fn service_variables(services: &[&Value]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for service in services {
        let address = text(&service["spec"], "clusterIP");
        if address.is_empty() || address == "None" {
            continue;
        }
        let prefix = variable_name(crate::read::name(service));
        all.insert(format!("{prefix}_SERVICE_HOST"), address.to_owned());
        for (index, port) in list(&service["spec"]["ports"]).iter().enumerate() {
            let number = port["port"].as_u64().unwrap_or_default();
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            let lower = protocol.to_ascii_lowercase();
            let link = format!("{lower}://{address}:{number}");
            if index == 0 {
                all.insert(format!("{prefix}_SERVICE_PORT"), number.to_string());
                all.insert(format!("{prefix}_PORT"), link.clone());
            }
            if let Some(name) = port["name"].as_str().filter(|name| !name.is_empty()) {
                all.insert(format!("{prefix}_SERVICE_PORT_{}", variable_name(name)), number.to_string());
            }
            let port = format!("{prefix}_PORT_{number}_{}", protocol.to_ascii_uppercase());
            all.insert(format!("{port}_PROTO"), lower);
            all.insert(format!("{port}_PORT"), number.to_string());
            all.insert(format!("{port}_ADDR"), address.to_owned());
            all.insert(port, link);
        }
    }
    all
}

fn variable_name(name: &str) -> String {
    name.replace('-', "_").to_ascii_uppercase()
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
