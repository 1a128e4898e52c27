mod file_server;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use engine::{Address, Graph, GraphError, Need, Node, output};
use providers::kubernetes::Identity;
use serde_json::{Value, json};

use crate::manifest::{self, References, is_workload};
use crate::spec::{Check, NodePort, Spec, StaticAddress, Step};
use crate::vault::Vault;

pub use file_server::claim as file_server_claim;

/// Why manifests cannot be put into a graph.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum DeclareError {
    /// A document is not an object that could be applied.
    #[error("{file}:{line}: the object has no {missing}")]
    Incomplete {
        /// The file.
        file: String,
        /// The line where its document begins.
        line: usize,
        /// Which field.
        missing: &'static str,
    },
    /// Two documents are the same object.
    #[error("{identity} is declared twice: {first} and {second}")]
    Twice {
        /// The object.
        identity: String,
        /// `file:line` of the first document.
        first: String,
        /// `file:line` of the second document.
        second: String,
    },
    /// The graph cannot take a node.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// An object on its way into the graph.
struct Declared {
    identity: Identity,
    address: Address,
    manifest: Value,
    place: String,
    step: Option<String>,
    deliveries: BTreeSet<Address>,
    notes: Vec<String>,
}

/// Adds the objects, waits and checks of a deployment to the graph. Pure, except that Secrets' values go into the vault.
///
/// Missing namespaces are added. An object needs what it refers to by name, as far as that is declared here; objects of a step need the
/// workloads of the steps before it to be ready.
pub fn declare(spec: &Spec, vault: &Vault, graph: &mut Graph) -> Result<(), DeclareError> {
    let objects = objects(spec)?;
    let index = Index::new(spec, &objects);
    for object in &objects {
        graph.add(object_node(spec, vault, &index, object))?;
        if is_workload(&object.identity) {
            graph.add(ready_node(spec, object))?;
        }
    }
    for check in &spec.checks {
        graph.add(check_node(spec, &objects, check))?;
    }
    Ok(())
}

/// The address of an object's node.
pub(crate) fn object_address(identity: &Identity) -> Address {
    Address::new("object", address_name(identity))
}

fn ready_address(identity: &Identity) -> Address {
    Address::new("ready", address_name(identity))
}

fn address_name(identity: &Identity) -> String {
    let kind = identity.kind.kind.to_lowercase();
    // A kind of the cluster itself is known by its name alone; others may share theirs between groups.
    let kind = if identity.kind.namespaced().is_some() { kind } else { format!("{kind}.{}", identity.kind.group()) };
    match &identity.namespace {
        Some(namespace) => format!("{kind}/{namespace}/{}", identity.name),
        None => format!("{kind}/{}", identity.name),
    }
}

fn objects(spec: &Spec) -> Result<Vec<Declared>, DeclareError> {
    let mut objects = Vec::new();
    let mut places: BTreeMap<Address, String> = BTreeMap::new();
    let scopes = cluster_scoped_custom_kinds(spec);
    let servers = file_server::manifests(spec);
    for document in spec.manifests.iter().chain(&servers) {
        for value in manifest::flatten(&document.value) {
            let object = prepare(spec, &scopes, value, document)?;
            if let Some(first) = places.insert(object.address.clone(), object.place.clone()) {
                let identity = object.identity.to_string();
                return Err(DeclareError::Twice { identity, first, second: object.place });
            }
            let (claim, volume) = volumes::place(spec, object);
            objects.extend(volume);
            objects.push(claim);
        }
    }
    let used: BTreeSet<&str> = objects.iter().filter_map(|object| object.identity.namespace.as_deref()).collect();
    let missing: Vec<Declared> = used
        .into_iter()
        .filter(|name| !matches!(*name, "default" | "kube-system" | "kube-public" | "kube-node-lease"))
        .map(|name| namespace(spec, name))
        .filter(|namespace| !places.contains_key(&namespace.address))
        .collect();
    objects.extend(missing);
    Ok(objects)
}

/// Custom kinds whose definition, declared here, says that they belong to the whole cluster: `group` and `kind`.
fn cluster_scoped_custom_kinds(spec: &Spec) -> BTreeSet<(String, String)> {
    let documents = spec.manifests.iter().flat_map(|document| manifest::flatten(&document.value));
    documents
        .filter(|value| value["kind"] == "CustomResourceDefinition" && value["spec"]["scope"] == "Cluster")
        .filter_map(|value| custom_kind(&value))
        .collect()
}

