use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problems::{Problems, Source};
use crate::reader::Reader;
use crate::vars::Variables;
use crate::yaml::{self, Data, Mark, Node};

/// A Kubernetes object as a manifest declares it.
#[derive(Clone)]
pub struct Manifest {
    /// The file that it stands in.
    pub file: PathBuf,
    /// The line that it begins on, counted from 1.
    pub line: usize,
    /// What it is, and which one.
    pub identity: Identity,
    /// The object. A namespaced one has its namespace in its metadata.
    pub value: Value,
    pub(crate) source: Arc<Source>,
    pub(crate) name_mark: Mark,
    pub(crate) namespace_mark: Option<Mark>,
    pub(crate) images: Vec<(String, Mark)>,
}

impl fmt::Debug for Manifest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = format!("{}:{}", self.file.display(), self.line);
        formatter.debug_tuple("Manifest").field(&place).field(&self.value.to_string()).finish()
    }
}

/// What makes an object this one and no other. The version is no part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Group and version, for example `apps/v1`.
    pub api_version: String,
    /// The kind, for example `Deployment`.
    pub kind: String,
    /// The namespace, for a kind that lives in one.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl Identity {
    /// The group of the kind; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(formatter, "{} {namespace}/{}", self.kind, self.name),
            None => write!(formatter, "{} {}", self.kind, self.name),
        }
    }
}

/// Reads every object of a manifest file, with the values of variables in it. `path` is where it is, and what it is called in
/// messages.
pub(crate) fn read(path: &Path, problems: &mut Problems, variables: &mut Variables) -> Vec<Manifest> {
    let Some(text) = crate::files::read_text(path, problems) else { return Vec::new() };
    let source = Arc::new(Source::new(path, &text));
    let (mut documents, mistakes) = yaml::parse(&text);
    let sound = mistakes.is_empty();
    for mistake in mistakes {
        problems.add(source.problem(mistake.mark, mistake.message, mistake.help));
    }
    let mut reader = Reader { source: &source, problems };
    for document in &mut documents {
        variables.fill(&mut reader, document);
    }
    let mut objects = Objects { source, problems, manifests: Vec::new() };
    for document in documents.iter().filter(|document| !document.is_null()) {
        objects.read(document);
    }
    if sound && documents.iter().all(Node::is_null) {
        objects.problems.warn(crate::Problem::of_file(path, "this manifest holds no object", None));
    }
    objects.manifests
}

struct Objects<'a> {
    source: Arc<Source>,
    problems: &'a mut Problems,
    manifests: Vec<Manifest>,
}

impl Objects<'_> {
    fn problem(&mut self, mark: Mark, message: impl Into<String>, help: impl Into<String>) {
        self.problems.add(self.source.problem(mark, message, Some(help.into())));
    }

    /// Reads an object, or each object of a list.
    fn read(&mut self, node: &Node) {
        let Data::Table(_) = node.data else {
            return self.problem(
                node.mark,
                "this is no Kubernetes object",
                "an object is a table with `apiVersion`, `kind` and `metadata`",
            );
        };
        let kind = self.text(node, "kind", "Deployment");
        let api_version = self.text(node, "apiVersion", "apps/v1");
        let (Some(kind), Some(api_version)) = (kind, api_version) else { return };
        match node.get("items") {
            Some(items) if kind.ends_with("List") => items.items().iter().for_each(|item| self.read(item)),
            _ => self.object(node, kind, api_version),
        }
    }

    fn object(&mut self, node: &Node, kind: String, api_version: String) {
        if api_version.starts_with("kustomize.config.k8s.io/") {
            let help = "infra runs no kustomize: write its result into a file with `kubectl kustomize`";
            return self.problem(node.mark, "a kustomization is no Kubernetes object", help);
        }
        let Some(metadata) = node.get("metadata") else {
            return self.problem(node.mark, format!("this {kind} has no `metadata`"), "add `metadata:` with a `name:`");
        };
        if let (Some(generated), None) = (metadata.get("generateName"), metadata.get("name")) {
            let help = "write `name:`: an object whose name changes each time cannot be found again";
            return self.problem(
                generated.mark,
                format!("this {kind} has no name of its own, but `generateName`"),
                help,
            );
        }
        let Some(name) = self.text(metadata, "name", "server") else { return };
        let namespace = match metadata.get("namespace") {
            None => None,
            Some(_) => match self.text(metadata, "namespace", "default") {
                None => return,
                namespace => namespace,
            },
        };
        let value = match yaml::to_json(node) {
            Ok(value) => value,
            Err(mistake) => return self.problems.add(self.source.problem(mistake.mark, mistake.message, mistake.help)),
        };
        let mut images = Vec::new();
        find_images(node, &mut images);
        self.manifests.push(Manifest {
            file: self.source.path.clone(),
            line: node.mark.line,
            identity: Identity { api_version, kind, namespace, name },
            value,
            source: self.source.clone(),
            name_mark: metadata.get("name").map_or(metadata.mark, |name| name.mark),
            namespace_mark: metadata.get("namespace").map(|namespace| namespace.mark),
            images,
        });
    }

    /// The text of a field that every object has.
    fn text(&mut self, node: &Node, field: &str, example: &str) -> Option<String> {
        match node.get(field).map(|value| (value, yaml::to_json(value))) {
            Some((_, Ok(Value::String(text)))) if !text.is_empty() => Some(text),
            Some((value, _)) => {
                let help = if self.source.looks_like_template(value.mark.line) {
                    yaml::TEMPLATE_HELP.to_owned()
                } else {
                    format!("for example `{field}: {example}`; put numbers into quotes")
                };
                self.problem(value.mark, format!("`{field}` takes a text"), help);
                None
            }
            None => {
                self.problem(
                    node.mark,
                    format!("this object has no `{field}`"),
                    format!("add for example `{field}: {example}`"),
                );
                None
            }
        }
    }
}

