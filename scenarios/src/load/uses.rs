//! Whether what one part of a scenario uses is what another part declares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::images::ReadImage;
use crate::files::shown;
use crate::manifest::{Identity, Manifest};
use crate::problems::{did_you_mean, nearest};
use crate::reader::{Marked, Reader};
use crate::scenario::{Check, CheckKind, Step};

fn manifests(steps: &[Step]) -> impl Iterator<Item = &Manifest> {
    steps.iter().flat_map(|step| &step.manifests)
}

/// Every namespace that is used is declared by a manifest, or there in every cluster.
pub(super) fn namespaces(reader: &mut Reader<'_>, default: Option<&Marked<String>>, steps: &[Step]) {
    let declared: BTreeSet<&str> = manifests(steps)
        .filter(|manifest| manifest.identity.kind == "Namespace" && manifest.identity.api_version == "v1")
        .map(|manifest| manifest.identity.name.as_str())
        .chain(["default", "kube-system", "kube-public", "kube-node-lease"])
        .collect();
    let help = |name: &str| match nearest(name, declared.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`? Otherwise add a manifest of kind Namespace named `{name}`"),
        None => format!("add a manifest of kind Namespace named `{name}`"),
    };
    let mut told = BTreeSet::new();
    for manifest in manifests(steps) {
        let Some(namespace) = manifest.identity.namespace.as_deref().filter(|namespace| !declared.contains(namespace))
        else {
            continue;
        };
        if !told.insert(namespace) {
            continue;
        }
        let message = format!("no manifest declares the namespace `{namespace}`");
        match (manifest.namespace_mark, default) {
            (Some(mark), _) => reader.problems.add(manifest.source.problem(mark, message, Some(help(namespace)))),
            (None, Some(default)) => {
                reader.problem::<()>(default.mark, message, help(namespace));
            }
            // Without a word about it the namespace is `default`, which is always there.
            (None, None) => {}
        }
    }
}

/// No two manifests declare one object.
pub(super) fn identities(reader: &mut Reader<'_>, steps: &[Step]) {
    let mut seen: BTreeMap<(&str, &str, Option<&str>, &str), &Manifest> = BTreeMap::new();
    for manifest in manifests(steps) {
        let Identity { kind, namespace, name, .. } = &manifest.identity;
        let key = (manifest.identity.group(), kind.as_str(), namespace.as_deref(), name.as_str());
        if let Some(first) = seen.get(&key) {
            let same_place = first.file == manifest.file && first.line == manifest.line;
            let message = if same_place {
                format!("two steps apply this {}", manifest.identity)
            } else {
                format!("{} is declared twice", manifest.identity)
            };
            let place = format!("{}:{}", shown(&first.file), first.name_mark.line);
            let help = if same_place {
                "name the file in one step only".to_owned()
            } else {
                format!("the other one is in {place}")
            };
            reader.problems.add(manifest.source.problem(manifest.name_mark, message, Some(help)));
        } else {
            seen.insert(key, manifest);
        }
    }
}

/// Warns of images that nobody uses, and of manifests' images that look like a mistyped one.
pub(super) fn images(reader: &mut Reader<'_>, images: &[ReadImage], steps: &[Step]) {
    let names: BTreeSet<&str> = images.iter().map(|image| image.image.name.as_str()).collect();
    let mut used = BTreeSet::new();
    for manifest in manifests(steps) {
        for (written, mark) in &manifest.images {
            let name = without_tag(written);
            if names.contains(name) {
                used.insert(name);
            } else if let Some(nearest) = nearest(name, names.iter().copied()) {
                let message = format!("the image `{written}` is not built here, so it is pulled");
                let help = Some(format!("did you mean `{nearest}`?"));
                reader.problems.warn(manifest.source.problem(*mark, message, help));
            }
        }
    }
    for image in images.iter().filter(|image| !used.contains(image.image.name.as_str())) {
        let message = format!("no manifest uses the image `{}`", image.image.name);
        let help = Some("it is built all the same; a container uses it with `image:` and this name".to_owned());
        reader.problems.warn(reader.source.problem(image.mark, message, help));
    }
}

/// The name of an image without its tag. One with a digest is meant exactly as it is written.
pub(crate) fn without_tag(image: &str) -> &str {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && !image.contains('@') => name,
        _ => image,
    }
}

/// Every data set that is used has a folder here, or is one that infra knows.
pub(super) fn datasets(
    reader: &mut Reader<'_>,
    folders: &BTreeMap<String, Marked<PathBuf>>,
    images: &[ReadImage],
    checks: &[Marked<Check>],
) {
    let in_checks = checks.iter().filter_map(|check| match &check.value.kind {
        CheckKind::Accuracy { dataset, .. } => Some((dataset.as_str(), check.mark)),
        CheckKind::Http { .. } => None,
    });
    let in_images =
        images.iter().flat_map(|image| &image.datasets).map(|dataset| (dataset.value.as_str(), dataset.mark));
    let known: BTreeSet<&str> =
        folders.keys().map(String::as_str).chain(datasets::Name::ALL.map(datasets::Name::as_str)).collect();
    for (name, mark) in in_images.chain(in_checks).filter(|(name, _)| !known.contains(name)) {
        let message = format!("the data set `{name}` is not known");
        let known = did_you_mean(name, known.iter().copied()).unwrap_or_default();
        let folder = format!("a folder of your own goes here: `datasets: {{ {name}: {{ folder: FOLDER }} }}`");
        reader.problem::<()>(mark, message, format!("{known} ({folder})"));
    }
}