fn custom_kind(definition: &Value) -> Option<(String, String)> {
    Some((definition["spec"]["group"].as_str()?.to_owned(), definition["spec"]["names"]["kind"].as_str()?.to_owned()))
}

fn prepare(
    spec: &Spec,
    cluster_scoped: &BTreeSet<(String, String)>,
    mut value: Value,
    document: &crate::spec::Manifest,
) -> Result<Declared, DeclareError> {
    let incomplete = |missing| DeclareError::Incomplete { file: document.file.clone(), line: document.line, missing };
    let mut identity = Identity::of(&value).ok_or_else(|| {
        let fields = [("/apiVersion", "apiVersion"), ("/kind", "kind"), ("/metadata/name", "metadata.name")];
        let missing = fields.iter().find(|(pointer, _)| value.pointer(pointer).and_then(Value::as_str).is_none());
        incomplete(missing.map_or("metadata.name", |(_, name)| name))
    })?;
    let custom = (identity.kind.group().to_owned(), identity.kind.kind.clone());
    let namespaced = identity.kind.namespaced().unwrap_or_else(|| !cluster_scoped.contains(&custom));
    if namespaced {
        let namespace = identity.namespace.get_or_insert_with(|| spec.namespace.clone());
        value["metadata"]["namespace"] = namespace.as_str().into();
    } else {
        identity.namespace = None;
        if let Some(metadata) = value["metadata"].as_object_mut() {
            metadata.shift_remove("namespace");
        }
    }
    manifest::label(&mut value, &spec.deployment);
    let mut notes = Vec::new();
    let mut deliveries = place_images(spec, &mut value, &mut notes);
    if spec.load_balancers {
        deliveries.extend(place_address(spec, &identity, &mut value));
    } else {
        notes.extend(place_node_ports(spec, &identity, &mut value));
    }
    Ok(Declared {
        address: object_address(&identity),
        identity,
        manifest: value,
        place: format!("{}:{}", document.file, document.line),
        step: document.step.clone(),
        deliveries,
        notes,
    })
}

fn namespace(spec: &Spec, name: &str) -> Declared {
    let identity = Identity::new("v1", "Namespace", None, name);
    let mut manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    manifest::label(&mut manifest, &spec.deployment);
    Declared {
        address: object_address(&identity),
        identity,
        manifest,
        place: String::new(),
        step: None,
        deliveries: BTreeSet::new(),
        notes: Vec::new(),
    }
}

/// Puts references to what was built in place of image names, and returns what they refer to.
fn place_images(spec: &Spec, manifest: &mut Value, notes: &mut Vec<String>) -> BTreeSet<Address> {
    let mut used = BTreeSet::new();
    for container in manifest::containers_mut(manifest) {
        let Some(address) = container["image"].as_str().and_then(|name| spec.images.get(name)) else { continue };
        container["image"] = output(address, "reference");
        // A delivered image is in the nodes and nowhere else: there is nothing to pull it from.
        if address.kind() == "delivery" && container["imagePullPolicy"] != "Never" {
            let note = "imagePullPolicy Always -> IfNotPresent";
            if container["imagePullPolicy"] == "Always" && !notes.iter().any(|present| present == note) {
                notes.push(note.into());
            }
            container["imagePullPolicy"] = "IfNotPresent".into();
        }
        used.insert(address.clone());
    }
    used
}

/// Sets the node ports (or asks for the local ports) of a `LoadBalancer` service that is mapped to local ports; says to which.
fn place_node_ports(spec: &Spec, identity: &Identity, manifest: &mut Value) -> Vec<String> {
    let (mut notes, mut annotations) = (Vec::new(), Vec::new());
    if identity.kind.kind != "Service" || manifest["spec"]["type"] != "LoadBalancer" {
        return notes;
    }
    for port in manifest["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let number = port["port"].as_u64();
        let mapped = spec.node_ports.iter().find(|mapped| {
            is_for(mapped, identity.namespace.as_deref(), &identity.name) && Some(u64::from(mapped.port)) == number
        });
        match mapped {
            Some(mapped) => {
                match mapped.node_port {
                    Some(node_port) => port["nodePort"] = node_port.into(),
                    None => annotations.push((mapped.port, mapped.local_port)),
                }
                notes.push(format!("LoadBalancer -> 127.0.0.1:{}", mapped.local_port));
            }
            None => notes.push("LoadBalancer -> infra open".into()),
        }
    }
    for (port, local_port) in annotations {
        manifest["metadata"]["annotations"][format!("infra/local-port.{port}")] = local_port.to_string().into();
    }
    notes
}

