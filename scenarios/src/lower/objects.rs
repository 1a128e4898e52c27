use std::collections::BTreeMap;

use engine::Address;
use serde_json::Value;
use workloads::{Check, Expectation, Manifest, Question, Spec, Step};

use super::datasets::Folders;
use super::ports::Ports;
use super::{Parts, Target, private_kubeconfig};
use crate::load::without_tag;
use crate::scenario::{self, CheckKind, Scenario, ServicePort};

/// Everything that goes into the cluster.
pub(super) fn spec(scenario: &Scenario, target: &Target, of_cluster: Parts, ports: &Ports, datasets: &Folders) -> Spec {
    let Parts { cluster, images, volumes, disks, shared, load_balancers, static_addresses, gke: _ } = of_cluster;
    let mut manifests = Vec::new();
    for step in &scenario.steps {
        for manifest in &step.manifests {
            let mut value = manifest.value.clone();
            drop_tags(&mut value, &images);
            let file = crate::files::shown(&manifest.file);
            manifests.push(Manifest { value, file, line: manifest.line, step: Some(step.name.clone()) });
        }
    }
    let steps = scenario.steps.iter().map(|step| Step {
        name: step.name.clone(),
        after: step.after.clone(),
        timeout_seconds: step.timeout.as_secs(),
    });
    Spec {
        deployment: target.deployment.clone(),
        kubeconfig: private_kubeconfig(target),
        cluster,
        namespace: scenario.namespace.clone(),
        manifests,
        steps: steps.collect(),
        images,
        node_ports: ports.node_ports(),
        volumes,
        disks,
        shared,
        load_balancers,
        static_addresses,
        checks: scenario.checks.iter().map(|check| self::check(check, datasets)).collect(),
    }
}

fn check(check: &scenario::Check, datasets: &Folders) -> Check {
    let (ServicePort { namespace, service, port }, path, question) = match &check.kind {
        CheckKind::Http { target, path, status, contains } => {
            let expect = Expectation { status: Some(*status), contains: contains.clone(), json: BTreeMap::new() };
            (target, path, Question::Http { method: "GET".to_owned(), body: None, expect })
        }
        CheckKind::Accuracy { target, path, dataset, images, at_least } => {
            let count = usize::try_from(*images).unwrap_or(usize::MAX);
            (target, path, Question::Accuracy { images: datasets[dataset].clone(), count, at_least: *at_least })
        }
    };
    Check {
        name: check.name.clone(),
        namespace: namespace.clone(),
        service: service.clone(),
        port: *port,
        path: path.clone(),
        timeout_seconds: check.timeout.as_secs(),
        question,
    }
}

/// Takes the tag from the names of images that are built here, because their digest takes its place.
fn drop_tags(value: &mut Value, images: &BTreeMap<String, Address>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| drop_tags(item, images)),
        Value::Object(members) => {
            for (key, member) in members {
                if matches!(key.as_str(), "containers" | "initContainers" | "ephemeralContainers") {
                    for container in member.as_array_mut().into_iter().flatten() {
                        let name = container["image"].as_str().map(without_tag).map(str::to_owned);
                        if let Some(name) = name.filter(|name| images.contains_key(name)) {
                            container["image"] = Value::String(name);
                        }
                    }
                }
                drop_tags(member, images);
            }
        }
        _ => {}
    }
}
