//! Reads `cluster:`.

use super::gke;
use super::services::Services;
use crate::manifest::Manifest;
use crate::reader::{Field, Reader};
use crate::scenario::{Cluster, GkePart, KindPart, NodeSize};
use crate::words::gibibytes;

/// The most nodes that a cluster may have.
const MAX_NODES: u64 = 50;
/// The most CPUs that a node may have.
const MAX_CPUS: u64 = 416;

/// Reads the table; `manifests` are what its disks and addresses are for.
pub(super) fn read(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    manifests: &[&Manifest],
    services: &Services,
) -> Option<Cluster> {
    let mut table = reader.table(field)?;
    let (nodes, size) = table.optional(reader, "nodes", nodes).unwrap_or((1, NodeSize::default()));
    let kind = table.optional(reader, "kind", kind);
    let gke = table.optional(reader, "gke", |reader, field| gke::read(reader, field, manifests, services));
    table.later(&["eks", "minikube", "sandbox"]);
    table.close(reader);
    Some(Cluster { nodes, size, kind: kind.unwrap_or_default(), gke: gke.unwrap_or_default() })
}

impl Default for Cluster {
    fn default() -> Self {
        Self { nodes: 1, size: NodeSize::default(), kind: KindPart::default(), gke: GkePart::default() }
    }
}

/// A number of nodes, or a table that also says how large they are.
fn nodes(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<(u32, NodeSize)> {
    if field.node.text().is_some() {
        return Some((count(reader, field)?, NodeSize::default()));
    }
    let mut table = reader.table(field)?;
    let nodes = table.optional(reader, "count", count);
    let cpus = table.optional(reader, "cpu", |reader, field| reader.whole_number(field, 1..=MAX_CPUS));
    let memory = table.optional(reader, "memory", gibibytes);
    table.close(reader);
    let cpus = cpus.and_then(|cpus| u32::try_from(cpus).ok());
    Some((nodes.unwrap_or(1), NodeSize { cpus, memory_gibibytes: memory }))
}

fn count(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<u32> {
    let nodes = reader.whole_number(field, 1..=MAX_NODES)?;
    u32::try_from(nodes).ok()
}

fn kind(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<KindPart> {
    let mut table = reader.table(field)?;
    let node_image = table.optional(reader, "node_image", Reader::text).map(|image| image.value);
    table.close(reader);
    Some(KindPart { node_image })
}