/// Asks for the address that a service shall have; returns what makes it.
fn place_address(spec: &Spec, identity: &Identity, manifest: &mut Value) -> Option<Address> {
    let is_meant = |address: &&StaticAddress| {
        identity.kind.kind == "Service"
            && identity.namespace.as_ref() == Some(&address.namespace)
            && identity.name == address.service
    };
    let address = spec.static_addresses.iter().find(is_meant)?;
    manifest["spec"]["loadBalancerIP"] = output(&address.made_by, "address");
    Some(address.made_by.clone())
}

fn is_for(mapped: &NodePort, namespace: Option<&str>, service: &str) -> bool {
    namespace == Some(mapped.namespace.as_str()) && mapped.service == service
}

/// What is declared, by what others call it.
struct Index<'a> {
    by_name: BTreeMap<(&'a str, Option<&'a str>, &'a str), &'a Address>,
    definitions: BTreeMap<(String, String), &'a Address>,
    bindings: Vec<(&'a Declared, References)>,
    gates: BTreeMap<&'a str, BTreeSet<Address>>,
}

impl<'a> Index<'a> {
    fn new(spec: &'a Spec, objects: &'a [Declared]) -> Self {
        let by_name = objects.iter().map(|object| {
            let identity = &object.identity;
            ((identity.kind.kind.as_str(), identity.namespace.as_deref(), identity.name.as_str()), &object.address)
        });
        let definitions = objects.iter().filter_map(|object| {
            let is_definition = object.identity.kind.kind == "CustomResourceDefinition";
            Some((custom_kind(&object.manifest).filter(|_| is_definition)?, &object.address))
        });
        let bindings = objects
            .iter()
            .filter(|object| matches!(object.identity.kind.kind.as_str(), "RoleBinding" | "ClusterRoleBinding"))
            .map(|object| (object, manifest::references(&object.manifest, object.identity.namespace.as_deref())));
        let mut gates = BTreeMap::new();
        for step in &spec.steps {
            gates.insert(step.name.as_str(), gate(spec, objects, step, &mut BTreeSet::new()));
        }
        Self { by_name: by_name.collect(), definitions: definitions.collect(), bindings: bindings.collect(), gates }
    }

    /// What an object needs before it is applied, apart from the cluster and its images.
    fn needs(&self, object: &Declared) -> BTreeSet<Address> {
        let identity = &object.identity;
        let namespace = identity.namespace.as_deref();
        let mut needs = BTreeSet::new();
        let mut add = |kind: &str, namespace: Option<&str>, name: &str| {
            needs.extend(self.by_name.get(&(kind, namespace, name)).map(|address| (*address).clone()));
        };
        if let Some(namespace) = namespace {
            add("Namespace", None, namespace);
        }
        for (kind, namespace, name) in &manifest::references(&object.manifest, namespace) {
            add(kind, namespace.as_deref(), name);
        }
        needs.extend(
            self.definitions
                .get(&(identity.kind.group().to_owned(), identity.kind.kind.clone()))
                .map(|it| (*it).clone()),
        );
        if let Some(template) = manifest::template(&object.manifest) {
            let account = template["spec"]["serviceAccountName"].as_str().unwrap_or("default");
            let account = ("ServiceAccount", namespace.map(str::to_owned), account.to_owned());
            let binding = self.bindings.iter().filter(|(_, references)| references.contains(&account));
            needs.extend(binding.map(|(binding, _)| binding.address.clone()));
            // What bounds a namespace's pods is there before the pods are.
            let bounds = self
                .by_name
                .iter()
                .filter(|((kind, of, _), _)| matches!(*kind, "ResourceQuota" | "LimitRange") && *of == namespace);
            needs.extend(bounds.map(|(_, address)| (*address).clone()));
        }
        if let Some(gate) = object.step.as_deref().and_then(|step| self.gates.get(step)) {
            needs.extend(gate.iter().cloned());
        }
        needs.remove(&object.address);
        needs
    }
}

/// What must be there before a step begins: the waits of the steps before it, or what comes closest to that.
fn gate<'a>(spec: &'a Spec, objects: &[Declared], step: &'a Step, seen: &mut BTreeSet<&'a str>) -> BTreeSet<Address> {
    let mut addresses = BTreeSet::new();
    for before in spec.steps.iter().filter(|before| step.after.contains(&before.name)) {
        let members: Vec<&Declared> =
            objects.iter().filter(|object| object.step.as_ref() == Some(&before.name)).collect();
        let waits: Vec<Address> = members
            .iter()
            .filter(|object| is_workload(&object.identity))
            .map(|object| ready_address(&object.identity))
            .collect();
        if !waits.is_empty() {
            addresses.extend(waits);
        } else if !members.is_empty() {
            addresses.extend(members.iter().map(|object| object.address.clone()));
        } else if seen.insert(&before.name) {
            addresses.extend(gate(spec, objects, before, seen));
        }
    }
    addresses
}

