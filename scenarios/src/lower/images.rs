use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use engine::{Address, Graph};
use images::{CargoSource, Delivery, DockerfileSource, FileEntry, Source, Spec, Store};
use sha2::{Digest, Sha256};

use super::datasets::Folders;
use super::{LowerError, absolute};
use crate::scenario::{Image, ImageSource};

/// An image that is ready to be declared.
pub(super) struct Prepared {
    /// The name that manifests use.
    written: String,
    spec: Spec,
    fingerprint: String,
}

/// Looks at everything that goes into the images; at all images at once.
pub(super) async fn prepare(images: &[Image], datasets: &Folders, cache: &Path) -> Result<Vec<Prepared>, LowerError> {
    if images.is_empty() {
        return Ok(Vec::new());
    }
    let store = Store::open(&cache.join("images"))?;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut specs = Vec::new();
    for image in images {
        let mut name = node_name(&image.name);
        if names.contains_key(&name) {
            name = format!("{name}-{}", short_hash(&image.name));
        }
        names.insert(name.clone(), image.name.clone());
        specs.push((image.name.clone(), spec(image, name, datasets)?));
    }
    build_together(&mut specs);
    let looks = specs.into_iter().map(async |(written, spec)| {
        let failed = |source| LowerError::Image { image: written.clone(), source };
        let fingerprint = images::fingerprint(&store, &spec).await.map_err(failed)?;
        Ok(Prepared { written, spec, fingerprint })
    });
    futures::future::try_join_all(looks).await
}

/// Lets programs of one workspace that are built alike be built by one command.
fn build_together(specs: &mut [(String, Spec)]) {
    let alike = |source: &CargoSource| CargoSource { package: String::new(), binary: None, ..source.clone() };
    let sources: Vec<CargoSource> = specs.iter().filter_map(|(_, spec)| cargo(spec).cloned()).collect();
    for (_, spec) in specs {
        if let Source::Cargo(source) = &mut spec.source
            && source.features.is_empty()
        {
            let others =
                sources.iter().filter(|other| alike(other) == alike(source) && other.package != source.package);
            let packages: BTreeSet<String> = others.map(|other| other.package.clone()).collect();
            source.together = packages.into_iter().collect();
        }
    }
}

fn cargo(spec: &Spec) -> Option<&CargoSource> {
    match &spec.source {
        Source::Cargo(source) => Some(source),
        Source::Dockerfile(_) => None,
    }
}

/// Adds the images and their way into the cluster; returns, by the name that manifests use, what makes each available.
pub(super) fn declare(
    images: &[Prepared],
    deployment: &str,
    delivery: Delivery<'_>,
    graph: &mut Graph,
) -> Result<BTreeMap<String, Address>, LowerError> {
    let mut available = BTreeMap::new();
    for Prepared { written, spec, fingerprint } in images {
        let declared = images::declare(graph, deployment, spec, fingerprint, delivery)?;
        available.insert(written.clone(), declared.available);
    }
    Ok(available)
}

impl Prepared {
    /// Whether the scenario leaves open where it is pushed to.
    pub fn needs_a_place(&self) -> bool {
        self.spec.push.is_none()
    }
}

/// The same for a cluster that pulls: each image is pushed to where the scenario says, or to `place(its name)`, once `repository` is
/// there.
pub(super) fn declare_pushed(
    images: &[Prepared],
    deployment: &str,
    repository: Option<&Address>,
    graph: &mut Graph,
    place: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Address>, LowerError> {
    let mut available = BTreeMap::new();
    for Prepared { written, spec, fingerprint } in images {
        let spec = Spec { push: spec.push.clone().or_else(|| place(&spec.name)), ..spec.clone() };
        let delivery = Delivery::Registry { needs: repository };
        let declared = images::declare(graph, deployment, &spec, fingerprint, delivery)?;
        available.insert(written.clone(), declared.available);
    }
    Ok(available)
}

fn spec(image: &Image, name: String, datasets: &Folders) -> Result<Spec, LowerError> {
    let source = match &image.source {
        ImageSource::Cargo { package, workspace, binary, profile, features, target_cpu } => {
            Source::Cargo(CargoSource {
                package: package.clone(),
                folder: absolute(workspace)?,
                binary: binary.clone(),
                features: features.clone(),
                profile: profile.clone(),
                target_cpu: target_cpu.clone(),
                ..CargoSource::default()
            })
        }
        ImageSource::Dockerfile { file, context, arguments, target } => Source::Dockerfile(DockerfileSource {
            file: absolute(file)?,
            context: absolute(context)?,
            arguments: arguments.clone(),
            target: target.clone(),
        }),
    };
    let mut files = Vec::new();
    for dataset in &image.datasets {
        files.push(FileEntry { from: datasets[dataset].clone(), to: format!("/data/{dataset}") });
    }
    for copied in &image.files {
        files.push(FileEntry { from: absolute(&copied.from)?, to: copied.to.clone() });
    }
    let (user, environment) = (image.user.clone(), image.environment.clone());
    Ok(Spec { name, source, files, user, environment, push: image.push.clone() })
}

/// An image's name as a part of an address and a reference: what stands between its letters and digits becomes `-`.
fn node_name(written: &str) -> String {
    written.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

fn short_hash(text: &str) -> String {
    let hash = Sha256::digest(text);
    format!("{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3])
}