/// The images of all containers, wherever a pod template stands in the object.
fn find_images(node: &Node, images: &mut Vec<(String, Mark)>) {
    for item in node.items() {
        find_images(item, images);
    }
    for (key, value) in node.entries() {
        if matches!(key.text(), Some("containers" | "initContainers" | "ephemeralContainers")) {
            let found = value.items().iter().filter_map(|container| container.get("image"));
            images.extend(found.filter_map(|image| Some((image.text()?.to_owned(), image.mark))));
        }
        find_images(value, images);
    }
}

/// Gives every namespaced object its namespace, and takes it from those whose kind lives in none.
pub(crate) fn settle_namespaces(manifests: &mut [&mut Manifest], default: &str) {
    let cluster_wide: BTreeSet<(String, String)> =
        manifests.iter().filter_map(|manifest| custom_cluster_wide(&manifest.value)).collect();
    for manifest in manifests {
        let identity = &mut manifest.identity;
        if is_cluster_wide(identity) || cluster_wide.contains(&(identity.group().to_owned(), identity.kind.clone())) {
            identity.namespace = None;
            continue;
        }
        let namespace = identity.namespace.get_or_insert_with(|| default.to_owned()).clone();
        manifest.value["metadata"]["namespace"] = Value::String(namespace);
    }
}

/// The group and kind that a `CustomResourceDefinition` of cluster scope declares.
fn custom_cluster_wide(value: &Value) -> Option<(String, String)> {
    let spec = &value["spec"];
    let declares = value["kind"] == "CustomResourceDefinition" && spec["scope"] == "Cluster";
    declares.then(|| Some((spec["group"].as_str()?.to_owned(), spec["names"]["kind"].as_str()?.to_owned()))).flatten()
}

/// Whether Kubernetes itself has this kind outside of namespaces.
fn is_cluster_wide(identity: &Identity) -> bool {
    matches!(
        (identity.group(), identity.kind.as_str()),
        ("", "Namespace" | "Node" | "PersistentVolume" | "ComponentStatus")
            | ("rbac.authorization.k8s.io", "ClusterRole" | "ClusterRoleBinding")
            | ("apiextensions.k8s.io", "CustomResourceDefinition")
            | ("apiregistration.k8s.io", "APIService")
            | ("scheduling.k8s.io", "PriorityClass")
            | ("node.k8s.io", "RuntimeClass")
            | ("certificates.k8s.io", "CertificateSigningRequest" | "ClusterTrustBundle")
            | ("resource.k8s.io", "DeviceClass" | "ResourceSlice")
            | (
                "storage.k8s.io",
                "StorageClass" | "CSIDriver" | "CSINode" | "VolumeAttachment" | "VolumeAttributesClass"
            )
            | ("networking.k8s.io", "IngressClass" | "IPAddress" | "ServiceCIDR")
            | ("flowcontrol.apiserver.k8s.io", "FlowSchema" | "PriorityLevelConfiguration")
            | ("internal.apiserver.k8s.io", "StorageVersion")
            | ("storagemigration.k8s.io", "StorageVersionMigration")
            | (
                "admissionregistration.k8s.io",
                "MutatingWebhookConfiguration"
                    | "ValidatingWebhookConfiguration"
                    | "ValidatingAdmissionPolicy"
                    | "ValidatingAdmissionPolicyBinding"
                    | "MutatingAdmissionPolicy"
                    | "MutatingAdmissionPolicyBinding"
            )
    )
}
