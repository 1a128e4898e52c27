use std::collections::BTreeMap;

use serde_json::Value;

use crate::manifest::{Identity, Manifest};
use crate::problems::did_you_mean;
use crate::reader::{Field, Marked, Reader};
use crate::scenario::{LocalPort, Object, ServicePort};
use crate::yaml::Data;

/// The Services that the manifests declare.
pub(super) struct Services {
    default_namespace: String,
    services: Vec<Service>,
}

/// A Service with its ports.
pub(super) struct Service {
    namespace: String,
    name: String,
    ports: Vec<(Option<String>, u16)>,
}

impl Services {
    /// Finds the Services among the manifests.
    pub fn of<'m>(manifests: impl Iterator<Item = &'m Manifest>, default_namespace: &str) -> Self {
        let services = manifests.filter_map(|manifest| match &manifest.identity {
            Identity { api_version, kind, namespace: Some(namespace), name }
                if api_version == "v1" && kind == "Service" =>
            {
                Some(Service { namespace: namespace.clone(), name: name.clone(), ports: ports(&manifest.value) })
            }
            _ => None,
        });
        Self { default_namespace: default_namespace.to_owned(), services: services.collect() }
    }

    /// The Service that is written `NAME` or `NAMESPACE/NAME`. A name alone means the scenario's namespace first, and then any.
    pub fn find(&self, reader: &mut Reader<'_>, written: &Marked<String>) -> Option<&Service> {
        let (namespace, name) = match written.value.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, written.value.as_str()),
        };
        let named: Vec<&Service> = self.services.iter().filter(|service| service.name == name).collect();
        let inside = |namespace: &str| named.iter().find(|service| service.namespace == namespace).copied();
        match (namespace, named.as_slice()) {
            (Some(namespace), _) if inside(namespace).is_some() => inside(namespace),
            (None, _) if inside(&self.default_namespace).is_some() => inside(&self.default_namespace),
            (None, [only]) => Some(only),
            (None, [_, _, ..]) => {
                let all: Vec<String> = named.iter().map(|service| format!("`{}/{name}`", service.namespace)).collect();
                let message = format!("there are several Services `{name}`");
                reader.problem(written.mark, message, format!("say which one: {}", all.join(", ")))
            }
            _ => {
                let message = format!("no manifest declares a Service `{}`", written.value);
                let known: Vec<String> = self.services.iter().map(|service| self.short(service)).collect();
                reader.problem(written.mark, message, did_you_mean(&written.value, known.iter().map(String::as_str)))
            }
        }
    }

    fn short(&self, service: &Service) -> String {
        if service.namespace == self.default_namespace {
            service.name.clone()
        } else {
            format!("{}/{}", service.namespace, service.name)
        }
    }
}

impl Service {
    /// Which one it is.
    pub fn object(&self) -> Object {
        Object { namespace: self.namespace.clone(), name: self.name.clone() }
    }

    fn target(&self, port: u16) -> ServicePort {
        ServicePort { namespace: self.namespace.clone(), service: self.name.clone(), port }
    }

    /// The port that is written as a number or a name.
    pub fn port(&self, reader: &mut Reader<'_>, written: &Marked<String>) -> Option<ServicePort> {
        let found = self
            .ports
            .iter()
            .find(|(name, port)| name.as_deref() == Some(&written.value) || port.to_string() == written.value);
        if let Some((_, port)) = found {
            return Some(self.target(*port));
        }
        let known: Vec<String> =
            self.ports.iter().map(|(name, port)| name.clone().unwrap_or_else(|| port.to_string())).collect();
        let message = format!("the Service `{}` has no port `{}`", self.name, written.value);
        reader.problem(written.mark, message, did_you_mean(&written.value, known.iter().map(String::as_str)))
    }

    /// The only port; a problem where there are several.
    pub fn only_port(&self, reader: &mut Reader<'_>, written: &Marked<String>, how: &str) -> Option<ServicePort> {
        match self.ports.as_slice() {
            [(_, port)] => Some(self.target(*port)),
            [] => reader.problem(written.mark, format!("the Service `{}` has no port", self.name), None),
            ports => {
                let all: Vec<String> =
                    ports.iter().map(|(name, port)| name.clone().unwrap_or_else(|| port.to_string())).collect();
                let message = format!("the Service `{}` has several ports: {}", self.name, all.join(", "));
                reader.problem(written.mark, message, how.to_owned())
            }
        }
    }
}

/// The names and numbers of a Service's ports.
fn ports(value: &Value) -> Vec<(Option<String>, u16)> {
    let ports = value["spec"]["ports"].as_array().into_iter().flatten();
    ports
        .filter_map(|port| {
            let number = u16::try_from(port["port"].as_u64()?).ok()?;
            Some((port["name"].as_str().map(str::to_owned), number))
        })
        .collect()
}

/// Reads `local_ports:`: for each Service one port on this machine, or a table of them by the Service's port.
pub(super) fn local_ports(reader: &mut Reader<'_>, field: &Field<'_>, services: &Services) -> Vec<LocalPort> {
    let mut local_ports = Vec::new();
    let mut taken: BTreeMap<u16, usize> = BTreeMap::new();
    for (name, field) in reader.named(field) {
        let service = services.find(reader, &name);
        let wanted: Vec<(Option<ServicePort>, Field<'_>)> = if let Data::Table(_) = field.node.data {
            let entries = reader.named(&field).into_iter();
            entries.map(|(port, field)| (service.and_then(|service| service.port(reader, &port)), field)).collect()
        } else {
            let how = "give each its own: `local_ports: { SERVICE: { PORT: LOCAL, PORT: LOCAL } }`";
            vec![(service.and_then(|service| service.only_port(reader, &name, how)), field)]
        };
        for (target, field) in wanted {
            let Some(local_port) = local_port(reader, &field, &mut taken) else { continue };
            local_ports.extend(target.map(|target| LocalPort { target, local_port }));
        }
    }
    local_ports
}

fn local_port(reader: &mut Reader<'_>, field: &Field<'_>, taken: &mut BTreeMap<u16, usize>) -> Option<u16> {
    let number = reader.whole_number(field, 1..=u64::from(u16::MAX))?;
    let port = u16::try_from(number).ok()?;
    if let Some(line) = taken.insert(port, field.node.mark.line) {
        let message = format!("the local port {port} is given twice");
        return reader.problem(
            field.node.mark,
            message,
            format!("it is also on line {line}: each needs a port of its own"),
        );
    }
    Some(port)
}