fn object_node(spec: &Spec, vault: &Vault, index: &Index, object: &Declared) -> Node {
    let mut manifest = object.manifest.clone();
    vault.seal(&mut manifest);
    let mut node = object_of(&object.identity, &spec.kubeconfig, &manifest);
    let waits_for_all = takes_the_default_storage_class(&object.manifest);
    node.needs = vec![if waits_for_all {
        Need::from(spec.cluster.clone())
    } else {
        Need::milestone(spec.cluster.clone(), "api")
    }];
    node.needs.extend(object.deliveries.iter().chain(&index.needs(object)).cloned().map(Need::from));
    node.within = Some(spec.cluster.clone());
    node.note = (!object.notes.is_empty()).then(|| object.notes.join(", "));
    node
}

/// The node of an object, without what it needs.
pub(crate) fn object_of(identity: &Identity, kubeconfig: &Path, manifest: &Value) -> Node {
    let section = match identity.kind.kind.as_str() {
        "PersistentVolumeClaim" | "PersistentVolume" | "StorageClass" => "volumes",
        _ => "objects",
    };
    let mut node = Node::new(object_address(identity), identity.to_string(), section);
    node.inputs = json!({"kubeconfig": kubeconfig, "identity": identity, "manifest": manifest});
    node
}

/// Whether the object claims a volume without saying of which class. A cluster gets its default class last: before that, such a claim
/// is told that nothing can ever bind it.
fn takes_the_default_storage_class(manifest: &Value) -> bool {
    let templates = manifest.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    let mut claims =
        templates.into_iter().flatten().chain((manifest["kind"] == "PersistentVolumeClaim").then_some(manifest));
    claims.any(|claim| claim.pointer("/spec/storageClassName").is_none())
}

fn ready_node(spec: &Spec, object: &Declared) -> Node {
    let step = spec.steps.iter().find(|step| Some(&step.name) == object.step.as_ref());
    let mut node = Node::new(ready_address(&object.identity), object.identity.to_string(), "waits");
    node.inputs = json!({
        "kubeconfig": spec.kubeconfig,
        "identity": object.identity,
        "revision": output(&object.address, "revision"),
        "timeout_seconds": step.map_or(Step::TIMEOUT_SECONDS, |step| step.timeout_seconds),
    });
    node.needs = vec![object.address.clone().into()];
    node.within = Some(spec.cluster.clone());
    node.lasting = false;
    node
}

/// A check needs all workloads to be ready, and runs again when one of them or the service has changed.
fn check_node(spec: &Spec, objects: &[Declared], check: &Check) -> Node {
    let waits =
        objects.iter().filter(|object| is_workload(&object.identity)).map(|object| ready_address(&object.identity));
    let service = object_address(&Identity::new("v1", "Service", Some(&check.namespace), &check.service));
    let service = objects.iter().map(|object| &object.address).filter(|address| **address == service).cloned();
    let needs: Vec<Address> = waits.chain(service).collect();
    let mapped = spec
        .node_ports
        .iter()
        .find(|mapped| is_for(mapped, Some(&check.namespace), &check.service) && mapped.port == check.port);
    let access = match mapped {
        Some(mapped) => json!({"local_port": mapped.local_port}),
        None if spec.load_balancers && is_load_balancer(objects, check) => json!({"load_balancer": true}),
        None => json!({"forward": true}),
    };
    let mut node = Node::new(Address::new("check", check.name.as_str()), format!("check {}", check.name), "checks");
    node.inputs = json!({
        "kubeconfig": spec.kubeconfig,
        "check": check,
        "access": access,
        "revisions": needs.iter().map(|address| output(address, "revision")).collect::<Vec<_>>(),
    });
    node.needs = needs.into_iter().map(Need::from).collect();
    node.needs.push(Need::milestone(spec.cluster.clone(), "api"));
    node.within = Some(spec.cluster.clone());
    node.lasting = false;
    node
}

fn is_load_balancer(objects: &[Declared], check: &Check) -> bool {
    let address = object_address(&Identity::new("v1", "Service", Some(&check.namespace), &check.service));
    let service = objects.iter().find(|object| object.address == address);
    service.is_some_and(|service| service.manifest["spec"]["type"] == "LoadBalancer")
}

#[cfg(test)]
mod tests;
